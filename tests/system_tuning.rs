//! A system is tuned with real processes: platform, broker, three services, deliveries, Monitoring, decision, report.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

mod busy;
#[expect(dead_code, reason = "not every test needs all of it")]
mod pubsub;
mod tidegate;

use ::tidegate::trial::{Outcome, Place, Study, TrialResult, Validity};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidegate::{repository, tidegate, told};

/// The time factor makes a minute of platform and broker a second: three seconds of load, ten reports in each.
const SYSTEM: &str = r#"name: lab
variables: {report: {counter: {from: 12, step: 22}}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: "${report}"}, expect: {status: [204]}}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: all, ramp: {from: 10, to: 10}, duration: 180s, warm_up: 30s}]
slos: [post.p95 < 30s, delivery.p95 < 60s, lost == 0]
deliver: {step: post, id: report, to: [email, sms], within: 3600s}
front: lab-report
services:
  lab-report: {bundled: lab-report, publishes: reports, max_instances: 1}
  email: {bundled: email, observer: /deliveries, max_instances: 1, env: {WAIT_MS: 50}}
  sms: {bundled: sms, observer: /deliveries, max_instances: 1, env: {WAIT_MS: 50}}
topics: [reports]
subscriptions:
  email-sub: {topic: reports, push_to: email}
  sms-sub: {topic: reports, push_to: sms}
faults: [email down from 6s for 24s]
tune: {services: [lab-report, email, sms], candidates: [2, 80], blocks: 1, max_instances: 2, local: {host_cores_per_vcpu: 0.25}}
local: {time_factor: 60}
"#;

/// Studies measure: two at a time would disturb each other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tunes the system of this text; gives how the command ended, what it said on both outputs, and the record.
fn tuned(dir: &Path, text: &str) -> (Option<i32>, String, Study) {
    fs::write(dir.join("lab.yaml"), text).unwrap();
    let output = tidegate(dir).args(["tune", "lab.yaml", "--out", "study"]).output().unwrap();
    let (code, said, error) = told(&output);
    let study = Study::load(&dir.join("study")).unwrap_or_else(|missing| panic!("{missing}: {error}"));
    for trial in &study.trials {
        let Validity::Invalid(reasons) = &trial.validity else { continue };
        let busy = busy::explains(reasons.iter().map(ToString::to_string));
        assert!(busy, "invalid for more than a busy machine: {}", trial.invalid_reasons());
    }
    (code, format!("{said}{error}"), study)
}

/// Every revision that a trial had.
fn revisions(trial: &TrialResult) -> impl Iterator<Item = &String> {
    std::iter::once(&trial.revision).chain(trial.others.values().map(|other| &other.revision))
}

#[test]
fn all_three_services_are_tuned_and_paid_for_by_what_they_delivered() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let (code, said, study) = tuned(dir.path(), SYSTEM);
    // A busy machine may be late or saturated, which is told and ends with 5.
    let expected = match study.decision.as_ref().unwrap().outcome {
        Outcome::Chosen(_) => 0,
        Outcome::Infeasible { .. } => 3,
        Outcome::Untrusted { .. } => 5,
    };
    assert_eq!(code, Some(expected), "{said}");
    assert!(said.contains("email down from 6s for 24s: not done: a tuning asks for steady traffic"), "{said}");
    assert!(study.trials.len() >= 2);
    for trial in &study.trials {
        let delivery = trial.recording.delivery.as_ref().unwrap();
        assert_eq!((delivery.posts.acknowledged, delivery.delivered_to_all, trial.lost()), (30, Some(30), 0), "{said}");
        assert!(delivery.faults.is_empty() && delivery.balances());
        assert_eq!(trial.usage.as_ref().unwrap().request_count(), 30, "every post of the trial, and no other's");
        assert_eq!(trial.others.keys().collect::<Vec<_>>(), ["email", "sms"]);
        let billed: f64 =
            trial.others.values().map(|other| other.usage.as_ref().unwrap().billable_instance_time_s).sum();
        let front = trial.usage.as_ref().unwrap().billable_instance_time_s;
        assert!(front > 0.0 && billed > 0.0);
        assert!((trial.billable_instance_time_s().unwrap() - front - billed).abs() < 1e-9);
        let behind: f64 = trial.others.values().map(|other| other.cost.unwrap().total().0).sum();
        assert!(trial.cost.unwrap().total().0 > behind && behind > 0.0, "the front is paid for too");
    }
    let all: Vec<_> = study.trials.iter().flat_map(revisions).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "each trial owns its revisions: {all:?}");

    let folder = dir.path().join("study");
    assert!(!folder.join("state").exists(), "nothing is left of what was only needed meanwhile");
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    for words in [
        "per thousand delivered",
        "The deliveries",
        "Where the money goes",
        "delivery.p95 &lt; 60s",
        "instances of email",
        "backlog: reports",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let markdown = fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(markdown.contains("per thousand delivered") && !markdown.contains("per million"), "{markdown}");
    let table = fs::read_to_string(folder.join("trials.csv")).unwrap();
    assert!(table.lines().next().unwrap().contains("cost_per_thousand_delivered_usd"), "{table}");
    let again = tidegate(dir.path()).args(["report", "study"]).output().unwrap();
    assert!(again.status.success());
    assert!(fs::read_to_string(folder.join("index.html")).unwrap() == page, "a report depends on the record only");
}

/// The e-mail service of the first trial answers 500 to every push: none of that trial's reports reaches it, however the
/// machine fares otherwise, and whichever candidate it is.
#[test]
fn a_candidate_that_loses_is_never_chosen_and_ends_the_command_with_six() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    // Its first revision is the one that the service is made with, its second that of the first trial.
    let program = format!(
        "command: [sh, -c, 'case $K_REVISION in *-00002-*) export FAULT=down;; esac; exec {} target-service email']",
        env!("CARGO_BIN_EXE_tidegate")
    );
    let text = SYSTEM.replace("bundled: email", &program);
    let (code, said, study) = tuned(dir.path(), &text);
    assert_eq!(code, Some(6), "{said}");
    let losing: Vec<&TrialResult> = study.trials.iter().filter(|trial| trial.lost() > 0).collect();
    let [first] = losing.as_slice() else { panic!("{said}") };
    assert_eq!(
        (first.number, first.lost(), first.recording.delivery.as_ref().unwrap().delivered_to_all),
        (1, 30, Some(0))
    );
    let told = format!(
        "LOST: 30 reports were acknowledged and not delivered within the drain limit, in trial 1 ({}); all of them may have been \
         waiting still",
        first.candidate
    );
    assert!(said.contains(&told), "{said}");
    let decision = study.decision.as_ref().unwrap();
    if let Outcome::Chosen(choice) = &decision.outcome {
        assert_ne!(choice.candidate, first.candidate);
    }
    let standing = decision.standings.iter().find(|standing| standing.candidate == first.candidate).unwrap();
    let why_not = "did not deliver 30 reports that were acknowledged within the drain limit, while subscriptions still held as many \
                   messages";
    assert_eq!(standing.why_not.as_deref(), Some(why_not), "who refuses every push loses none");
    assert!(dir.path().join("study/state").exists(), "what was published and delivered is evidence");
    let page = fs::read_to_string(dir.path().join("study/index.html")).unwrap();
    assert!(page.contains("30 reports not delivered in time"), "the first screen says so");
}

/// Another Pub/Sub than the study's own: a broker that the test started, as Google's emulator would be.
#[test]
fn a_system_is_tuned_through_the_pub_sub_that_is_named() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let broker = pubsub::Broker::start(dir.path(), &["--time-factor", "60"]);
    let host = broker.endpoint.trim_start_matches("http://");
    fs::write(dir.path().join("lab.yaml"), SYSTEM.replace("candidates: [2, 80]", "candidates: [80]")).unwrap();
    let arguments = ["tune", "lab.yaml", "--out", "study", "--pubsub", host];
    let (code, said, error) = told(&tidegate(dir.path()).args(arguments).output().unwrap());
    assert!(matches!(code, Some(0 | 3 | 5)), "{code:?} {said} {error}");
    assert!(error.contains(&format!("Pub/Sub of yours at {host}")), "{error}");
    let study = Study::load(&dir.path().join("study")).unwrap();
    let Place::Local(scale) = &study.place else { panic!("{:?}", study.place) };
    assert_eq!(scale.pubsub.as_deref(), Some(host));
    let delivery = study.trials[0].recording.delivery.as_ref().unwrap();
    assert_eq!((delivery.delivered_to_all, delivery.lost()), (Some(30), 0), "{error}");
    assert!(delivery.subscriptions.is_empty(), "it is not asked what only the local broker tells");
    let page = fs::read_to_string(dir.path().join("study/index.html")).unwrap();
    assert!(page.contains(&format!("Pub/Sub is what served at {host}")), "the report names it");
    // Whoever served at that address has seen every report of every trial: its messages are numbered on.
    let topic = format!("{}/v1/projects/local/topics/after", broker.endpoint);
    let told: serde_json::Value = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.put(&topic).body("{}").send().await.unwrap();
        let publishing = client.post(format!("{topic}:publish")).body(r#"{"messages": [{"data": "QQ=="}]}"#);
        publishing.send().await.unwrap().json().await.unwrap()
    });
    assert!(told["messageIds"][0].as_str().unwrap().parse::<u64>().unwrap() > 30, "{told}");
}

#[test]
fn a_pub_sub_that_nothing_would_use_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let shop = repository("scenarios/shopping.yaml").display().to_string();
    for command in [&["tune"][..], &["run", "--target", "http://127.0.0.1:9"]] {
        let arguments = [command, &[&shop, "--pubsub", "127.0.0.1:9"]].concat();
        let (code, _, error) = told(&tidegate(dir.path()).args(&arguments).output().unwrap());
        assert_eq!(code, Some(2), "{error}");
        assert!(
            error.contains("--pubsub 127.0.0.1:9: no system is started here") && error.contains("hint:"),
            "{error}"
        );
    }
}

/// As that of a service that stands alone, whoever starts it.
#[test]
fn a_wrong_environment_of_one_of_several_services_is_told_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let sms = |env: &str| {
        let (before, after) = SYSTEM.split_once("  sms: ").unwrap();
        let after = after.replacen("{WAIT_MS: 50}", env, 1);
        fs::write(dir.path().join("lab.yaml"), format!("{before}  sms: {after}")).unwrap();
        1 + before.lines().count()
    };
    for (env, words) in [
        ("{WAIT_MSS: 50}", ["no setting WAIT_MSS", "hint: did you mean `WAIT_MS`?"]),
        ("{WAIT_MS: fast}", ["WAIT_MS is \"fast\"", "hint: "]),
        ("{K_SERVICE: sms}", ["the platform itself sets `K_SERVICE`", "hint: leave it out"]),
        ("{HOST: 0.0.0.0}", ["the local platform itself sets `HOST`", "hint: leave it out"]),
        ("{A=B: c}", ["`A=B` cannot be an environment variable", "hint: use letters"]),
    ] {
        let line = sms(env);
        for command in [&["scenario", "check"][..], &["tune"], &["run"]] {
            let (code, _, error) = told(&tidegate(dir.path()).args(command).arg("lab.yaml").output().unwrap());
            assert_eq!(code, Some(2), "{command:?} {env}: {error}");
            for word in words.iter().chain(&[&*format!("lab.yaml:{line}:")]) {
                assert!(error.contains(word), "{command:?} {env}: {word:?} is not in: {error}");
            }
        }
        assert!(!dir.path().join("reports").exists(), "{env}: nothing was begun");
    }
}

#[test]
fn a_system_is_not_tuned_elsewhere_and_not_without_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/lab-report.yaml").display().to_string();
    let cloud = ["tune", &path, "--project", "p", "--region", "us-central1", "--service", "s"];
    let (code, _, error) = told(&tidegate(dir.path()).args(cloud).output().unwrap());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("is tuned on the local platform only") && error.contains("hint:"), "{error}");
    let text = SYSTEM.replace("slos: [post.p95 < 30s, delivery.p95 < 60s, lost == 0]\n", "");
    let text: String = text.split_inclusive('\n').filter(|line| !line.starts_with("deliver:")).collect();
    fs::write(dir.path().join("lab.yaml"), text).unwrap();
    let (code, _, error) = told(&tidegate(dir.path()).args(["tune", "lab.yaml"]).output().unwrap());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("needs a `deliver` section"), "{error}");
}
