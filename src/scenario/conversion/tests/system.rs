//! Asynchronous systems: what the committed scenario says, and what a wrong one is told, with its place.

use crate::scenario::{DeliveryMetric, FaultKind, Objective, Scenario};
use std::path::Path;
use std::time::Duration;

const LAB: &str = include_str!("../../../../scenarios/lab-report.yaml");

const BASE: &str = r#"name: lab
variables:
  report: {counter: {from: 1}}
  other: {integer: {from: 1, to: 9}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: "${report}"}, expect: {status: [204]}}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: all, hold: 10, duration: 60s}]
slos: [post.p95 < 1s, email.delivery.p95 < 60s, heal < 120s, lost == 0]
deliver: {step: post, id: report, to: [email, sms], within: 180s}
front: lab-report
services:
  lab-report: {bundled: lab-report, publishes: reports, max_instances: 1}
  email: {bundled: email, observer: /deliveries, max_concurrency: 80, invokers: [pubsub-invoker]}
  sms: {command: [./sms], observer: /deliveries}
topics: [reports, dead-reports]
subscriptions:
  email-sub: {topic: reports, push_to: email, ack_deadline: 20s, retry: {min_backoff: 1s, max_backoff: 60s}, push_as: pubsub-invoker}
  sms-sub: {topic: reports, push_to: sms, dead_letter: {topic: dead-reports, max_attempts: 7}}
faults: [email down from 20s for 30s]
local: {host_cores_per_vcpu: 0.5, time_factor: 2}
"#;

fn parse(text: &str) -> Scenario {
    Scenario::from_yaml(Path::new("lab.yaml"), text).unwrap_or_else(|error| panic!("{error}"))
}

fn told(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "the base file has no {from}");
    Scenario::from_yaml(Path::new("lab.yaml"), &BASE.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn the_lab_s_scenario_is_the_lab_s() {
    let scenario = parse(LAB);
    let ids = scenario.report_ids().unwrap();
    assert_eq!([0, 1, 2].map(|number| ids.id(number)), [12, 34, 56]);
    let system = scenario.system.as_ref().unwrap();
    assert_eq!(
        (system.front.as_str(), system.topics.as_slice()),
        ("lab-report-service", &["new-lab-report".to_owned()][..])
    );
    let account = || Some("pubsub-cloud-run-invoker".to_owned());
    assert_eq!(system.services["lab-report-service"].invokers, None);
    for service in ["email-service", "sms-service"] {
        assert_eq!(system.services[service].invokers, account().map(|account| vec![account]));
        let mut accounts = system.subscriptions_of(service).map(|(_, subscription)| subscription.push_as.clone());
        assert_eq!((accounts.next(), accounts.next()), (Some(account()), None));
    }
    let delivery = scenario.delivery.as_ref().unwrap();
    assert_eq!(delivery.consumers, ["email-service", "sms-service"]);
    assert_eq!(delivery.within, Duration::from_mins(3));
    let [fault] = system.faults.as_slice() else { panic!("{:?}", system.faults) };
    assert_eq!((fault.kind, fault.window(1.0)), (FaultKind::Down, (Duration::from_secs(20), Duration::from_secs(50))));
    assert!(delivery.promises.iter().any(|promise| promise.metric == DeliveryMetric::NoneLost));
    // Everything that a deployment elsewhere must do: answer a post.
    let [journey] = scenario.journeys.as_slice() else { panic!("{:?}", scenario.journeys) };
    assert_eq!(journey.steps.len(), 1);
    // The first stage is the lab's three reports.
    let first = &scenario.stages[0];
    assert!((first.from * first.duration.as_secs_f64() - 3.0).abs() < 1e-9);
}

#[test]
fn every_key_arrives_in_the_model() {
    let scenario = parse(BASE);
    let system = scenario.system.unwrap();
    assert_eq!((system.host_cores_per_vcpu, system.time_factor), (0.5, 2.0));
    assert_eq!(system.services["email"].max_concurrency, Some(80));
    assert_eq!(system.services["sms"].max_concurrency, None);
    assert_eq!(system.services["email"].invokers.as_deref(), Some(&["pubsub-invoker".to_owned()][..]));
    assert_eq!(system.services["sms"].invokers, None, "everybody may call it");
    assert_eq!(system.subscriptions["email-sub"].push_as.as_deref(), Some("pubsub-invoker"));
    assert_eq!(system.services["lab-report"].publishes.as_deref(), Some("reports"));
    assert_eq!(system.subscriptions["email-sub"].ack_deadline, Duration::from_secs(20));
    assert_eq!(system.subscriptions["email-sub"].retry.unwrap().min_backoff, Duration::from_secs(1));
    assert_eq!(system.subscriptions["sms-sub"].dead_letter.as_ref().unwrap().max_attempts, 7);
    assert_eq!(scenario.delivery.unwrap().promises.len(), 3);
    assert_eq!(scenario.slos.len(), 1);
}

/// The base file with this `tune` section.
fn tuned(section: &str) -> Result<Scenario, String> {
    let text = format!("{BASE}tune: {section}\n");
    Scenario::from_yaml(Path::new("lab.yaml"), &text).map_err(|error| error.to_string())
}

#[test]
fn a_tuning_is_of_the_front_and_paid_per_delivered_report_unless_it_says_otherwise() {
    let scenario = tuned("{candidates: [8, 1]}").unwrap();
    assert_eq!(scenario.objective(), Objective::CostPerThousandDelivered);
    let tune = scenario.tune.unwrap();
    assert_eq!((tune.services.as_slice(), tune.time_factor), (&["lab-report".to_owned()][..], None));
    let all = tuned(
        "{candidates: [1], services: [sms, email, lab-report], max_instances: 5, local: {time_factor: 6}, objective: cost_per_million_requests}",
    );
    let tune = all.unwrap().tune.unwrap();
    assert_eq!(tune.services, ["sms", "email", "lab-report"]);
    assert_eq!((tune.host_cores_per_vcpu, tune.time_factor, tune.max_instances), (None, Some(6.0), Some(5)));
    assert_eq!(tune.objective, Objective::CostPerMillionRequests);
    let committed = parse(LAB);
    assert_eq!(committed.objective(), Objective::CostPerThousandDelivered);
    assert!(!committed.tune.unwrap().services.is_empty());
}

#[test]
fn a_tuning_of_what_is_not_there_is_told_with_line_and_column() {
    for (section, place, words) in [
        ("{candidates: [1], services: [smss]}", "lab.yaml:21:36:", "there is no service `smss`"),
        ("{candidates: [1], services: [sms, sms]}", "lab.yaml:21:41:", "the service `sms` stands here twice"),
        ("{candidates: [1], services: []}", "lab.yaml:21:35:", "no service is tuned"),
        ("{candidates: [1], local: {time_factor: 0}}", "lab.yaml:21:46:", "the time factor 0 is out of range"),
        ("{candidates: [1], max_instances: 0}", "lab.yaml:21:40:", "leaves no instance"),
        ("{candidates: [0]}", "lab.yaml:21:21:", "cannot hold 0 requests"),
    ] {
        let told = tuned(section).expect_err(section);
        assert!(told.contains(place) && told.contains(words), "{section}: {told}");
    }
    // One that is too small for the candidate refuses it, tuned or not first.
    let small = BASE.replace("bundled: email,", "bundled: email, vcpu: 0.5,");
    let of = |services: &str| {
        let text = format!("{small}tune: {{candidates: [1, 2], services: [{services}]}}\n");
        Scenario::from_yaml(Path::new("lab.yaml"), &text).map_err(|error| error.to_string())
    };
    assert!(of("lab-report, sms").is_ok());
    let told = of("lab-report, email").expect_err("half a vCPU");
    assert!(told.contains("lab.yaml:21:24:") && told.contains("no max concurrency above 1"), "{told}");
    // Without services there is nothing to choose among, and without deliveries nothing to pay for.
    let shop = "name: shop\njourneys: [{name: one, steps: [{name: get, get: /}]}]\nload: closed\nstages: [{name: up, hold: 1, duration: 1s}]\n";
    for (section, words) in [
        ("{candidates: [1], services: [shop]}", "the scenario has none"),
        ("{candidates: [1], max_instances: 2}", "there are no `services`"),
        ("{candidates: [1], objective: cost_per_thousand_delivered}", "nothing says what is delivered"),
    ] {
        let text = format!("{shop}tune: {section}\n");
        let told = Scenario::from_yaml(Path::new("shop.yaml"), &text).expect_err(section).to_string();
        assert!(told.contains("shop.yaml:5:") && told.contains(words), "{told}");
    }
}

#[test]
fn a_third_consumer_is_two_lines_and_its_name() {
    let third = BASE
        .replacen("to: [email, sms]", "to: [email, sms, archive]", 1)
        .replacen("topics:", "  archive: {bundled: email, observer: /deliveries}\ntopics:", 1)
        .replacen("faults:", "  archive-sub: {topic: reports, push_to: archive}\nfaults:", 1);
    let scenario = parse(&third);
    assert_eq!(scenario.delivery.unwrap().consumers.len(), 3);
}

#[test]
fn what_cannot_be_is_told_with_line_and_column() {
    for (from, to, place, words) in [
        ("front: lab-report", "front: lab", "lab.yaml:10:8:", "there is no service `lab`"),
        ("front: lab-report\n", "", "lab.yaml:12:10:", "the key `front` is missing"),
        ("bundled: email,", "bundled: shop,", "lab.yaml:13:20:", "tidegate carries no service `shop`"),
        ("max_concurrency: 80", "max_concurrency: 1001", "lab.yaml:13:67:", "cannot hold 1001 requests"),
        ("publishes: reports", "publishes: report", "lab.yaml:12:48:", "there is no topic `report`"),
        ("observer: /deliveries}\ntopics", "observer: deliveries}\ntopics", "lab.yaml:14:37:", "is not a path"),
        ("topics: [reports,", "topics: [reports, reports,", "lab.yaml:15:19:", "stands here twice"),
        ("topics: [reports,", "topics: [reports, no,", "lab.yaml:15:19:", "cannot be the name of a topic"),
        ("topic: reports, push_to: email", "topic: report, push_to: email", "lab.yaml:17:22:", "no topic `report`"),
        ("push_to: sms", "push_to: smss", "lab.yaml:18:38:", "there is no service `smss`"),
        ("ack_deadline: 20s", "ack_deadline: 5s", "lab.yaml:17:61:", "no ack deadline of 5s"),
        ("ack_deadline: 20s", "ack_deadline: 10500ms", "lab.yaml:17:61:", "whole seconds"),
        ("max_backoff: 60s", "max_backoff: 601s", "lab.yaml:17:104:", "no backoff of 601s"),
        ("min_backoff: 1s", "min_backoff: 61s", "lab.yaml:17:105:", "shorter than the first"),
        ("max_attempts: 7", "max_attempts: 4", "lab.yaml:18:92:", "cannot give up after 4"),
        ("{topic: dead-reports", "{topic: reports", "lab.yaml:18:64:", "come back"),
        ("[email down from 20s for 30s]", "[email down]", "lab.yaml:19:10:", "is not a fault"),
        ("[email down", "[mail down", "lab.yaml:19:10:", "there is no service `mail`"),
        ("from 20s for", "from 60s for", "lab.yaml:19:10:", "the load has ended"),
        ("[email down", "[email slow 1s from 10s for 20s, email down", "lab.yaml:19:42:", "at the same time"),
        ("step: post", "step: pst", "lab.yaml:9:17:", "there is no step `pst`"),
        ("id: report", "id: other", "lab.yaml:9:27:", "is no counter"),
        ("{counter: {from: 1}}", "{counter: {from: 1, step: 0}}", "lab.yaml:9:27:", "stands still"),
        ("to: [email, sms]", "to: [email, email]", "lab.yaml:9:47:", "stands here twice"),
        ("to: [email, sms]", "to: [email, lab-report]", "lab.yaml:9:47:", "nothing tells what is delivered"),
        ("to: [email, sms]", "to: []", "lab.yaml:9:39:", "there is no consumer"),
        ("within: 180s", "within: 0s", "lab.yaml:9:61:", "within no time"),
        ("lost == 0", "lost < 1", "lab.yaml:8:62:", "may never be lost"),
        ("email.delivery", "fax.delivery", "lab.yaml:8:23:", "which nothing is delivered to"),
        (
            "{open: {arrivals: constant, unit: arrivals_per_second}}",
            "closed",
            "lab.yaml:6:7:",
            "virtual users have none",
        ),
        ("bundled: email,", "bundled: email, env: {FAULT: down},", "lab.yaml:13:40:", "the run itself sets `FAULT`"),
        ("[pubsub-invoker]", "[Nobody]", "lab.yaml:13:82:", "cannot be the name of a service account"),
        ("push_as: pubsub-invoker", "push_as: x@y", "lab.yaml:17:119:", "cannot be the name of a service account"),
        ("max_instances: 1", "invokers: []", "lab.yaml:10:8:", "without a token"),
        ("front: lab-report", "service: {bundled: shop}\nfront: lab-report", "lab.yaml:10:10:", "stand together"),
    ] {
        let told = told(from, to);
        assert!(told.contains(place) && told.contains(words) && told.contains("hint:"), "{to}: {told}");
    }
}

#[test]
fn what_speaks_of_services_or_deliveries_without_any_is_told() {
    let minimal = "name: a\njourneys: [{name: one, steps: [{name: get, get: /}]}]\nload: {open: {arrivals: constant, unit: arrivals_per_second}}\nstages: [{name: all, hold: 10, duration: 60s}]\n";
    for (line, words) in [
        ("faults: [email down from 20s for 30s]", "`faults` stands here without `services`"),
        ("slos: [lost == 0]", "speaks of deliveries, and there is no `deliver`"),
        ("slos: [delivery.p95 < 1s]", "speaks of deliveries, and there is no `deliver`"),
    ] {
        let told = Scenario::from_yaml(Path::new("a.yaml"), &format!("{minimal}{line}")).unwrap_err().to_string();
        assert!(told.contains("a.yaml:5:") && told.contains(words), "{told}");
    }
}

#[test]
fn a_step_named_delivery_keeps_its_promises() {
    let text = "name: a\njourneys: [{name: one, steps: [{name: delivery, get: /}]}]\nload: {open: {arrivals: constant, unit: arrivals_per_second}}\nstages: [{name: all, hold: 10, duration: 60s}]\nslos: [delivery.p95 < 1s]";
    assert_eq!(parse(text).slos[0].step.as_deref(), Some("delivery"));
}
