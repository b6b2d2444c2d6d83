//! What a Pub/Sub refuses, as it is asked over REST: what it is, method, path, body.

use crate::pubsub::subscription;
use serde_json::{Value, json};

/// A call.
type Call = (&'static str, &'static str, String, Value);

/// Of topics and what is published to them.
pub(crate) fn of_publishing(topic: &str) -> Vec<Call> {
    let publish = |what, message: Value| (what, "POST", format!("{topic}:publish"), json!({"messages": [message]}));
    let nobody = "projects/demo/topics/nobody";
    vec![
        ("publish nothing", "POST", format!("{topic}:publish"), json!({"messages": []})),
        publish("publish an empty message", json!({})),
        publish("publish data that is no base64", json!({"data": "***"})),
        publish("publish more than 10 MB", json!({"data": "QUFB".repeat(3_400_000)})),
        publish("publish a key of 1,025 bytes", json!({"data": "QQ==", "orderingKey": "k".repeat(1_025)})),
        ("publish to an unknown topic", "POST", format!("{nobody}:publish"), json!({"messages": [{"data": "QQ=="}]})),
        ("topic that is there", "PUT", topic.to_owned(), json!({})),
        ("topic with a name of one letter", "PUT", "projects/demo/topics/t".to_owned(), json!({})),
        ("topic that is not there", "GET", nobody.to_owned(), Value::Null),
    ]
}

/// Of subscriptions that are to be made.
pub(crate) fn of_subscribing(topic: &str, there: &str) -> Vec<Call> {
    let new = |what, id: &str, more: Value| {
        let mut body = json!({"topic": topic});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (what, "PUT", subscription(&format!("refused-{id}")), body)
    };
    let dead = json!({"deadLetterPolicy": {"deadLetterTopic": topic, "maxDeliveryAttempts": 4}});
    vec![
        ("subscription that is there", "PUT", there.to_owned(), json!({"topic": topic})),
        new("subscription of an unknown topic", "topic", json!({"topic": "projects/demo/topics/nobody"})),
        new("ack deadline of 9 s", "least", json!({"ackDeadlineSeconds": 9})),
        new("ack deadline of 601 s", "most", json!({"ackDeadlineSeconds": 601})),
        new("retention of 9 minutes", "short", json!({"messageRetentionDuration": "540s"})),
        new("backoff of 601 s", "backoff", json!({"retryPolicy": {"minimumBackoff": "601s"}})),
        new("4 attempts before a dead letter", "attempts", dead),
        new("push endpoint that is none", "endpoint", json!({"pushConfig": {"pushEndpoint": "nowhere"}})),
        new("a filter", "filter", json!({"filter": "attributes.a = \"b\""})),
        new("a filter that is none", "no-filter", json!({"filter": "attributes.a = b"})),
        new(
            "AND and OR without parentheses",
            "mixed",
            json!({"filter": "attributes:a AND attributes:b OR attributes:c"}),
        ),
    ]
}

/// Of messages that are to be received.
pub(crate) fn of_receiving(pulled: &str) -> Vec<Call> {
    let call = |what, verb: &str, body: Value| (what, "POST", format!("{pulled}:{verb}"), body);
    let unknown = subscription("nobody");
    vec![
        ("pull from an unknown subscription", "POST", format!("{unknown}:pull"), json!({"maxMessages": 1})),
        call("pull of no messages", "pull", json!({"maxMessages": 0})),
        call("acknowledgement of an unknown id", "acknowledge", json!({"ackIds": ["x"]})),
        call(
            "deadline of 601 s for a message",
            "modifyAckDeadline",
            json!({"ackIds": ["x"], "ackDeadlineSeconds": 601}),
        ),
        call("seek", "seek", json!({"time": "2026-11-30T00:00:00Z"})),
        ("delete an unknown subscription", "DELETE", unknown.clone(), Value::Null),
    ]
}
