//! What requests carry, as a server sees it.

use crate::driver::fixture::{drive_with, plan, server};
use crate::driver::target_options::{Authorization, Secret, TargetOptions};
use crate::trial::Recording;
use std::collections::BTreeSet;
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

async fn heads_of(options: &TargetOptions) -> (Vec<String>, Recording) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let base_url = keeping(Arc::clone(&heads)).await;
    let five = plan(
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
    );
    let recording = drive_with(&five, &base_url, options).await.unwrap();
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
    assert!(of_path(&heads, "/own").iter().all(|head| header(head, "traceparent") == ["mine"]));
    for path in ["/reset", "/stock"] {
        assert!(of_path(&heads, path).iter().all(|head| header(head, "traceparent").is_empty()), "{path}");
    }
    assert_eq!(recording.target.authorization, None);

    // Another run of the same plan does not write into the same traces.
    let (heads, _) = heads_of(&TargetOptions::default()).await;
    let again = of_path(&heads, "/first").into_iter().map(|head| header(head, "traceparent")[0][3..35].to_owned());
    assert!(again.collect::<BTreeSet<_>>().is_disjoint(&traces));

    let (heads, _) = heads_of(&TargetOptions { traceparent: false, ..TargetOptions::default() }).await;
    assert!(of_path(&heads, "/first").iter().all(|head| header(head, "traceparent").is_empty()));
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
