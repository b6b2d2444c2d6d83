//! A run that is interrupted: what was measured until then is in every export, and the collector gets the last metrics.
//! And what is exported is read by the tools that it is for.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod java;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use base64::Engine as _;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use tidegate::trial::Recording;
use tokio::sync::mpsc;

const SCENARIO: &str = "name: smoke
journeys: [{name: look, steps: [{name: list, get: /}]}]
load: {open: {arrivals: constant, unit: requests_per_second}}
stages: [{name: steady, hold: 50, duration: 60s}]";

/// A service that answers, and a collector beside it that keeps what it is sent.
async fn serve() -> (String, mpsc::UnboundedReceiver<Bytes>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move { sender.send(body).unwrap() };
    let router = Router::new().route("/", get(async || "{}")).route("/v1/metrics", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

/// How many requests the last metrics say were sent.
fn sent(body: Bytes) -> u64 {
    let read = ExportMetricsServiceRequest::decode(body).unwrap();
    let metrics = &read.resource_metrics[0].scope_metrics[0].metrics;
    let sent = metrics.iter().find(|metric| metric.name == "tidegate.sent").unwrap();
    let Some(metric::Data::Sum(sum)) = &sent.data else { panic!("{sent:?}") };
    let Some(number_data_point::Value::AsInt(count)) = sum.data_points[0].value else { panic!("{sum:?}") };
    u64::try_from(count).unwrap()
}

/// How many requests the log of histograms holds, read by a reader of the format.
fn logged(log: &[u8]) -> u64 {
    let intervals = IntervalLogIterator::new(log).map(|entry| match entry.unwrap() {
        LogEntry::Interval(interval) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
            Deserializer::new().deserialize::<u64, _>(&mut bytes.as_slice()).unwrap().len()
        }
        LogEntry::StartTime(_) | LogEntry::BaseTime(_) => 0,
    });
    intervals.sum()
}

#[tokio::test]
async fn an_interrupted_run_is_whole_in_every_export_until_then() {
    let (url, mut received) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("smoke.yaml"), SCENARIO).unwrap();
    let formats = ["ndjson", "hlog", "csv", "prometheus"];
    let exports = formats.iter().flat_map(|format| ["--export".to_owned(), format!("{format}=run.{format}")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .current_dir(dir.path())
        .args(["run", "smoke.yaml", "--target", &url, "--json", "run.json", "--otlp", &url])
        .args(exports)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Seconds are written as they end, so that whoever follows the file need not wait for the end of the run.
    while std::fs::read_to_string(path("run.ndjson")).is_ok_and(|text| text.lines().count() < 2)
        || !path("run.ndjson").exists()
    {
        assert_eq!(child.try_wait().unwrap(), None, "it ended on its own");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));

    let recording = Recording::load(&path("run.json")).unwrap();
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let all = recording.requests_sent();
    assert!(recording.interrupted && all >= 100, "{all}");
    let seconds: Vec<serde_json::Value> =
        read("run.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seconds.iter().map(|second| second["completed"].as_u64().unwrap()).sum::<u64>(), all);
    assert_eq!(logged(read("run.hlog").as_bytes()), all);
    assert!(read("run.prometheus").contains(&format!("\ntidegate_sent_total {all}\n")));
    assert!(read("run.csv").starts_with("kind,name,"));
    let mut last = None;
    while let Ok(body) = received.try_recv() {
        last = Some(body);
    }
    assert_eq!(last.map(sent), Some(all), "the collector was sent the end of the run");
}

const TWO_STEPS: &str = "name: smoke
journeys: [{name: look, steps: [{name: list, get: /}, {name: pay, get: /slow}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 100, duration: 4s}]";

/// Percentiles at which a rank of 400 values is whole, so that all ways of rounding it agree.
const PERCENTILES: [f64; 5] = [50.0, 75.0, 95.0, 99.0, 100.0];

#[tokio::test]
async fn the_log_of_histograms_is_read_by_hdr_histograms_own_tools() {
    if !java::found() {
        return;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let slow = async || tokio::time::sleep(Duration::from_millis(20)).await;
    let router = Router::new().route("/", get(async || "{}")).route("/slow", get(slow));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("smoke.yaml"), TWO_STEPS).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .current_dir(dir.path())
        .args(["run", "smoke.yaml", "--target", &url, "--json", "run.json", "--export", "hlog=run.hlog"])
        .output()
        .await
        .unwrap();
    // A machine too busy to trust the figures (5) still writes the same figures everywhere.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{}", String::from_utf8_lossy(&output.stderr));

    let recording = Recording::load(&path("run.json")).unwrap();
    let started: jiff::Timestamp = recording.started_at.parse().unwrap();
    let read = java::read(&path("run.hlog"), &PERCENTILES);
    assert_eq!(read.iter().map(|told| told.tag.as_str()).collect::<Vec<_>>(), ["list", "pay"]);
    for (told, step) in read.iter().zip(&recording.steps) {
        let times = &step.times.response_time;
        let quantiles = PERCENTILES.map(|p| u64::try_from(times.quantile(p / 100.0).as_micros()).unwrap());
        // The log tells its start in whole milliseconds, rounded.
        assert!(told.start_ms.abs_diff(started.as_millisecond()) <= 1, "{told:?}");
        assert_eq!((told.count, told.percentiles.as_slice()), (400, quantiles.as_slice()));
        assert_eq!(times.count(), 400);
        assert!(told.intervals >= 4, "{told:?}");
        let spectrum = java::spectrum(&path("run.hlog"), &told.tag);
        assert!(spectrum.contains("Total count    =          400]"), "{spectrum}");
        assert!(spectrum.contains(&format!("#[Max     = {:>12.3},", quantiles[4] as f64 / 1e3)), "{spectrum}");
    }
}
