//! Rules that end a run: what they mean, and what a wrong one is told.

use super::super::super::{AbortWhen, Scenario};
use super::{BASE, parse, refusal};
use std::path::Path;
use std::time::Duration;

/// The base file with these rules.
fn with(rules: &str) -> String {
    BASE.replacen("observe:", &format!("abort: {rules}\nobserve:"), 1)
}

fn told(rules: &str) -> String {
    refusal("observe:", &format!("abort: {rules}\nobserve:"))
}

#[test]
fn rules_are_of_the_run_of_a_window_or_of_the_rate() {
    let scenario = parse(&with(
        r#"
  - {slo: error_rate < 5%}
  - {slo: pay.p95 < 500ms, over: 30s, after: 10s}
  - {rate: "achieved < 90% of offered", over: 10s}"#,
    ));
    let [lost, broken, behind] = scenario.abort.as_slice() else { panic!("three rules") };
    assert!(matches!(&lost.when, AbortWhen::Lost(slo) if slo.step.is_none()), "{lost:?}");
    assert_eq!(lost.after, Duration::ZERO);
    let thirty = Duration::from_secs(30);
    assert!(
        matches!(&broken.when, AbortWhen::Broken { slo, over } if slo.step.as_deref() == Some("pay") && *over == thirty)
    );
    assert_eq!((broken.after, broken.text.as_str()), (Duration::from_secs(10), "pay.p95 < 500ms"));
    assert!(matches!(behind.when, AbortWhen::Behind { share, .. } if share == 0.9), "{behind:?}");
    assert_eq!(behind.after, Duration::from_secs(10), "a window is full before it is judged");
    let saved = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&saved).unwrap(), scenario);
}

#[test]
fn rules_that_cannot_be_are_told() {
    let rules = [
        "[{over: 30s}]",
        r#"[{slo: p95 < 1s, rate: "achieved < 90% of offered", over: 5s}]"#,
        "[{slo: pya.p95 < 1s, over: 30s}]",
        "[{slo: p95 > 1s, over: 30s}]",
        "[{slo: p95 < 1s, over: 0s}]",
        "[{slo: p95 < 1s, over: 30}]",
        "[{slo: p95 < 1s, within: 30s}]",
        r#"[{rate: "achieved < 90% of offered"}]"#,
        r#"[{rate: "achieved > 90%", over: 10s}]"#,
        r#"[{rate: "achieved < 0% of offered", over: 10s}]"#,
    ];
    let told = rules.map(|rule| format!("abort: {rule}\n{}", told(rule)));
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_closed_load_can_only_be_judged_over_a_window() {
    let closed = |rules: &str| {
        let text = with(rules)
            .replacen("  open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}", "", 1)
            .replacen("load:\n", "load: closed\n", 1);
        Scenario::from_yaml(Path::new("shop.yaml"), &text)
    };
    assert!(closed("[{slo: p95 < 1s, over: 30s}]").is_ok());
    let rules = ["[{slo: p95 < 1s}]", r#"[{rate: "achieved < 90% of offered", over: 10s}]"#];
    let told = rules.map(|rule| format!("abort: {rule}\n{}", closed(rule).unwrap_err()));
    insta::assert_snapshot!(told.join("\n\n"));
}
