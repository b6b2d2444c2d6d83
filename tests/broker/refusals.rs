//! What Pub/Sub refuses over REST, and in which words.

use crate::pubsub::Broker;
use crate::raw;

/// A request over REST as any program would write it.
pub(crate) async fn rest(broker: &Broker, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
    let client = reqwest::Client::new();
    let url = format!("{}/v1/{path}", broker.endpoint);
    let request = client.request(method.parse().unwrap(), url).body(body.to_owned());
    let response = request.header("content-type", "application/json").send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// What is asked, and how it is refused: method, path, body, status and code.
fn refusals(topic: &str) -> Vec<(&'static str, String, String, u16, &'static str)> {
    let big = format!(r#"{{"messages": [{{"data": "{}"}}]}}"#, "QUFB".repeat(3_400_000));
    let many = format!(r#"{{"messages": [{}]}}"#, vec![r#"{"data": "QQ=="}"#; 1_001].join(","));
    let long = format!(r#"{{"messages": [{{"attributes": {{"a": "{}"}}}}]}}"#, "x".repeat(1_025));
    let publish = format!("{topic}:publish");
    let sub = |more: &str| format!(r#"{{"topic": "{topic}", {more}}}"#);
    let cases = vec![
        ("POST", &*publish, r#"{"messages": ["#.to_owned(), 400, "INVALID_ARGUMENT"),
        ("POST", &publish, r#"{"messages": []}"#.to_owned(), 400, "INVALID_ARGUMENT"),
        ("POST", &publish, r#"{"messages": [{}]}"#.to_owned(), 400, "INVALID_ARGUMENT"),
        ("POST", &publish, r#"{"messages": [{"data": "***"}]}"#.to_owned(), 400, "INVALID_ARGUMENT"),
        ("POST", &publish, r#"{"messages": [{"dta": "QQ=="}]}"#.to_owned(), 400, "INVALID_ARGUMENT"),
        ("POST", &publish, big, 400, "INVALID_ARGUMENT"),
        ("POST", &publish, many, 400, "INVALID_ARGUMENT"),
        ("POST", &publish, long, 400, "INVALID_ARGUMENT"),
        (
            "POST",
            "projects/demo/topics/nobody:publish",
            r#"{"messages": [{"data": "QQ=="}]}"#.to_owned(),
            404,
            "NOT_FOUND",
        ),
        ("GET", "projects/demo/topics/nobody", String::new(), 404, "NOT_FOUND"),
        ("GET", "projects/demo/topics/1", String::new(), 400, "INVALID_ARGUMENT"),
        ("PUT", topic, "{}".to_owned(), 409, "ALREADY_EXISTS"),
        ("PUT", "projects/demo/topics/goog-x", "{}".to_owned(), 400, "INVALID_ARGUMENT"),
        ("PUT", "projects/demo/subscriptions/s-1", sub(r#""ackDeadlineSeconds": 9"#), 400, "INVALID_ARGUMENT"),
        (
            "PUT",
            "projects/demo/subscriptions/s-1",
            sub(r#""pushConfig": {"pushEndpoint": "nowhere"}"#),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            "PUT",
            "projects/demo/subscriptions/s-1",
            sub(r#""messageRetentionDuration": "599s""#),
            400,
            "INVALID_ARGUMENT",
        ),
        (
            "PUT",
            "projects/demo/subscriptions/s-1",
            sub(r#""retryPolicy": {"minimumBackoff": "601s"}"#),
            400,
            "INVALID_ARGUMENT",
        ),
        ("PUT", "projects/demo/subscriptions/s-1", sub(r#""filter": "attributes.a = b""#), 400, "INVALID_ARGUMENT"),
        (
            "PUT",
            "projects/demo/subscriptions/s-1",
            r#"{"topic": "projects/demo/topics/nobody"}"#.to_owned(),
            404,
            "NOT_FOUND",
        ),
        ("PATCH", topic, r#"{"topic": {}, "updateMask": "name"}"#.to_owned(), 400, "INVALID_ARGUMENT"),
    ];
    cases.into_iter().map(|(method, path, body, status, code)| (method, path.to_owned(), body, status, code)).collect()
}

/// The same of messages that are to be received.
fn refusals_of_receiving() -> Vec<(&'static str, String, String, u16, &'static str)> {
    let pulled = |verb: &str, body: &str, status, code| {
        ("POST", format!("projects/demo/subscriptions/pulled:{verb}"), body.to_owned(), status, code)
    };
    let unknown = "projects/demo/subscriptions/nobody:seek".to_owned();
    let time = r#"{"time": "2026-11-30T00:00:00Z"}"#.to_owned();
    vec![
        pulled("acknowledge", r#"{"ackIds": ["x"]}"#, 400, "INVALID_ARGUMENT"),
        pulled("seek", "{}", 400, "INVALID_ARGUMENT"),
        pulled("seek", r#"{"time": "soon"}"#, 400, "INVALID_ARGUMENT"),
        pulled("seek", r#"{"snapshot": "projects/demo/snapshots/s-1"}"#, 501, "UNIMPLEMENTED"),
        ("POST", unknown, time, 404, "NOT_FOUND"),
    ]
}

#[tokio::test]
async fn what_pub_sub_refuses_is_refused_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let topic = "projects/demo/topics/reports";
    assert_eq!(rest(&broker, "PUT", topic, "{}").await.1, serde_json::json!({"name": topic, "state": "ACTIVE"}));
    let pull = "projects/demo/subscriptions/pulled";
    let created = rest(&broker, "PUT", pull, &format!(r#"{{"topic": "{topic}"}}"#)).await;
    let defaults = serde_json::json!({
        "name": pull, "topic": topic, "pushConfig": {}, "ackDeadlineSeconds": 10, "messageRetentionDuration": "604800s",
        "expirationPolicy": {"ttl": "2678400s"}, "state": "ACTIVE",
    });
    assert_eq!(created, (200, defaults));
    let publish = format!("{topic}:publish");
    for (method, path, body, status, code) in refusals(topic).into_iter().chain(refusals_of_receiving()) {
        let (found, answer) = rest(&broker, method, &path, &body).await;
        let told = format!("{method} {path} {}: {found} {answer}", &body[..body.len().min(80)]);
        assert_eq!((found, answer["error"]["status"].as_str()), (status, Some(code)), "{told}");
        assert!(answer["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{told}");
    }
    // More than a call may have is not even read.
    let unread = raw::publish(&broker.endpoint, "reports", &[vec![0; 25 << 20].as_slice()]).await.unwrap_err();
    assert_eq!(unread.code(), tonic::Code::OutOfRange, "{unread:?}");
    let unread = rest(&broker, "POST", &publish, &"x".repeat((16 << 20) + 1)).await;
    assert_eq!(unread.0, 400, "{unread:?}");
    let counted = serde_json::json!({"unknown_topic": 1, "too_large": 5, "invalid": 5, "full": 0, "failed": 0});
    assert_eq!(broker.figures().await["publishes_refused"], counted, "each publish that was refused, by cause");
    let (_, published) = rest(&broker, "POST", &publish, r#"{"messages": [{"data": "QQ=="}]}"#).await;
    assert_eq!(published["messageIds"].as_array().map(Vec::len), Some(1));
    let (_, pulled) = rest(&broker, "POST", &format!("{pull}:pull"), r#"{"maxMessages": 5}"#).await;
    assert_eq!(pulled["receivedMessages"][0]["message"]["data"], "QQ==", "what came before did no harm: {pulled}");
}
