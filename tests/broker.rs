//! The broker as a program of its own, under Google's own clients.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

mod pubsub;
mod tidegate;

use pubsub::{Broker, Clients, Endpoint, PATIENCE, subscription, text};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_message_is_pushed_again_until_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &["--time-factor", "20"]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("new-lab-report").await;
    let answered = AtomicUsize::new(0);
    let email = Endpoint::start(move |_| {
        let status = if answered.fetch_add(1, Ordering::Relaxed) < 3 { 500 } else { 204 };
        (status, Duration::ZERO)
    });
    let (email, sms) = (email.await, Endpoint::willing().await);
    clients.push("email-service-sub", "new-lab-report", &email.url, |it| it).await;
    clients.push("sms-service-sub", "new-lab-report", &sms.url, |it| it).await;
    let id = publisher.publish(text(r#"{"id":56}"#).set_attributes([("origin", "lab")])).await.unwrap();
    let pushed = email.until("three refusals and an acknowledgement", |pushed| pushed.len() == 4).await;
    let statuses: Vec<u16> = pushed.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [500, 500, 500, 204]);
    for one in &pushed {
        let envelope = one.envelope();
        assert_eq!(one.headers["content-type"], "application/json");
        assert_eq!(envelope["subscription"], subscription("email-service-sub"));
        let message = &envelope["message"];
        assert_eq!((&message["messageId"], &message["message_id"]), (&id.clone().into(), &id.clone().into()));
        assert_eq!(message["data"], "eyJpZCI6NTZ9");
        assert_eq!(message["attributes"]["origin"], "lab");
        assert_eq!(message["publishTime"], message["publish_time"]);
        assert!(message["publishTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{message}");
        assert!(envelope.get("deliveryAttempt").is_none(), "without a dead letter policy");
        assert!(message.get("orderingKey").is_none());
        assert!(one.headers.get("authorization").is_none(), "no token is configured");
    }
    assert_eq!(sms.until("a delivery", |pushed| !pushed.is_empty()).await.len(), 1);
    let started = std::time::Instant::now();
    loop {
        let stats = broker.stats(&subscription("email-service-sub")).await;
        if stats["num_undelivered_messages"] == 0 {
            assert_eq!(stats["push_request_count"]["server_error"], 3);
            assert_eq!((&stats["push_request_count"]["ack"], &stats["redelivered"]), (&1.into(), &3.into()));
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{stats}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_to_the_publisher_survives_a_kill_and_what_was_delivered_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let port = broker.port();
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("new-lab-report").await;
    let willing = Endpoint::willing().await;
    // Nobody listens there.
    clients.push("down", "new-lab-report", "http://127.0.0.1:1/", |it| it).await;
    clients.push("running", "new-lab-report", &willing.url, |it| it).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(publisher.publish(text(&number.to_string())).await.unwrap());
    }
    willing.until("all", |pushed| pushed.len() >= 20).await;
    broker.kill();
    let broker = Broker::start_at(dir.path(), port, &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let late = Endpoint::willing().await;
    let config = google_cloud_pubsub::model::PushConfig::new().set_push_endpoint(&late.url);
    clients
        .subscriptions
        .modify_push_config()
        .set_subscription(subscription("down"))
        .set_push_config(config)
        .send()
        .await
        .unwrap();
    let pushed = late.until("all, after the kill", |pushed| pushed.len() >= 20).await;
    let mut data: Vec<u32> = pushed.iter().map(|one| one.data().parse().unwrap()).collect();
    data.sort_unstable();
    data.dedup();
    assert_eq!(data, (0..20).collect::<Vec<_>>());
    let more = clients.publisher("new-lab-report").await.publish(text("20")).await.unwrap();
    assert!(!ids.contains(&more), "ids are given once: {more}");
}
