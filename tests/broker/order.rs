//! A key whose messages nobody acknowledges holds back itself, however many they are, and no other.

use crate::pubsub::{Broker, Clients, Endpoint, Pushed, subscription};
use crate::raw::{self, PubsubMessage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// More than a subscription has in memory.
const STUCK: usize = 20_000;

fn message(key: &str, number: usize) -> PubsubMessage {
    let data = format!("{key}-{number}").into_bytes();
    PubsubMessage { data, ordering_key: key.to_owned(), ..PubsubMessage::default() }
}

/// The numbers of what was acknowledged of a key, in the order of its coming.
fn acknowledged(pushed: &[Pushed], key: &str) -> Vec<usize> {
    let data: Vec<String> = pushed.iter().filter(|one| one.status == 204).map(Pushed::data).collect();
    data.iter().filter_map(|data| data.strip_prefix(&format!("{key}-"))?.parse().ok()).collect()
}

#[tokio::test]
async fn a_key_that_is_never_acknowledged_starves_nobody_and_keeps_its_order() {
    let dir = tempfile::tempdir().unwrap();
    // Pauses of pushing are a thousandth: they hold up the whole subscription, and are not what is looked at.
    let broker = Broker::start(dir.path(), &["--time-factor", "1000"]);
    let port = broker.port();
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let stuck = Arc::clone(&refuses);
    let consumer = Endpoint::start(move |pushed| {
        let status = if pushed.data().starts_with("stuck-") && stuck.load(Ordering::Relaxed) { 500 } else { 204 };
        (status, Duration::ZERO)
    });
    let consumer = consumer.await;
    clients.push("ordered", "reports", &consumer.url, |it| it.set_enable_message_ordering(true)).await;
    for from in (0..STUCK).step_by(1_000) {
        let messages = (from..from + 1_000).map(|number| message("stuck", number)).collect();
        raw::publish_all(&broker.endpoint, "reports", messages).await.unwrap();
    }
    let others = (0..20).flat_map(|number| ["a", "b", ""].map(|key| message(key, number))).collect();
    raw::publish_all(&broker.endpoint, "reports", others).await.unwrap();
    let all = |pushed: &[Pushed]| ["a", "b", ""].iter().all(|key| acknowledged(pushed, key).len() >= 20);
    let pushed = consumer.until("what has other keys, or none", all).await;
    for key in ["a", "b"] {
        assert_eq!(acknowledged(&pushed, key), (0..20).collect::<Vec<_>>(), "{key}");
    }
    assert!(acknowledged(&pushed, "stuck").is_empty());
    // A broker that is started on such a backlog has to get past it as well.
    broker.kill();
    let broker = Broker::start_at(dir.path(), port, &["--time-factor", "1000"]);
    raw::publish_all(&broker.endpoint, "reports", vec![message("c", 0)]).await.unwrap();
    consumer.until("another key after a kill", |pushed| !acknowledged(pushed, "c").is_empty()).await;
    refuses.store(false, Ordering::Relaxed);
    let many = |pushed: &[Pushed]| acknowledged(pushed, "stuck").len() >= 300;
    let came = acknowledged(&consumer.until("what was stuck", many).await, "stuck");
    assert_eq!(came, (0..came.len()).collect::<Vec<_>>(), "in order, and none left out");
    let left = broker.stats(&subscription("ordered")).await["num_undelivered_messages"].as_u64().unwrap();
    assert!(left > 0, "the rest waits for its turn");
}
