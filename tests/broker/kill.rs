//! The broker is killed at random moments while it takes and delivers messages: what it acknowledged is delivered.
//!
//! 20 rounds; `TIDEGATE_KILL_ROUNDS=200 TIDEGATE_KILL_SEED=7 cargo test --test broker kill` runs others.

use crate::pubsub::{Broker, Clients, Endpoint, text};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// A number of the environment's.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_is_delivered_however_often_the_broker_is_killed() {
    let (rounds, seed) = (number("TIDEGATE_KILL_ROUNDS", 20), number("TIDEGATE_KILL_SEED", 1));
    let again = format!("TIDEGATE_KILL_ROUNDS={rounds} TIDEGATE_KILL_SEED={seed} cargo test --test broker kill");
    let mut moments = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let start = || Broker::start(dir.path(), &["--time-factor", "1000"]);
    let fate = Mutex::new(StdRng::seed_from_u64(seed + 1));
    let answer = move |_: &_| (if fate.lock().unwrap().random_bool(0.1) { 500 } else { 204 }, Duration::ZERO);
    let endpoint = Endpoint::start(answer).await;
    let broker = start();
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    for id in ["email", "sms"] {
        clients.push(id, "reports", &endpoint.url, |it| it).await;
    }
    drop(broker);
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..rounds {
        let broker = start();
        let clients = Clients::of(&broker.endpoint).await;
        let mut publishing = JoinSet::new();
        for publisher in 0..4 {
            let (client, acknowledged) = (clients.publisher("reports").await, Arc::clone(&acknowledged));
            publishing.spawn(async move {
                for number in 0.. {
                    let report = format!("{round}-{publisher}-{number}");
                    if client.publish(text(&report)).await.is_err() {
                        break;
                    }
                    acknowledged.lock().unwrap().insert(report);
                }
            });
        }
        tokio::time::sleep(Duration::from_micros(moments.random_range(1_000..250_000))).await;
        broker.kill();
        publishing.shutdown().await;
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 20, "{} were acknowledged: nothing was tried\n{again}", acknowledged.len());
    let _broker = start();
    let lost = |pushed: &[crate::pubsub::Pushed], id: &str| {
        let name = crate::pubsub::subscription(id);
        let delivered = pushed.iter().filter(|one| one.status == 204 && one.envelope()["subscription"] == name);
        let delivered: BTreeSet<String> = delivered.map(crate::pubsub::Pushed::data).collect();
        acknowledged.difference(&delivered).count()
    };
    let all = |pushed: &[crate::pubsub::Pushed]| lost(pushed, "email") == 0 && lost(pushed, "sms") == 0;
    let mut pushed = endpoint.pushed();
    let started = std::time::Instant::now();
    while !all(&pushed) {
        let (email, sms) = (lost(&pushed, "email"), lost(&pushed, "sms"));
        let told = format!("lost: {email} of email, {sms} of sms, of {}\n{again}", acknowledged.len());
        assert!(started.elapsed() < crate::pubsub::PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        pushed = endpoint.pushed();
    }
}
