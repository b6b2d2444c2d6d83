//! Exports with real files and real sockets.

use super::*;
use crate::trial::{LiveStep, StatusClass, Times};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const SCENARIO: &str = "name: smoke
journeys: [{name: look, steps: [{name: list, get: /}]}]
load: {open: {arrivals: constant, unit: requests_per_second}}
stages: [{name: steady, hold: 10, duration: 10s}]";

fn scenario() -> Scenario {
    Scenario::from_yaml(Path::new("smoke.yaml"), SCENARIO).unwrap()
}

/// One second with ten requests of 10 ms.
fn interval(start_s: f64) -> Live {
    let mut times = Times::default();
    for _ in 0..10 {
        times.response_time.record(Duration::from_millis(10));
        times.service_time.record(Duration::from_millis(10));
    }
    let classes = BTreeMap::from([(StatusClass::Success, times)]);
    let step = LiveStep { name: "list".to_owned(), completed: 10, classes, ..LiveStep::default() };
    let started_at = "2026-11-22T10:00:00Z".to_owned();
    Live { started_at, start_s, length_s: 1.0, sent: 10, steps: vec![step], ..Live::default() }
}

fn options(files: &[String]) -> ExportOptions {
    ExportOptions { files: files.iter().map(|file| file.parse().unwrap()).collect(), ..ExportOptions::default() }
}

async fn open(options: &ExportOptions) -> Result<Exports, CommandError> {
    Exports::open(options, &scenario(), "http://shop").await
}

async fn tell(exports: &Exports, seconds: u32) {
    let live = exports.extras(false).live.unwrap();
    for second in 0..seconds {
        live.send(interval(f64::from(second))).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_written_or_listened_at_is_refused_before_anything_is_sent() {
    let refused = async |options: ExportOptions| open(&options).await.unwrap_err().to_string();
    let told = refused(options(&["csv=/nowhere/at/all.csv".to_owned()])).await;
    assert!(told.starts_with("failed to write /nowhere/at/all.csv: "), "{told}");
    let told = refused(options(&["hgrm:pay=/dev/null".to_owned()])).await;
    assert!(told.contains("no step \"pay\"; the steps are list"), "{told}");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prometheus = Some(taken.local_addr().unwrap());
    let told = refused(ExportOptions { prometheus, ..ExportOptions::default() }).await;
    assert!(told.contains("cannot listen there") && told.contains("free port"), "{told}");
    for url in ["collector:4318", "ftp://collector", "::"] {
        let told = refused(ExportOptions { otlp: Some(url.to_owned()), ..ExportOptions::default() }).await;
        assert!(told.starts_with(&format!("--otlp {url}: ")) && told.contains("http://127.0.0.1:4318"), "{told}");
    }
}

#[tokio::test]
async fn nothing_is_told_live_when_nobody_asked_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let exports = open(&options(&[format!("csv={}", dir.path().join("a.csv").display())])).await.unwrap();
    assert!(exports.extras(true).live.is_none() && exports.extras(true).interval_histograms);
    exports.finish(&Recording::default(), |_| ()).await.unwrap();
}

#[tokio::test]
async fn every_second_is_in_its_file_as_soon_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let names = ["ndjson", "hlog", "prometheus"];
    let files = names.map(|name| format!("{name}={}", path(name).display()));
    let read = |name: &str| std::fs::read_to_string(path(name)).unwrap_or_default();
    std::fs::write(path("hlog"), "of another run").unwrap();
    let exports = open(&options(&files)).await.unwrap();
    assert!(!path("ndjson").exists() && read("hlog") == "of another run", "nothing is known yet of this one");
    tell(&exports, 2).await;
    while read("ndjson").lines().count() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tell(&exports, 1).await;
    exports.finish(&Recording::default(), |_| ()).await.unwrap();
    assert_eq!(read("ndjson").lines().count(), 3);
    assert_eq!(read("hlog").lines().filter(|line| line.starts_with("Tag=list,")).count(), 3);
    assert!(read("hlog").starts_with('#') && !read("hlog").contains("another"), "{}", read("hlog"));
    assert_eq!(read("hlog").matches("StartTime:").count(), 1);
    assert!(read("prometheus").contains("tidegate_sent_total 30\n"));
}

/// `/dev/full` takes nothing: every write to it says that the disk is full.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_loses_nothing_else_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.ndjson");
    let files = ["ndjson=/dev/full".to_owned(), "csv=/dev/full".to_owned(), format!("ndjson={}", whole.display())];
    let exports = open(&options(&files)).await.unwrap();
    tell(&exports, 20).await;
    let said = std::sync::Mutex::new(Vec::new());
    let error =
        exports.finish(&Recording::default(), |text| said.lock().unwrap().push(text.to_owned())).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to write all of /dev/full: No space left"), "{error}");
    assert_eq!(said.lock().unwrap().len(), 1, "the other failure");
    assert_eq!(std::fs::read_to_string(whole).unwrap().lines().count(), 20);
}

#[tokio::test]
async fn prometheus_reads_the_state_of_the_run_while_it_goes_on() {
    let prometheus = Some("127.0.0.1:0".parse().unwrap());
    let exports = open(&ExportOptions { prometheus, ..ExportOptions::default() }).await.unwrap();
    let url = format!("http://{}/metrics", exports.endpoint().unwrap());
    assert!(reqwest::get(&url).await.unwrap().status().is_success(), "before there is anything to tell");
    tell(&exports, 2).await;
    loop {
        let response = reqwest::get(&url).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = response.text().await.unwrap();
        if text.contains("tidegate_requests_total{step=\"list\",outcome=\"completed\"} 20\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    exports.finish(&Recording::default(), |_| ()).await.unwrap();
}

/// A collector that keeps what it is sent, and answers with `status`.
async fn collector(status: StatusCode) -> (String, mpsc::UnboundedReceiver<Bytes>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        sender.send(body).unwrap();
        status
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/metrics", post(take))).await });
    (url, received)
}

#[tokio::test]
async fn the_collector_is_sent_the_whole_run_at_the_end() {
    let (url, mut received) = collector(StatusCode::OK).await;
    let exports = open(&ExportOptions { otlp: Some(format!("{url}/")), ..ExportOptions::default() }).await.unwrap();
    tell(&exports, 3).await;
    exports.finish(&Recording::default(), |text| panic!("{text}")).await.unwrap();
    let body = received.recv().await.unwrap();
    let read = ExportMetricsServiceRequest::decode(body).unwrap();
    let sent = read.resource_metrics[0].scope_metrics[0].metrics.iter().find(|m| m.name == "tidegate.sent").unwrap();
    let Some(metric::Data::Sum(sum)) = &sent.data else { panic!("{sent:?}") };
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(30)));
    assert!(received.try_recv().is_err(), "a short run is sent once");
}

#[tokio::test]
async fn a_collector_that_does_not_take_it_fails_nothing_but_is_told() {
    let (refusing, _received) = collector(StatusCode::SERVICE_UNAVAILABLE).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (url, words) in [(refusing, "503"), (format!("http://{gone}"), "error sending request")] {
        let exports = open(&ExportOptions { otlp: Some(url), ..ExportOptions::default() }).await.unwrap();
        tell(&exports, 1).await;
        let said = std::sync::Mutex::new(String::new());
        exports.finish(&Recording::default(), |text| text.clone_into(&mut said.lock().unwrap())).await.unwrap();
        let said = said.into_inner().unwrap();
        assert!(said.starts_with("the collector did not take the last metrics: ") && said.contains(words), "{said}");
    }
}
