//! Plans of every load model: that they keep their promises, and that they never change for a seed.

mod golden;
mod level;
mod replay;
mod shards;

use super::{Arrival, LoadModel, LogFormat, Plan, RecordedTimes, Replay, Scenario, Stage, StageKind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A scenario of two journeys, `a` of weight 3 and `b`, under `load` and `stages` (YAML, one flow mapping each).
fn scenario(load: &str, stages: &[&str]) -> Scenario {
    let stages = stages.join("\n  - ");
    let text = format!(
        "name: p\njourneys:\n  - {{name: a, weight: 3, steps: [{{name: x, get: /}}, {{name: y, get: /}}]}}\n  \
         - {{name: b, steps: [{{name: y, get: /}}]}}\nload: {load}\nstages:\n  - {stages}\n"
    );
    Scenario::from_yaml(Path::new("p"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn plan(load: &str, stages: &[&str], seed: u64) -> Plan {
    Plan::new(Arc::new(scenario(load, stages)), seed, 1.0)
}

fn open(arrivals: &str) -> String {
    format!("{{open: {{arrivals: {arrivals}, unit: arrivals_per_second}}}}")
}

/// A replay of `times` (nanoseconds, ascending from 0), changed by `adapt`.
fn replay(times: Vec<u64>, seed: u64, factor: f64, adapt: impl FnOnce(&mut Replay)) -> Plan {
    let mut scenario = scenario("closed", &["{name: n, hold: 1, duration: 1s}"]);
    let times = RecordedTimes(Arc::new(times));
    let mut replay = Replay {
        file: "log".to_owned(),
        format: LogFormat::Csv,
        speed: 1.0,
        multiply: 1.0,
        spread: Duration::ZERO,
        max_in_flight: 10,
        skipped: 0,
        requests: None,
        recorded: times.0.len() as u64,
        fingerprint: times.fingerprint(),
        times,
    };
    adapt(&mut replay);
    scenario.stages = vec![Stage {
        name: "replay".to_owned(),
        kind: StageKind::Replay,
        from: 1.0,
        to: 1.0,
        duration: replay.times.length(replay.spread).div_f64(replay.speed),
        warm_up: Duration::ZERO,
        mix: Vec::new(),
    }];
    scenario.load = LoadModel::Replay(replay);
    Plan::new(Arc::new(scenario), seed, factor)
}

fn due_s(plan: &Plan) -> Vec<f64> {
    plan.arrivals().map(|arrival| arrival.due.as_secs_f64()).collect()
}
