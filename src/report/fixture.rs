//! Studies made by hand for the tests of this module: realistic in shape, invented in every number.

mod measured;
mod system;

pub(super) use system::system_study;

use crate::cost::{InstanceShape, PriceBook};
use crate::scenario::{
    Arrivals, Billing, Body, Candidate, Conservation, Expectation, Journey, LoadModel, Objective, Scenario, Service,
    ServiceSource, Slo, SloMetric, Stage, StageKind, Step, ThinkTime, Traffic, Tune,
};
use crate::trial::{
    Assumed, Assumption, Choice, Constant, Decision, Host, Invalid, Limiter, Outcome, Place, SCHEMA_VERSION, Scale,
    Standing, Study, TrialResult, Validity,
};
use crate::units::{Gib, Usd, Vcpu};
use measured::trial;
use std::collections::BTreeMap;
use std::time::Duration;

const STEPS: [&str; 4] = ["home", "product", "collect", "checkout"];
/// (max concurrency, p50 ms, spread of the tail in ms, billable seconds).
const CURVE: [(u32, f64, f64, f64); 6] = [
    (1, 108.0, 34.0, 318.0),
    (2, 101.0, 9.0, 214.0),
    (4, 101.5, 10.0, 141.0),
    (8, 104.0, 13.0, 96.0),
    (16, 109.0, 17.0, 71.0),
    (80, 131.0, 64.0, 63.0),
];

/// Six candidates in two blocks on a local platform; 16 is chosen.
pub(super) fn study() -> Study {
    study_over(&CURVE)
}

/// The same with `number` candidates, 1 to 12.
pub(super) fn study_of(number: usize) -> Study {
    let twelve: Vec<_> = [1, 2, 3, 4, 6, 8, 12, 16, 24, 40, 80, 200]
        .into_iter()
        .map(|k| {
            let k_f = f64::from(k);
            (k, 100.0 + k_f / 3.0, 8.0 + k_f / 2.5 + 20.0 / k_f, 60.0 + 250.0 / k_f)
        })
        .collect();
    study_over(&twelve[..number])
}

fn study_over(curve: &[(u32, f64, f64, f64)]) -> Study {
    let mut trials = Vec::new();
    for block in 1..=2 {
        for (k, median, tail, billable_s) in curve {
            let number = u32::try_from(trials.len()).unwrap() + 1;
            let wobble = 1.0 + f64::from((number * 7) % 5) * 0.006;
            trials.push(trial(number, block, *k, (median * wobble, tail * wobble, billable_s * wobble)));
        }
    }
    let candidates: Vec<Candidate> = curve.iter().map(|(k, ..)| Candidate { max_concurrency: *k }).collect();
    let mut study = Study {
        schema_version: SCHEMA_VERSION,
        name: "shopping-example".to_owned(),
        tidegate_version: "0.1.0".to_owned(),
        command: "tidegate tune scenarios/shopping.yaml".to_owned(),
        commit: Some("4f2c9e1".to_owned()),
        started_at: "2026-11-22T10:00:00Z".to_owned(),
        finished_at: Some("2026-11-22T10:05:30Z".to_owned()),
        scenario: scenario(&candidates),
        candidates,
        blocks: 2,
        stage_share: 1.0,
        seed: 42,
        place: Place::Local(Scale {
            limiter: Limiter {
                kind: "cgroup1".to_owned(),
                note: String::new(),
                self_test_set_cores: Some(0.25),
                self_test_measured_cores: Some(0.2512),
                cpu_idle: Some("frozen".to_owned()),
            },
            host_cores_per_vcpu: 0.05,
            time_factor: 12.0,
            scaling: crate::trial::Scaling::default(),
            pubsub: None,
            assumed: Some(Assumed {
                constants: vec![Constant { what: "averages are taken over".to_owned(), value: "1 min".to_owned() }],
                assumptions: vec![Assumption {
                    what: "averages are taken over 1 s buckets".to_owned(),
                    basis: "Knative serving @98e5ef90".to_owned(),
                }],
            }),
        }),
        host: Host {
            system: "Linux 6.8".to_owned(),
            cpu: "Example CPU at 2.4 GHz".to_owned(),
            cores: 2,
            memory_mib: 7936,
        },
        prices: PriceBook::embedded().prices("us-central1").unwrap(),
        shape: InstanceShape { vcpu: Vcpu(1.0), memory: Gib(0.5), billing: Billing::Request },
        trials,
        decision: None,
    };
    study.decision = Some(decision(&study));
    study
}

/// On Cloud Run.
pub(super) fn cloud_study() -> Study {
    let (project, region, service) = ("acme-prod".to_owned(), "europe-west1".to_owned(), "shop".to_owned());
    Study { place: Place::CloudRun { project, region, service }, ..study() }
}

/// No candidate keeps its promise.
pub(super) fn infeasible_study() -> Study {
    let mut study = study();
    let decision = study.decision.as_mut().unwrap();
    let slo = &study.scenario.slos[0];
    decision.outcome = Outcome::Infeasible {
        reason: "the nearest is max concurrency 2 with p95 140 ms, and even it breaks p95 < 100ms".to_owned(),
    };
    for standing in &mut decision.standings {
        standing.broken = vec![(slo.clone(), format!("{:.0} ms", standing.response_time_p95_ms))];
        standing.why_not = Some("it breaks p95 < 170ms".to_owned());
    }
    study
}

/// Max concurrency 80 has no valid trial, on an unlimited platform.
pub(super) fn untrusted_study() -> Study {
    let mut study = study();
    for trial in study.trials.iter_mut().filter(|trial| trial.candidate.max_concurrency == 80) {
        trial.usage = None;
        trial.cost = None;
        trial.validity = Validity::Invalid(vec![
            Invalid::UsageMissing { cause: "Monitoring answered no point of revision shop-t06 within 60 s".to_owned() },
            Invalid::Late { p99_ms: 12.4, bound_ms: 5.45 },
        ]);
    }
    if let Place::Local(scale) = &mut study.place {
        scale.limiter = Limiter {
            kind: "none".to_owned(),
            note: "no cgroup may be made here".to_owned(),
            self_test_set_cores: None,
            self_test_measured_cores: None,
            cpu_idle: None,
        };
    }
    let decision = study.decision.as_mut().unwrap();
    decision.outcome =
        Outcome::Untrusted { reason: "max concurrency 80 has no valid trial: its usage is missing twice".to_owned() };
    let last = decision.standings.last_mut().unwrap();
    last.trials_valid = 0;
    last.cost_per_million_requests = None;
    study
}

/// Stopped after the third trial.
pub(super) fn unfinished_study() -> Study {
    let mut study = study();
    study.trials.truncate(3);
    study.decision = None;
    study.finished_at = None;
    study
}

/// Every name tries to be markup.
pub(super) fn hostile_study() -> Study {
    let mut study = study();
    let evil = "\"><b onload=x><script>alert(1)</script> a|b `c` *d*";
    study.name = evil.to_owned();
    study.command = evil.to_owned();
    study.scenario.name = evil.to_owned();
    study.scenario.description = evil.to_owned();
    study.scenario.stages[0].name = evil.to_owned();
    study.scenario.conservation[0].counter = evil.to_owned();
    study.scenario.slos[0].text = evil.to_owned();
    study.host.cpu = evil.to_owned();
    study.place = Place::CloudRun { project: evil.to_owned(), region: evil.to_owned(), service: evil.to_owned() };
    for trial in &mut study.trials {
        trial.revision = evil.to_owned();
        trial.recording.steps[0].name = evil.to_owned();
        trial.recording.failures[0].cause = evil.to_owned();
    }
    study.decision.as_mut().unwrap().standings[0].why_not = Some(evil.to_owned());
    study
}

/// One study of each kind.
pub(super) fn all() -> Vec<Study> {
    vec![
        study(),
        cloud_study(),
        infeasible_study(),
        untrusted_study(),
        unfinished_study(),
        hostile_study(),
        study_of(1),
        study_of(12),
        system_study(),
    ]
}

fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        method: "GET".to_owned(),
        path: format!("/{name}"),
        headers: Vec::new(),
        body: Body::Empty,
        expect: Expectation { statuses: vec![200], checks: Vec::new() },
        extract: BTreeMap::new(),
        counts: BTreeMap::new(),
        think: ThinkTime::Exponential(Duration::from_millis(200)),
        timeout: Duration::from_secs(10),
        follow_redirects: 0,
        compressed: false,
    }
}

fn stage(name: &str, kind: StageKind, rate: f64, (seconds, warm_up): (u64, u64)) -> Stage {
    Stage {
        name: name.to_owned(),
        kind,
        from: rate,
        to: rate,
        duration: Duration::from_secs(seconds * 12),
        warm_up: Duration::from_secs(warm_up * 12),
        mix: Vec::new(),
    }
}

fn scenario(candidates: &[Candidate]) -> Scenario {
    let shares = [("usual", 0.7), ("sale", 0.2), ("after", 0.1)].map(|(name, share)| (name.to_owned(), share));
    Scenario {
        name: "shopping".to_owned(),
        description: "A shop on a usual day, then a sale: visitors look at products, collect some and check out."
            .to_owned(),
        variables: BTreeMap::new(),
        data: BTreeMap::new(),
        set_up: Vec::new(),
        tear_down: Vec::new(),
        observations: Vec::new(),
        abort: Vec::new(),
        system: None,
        delivery: None,
        conservation: vec![Conservation { counter: "units_sold".to_owned(), observation: "stock".to_owned() }],
        journeys: vec![Journey {
            name: "buy".to_owned(),
            weight: 1.0,
            steps: STEPS.map(step).to_vec(),
            groups: Vec::new(),
        }],
        load: LoadModel::Open { arrivals: Arrivals::Poisson, max_in_flight: 512 },
        stages: vec![
            stage("usual", StageKind::Hold, 15.0, (12, 4)),
            stage("sale", StageKind::Spike, 35.0, (6, 0)),
            stage("after", StageKind::Hold, 15.0, (6, 0)),
        ],
        slos: vec![
            Slo {
                text: "p95 < 170ms".to_owned(),
                step: None,
                metric: SloMetric::ResponseTime { quantile: 0.95, limit: Duration::from_millis(170) },
            },
            Slo { text: "error_rate < 0.5%".to_owned(), step: None, metric: SloMetric::ErrorRate { limit: 0.005 } },
        ],
        target: None,
        traffic: Some(Traffic { requests_per_month: 120e6, shares: BTreeMap::from(shares) }),
        service: Some(Service {
            source: ServiceSource::Bundled("shop".to_owned()),
            env: BTreeMap::from([("WAIT_MS".to_owned(), "90".to_owned())]),
            vcpu: Vcpu(1.0),
            memory: Gib(0.5),
            min_instances: 0,
            max_instances: 30,
            billing: Billing::Request,
            host_cores_per_vcpu: 0.05,
            time_factor: 12.0,
            region: "us-central1".to_owned(),
        }),
        tune: Some(Tune {
            candidates: candidates.to_vec(),
            blocks: 2,
            quick: Vec::new(),
            objective: Objective::CostPerMillionRequests,
            services: Vec::new(),
            max_instances: None,
            host_cores_per_vcpu: None,
            time_factor: None,
        }),
    }
}

fn decision(study: &Study) -> Decision {
    let slo = &study.scenario.slos[0];
    let mut standings: Vec<Standing> =
        study.candidates.iter().map(|candidate| standing(study, *candidate, slo)).collect();
    let cost = |standing: &Standing| standing.cost_per_million_requests.unwrap().0;
    let chosen = standings
        .iter()
        .filter(|standing| standing.feasible())
        .min_by(|a, b| cost(a).total_cmp(&cost(b)))
        .map(|standing| (standing.candidate, cost(standing)));
    for standing in &mut standings {
        standing.why_not = match chosen {
            Some((candidate, _)) if candidate == standing.candidate => None,
            _ if !standing.broken.is_empty() => Some(format!("it breaks {}", slo.text)),
            Some((candidate, least)) => {
                let more = (cost(standing) / least - 1.0) * 100.0;
                Some(format!("it keeps every promise, but costs {more:.0} % more than {}", candidate.max_concurrency))
            }
            None => None,
        };
    }
    let frontier = standings
        .iter()
        .filter(|one| {
            !standings
                .iter()
                .any(|other| cost(other) < cost(one) && other.response_time_p95_ms < one.response_time_p95_ms)
        })
        .map(|standing| standing.candidate)
        .rev()
        .collect();
    let outcome = chosen.map_or_else(
        || Outcome::Infeasible { reason: "no candidate keeps p95 < 170ms".to_owned() },
        |(candidate, _)| {
            let reason = "it is the cheapest candidate that keeps every promise".to_owned();
            Outcome::Chosen(Choice { candidate, reason })
        },
    );
    Decision { outcome, standings, frontier }
}

fn standing(study: &Study, candidate: Candidate, slo: &Slo) -> Standing {
    let trials: Vec<&TrialResult> = study.trials.iter().filter(|trial| trial.candidate == candidate).collect();
    let mean = |value: &dyn Fn(&TrialResult) -> f64| {
        trials.iter().map(|trial| value(trial)).sum::<f64>() / trials.len() as f64
    };
    let quantile = |q: f64| mean(&|trial| trial.recording.overall.response_time.quantile(q).as_secs_f64() * 1000.0);
    let p95 = quantile(0.95);
    let number = u32::try_from(trials.len()).unwrap();
    Standing {
        candidate,
        trials_valid: number,
        trials: number,
        cost_per_million_requests: Some(Usd(mean(&|trial| trial.cost_per_million_requests().unwrap().0))),
        cost_per_thousand_delivered: None,
        broken_deliveries: Vec::new(),
        lost: 0,
        queued: 0,
        response_time_p50_ms: quantile(0.5),
        response_time_p95_ms: p95,
        response_time_p99_ms: quantile(0.99),
        error_rate: mean(&|trial| trial.recording.overall.error_rate()),
        broken: if p95 < 170.0 { Vec::new() } else { vec![(slo.clone(), format!("{p95:.0} ms"))] },
        why_not: None,
    }
}
