//! A subscription that is set to a time: what was published before it is acknowledged, and what came later is not.

use crate::pubsub::{Broker, Clients, subscription, text};
use crate::refusals::rest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Pulls and acknowledges until so many have come: data and time of publishing.
async fn pulled(broker: &Broker, id: &str, count: usize) -> BTreeMap<String, String> {
    let (mut came, started) = (BTreeMap::new(), Instant::now());
    while came.len() < count {
        assert!(started.elapsed() < crate::pubsub::PATIENCE, "{id}: {came:?}");
        let received = pull(broker, id).await;
        for one in received {
            let word = |value: &Value| value.as_str().unwrap().to_owned();
            came.insert(word(&one["message"]["data"]), word(&one["message"]["publishTime"]));
            let acknowledged = format!(r#"{{"ackIds": [{}]}}"#, one["ackId"]);
            assert_eq!(rest(broker, "POST", &format!("{}:acknowledge", subscription(id)), &acknowledged).await.0, 200);
        }
    }
    came
}

/// What is there now.
async fn pull(broker: &Broker, id: &str) -> Vec<Value> {
    let body = r#"{"maxMessages": 100, "returnImmediately": true}"#;
    let (_, answer) = rest(broker, "POST", &format!("{}:pull", subscription(id)), body).await;
    answer["receivedMessages"].as_array().cloned().unwrap_or_default()
}

async fn seek(broker: &Broker, id: &str, time: &str) {
    let answer = rest(broker, "POST", &format!("{}:seek", subscription(id)), &format!(r#"{{"time": "{time}"}}"#)).await;
    assert_eq!(answer, (200, serde_json::json!({})));
}

/// Waits until everything is acknowledged.
async fn settled(broker: &Broker, id: &str) {
    let started = Instant::now();
    while broker.stats(&subscription(id)).await["num_undelivered_messages"] != 0 {
        assert!(started.elapsed() < crate::pubsub::PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_comes_again_from_a_time_on_if_it_is_retained() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let port = broker.port();
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    clients.pull("retaining", "reports", |it| it.set_retain_acked_messages(true)).await;
    clients.pull("forgetting", "reports", |it| it).await;
    for number in 0..6 {
        publisher.publish(text(&number.to_string())).await.unwrap();
        // Times are told in milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let first = pulled(&broker, "retaining", 6).await;
    pulled(&broker, "forgetting", 6).await;
    settled(&broker, "retaining").await;
    settled(&broker, "forgetting").await;
    broker.kill();
    let broker = Broker::start_at(dir.path(), port, &[]);
    assert_eq!(pull(&broker, "retaining").await, Vec::<Value>::new(), "retained is not undelivered");
    let (third, time) = first.iter().nth(3).unwrap();
    seek(&broker, "retaining", time).await;
    seek(&broker, "forgetting", time).await;
    assert_eq!(broker.stats(&subscription("retaining")).await["num_undelivered_messages"], 3);
    let again = pulled(&broker, "retaining", 3).await;
    assert_eq!(
        again.keys().collect::<Vec<_>>(),
        first.range(third.clone()..).map(|(data, _)| data).collect::<Vec<_>>()
    );
    assert_eq!(pull(&broker, "forgetting").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_time_to_come_acknowledges_what_is_there_and_nothing_that_is_published_later() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    clients.pull("purged", "reports", |it| it).await;
    for number in 0..5 {
        publisher.publish(text(&number.to_string())).await.unwrap();
    }
    // What is out when the subscription is set to a time does not come back when its deadline passes.
    let out = pull(&broker, "purged").await;
    assert!(!out.is_empty());
    let request = google_cloud_pubsub::model::SeekRequest::new();
    let later = google_cloud_wkt::Timestamp::clamp(4_000_000_000, 0);
    let request = request.set_subscription(subscription("purged")).set_time(later);
    clients.subscriptions.seek().with_request(request).send().await.unwrap();
    assert_eq!(broker.stats(&subscription("purged")).await["num_undelivered_messages"], 0);
    let back = format!(r#"{{"ackIds": [{}], "ackDeadlineSeconds": 0}}"#, out[0]["ackId"]);
    assert_eq!(rest(&broker, "POST", &format!("{}:modifyAckDeadline", subscription("purged")), &back).await.0, 200);
    publisher.publish(text("later")).await.unwrap();
    assert_eq!(pulled(&broker, "purged", 1).await.into_keys().collect::<Vec<_>>(), ["bGF0ZXI="]);
    assert_eq!(pull(&broker, "purged").await, Vec::<Value>::new());
}
