//! What requests carry, as a server sees it.

use crate::driver::connection::{Connector, Http1Client};
use crate::driver::fixture::{drive_with, load_with, plan, server};
use crate::driver::target_options::{Authorization, Secret, TargetOptions};
use crate::driver::trace::TraceIds;
use crate::scenario::Plan;
use crate::trial::Recording;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A server that answers everything and keeps the heads it saw.
async fn keeping(heads: Arc<Mutex<Vec<String>>>) -> String {
    server(move |mut stream| {
        let heads = Arc::clone(&heads);
        async move {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"left\": 41}").await?;
            }
        }
    })
    .await
}

fn five() -> Plan {
    plan(
        "set_up: [{name: reset, patch: /reset}]
journeys:
  - name: three
    steps:
      - {name: first, get: /first}
      - {name: second, get: /second}
      - {name: own, get: /own, headers: {authorization: Mine, traceparent: mine}}
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 250ms}]
observe: [{name: stock, get: /stock, sum: '$.left'}]",
    )
}

async fn heads_of(options: &TargetOptions) -> (Vec<String>, Recording) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let base_url = keeping(Arc::clone(&heads)).await;
    let recording = drive_with(&five(), &base_url, options).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    let heads = heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 1 + 2 + 15);
    (heads, recording)
}

fn header<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(given, _)| *given == name).map(|(_, value)| value).collect()
}

fn of_path<'a>(heads: &'a [String], path: &str) -> Vec<&'a String> {
    heads.iter().filter(|head| head.split(' ').nth(1) == Some(path)).collect()
}

#[tokio::test]
async fn measured_requests_carry_a_trace_of_their_journey_and_a_span_of_their_own() {
    let (heads, recording) = heads_of(&TargetOptions::default()).await;
    let (mut traces, mut spans) = (BTreeSet::new(), BTreeSet::new());
    for head in of_path(&heads, "/first").into_iter().chain(of_path(&heads, "/second")) {
        let given = header(head, "traceparent");
        assert_eq!(given.len(), 1, "{head}");
        let parts: Vec<&str> = given[0].split('-').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2].len(), parts[3]), ("00", 32, 16, "01"), "{head}");
        traces.insert(parts[1].to_owned());
        spans.insert(parts[2].to_owned());
        assert!(header(head, "authorization").is_empty());
    }
    assert_eq!((traces.len(), spans.len()), (5, 10), "a trace per journey, a span per request");
    // A reader of the recording can tell which traces are whose.
    let started_at: jiff::Timestamp = recording.started_at.parse().unwrap();
    let ids = TraceIds::new(five().seed(), started_at.as_microsecond());
    let told = (0..5).map(|index| format!("{:032x}", ids.of(&five().draws_of_arrival(index)).id));
    assert_eq!(told.collect::<BTreeSet<_>>(), traces);
    assert!(of_path(&heads, "/own").iter().all(|head| header(head, "traceparent") == ["mine"]));
    for path in ["/reset", "/stock"] {
        assert!(of_path(&heads, path).iter().all(|head| header(head, "traceparent").is_empty()), "{path}");
    }
    assert_eq!(recording.target.authorization, None);
    // The slowest can be looked up, unless a step wrote a trace of its own.
    for (step, kept) in recording.steps.iter().zip([5, 5, 0]) {
        assert_eq!(step.exemplars.len(), kept, "{}", step.name);
        assert!(step.exemplars.iter().all(|exemplar| traces.contains(&exemplar.trace_id)), "{:?}", step.exemplars);
    }

    // Another run of the same plan does not write into the same traces.
    let (heads, _) = heads_of(&TargetOptions::default()).await;
    let again = of_path(&heads, "/first").into_iter().map(|head| header(head, "traceparent")[0][3..35].to_owned());
    assert!(again.collect::<BTreeSet<_>>().is_disjoint(&traces));

    let (heads, recording) = heads_of(&TargetOptions { traceparent: false, ..TargetOptions::default() }).await;
    assert!(of_path(&heads, "/first").iter().all(|head| header(head, "traceparent").is_empty()));
    assert!(recording.steps.iter().all(|step| step.exemplars.is_empty()));
}

#[tokio::test]
async fn every_request_is_authorised_unless_its_step_is_and_the_token_is_nowhere_else() {
    let authorization = Authorization::Bearer(Secret::from("open-sesame".to_owned()));
    let options = TargetOptions { authorization, ..TargetOptions::default() };
    let (heads, recording) = heads_of(&options).await;
    for path in ["/reset", "/stock", "/first", "/second"] {
        let given = of_path(&heads, path);
        assert!(!given.is_empty() && given.iter().all(|head| header(head, "authorization") == ["bearer open-sesame"]));
    }
    assert!(of_path(&heads, "/own").iter().all(|head| header(head, "authorization") == ["mine"]));
    assert_eq!(recording.target.authorization.as_deref(), Some("bearer"));
    let told = format!("{} {options:?}", serde_json::to_string(&recording).unwrap());
    assert!(!told.contains("sesame"), "{told}");
}

/// An arrival each 100 s, prepared when the one before has begun, under tokens that change every 50 s.
#[tokio::test(start_paused = true)]
async fn a_load_sends_the_token_that_is_current_when_a_request_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "token-0").unwrap();
    let credentials = super::Credentials::obtain(&Authorization::BearerFile(path.clone()), "http://a").await.unwrap();
    let rewriting = tokio::spawn(async move {
        for number in 1.. {
            tokio::time::sleep(std::time::Duration::from_secs(50)).await;
            std::fs::write(&path, format!("token-{number}")).unwrap();
        }
    });
    let given = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&given);
    let accept = move |stream: tokio::io::DuplexStream| {
        let seen = Arc::clone(&seen);
        let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let token = request.headers()["authorization"].to_str().unwrap().to_owned();
            seen.lock().unwrap().push(token);
            async { Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"{}")))) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    };
    let slow = plan(
        "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 0.01, duration: 500s}]",
    );
    let connector = Connector::in_memory(accept, Http1Client::default());
    let headers = super::Headers::new(connector.authority(), credentials, None);
    let recording =
        load_with(slow, connector, headers, std::time::Duration::from_secs(5), std::future::pending()).await;
    rewriting.abort();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    let given = given.lock().unwrap().clone();
    let distinct: BTreeSet<&String> = given.iter().collect();
    assert_eq!(distinct.len(), 5, "every request came two tokens after the one before: {given:?}");
    // What is in the file is known half a minute later at most.
    let last = given[4].strip_prefix("Bearer token-").unwrap().parse::<u32>().unwrap();
    assert!((7..=9).contains(&last), "{given:?}");
}

#[tokio::test]
async fn a_request_that_was_prepared_long_ago_carries_the_newest_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "old").unwrap();
    let credentials = super::Credentials::obtain(&Authorization::BearerFile(path.clone()), "http://a").await.unwrap();
    let headers = super::Headers::new(http::HeaderValue::from_static("a"), credentials, None);
    let mut request = http::Request::new(());
    headers.add(request.headers_mut(), None);
    let mut own = http::Request::builder().header("authorization", "Mine").body(()).unwrap();
    headers.add(own.headers_mut(), None);
    std::fs::write(&path, "new").unwrap();
    tokio::time::pause();
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    for request in [&mut request, &mut own] {
        headers.renew(request);
    }
    assert_eq!(request.headers()["authorization"], "Bearer new");
    assert_eq!(own.headers()["authorization"], "Mine");
}
