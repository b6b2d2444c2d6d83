//! The laboratory with real processes: reports posted to the lab service, through the broker, to the e-mail and the SMS
//! service. Whatever is killed on the way, what was acknowledged arrives.
//!
//! `TIDEGATE_KILL_ROUNDS=200 cargo test --test laboratory` for more rounds than CI has; a failing round names its number,
//! which is its seed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Nothing a test waits for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Divides the broker's backoffs, of which the longest is a minute.
const TIME_FACTOR: &str = "60";
const PROJECT: &str = "projects/pets";
const CONSUMERS: [&str; 2] = ["email", "sms"];

/// A process that is started again at the same address after it was killed.
struct Process {
    name: &'static str,
    dir: PathBuf,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    address: SocketAddr,
    child: Option<Child>,
}

impl Process {
    /// Starts it and waits until it listens.
    async fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .current_dir(&self.dir)
            .env_remove("RUST_BACKTRACE")
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(name, value)| (*name, value)));
        // The broker ends with its input; the others do not read theirs.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Whatever it says is read, or it would wait for somebody who does.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended with {ended:?}", self.name);
            assert!(begin.elapsed() < PATIENCE, "{} never listened", self.name);
            sleep(LOOK).await;
        }
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address that is free now and stays so while nobody listens there: clients get theirs from above.
fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() * 61 % 10_000).unwrap();
    loop {
        let port = 20_000 + (own + NEXT.fetch_add(1, Ordering::SeqCst)) % 12_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The whole system.
struct Laboratory {
    broker: Process,
    lab: Process,
    consumers: Vec<Process>,
    client: reqwest::Client,
}

impl Laboratory {
    async fn start(dir: &Path) -> Self {
        let process = |name, arguments: &[&str], settings, address| Process {
            name,
            dir: dir.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            settings,
            address,
            child: None,
        };
        let service = |name, mut settings: Vec<(&'static str, String)>| {
            let address = address();
            settings.extend([("HOST", address.ip().to_string()), ("PORT", address.port().to_string())]);
            process(name, &["target-service", name], settings, address)
        };
        let address = address();
        let port = address.port().to_string();
        let data = dir.join("broker");
        std::fs::create_dir(&data).unwrap();
        let data = data.display().to_string();
        let arguments = ["broker", "--announce", "--port", &port, "--data", &data, "--time-factor", TIME_FACTOR];
        let broker = process("broker", &arguments, Vec::new(), address);
        let settings = [("GOOGLE_CLOUD_PROJECT", "pets".to_owned()), ("PUBSUB_EMULATOR_HOST", address.to_string())];
        let lab = service("lab-report", settings.to_vec());
        let deliveries = |name: &str| vec![("DELIVERIES", dir.join(format!("{name}.db")).display().to_string())];
        let consumers = CONSUMERS.map(|name| service(name, deliveries(name))).into();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let mut laboratory = Self { broker, lab, consumers, client };
        laboratory.broker.start().await;
        laboratory.lab.start().await;
        for consumer in &mut laboratory.consumers {
            consumer.start().await;
        }
        laboratory.subscribe().await;
        laboratory
    }

    /// Makes the topic and the subscriptions as the laboratory does: with Pub/Sub's defaults.
    async fn subscribe(&self) {
        let topic = format!("{PROJECT}/topics/new-lab-report");
        self.put(&topic, &json!({})).await;
        for consumer in &self.consumers {
            let endpoint = format!("http://{}/", consumer.address);
            let subscription = json!({"topic": topic, "pushConfig": {"pushEndpoint": endpoint}});
            self.put(&format!("{PROJECT}/subscriptions/{}-service-sub", consumer.name), &subscription).await;
        }
    }

    async fn put(&self, name: &str, body: &Value) {
        let url = format!("http://{}/v1/{name}", self.broker.address);
        let answer = self.client.put(url).json(body).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{name}: {status}: {}", answer.text().await.unwrap_or_default());
    }

    /// What a consumer has been delivered, by id: how often.
    async fn delivered(&self, consumer: &Process) -> BTreeMap<String, usize> {
        let mut delivered = BTreeMap::new();
        let mut after = 0;
        loop {
            let url = format!("http://{}/deliveries?after={after}", consumer.address);
            let page: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
            let deliveries = page["deliveries"].as_array().unwrap();
            for delivery in deliveries {
                *delivered.entry(delivery["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            after = page["next"].as_i64().unwrap();
            if deliveries.is_empty() {
                return delivered;
            }
        }
    }

    /// Waits until a consumer has everything that was acknowledged. `what` says who asks.
    async fn wait_for(
        &self,
        consumer: &Process,
        acknowledged: &BTreeSet<String>,
        what: &str,
    ) -> BTreeMap<String, usize> {
        let begin = Instant::now();
        loop {
            let delivered = self.delivered(consumer).await;
            let missing: Vec<&String> = acknowledged.iter().filter(|id| !delivered.contains_key(*id)).collect();
            if missing.is_empty() {
                return delivered;
            }
            if begin.elapsed() > PATIENCE {
                let stats = self.client.get(format!("http://{}/stats", self.broker.address)).send().await.unwrap();
                let stats = stats.text().await.unwrap();
                panic!("{what}: {} never got {missing:?}; the broker says: {stats}", consumer.name);
            }
            sleep(LOOK).await;
        }
    }
}

/// Whether the lab service acknowledged a report.
async fn post(client: &reqwest::Client, lab: SocketAddr, id: &str) -> bool {
    let answer = client.post(format!("http://{lab}/")).json(&json!({"id": id})).send().await;
    answer.is_ok_and(|answer| answer.status() == 204)
}

#[tokio::test]
async fn the_three_of_the_laboratory_reach_both_consumers_through_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let mut laboratory = Laboratory::start(dir.path()).await;
    // The outage: a broken revision of the e-mail service at the same address.
    laboratory.consumers[0].kill();
    laboratory.consumers[0].settings.push(("FAULT", "down".to_owned()));
    laboratory.consumers[0].start().await;
    let ids = ["12", "34", "56"];
    let lab = laboratory.lab.address;
    let posts = ids.map(|id| {
        let client = laboratory.client.clone();
        tokio::spawn(async move { post(&client, lab, id).await })
    });
    for posted in posts {
        assert!(posted.await.unwrap(), "posting does not notice the outage");
    }
    let acknowledged: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let [email, sms] = &laboratory.consumers[..] else { panic!("two consumers") };
    // SMS does not notice either.
    laboratory.wait_for(sms, &acknowledged, "sms in the outage").await;
    assert!(laboratory.delivered(email).await.is_empty());
    laboratory.consumers[0].kill();
    laboratory.consumers[0].settings.pop();
    laboratory.consumers[0].start().await;
    let delivered = laboratory.wait_for(&laboratory.consumers[0], &acknowledged, "e-mail after the outage").await;
    assert_eq!(delivered.len(), 3);
}

/// An outage that begins and ends when nobody posts: nothing but the broker's own clock brings it back to the messages it
/// has. The pauses between its tries double, so that some end at any moment of what else it does.
#[tokio::test]
async fn an_outage_after_the_last_post_heals_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut laboratory = Laboratory::start(dir.path()).await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..15 {
        laboratory.consumers[0].kill();
        for number in 0..7 {
            let id = format!("{round}-{number}");
            assert!(post(&laboratory.client, laboratory.lab.address, &id).await);
            acknowledged.insert(id);
        }
        sleep(LOOK * (round % 5)).await;
        laboratory.consumers[0].start().await;
        laboratory.wait_for(&laboratory.consumers[0], &acknowledged, &format!("outage {round}")).await;
    }
}

/// Reports of a round that are acknowledged before it ends.
const REPORTS: usize = 40;
/// Reports that are posted at the same time.
const POSTERS: usize = 4;

/// Posts until enough has been acknowledged. A report without an acknowledgement is given up, as its sender may.
async fn post_until_done(
    client: reqwest::Client,
    lab: SocketAddr,
    (round, poster): (u64, usize),
    (count, acknowledged): (Arc<AtomicUsize>, Arc<Mutex<BTreeSet<String>>>),
) {
    for number in 0.. {
        if count.load(Ordering::SeqCst) >= REPORTS {
            return;
        }
        let id = format!("{round}-{poster}-{number}");
        if post(&client, lab, &id).await {
            acknowledged.lock().unwrap().insert(id);
            count.fetch_add(1, Ordering::SeqCst);
        } else {
            sleep(LOOK).await;
        }
    }
}

/// Kills the broker, the e-mail service and the lab service at moments that the round's number decides, some of them at
/// once, while reports are being posted and delivered.
async fn round(laboratory: &mut Laboratory, round: u64, acknowledged: &Arc<Mutex<BTreeSet<String>>>) {
    let mut rng = StdRng::seed_from_u64(round);
    // Each victim's moment: so many acknowledged reports, and so many microseconds after the last of them.
    let mut moments: Vec<(usize, u64, usize)> =
        (0..3).map(|victim| (rng.random_range(0..REPORTS), rng.random_range(0..20_000), victim)).collect();
    moments.sort_unstable();
    let count = Arc::new(AtomicUsize::new(0));
    let lab = laboratory.lab.address;
    let posters: Vec<_> = (0..POSTERS)
        .map(|poster| {
            let shared = (Arc::clone(&count), Arc::clone(acknowledged));
            tokio::spawn(post_until_done(laboratory.client.clone(), lab, (round, poster), shared))
        })
        .collect();
    let begin = Instant::now();
    for (moment, after_us, victim) in moments {
        while count.load(Ordering::SeqCst) < moment {
            assert!(begin.elapsed() < PATIENCE, "round {round}: posting stands still");
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_micros(after_us)).await;
        let victim = match victim {
            0 => &mut laboratory.broker,
            1 => &mut laboratory.lab,
            _ => &mut laboratory.consumers[0],
        };
        victim.kill();
        victim.start().await;
    }
    for poster in posters {
        poster.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_arrives_whatever_is_killed() {
    let rounds: u64 = std::env::var("TIDEGATE_KILL_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut laboratory = Laboratory::start(dir.path()).await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut duplicates = BTreeMap::new();
    for number in 1..=rounds {
        round(&mut laboratory, number, &acknowledged).await;
        let acknowledged = acknowledged.lock().unwrap().clone();
        for consumer in &laboratory.consumers {
            let delivered = laboratory.wait_for(consumer, &acknowledged, &format!("round {number}")).await;
            let again: usize = delivered.values().map(|times| times - 1).sum();
            duplicates.insert(consumer.name, again);
        }
    }
    let acknowledged = acknowledged.lock().unwrap().len();
    println!("{rounds} rounds, {acknowledged} reports acknowledged, 0 lost, duplicates: {duplicates:?}");
    assert!(acknowledged >= usize::try_from(rounds).unwrap() * REPORTS);
}
