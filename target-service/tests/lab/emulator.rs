//! The laboratory on another Pub/Sub, such as Google's emulator: set `TIDEGATE_PUBSUB_EMULATOR` to its address.

use std::time::Duration;

use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::client::{SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::PushConfig;

use tokio::time::Instant;

use crate::service::{PATIENCE, Service};

#[tokio::test]
async fn every_report_reaches_both_consumers_of_another_pubsub() {
    let Ok(address) = std::env::var("TIDEGATE_PUBSUB_EMULATOR") else {
        println!("skipped: set TIDEGATE_PUBSUB_EMULATOR to HOST:PORT of a Pub/Sub to run this against it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let suffix = std::process::id();
    let topic = format!("projects/pets/topics/new-lab-report-{suffix}");
    let endpoint = format!("http://{address}");
    let credentials = anonymous::Builder::new().build();
    let topics = TopicAdmin::builder().with_endpoint(&endpoint).with_credentials(credentials.clone());
    let topics = topics.build().await.unwrap();
    topics.create_topic().set_name(&topic).send().await.unwrap();
    let subscriptions = SubscriptionAdmin::builder().with_endpoint(&endpoint).with_credentials(credentials);
    let subscriptions = subscriptions.build().await.unwrap();
    let mut consumers = Vec::new();
    for name in ["email", "sms"] {
        let file = folder.path().join(name);
        let consumer = Service::start(name, &[("DELIVERIES", file.to_str().unwrap())]);
        let push = PushConfig::new().set_push_endpoint(format!("http://127.0.0.1:{}/", consumer.port));
        let subscription = format!("projects/pets/subscriptions/{name}-service-sub-{suffix}");
        let create = subscriptions.create_subscription().set_name(subscription).set_topic(&topic);
        create.set_push_config(push).send().await.unwrap();
        consumers.push(consumer);
    }
    let lab = Service::start("lab-report", &[("PUBSUB_TOPIC", &topic), ("PUBSUB_EMULATOR_HOST", &address)]);
    for id in 1..=50 {
        assert_eq!(lab.post(&format!("{{\"id\":{id}}}")).status, 204);
    }
    for consumer in &consumers {
        let begin = Instant::now();
        let delivered = || {
            let page = consumer.get("/deliveries").json();
            let ids = page["deliveries"].as_array().unwrap().iter();
            ids.map(|delivery| delivery["id"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        while delivered().len() < 50 {
            assert!(begin.elapsed() < PATIENCE, "only {} of 50 arrived", delivered().len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    topics.delete_topic().set_topic(&topic).send().await.unwrap();
}
