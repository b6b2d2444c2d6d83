//! Records for tests: as small as they can be, and valid.

use super::{
    ConsumerRecording, DeliveryBooks, DeliveryRecording, Host, Limiter, Place, PostBooks, Recording, SCHEMA_VERSION,
    Scale, Scaling, StepRecording, Study, Times, TrialResult, Usage, UsageSample, Validity,
};
use crate::cost::{Cost, InstanceShape, PriceBook};
use crate::scenario::{Billing, Candidate, Scenario};
use crate::units::{Gib, Usd, Vcpu};
use std::collections::BTreeMap;
use std::time::Duration;

/// A valid trial whose requests all took `response_time_ms` and cost `per_million` dollars a million.
pub(crate) fn trial(number: u32, max_concurrency: u32, per_million: f64, response_time_ms: f64) -> TrialResult {
    let checkout =
        StepRecording { name: "checkout".into(), times: times(10, response_time_ms * 2.0), ..StepRecording::default() };
    let recording = Recording { overall: times(100, response_time_ms), steps: vec![checkout], ..Recording::default() };
    TrialResult {
        number,
        candidate: Candidate { max_concurrency },
        block: 1,
        seed: 1,
        attempt: 1,
        revision: format!("shop-{number}"),
        deployed_at: "2026-11-22T09:59:58Z".into(),
        started_at: "2026-11-22T10:00:00Z".into(),
        ended_at: "2026-11-22T10:00:24Z".into(),
        recording,
        usage: None,
        cost: Some(Cost { cpu: Usd(per_million), request_count: 1_000_000, ..Cost::default() }),
        others: BTreeMap::new(),
        stock: None,
        lock_wait_s: None,
        validity: Validity::Valid,
    }
}

/// `count` requests of one response time.
pub(crate) fn times(count: u64, response_time_ms: f64) -> Times {
    let mut times = Times::default();
    for _ in 0..count {
        times.response_time.record(Duration::from_secs_f64(response_time_ms / 1e3));
    }
    times
}

/// Deliveries of `posted` reports that were all acknowledged, to two consumers; the second lacks `lost` of them.
pub(crate) fn deliveries(posted: u64, lost: u64) -> DeliveryRecording {
    let consumer = |name: &str, lost: u64| {
        let delivered = posted - lost;
        let books = DeliveryBooks { deliveries: delivered, delivered, lost, ..DeliveryBooks::default() };
        let mut told = ConsumerRecording { name: name.to_owned(), books, ..ConsumerRecording::default() };
        (0..delivered).for_each(|_| told.delivery_time.record(Duration::from_millis(200)));
        told
    };
    DeliveryRecording {
        posts: PostBooks { posted, acknowledged: posted, failed: 0 },
        consumers: vec![consumer("email", 0), consumer("sms", lost)],
        delivered_to_all: Some(posted - lost),
        ..DeliveryRecording::default()
    }
}

/// Usage of full periods of 5 s from the start of the load, each with (requests, billable seconds).
pub(crate) fn usage(periods: &[(u64, f64)]) -> Usage {
    let sample = |(n, (requests, billable_s)): (usize, &(u64, f64))| UsageSample {
        end_s: 5.0 * (n + 1) as f64,
        period_s: 5.0,
        billable_s: *billable_s,
        requests: *requests,
        ..UsageSample::default()
    };
    Usage {
        billable_instance_time_s: periods.iter().map(|(_, billable_s)| billable_s).sum(),
        requests: BTreeMap::from([("200".into(), periods.iter().map(|(requests, _)| requests).sum())]),
        samples: periods.iter().enumerate().map(sample).collect(),
        ..Usage::default()
    }
}

/// A study of two stages of 120 s, run twelve times faster, and of these trials.
pub(crate) fn study(trials: Vec<TrialResult>) -> Study {
    let mut candidates: Vec<Candidate> = trials.iter().map(|trial| trial.candidate).collect();
    candidates.sort_unstable();
    candidates.dedup();
    Study {
        schema_version: SCHEMA_VERSION,
        name: "shopping".into(),
        tidegate_version: "0.1.0".into(),
        command: "tidegate tune".into(),
        commit: None,
        started_at: "2026-11-22T10:00:00Z".into(),
        finished_at: None,
        scenario: scenario(),
        candidates,
        blocks: 1,
        stage_share: 1.0,
        seed: 1,
        place: Place::Local(Scale {
            limiter: limiter(),
            host_cores_per_vcpu: 0.05,
            time_factor: 12.0,
            scaling: Scaling::default(),
            pubsub: None,
            assumed: None,
        }),
        host: Host::default(),
        prices: PriceBook::embedded().prices("us-central1").expect("Tier 1 has it"),
        shape: InstanceShape { vcpu: Vcpu(1.0), memory: Gib(0.5), billing: Billing::Request },
        trials,
        decision: None,
    }
}

fn limiter() -> Limiter {
    Limiter {
        kind: "none".into(),
        note: String::new(),
        self_test_set_cores: None,
        self_test_measured_cores: None,
        cpu_idle: None,
    }
}

/// Through its saved form, so that fields with defaults need not be named here.
fn scenario() -> Scenario {
    let none = serde_json::json!({"secs": 0, "nanos": 0});
    let stage = |name: &str| {
        serde_json::json!({
            "name": name, "kind": "hold", "from": 10.0, "to": 10.0,
            "duration": {"secs": 120, "nanos": 0}, "warm_up": none,
        })
    };
    let step = serde_json::json!({
        "name": "checkout", "method": "GET", "path": "/", "headers": [], "body": "empty", "expect": {"statuses": []},
        "extract": {}, "think": {"constant": none}, "timeout": {"secs": 10, "nanos": 0},
    });
    let scenario = serde_json::json!({
        "name": "shopping", "description": "", "variables": {}, "set_up": [],
        "journeys": [{"name": "browse", "weight": 1.0, "steps": [step]}],
        "load": {"open": {"arrivals": "poisson", "max_in_flight": 100}},
        "stages": [stage("normal"), stage("sale")],
        "slos": [],
        "traffic": {"requests_per_month": 1e7, "shares": {"normal": 0.75, "sale": 0.25}},
        "service": null, "tune": null,
    });
    serde_json::from_value(scenario).expect("it has the saved form of a scenario")
}
