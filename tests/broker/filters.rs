//! Subscriptions for some of the messages of their topic.

use crate::pubsub::{Broker, Clients, Endpoint, Pushed, subscription, text};
use crate::refusals::rest;
use std::collections::BTreeSet;

const NORTH: &str = r#"attributes.region = "north" AND NOT hasPrefix(attributes.kind, "test")"#;

#[tokio::test]
async fn a_filter_lets_through_what_matches_and_the_rest_counts_as_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let port = broker.port();
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let (north, every) = (Endpoint::willing().await, Endpoint::willing().await);
    clients.push("north", "reports", &north.url, |it| it.set_filter(NORTH)).await;
    clients.push("every", "reports", &every.url, |it| it).await;
    clients.pull("pulled", "reports", |it| it.set_filter("attributes:kind")).await;
    let data = |pushed: &[Pushed]| pushed.iter().map(Pushed::data).collect::<BTreeSet<_>>();
    publisher.publish(text("south").set_attributes([("region", "south")])).await.unwrap();
    publisher.publish(text("none")).await.unwrap();
    publisher.publish(text("test").set_attributes([("region", "north"), ("kind", "test-1")])).await.unwrap();
    publisher.publish(text("north").set_attributes([("region", "north")])).await.unwrap();
    every.until("all", |pushed| data(pushed).len() == 4).await;
    assert_eq!(data(&north.until("one", |pushed| !pushed.is_empty()).await), ["north".to_owned()].into());
    let (_, pulled) = rest(&broker, "POST", "projects/demo/subscriptions/pulled:pull", r#"{"maxMessages": 9}"#).await;
    let pulled: Vec<_> =
        pulled["receivedMessages"].as_array().unwrap().iter().map(|it| &it["message"]["data"]).collect();
    assert_eq!(pulled, ["dGVzdA=="], "and no other");
    let figures = broker.stats(&subscription("pulled")).await;
    assert_eq!((&figures["num_undelivered_messages"], &figures["delivered"]), (&1.into(), &1.into()), "{figures}");
    broker.kill();
    let broker = Broker::start_at(dir.path(), port, &[]);
    let (_, told) = rest(&broker, "GET", &subscription("north"), "").await;
    assert_eq!(told["filter"], NORTH);
    let publisher = Clients::of(&broker.endpoint).await.publisher("reports").await;
    for (name, region) in [("south again", "south"), ("north again", "north")] {
        publisher.publish(text(name).set_attributes([("region", region)])).await.unwrap();
    }
    every.until("all after a kill", |pushed| data(pushed).len() == 6).await;
    let came = data(&north.until("one after a kill", |pushed| data(pushed).contains("north again")).await);
    assert_eq!(came, ["north".to_owned(), "north again".to_owned()].into());
    let change = r#"{"subscription": {"filter": "attributes:a"}, "updateMask": "filter"}"#;
    let (status, refused) = rest(&broker, "PATCH", &subscription("north"), change).await;
    assert_eq!((status, &refused["error"]["status"]), (400, &"INVALID_ARGUMENT".into()), "a filter stays: {refused}");
}
