//! Those who do not keep up, or do not end: a client that reads late, an endpoint that answers for ever, a second broker.

use crate::pubsub::{Broker, Clients, PATIENCE, subscription, text};
use crate::raw;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Enough to fill every buffer between the broker and a client that does not read.
const MANY: usize = 6_000;

#[tokio::test]
async fn a_client_that_reads_late_and_acknowledges_nothing_gets_everything() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    for _ in 0..MANY / 1_000 {
        raw::publish(&broker.endpoint, "reports", &[&[b'x'; 2_000][..]; 1_000]).await.unwrap();
    }
    let mut stream = raw::stream(&broker.endpoint, "pulled").await;
    let (started, mut before) = (Instant::now(), 0);
    // Until the broker gives no more: everything between is full.
    loop {
        let delivered = broker.stats(&subscription("pulled")).await["delivered"].as_u64().unwrap();
        if delivered > 0 && delivered == before {
            break;
        }
        before = delivered;
        assert!(started.elapsed() < PATIENCE, "{delivered} delivered");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < MANY as u64, "nothing was full: the test needs more messages");
    let mut ids = BTreeSet::new();
    while ids.len() < MANY {
        let next = tokio::time::timeout(PATIENCE, stream.message()).await;
        let next = next.unwrap_or_else(|_| panic!("only {} of {MANY} came", ids.len())).unwrap().unwrap();
        for received in next.received_messages {
            assert!(ids.insert(received.message.unwrap().message_id), "one came twice");
        }
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_an_answer() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await;
                while connection.write_all(&[b'x'; 4_096]).await.is_ok() {}
            });
        }
    });
    clients.push("endless", "reports", &url, |it| it.set_ack_deadline_seconds(10)).await;
    publisher.publish(text("x")).await.unwrap();
    let started = Instant::now();
    loop {
        let stats = broker.stats(&subscription("endless")).await;
        if stats["num_undelivered_messages"] == 0 {
            assert_eq!((&stats["push_request_count"]["ack"], &stats["delivered"]), (&1.into(), &1.into()), "{stats}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{stats}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_second_broker_is_kept_out_of_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    // Its line comes before it has its store, and its answers after.
    broker.stats("any").await;
    let data = dir.path().join("broker");
    let mut second = crate::tidegate::tidegate(dir.path());
    let output = second.args(["broker", "--announce", "--port", "0", "--data"]).arg(data).output().unwrap();
    let (code, _, error) = crate::tidegate::told(&output);
    assert!(code != Some(0) && error.contains("another broker is at work there"), "{code:?}: {error}");
}
