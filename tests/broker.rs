//! The broker as a program of its own, under Google's own clients.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

#[path = "broker/clients.rs"]
mod clients;
#[cfg(target_os = "linux")]
#[path = "broker/disk.rs"]
mod disk;
#[path = "broker/filters.rs"]
mod filters;
#[path = "broker/flow.rs"]
mod flow;
#[path = "broker/kill.rs"]
mod kill;
#[path = "broker/order.rs"]
mod order;
mod pubsub;
#[path = "broker/raw.rs"]
mod raw;
#[path = "broker/refusals.rs"]
mod refusals;
#[path = "broker/seek.rs"]
mod seek;
mod tidegate;

use ::tidegate as tidegate_library;
use google_cloud_pubsub::model::push_config::{NoWrapper, OidcToken};
use google_cloud_pubsub::model::{DeadLetterPolicy, PushConfig, RetryPolicy};
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
    let config = PushConfig::new().set_push_endpoint(&late.url);
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

fn deadletters(topic: &str, attempts: i32) -> DeadLetterPolicy {
    DeadLetterPolicy::new().set_dead_letter_topic(pubsub::topic(topic)).set_max_delivery_attempts(attempts)
}

#[tokio::test]
async fn a_poison_message_reaches_the_dead_letter_topic_and_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &["--time-factor", "100"]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    clients.topic("dead-reports").await;
    let consumer = Endpoint::start(|pushed| (if pushed.data() == "poison" { 500 } else { 204 }, Duration::ZERO)).await;
    let morgue = Endpoint::willing().await;
    clients
        .push("consumer", "reports", &consumer.url, |it| it.set_dead_letter_policy(deadletters("dead-reports", 5)))
        .await;
    clients.push("morgue", "dead-reports", &morgue.url, |it| it).await;
    publisher.publish(text("poison").set_attributes([("kind", "bad")])).await.unwrap();
    for number in 0..10 {
        publisher.publish(text(&number.to_string())).await.unwrap();
    }
    let dead = morgue.until("the dead letter", |pushed| !pushed.is_empty()).await[0].envelope();
    let attributes = &dead["message"]["attributes"];
    assert_eq!(attributes["kind"], "bad");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceDeliveryCount"], "5");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscription"], "consumer");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscriptionProject"], "demo");
    let pushed = consumer.until("the others", |pushed| pushed.len() >= 15).await;
    let poison: Vec<_> = pushed.iter().filter(|one| one.data() == "poison").collect();
    let time = poison[0].envelope()["message"]["publishTime"].as_str().unwrap().replace('Z', "+00:00");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceTopicPublishTime"], time);
    let attempts: Vec<_> = poison.iter().map(|one| one.envelope()["deliveryAttempt"].as_i64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    let acknowledged = pushed.iter().filter(|one| one.status == 204).count();
    assert_eq!((acknowledged, pushed.len()), (10, 15));
    assert_eq!(broker.stats(&subscription("consumer")).await["dead_letter_message_count"], 1);
}

#[tokio::test]
async fn a_retry_policy_backs_off_exponentially_even_across_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    // Its times are a tenth: 300 ms, 600 ms, ...; far above what pushing pauses.
    let broker = Broker::start(dir.path(), &["--time-factor", "10"]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let answered = AtomicUsize::new(0);
    let endpoint = Endpoint::start(move |_| {
        (if answered.fetch_add(1, Ordering::Relaxed) < 3 { 503 } else { 200 }, Duration::ZERO)
    });
    let endpoint = endpoint.await;
    let seconds = |seconds| google_cloud_wkt::Duration::clamp(seconds, 0);
    let retry = RetryPolicy::new().set_minimum_backoff(seconds(3)).set_maximum_backoff(seconds(600));
    clients.push("consumer", "reports", &endpoint.url, |it| it.set_retry_policy(retry)).await;
    publisher.publish(text("x")).await.unwrap();
    let pushed = endpoint.until("two pushes", |pushed| pushed.len() == 2).await;
    assert!(pushed[1].at - pushed[0].at >= Duration::from_millis(290));
    let port = broker.port();
    broker.kill();
    let _broker = Broker::start_at(dir.path(), port, &["--time-factor", "10"]);
    let pushed = endpoint.until("an acknowledgement", |pushed| pushed.iter().any(|one| one.status == 200)).await;
    assert!(pushed.len() >= 4, "{} pushes", pushed.len());
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let answered = AtomicUsize::new(0);
    let slow = Endpoint::start(move |_| {
        let first = answered.fetch_add(1, Ordering::Relaxed) == 0;
        (204, if first { Duration::from_secs(11) } else { Duration::ZERO })
    });
    let slow = slow.await;
    clients.push("slow", "reports", &slow.url, |it| it.set_ack_deadline_seconds(10)).await;
    publisher.publish(text("x")).await.unwrap();
    let pushed = slow.until("a second delivery", |pushed| pushed.len() == 2).await;
    assert!(pushed[1].at - pushed[0].at >= Duration::from_millis(9_900), "{:?}", pushed[1].at - pushed[0].at);
    let stats = broker.stats(&subscription("slow")).await;
    assert_eq!((&stats["push_request_count"]["deadline_exceeded"], &stats["missed_deadlines"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn messages_with_a_key_come_one_after_the_other_whatever_fails() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &["--time-factor", "1000"]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let answered = AtomicUsize::new(0);
    // Every third push fails, whichever it is.
    let consumer = Endpoint::start(move |_| {
        (if answered.fetch_add(1, Ordering::Relaxed) % 3 == 1 { 500 } else { 204 }, Duration::from_millis(2))
    });
    let consumer = consumer.await;
    clients.push("ordered", "reports", &consumer.url, |it| it.set_enable_message_ordering(true)).await;
    for number in 0..20 {
        for key in ["a", "b", "c"] {
            publisher.publish(text(&number.to_string()).set_ordering_key(key)).await.unwrap();
        }
    }
    let all = |pushed: &[pubsub::Pushed]| pushed.iter().filter(|one| one.status == 204).count() >= 60;
    let pushed = consumer.until("all", all).await;
    for key in ["a", "b", "c"] {
        let of_key = pushed.iter().filter(|one| one.envelope()["message"]["orderingKey"] == key);
        let delivered = of_key.filter(|one| one.status == 204).map(|one| one.data().parse().unwrap());
        assert_eq!(delivered.collect::<Vec<u32>>(), (0..20).collect::<Vec<_>>(), "{key}");
    }
}

#[tokio::test]
async fn a_push_without_an_envelope_is_the_data_with_what_there_is_in_headers() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let consumer = Endpoint::willing().await;
    let bare = PushConfig::new().set_push_endpoint(&consumer.url);
    let bare = bare.set_no_wrapper(NoWrapper::new().set_write_metadata(true));
    clients.pull("bare", "reports", |it| it.set_push_config(bare)).await;
    let id = publisher.publish(text("hello").set_attributes([("origin", "lab")]).set_ordering_key("k")).await.unwrap();
    let pushed = consumer.until("a delivery", |pushed| !pushed.is_empty()).await.remove(0);
    assert_eq!(pushed.body, b"hello");
    assert_eq!(pushed.headers["x-goog-pubsub-message-id"], id);
    assert_eq!(pushed.headers["x-goog-pubsub-subscription-name"], subscription("bare"));
    assert_eq!(pushed.headers["x-goog-pubsub-ordering-key"], "k");
    assert!(pushed.headers.contains_key("x-goog-pubsub-publish-time"));
    assert_eq!(pushed.headers["origin"], "lab");
}

#[tokio::test]
async fn pushes_carry_a_token_that_googles_own_verifier_takes() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let private = Endpoint::willing().await;
    let email = "pubsub-cloud-run-invoker@demo.iam.gserviceaccount.com";
    for (id, audience) in [("default-audience", ""), ("own-audience", "https://me.example")] {
        let token = OidcToken::new().set_service_account_email(email).set_audience(audience);
        let config = PushConfig::new().set_push_endpoint(&private.url).set_oidc_token(token);
        clients.pull(id, "reports", |it| it.set_push_config(config)).await;
    }
    publisher.publish(text("x")).await.unwrap();
    let pushed = private.until("both", |pushed| pushed.len() == 2).await;
    let certs = format!("{}/oauth2/v3/certs", broker.endpoint);
    let keys = reqwest::get(&certs).await.unwrap().text().await.unwrap();
    let ours = tidegate_library::identity::Verifier::new(&keys).unwrap();
    let of = |address| tidegate_library::identity::Audiences { address: Some(address), custom: &[] };
    for one in pushed {
        let own = one.envelope()["subscription"] == subscription("own-audience");
        let audience = if own { "https://me.example" } else { &private.url };
        let header = one.headers["authorization"].to_str().unwrap();
        let token = header.strip_prefix("Bearer ").unwrap();
        let verifier = google_cloud_auth::credentials::idtoken::verifier::Builder::new([audience])
            .with_email(email)
            .with_jwks_url(&certs)
            .build();
        let claims = verifier.verify(token).await.unwrap();
        assert_eq!(claims["iss"], "https://accounts.google.com");
        let now = jiff::Timestamp::now();
        assert_eq!(ours.check(Some(header), of(audience), now).unwrap().email, email);
        assert!(ours.check(Some(header), of("https://other.example"), now).is_err());
    }
}

#[tokio::test]
async fn googles_subscriber_streams_acknowledges_and_hands_back() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    let mut stream = clients.subscriber().await.subscribe(subscription("pulled")).build();
    let mut waiting: std::collections::BTreeSet<String> = (0..50).map(|number| number.to_string()).collect();
    for number in &waiting {
        publisher.publish(text(number)).await.unwrap();
    }
    let mut handed_back = false;
    while !waiting.is_empty() {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap_or_else(|_| panic!("left: {waiting:?}"));
        let (message, handler) = next.unwrap().unwrap();
        let data = String::from_utf8(message.data.to_vec()).unwrap();
        if data == "7" && !handed_back {
            handed_back = true;
            handler.nack();
        } else {
            waiting.remove(&data);
            handler.ack();
        }
    }
    assert!(handed_back);
    let started = std::time::Instant::now();
    while broker.stats(&subscription("pulled")).await["num_undelivered_messages"] != 0 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
