//! What comes to the e-mail service and is no report, through a real broker: it is refused each time, counted, and given up to
//! the dead letter topic, and the reports beside it arrive.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

#[expect(dead_code, reason = "not every test needs all of it")]
mod pubsub;
#[expect(dead_code, reason = "not every test needs all of it")]
mod tidegate;

use google_cloud_pubsub::model::DeadLetterPolicy;
use pubsub::{Broker, Clients, Endpoint, PATIENCE, subscription, text, topic};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Bytes of JSON that the e-mail service takes at most, as the lab's does.
const JSON_MOST: usize = 102_400;

/// One of the lab's services in a process of its own. Dropping it kills it.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(dir: &Path, name: &str, settings: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut child = tidegate::tidegate(dir)
            .args(["target-service", name])
            .env("HOST", "127.0.0.1")
            .env("PORT", free.port().to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("Listening on port")), "{name} never listened");
        // Whatever it says is read, or it would wait for somebody who does.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{free}/") }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_is_no_report_is_counted_and_given_up_and_the_reports_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &["--time-factor", "100"]);
    let deliveries = dir.path().join("email.db").display().to_string();
    let email = Service::start(dir.path(), "email", &[("DELIVERIES", &deliveries)]);
    let clients = Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    clients.topic("dead-reports").await;
    let policy = DeadLetterPolicy::new().set_dead_letter_topic(topic("dead-reports")).set_max_delivery_attempts(5);
    clients.push("email-sub", "reports", &email.url, |it| it.set_dead_letter_policy(policy)).await;
    let morgue = Endpoint::willing().await;
    clients.push("morgue", "dead-reports", &morgue.url, |it| it).await;

    let large = format!("{{\"id\": 1, \"text\": \"{}\"}}", "x".repeat(JSON_MOST));
    // Answered with 500 as the data is no JSON, and with 413 as the envelope around it is too large.
    let (garbled, oversized) = (["no JSON", "{\"id\": ", "\u{1}\u{2}"], [large.as_str()]);
    for data in garbled.iter().chain(&oversized) {
        publisher.publish(text(data)).await.unwrap();
    }
    for id in 0..10 {
        publisher.publish(text(&json!({"id": id}).to_string())).await.unwrap();
    }
    let dead = morgue.until("the dead letters", |pushed| pushed.len() >= 4).await;
    let given_up: BTreeSet<String> = dead.iter().map(pubsub::Pushed::data).collect();
    assert_eq!(given_up, garbled.iter().chain(&oversized).map(|data| (*data).to_owned()).collect());
    until("every report has arrived", async || {
        let page: Value = reqwest::get(format!("{}deliveries?after=0", email.url)).await.unwrap().json().await.unwrap();
        let ids = page["deliveries"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        ids.collect::<BTreeSet<_>>() == (0..10).map(|id| id.to_string()).collect()
    })
    .await;
    until("everything is settled", async || {
        broker.stats(&subscription("email-sub")).await["num_undelivered_messages"] == 0
    })
    .await;
    let stats = broker.stats(&subscription("email-sub")).await;
    assert_eq!(stats["dead_letter_message_count"], 4, "{stats}");
    let pushes = &stats["push_request_count"];
    assert_eq!((&pushes["server_error"], &pushes["client_error"]), (&json!(15), &json!(5)), "{stats}");
    assert_eq!(pushes["ack"], 10, "{stats}");
    assert_eq!(pushes["refused_by_status"], json!({"413": 5, "500": 15}), "{stats}");
}

#[tokio::test]
async fn a_post_that_is_no_report_or_has_no_topic_is_refused_and_publishes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("new-lab-report").await;
    clients.pull("all", "new-lab-report", |it| it).await;
    let host = broker.endpoint.trim_start_matches("http://");
    let settings = [("GOOGLE_CLOUD_PROJECT", "demo"), ("PUBSUB_EMULATOR_HOST", host)];
    let lab = Service::start(dir.path(), "lab-report", &settings);
    let lost = Service::start(dir.path(), "lab-report", &[&settings[..], &[("PUBSUB_TOPIC", "nobody")]].concat());
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let post = async |url: &str, body: String| {
        let answer = client.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(post(&lab.url, format!("{{\"id\": \"{}\"}}", "x".repeat(JSON_MOST))).await.0, 413);
    assert_eq!(post(&lab.url, "{\"id\": ".to_owned()).await.0, 400);
    let (status, told) = post(&lost.url, "{\"id\": 1}".to_owned()).await;
    assert!(status == 500 && told.contains("\"code\":5"), "an unknown topic: {status} {told}");
    assert_eq!(broker.stats(&subscription("all")).await["num_undelivered_messages"], 0);
    assert_eq!(post(&lab.url, "{\"id\": 1}".to_owned()).await.0, 204);
    assert_eq!(broker.stats(&subscription("all")).await["num_undelivered_messages"], 1);
    assert!(
        broker.figures().await["publishes_refused"]["unknown_topic"].as_u64().unwrap() >= 1,
        "told by whom it was refused"
    );
}
