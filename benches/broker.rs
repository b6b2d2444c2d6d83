//! What the broker can do on this machine: durable publishes per second and per core, pushes per second, and the memory
//! that a long backlog takes. With Google's emulator beside it where one is installed:
//!
//! ```sh
//! cargo bench --bench broker
//! TIDEGATE_PUBSUB_EMULATOR=127.0.0.1:8432 cargo bench --bench broker
//! ```
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so by panicking")]
#![expect(clippy::print_stdout, reason = "its result")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use axum::Router;
use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::client::{Publisher, SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::{Message, PushConfig};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Messages of the publishing measurement; `TIDEGATE_BENCH_BACKLOG` for another length of the backlog.
const BACKLOG: u64 = 1_000_000;
/// Messages that are pushed.
const PUSHED: u64 = 50_000;
/// Bytes of each message.
const BYTES: usize = 100;
/// Messages that may wait for their acknowledgement at a time.
const OUTSTANDING: usize = 20_000;

fn main() {
    // `cargo test --benches` compiles it and asks nothing of it.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir_in(".").unwrap();
        let (broker, endpoint) = start(dir.path());
        measure("tidegate broker", &endpoint, Some(broker.id()), backlog()).await;
        drop(broker.stdin);
        if let Ok(emulator) = std::env::var("TIDEGATE_PUBSUB_EMULATOR") {
            // It keeps everything in memory: a short backlog is enough.
            measure("Google's emulator", &format!("http://{emulator}"), None, 20_000).await;
        }
    });
}

fn backlog() -> u64 {
    std::env::var("TIDEGATE_BENCH_BACKLOG").map_or(BACKLOG, |text| text.parse().unwrap())
}

/// A broker whose store is on the disk of the working directory.
fn start(dir: &std::path::Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["broker", "--announce", "--port", "0", "--data"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, announced["endpoint"].as_str().unwrap().to_owned())
}

async fn measure(name: &str, endpoint: &str, process: Option<u32>, backlog: u64) {
    println!("{name}");
    let credentials = || anonymous::Builder::new().build();
    let topics = TopicAdmin::builder().with_endpoint(endpoint).with_credentials(credentials()).build().await.unwrap();
    let subscriptions = SubscriptionAdmin::builder().with_endpoint(endpoint).with_credentials(credentials());
    let subscriptions = subscriptions.build().await.unwrap();
    for id in ["backlog", "pushed"] {
        topics.create_topic().set_name(format!("projects/bench/topics/{id}")).send().await.unwrap();
        let create = subscriptions.create_subscription().set_name(format!("projects/bench/subscriptions/{id}"));
        create.set_topic(format!("projects/bench/topics/{id}")).send().await.unwrap();
    }
    let (cpu, started) = (cpu(process), Instant::now());
    publish(endpoint, "backlog", backlog).await;
    let (wall, cpu) = (started.elapsed().as_secs_f64(), self::cpu(process) - cpu);
    println!(
        "  publish   {:>9.0} messages/s, acknowledged; {backlog} messages of {BYTES} bytes",
        backlog as f64 / wall
    );
    if process.is_some() {
        println!("            {:>9.0} messages/s per core ({cpu:.1} CPU-s)", backlog as f64 / cpu);
        println!("  memory    {:>9.1} MiB resident with a backlog of {backlog}", resident(process));
    }
    publish(endpoint, "pushed", PUSHED.min(backlog)).await;
    push(&subscriptions, process, PUSHED.min(backlog)).await;
}

async fn publish(endpoint: &str, topic: &str, count: u64) {
    let publisher = Publisher::builder(format!("projects/bench/topics/{topic}"))
        .with_endpoint(endpoint)
        .with_credentials(anonymous::Builder::new().build())
        .set_message_count_threshold(500)
        .build()
        .await
        .unwrap();
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..count {
        waiting.push_back(publisher.publish(Message::new().set_data(vec![b'x'; BYTES])));
        if waiting.len() >= OUTSTANDING {
            waiting.pop_front().unwrap().await.unwrap();
        }
    }
    for one in waiting {
        one.await.unwrap();
    }
}

/// From the moment that the subscription has an endpoint until it has acknowledged everything.
async fn push(subscriptions: &SubscriptionAdmin, process: Option<u32>, count: u64) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let router = Router::new().fallback(move |_: axum::body::Bytes| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { axum::http::StatusCode::NO_CONTENT }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (cpu, started) = (cpu(process), Instant::now());
    let config = PushConfig::new().set_push_endpoint(url);
    let modify = subscriptions.modify_push_config().set_subscription("projects/bench/subscriptions/pushed");
    modify.set_push_config(config).send().await.unwrap();
    while seen.load(Ordering::Relaxed) < count && started.elapsed() < Duration::from_mins(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (seen, wall) = (seen.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
    println!("  push      {:>9.0} messages/s acknowledged by the endpoint; {seen} messages", seen as f64 / wall);
    if process.is_some() {
        println!("            {:>9.0} messages/s per core", seen as f64 / (self::cpu(process) - cpu));
    }
}

/// CPU seconds of a process.
fn cpu(process: Option<u32>) -> f64 {
    let Some(process) = process else { return 0.0 };
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
}

/// Resident memory of a process in MiB.
fn resident(process: Option<u32>) -> f64 {
    let Some(process) = process else { return 0.0 };
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
