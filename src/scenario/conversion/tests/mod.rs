//! What a wrong file is told, message by message, and that the committed scenarios say what they should.

mod abort;
mod load;
mod recorded;
mod replay;
mod scripting;
mod service;
mod shape;
mod steps;
mod system;
mod target;

use super::super::{Amount, Body, Field, LoadModel, Scenario, SloMetric, StageKind};
use crate::units::{Gib, Vcpu};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const SHOPPING: &str = include_str!("../../../../scenarios/shopping.yaml");
const GUESTS: &str = include_str!("../../../../scenarios/guests.yaml");
const MINIMAL: &str = include_str!("../../../../scenarios/minimal.yaml");

/// A valid file with most of the keys; each case spoils one of them.
const BASE: &str = r#"name: base
variables:
  product: {choice: [1, 2]}
  shop: {constant: avocano}
set_up:
  - {name: restock, patch: "/products/1/?shop=${shop}", json: {inventory_count: 9}}
journeys:
  - name: buy
    weight: 2
    steps:
      - name: look
        get: /products/${product}/
        extract: {token: {json: $.csrfToken}}
        think: 100ms to 300ms
      - name: pay
        post: /pay
        headers: {X-Token: "${token}"}
        json:
          items: [{id: "${product}"}]
        expect: {status: [200]}
        count: {sold: {add: "$.items[*].count", when_status: [200]}}
        timeout: 5s
load:
  open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}
stages:
  - {name: normal, hold: 60, duration: 60s, warm_up: 20s}
  - {name: sale, ramp: {from: 60, to: 120}, duration: 30s}
slos: [p95 < 170ms, pay.p99 < 300ms, error_rate < 0.5%]
observe:
  - {name: stock, get: /products/, sum: "$[*].inventory_count"}
conserve:
  - {counter: sold, falls: stock}
traffic:
  requests_per_month: 1000000
  shares: {normal: 0.9, sale: 0.1}
service:
  bundled: shop
  env: {WAIT_MS: 90}
  vcpu: 1
  memory: 512MiB
  max_instances: 30
  local: {host_cores_per_vcpu: 0.05, time_factor: 12}
tune:
  candidates: [1, 8, 80]
  blocks: 2
  quick: [1, 80]
"#;

fn parse(text: &str) -> Scenario {
    Scenario::from_yaml(Path::new("shop.yaml"), text).unwrap_or_else(|error| panic!("{error}"))
}

/// What the base file is told with `from` replaced by `to`.
fn refusal(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "the base file has no {from}");
    Scenario::from_yaml(Path::new("shop.yaml"), &BASE.replacen(from, to, 1)).expect_err("this is wrong").to_string()
}

#[test]
fn the_base_file_means_what_it_says() {
    let scenario = parse(BASE);
    assert_eq!(scenario.step_names(), ["look", "pay"]);
    assert_eq!(scenario.counter_names(), ["sold"]);
    // 60 requests per second in journeys of two steps are 30 arrivals per second.
    let [normal, sale] = scenario.stages.as_slice() else { panic!("two stages") };
    assert_eq!((normal.kind, normal.from, normal.to), (StageKind::Hold, 30.0, 30.0));
    assert_eq!((normal.duration, normal.warm_up), (Duration::from_mins(1), Duration::from_secs(20)));
    assert_eq!((sale.kind, sale.from, sale.to), (StageKind::Ramp, 30.0, 60.0));
    let pay = &scenario.journeys[0].steps[1];
    assert_eq!((pay.method.as_str(), pay.path.as_str(), pay.timeout), ("POST", "/pay", Duration::from_secs(5)));
    assert_eq!(pay.headers, [("x-token".to_owned(), "${token}".to_owned())]);
    assert_eq!(pay.body, Body::Json(serde_json::json!({"items": [{"id": "${product}"}]})));
    assert_eq!(pay.counts["sold"].add, Amount::JsonSum("$.items[*].count".to_owned()));
    assert_eq!(pay.counts["sold"].statuses, [200]);
    assert_eq!(scenario.variables["shop"], Field::Constant("avocano".into()));
    let service = scenario.service.as_ref().unwrap();
    assert_eq!((service.vcpu, service.memory, service.max_instances), (Vcpu(1.0), Gib(0.5), 30));
    assert_eq!(service.env["WAIT_MS"], "90");
    assert_eq!(scenario.slos[2].metric, SloMetric::ErrorRate { limit: 0.005 });
    assert_eq!(scenario.slos[1].step.as_deref(), Some("pay"));
}

#[test]
fn a_scenario_survives_being_saved() {
    for text in [BASE, SHOPPING, MINIMAL] {
        let scenario = parse(text);
        let saved = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&saved).unwrap(), scenario);
    }
}

/// What was in the files that a scenario names may hold secrets: a study keeps only whether they changed.
#[test]
fn what_is_saved_of_files_is_whether_they_changed() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/guests.yaml"));
    let scenario = Scenario::load(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.data["customers"].rows.len(), 5);
    let saved = serde_json::to_string(&scenario.without_content()).unwrap();
    assert!(!saved.contains("grace@example.com"), "{saved}");
    assert_eq!(serde_json::from_str::<Scenario>(&saved).unwrap(), scenario.without_content());
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(path, folder.path().join("guests.yaml")).unwrap();
    std::fs::write(folder.path().join("customers.csv"), "email,name,city,age\ng@x,G,NY,1\n").unwrap();
    let other = Scenario::load(&folder.path().join("guests.yaml")).unwrap();
    assert_ne!(other.without_content(), scenario.without_content());
}

#[test]
fn the_shopping_scenario_is_the_default_study() {
    let scenario = parse(SHOPPING);
    let (hold, spike) = (StageKind::Hold, StageKind::Spike);
    let steps = scenario.steps_per_arrival();
    assert!((4.0..=6.0).contains(&steps), "{steps}");
    let stages: Vec<_> = scenario
        .stages
        .iter()
        .map(|stage| (stage.kind, (stage.from * steps).round(), stage.duration.as_secs(), stage.warm_up.as_secs()))
        .collect();
    assert_eq!(stages, [(hold, 60.0, 144, 96), (spike, 240.0, 72, 0), (hold, 60.0, 72, 0)]);
    assert!(matches!(scenario.load, LoadModel::Open { .. }));
    let service = scenario.service.unwrap();
    assert_eq!((service.host_cores_per_vcpu, service.time_factor, service.max_instances), (0.05, 12.0, 30));
    let tune = scenario.tune.unwrap();
    let numbers = |candidates: &[super::super::Candidate]| -> Vec<u32> {
        candidates.iter().map(|candidate| candidate.max_concurrency).collect()
    };
    assert_eq!(numbers(&tune.candidates), [1, 2, 4, 8, 16, 80]);
    assert_eq!(numbers(&tune.quick), [1, 4, 16, 80]);
    assert_eq!(tune.blocks, 2);
    // The mix of checkouts: each kind expects its own status, and whatever is sold is counted.
    let expected: Vec<_> = scenario
        .journeys
        .iter()
        .flat_map(|journey| &journey.steps)
        .filter(|step| step.name.starts_with("checkout"))
        .map(|step| (step.expect.statuses[0], step.counts.contains_key("units_sold")))
        .collect();
    assert_eq!(expected, [(200, true), (400, true), (501, true)]);
    assert_eq!(scenario.conservation[0].observation, "stock");
}

#[test]
fn the_minimal_scenario_takes_three_seconds() {
    let scenario = parse(MINIMAL);
    let factor = scenario.service.unwrap().time_factor;
    assert_eq!(scenario.stages.iter().map(|stage| stage.duration.as_secs_f64()).sum::<f64>() / factor, 3.0);
    assert_eq!(scenario.tune.unwrap().candidates.len(), 3);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Scenario::load(Path::new("/nowhere/shop.yaml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the scenario file /nowhere/shop.yaml: "), "{error}");
    assert!(error.contains("\n\nhint: "), "{error}");
}

#[test]
fn a_terminal_is_safe_from_what_a_file_holds() {
    let told = refusal("name: base", "name: \"a\\e[31m\"");
    assert!(told.contains("\\u{1b}[31m") && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn bottomless_and_swelling_files_are_refused() {
    // Both are in place of a body, where any JSON is welcome: without limits the one would overflow the stack, the
    // other would take 2^40 values.
    let body = "{inventory_count: 9}";
    let bottomless = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let swelling: String = (1..40).fold("{a0: &a0 [x, x]".to_owned(), |text, level| {
        text + &format!(", a{level}: &a{level} [*a{0}, *a{0}]", level - 1)
    });
    for (text, told) in
        [(bottomless, "shop.yaml:6:317: recursion limit exceeded"), (swelling + "}", "the file is too large")]
    {
        let refused = refusal(body, &text);
        assert!(refused.contains(told), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is typed into whichever place: a scenario or a message with a line that the file has.
    #[test]
    fn a_spoilt_file_is_refused_in_words(guests in any::<bool>(), at in any::<prop::sample::Index>(), length in 0..30_usize, typed in "[a-z0-9${}\\[\\]:,.<%\"' \n-]{0,6}") {
        let whole: Vec<char> = if guests { GUESTS } else { BASE }.chars().collect();
        let start = at.index(whole.len());
        let end = (start + length).min(whole.len());
        let text: String = whole[..start].iter().copied().chain(typed.chars()).chain(whole[end..].iter().copied()).collect();
        if let Err(super::super::ScenarioError::Invalid { problems, .. }) = Scenario::from_yaml(Path::new("s"), &text) {
            prop_assert!(!problems.is_empty());
            let lines = text.split('\n').count() as u64;
            for problem in problems {
                prop_assert!(problem.line <= lines + 1, "{problem:?}");
                prop_assert!(!problem.message.is_empty() && !problem.hint.is_empty());
            }
        }
    }
}
