//! tidegate as the generator: one load, its figures as one line of JSON.

use serde_json::json;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::driver::{Http1Client, Options, Progress, drive_with};
use tidegate::scenario::{Plan, Scenario};
use tidegate::stats::Histogram;
use tokio::sync::watch;

const JOURNEY: &str = include_str!("journey.yaml");
const GET: &str = "name: get
journeys: [{name: one, steps: [{name: get, get: /logged}]}]
";

/// The scenario of `load`: `get` and `journey` by 64 virtual users, `open` at 10,000 arrivals per second, `steady` at
/// 2,000, `users` by 10,000 virtual users who send once a second.
fn scenario(load: &str, seconds: u32) -> Result<String, Box<dyn Error>> {
    let closed =
        |level: u32| format!("load: closed\nstages: [{{name: steady, hold: {level}, duration: {seconds}s}}]\n");
    let open = |rate: u32| {
        format!(
            "load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 1000}}}}
stages: [{{name: steady, hold: {rate}, duration: {seconds}s, warm_up: 500ms}}]\n"
        )
    };
    Ok(match load {
        "get" => GET.replace("/logged", "/detail/1") + &closed(64),
        "journey" => JOURNEY.to_owned() + &closed(64),
        "open" => GET.to_owned() + &open(10_000),
        "steady" => GET.replace("/logged", "/detail/1") + &open(2_000),
        "users" => GET.replace("get: /logged}", "get: /detail/1, think: 1s}") + &closed(10_000),
        other => return Err(format!("no load is called {other:?}").into()),
    })
}

/// Drives and prints.
pub(super) fn drive(client: &str, load: &str, base_url: &str, seconds: u32) -> Result<(), Box<dyn Error>> {
    let client = if client == "hyper" { Http1Client::Hyper } else { Http1Client::Wire };
    let scenario = Scenario::from_yaml(Path::new("bench.yaml"), &scenario(load, seconds)?)?;
    let plan = Plan::new(Arc::new(scenario), 1, 1.0);
    let options = Options { base_url: base_url.to_owned(), drain: Duration::from_secs(2), ..Options::default() };
    let (_stop, stopped) = watch::channel(false);
    let progress = watch::Sender::new(Progress::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recording = runtime.block_on(drive_with(client, &plan, &options, progress, stopped))?;
    let count: u64 = recording.answers.values().sum();
    let failures: u64 = recording.failures.iter().map(|failure| failure.count).sum();
    let us = |histogram: &Histogram| [0.5, 0.99, 1.0].map(|q| histogram.quantile(q).as_micros());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()));
    println!(
        "{}",
        json!({
            "count": count,
            "failures": failures,
            "rate": count as f64 / recording.duration_s,
            "lateness_us": us(&recording.lateness),
            "response_us": us(&recording.overall.response_time),
            "service_us": us(&recording.overall.service_time),
            "peak_kib": peak_kib,
        })
    );
    Ok(())
}
