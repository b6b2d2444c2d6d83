//! The broker on disks that are full, slow, broken, or lose what was not synced.

use crate::pubsub::{Broker, Clients, Endpoint, PATIENCE, subscription};
use crate::raw;
use crate::refusals::rest;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::Code;

/// A disk that obeys orders: `disk.c`, which stands between the broker and the system's calls.
struct Disk {
    library: PathBuf,
    order: PathBuf,
    synced: PathBuf,
}

impl Disk {
    fn in_folder(dir: &Path) -> Self {
        let disk = Self { library: dir.join("disk.so"), order: dir.join("order"), synced: dir.join("synced") };
        let source = crate::tidegate::repository("tests/broker/disk.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&disk.library).arg(source).arg("-ldl");
        let compiled = cc.output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        std::fs::create_dir(&disk.synced).unwrap();
        disk
    }

    fn broker(&self, dir: &Path) -> Broker {
        let variables = [("LD_PRELOAD", &*self.library), ("DISK_ORDER", &*self.order), ("DISK_SYNCED", &*self.synced)];
        Broker::start_under(dir, &[], &variables)
    }

    fn order(&self, order: &str) {
        // In one step: half an order would be none.
        let written = self.order.with_extension("new");
        std::fs::write(&written, order).unwrap();
        std::fs::rename(written, &self.order).unwrap();
    }
}

/// The data of all messages that wait in a subscription; none twice.
async fn pull_all(broker: &Broker, id: &str) -> BTreeSet<String> {
    use base64::Engine as _;
    let waiting = broker.stats(&subscription(id)).await["num_undelivered_messages"].as_u64().unwrap();
    let (path, mut all, started) = (format!("{}:pull", subscription(id)), BTreeSet::new(), Instant::now());
    while (all.len() as u64) < waiting {
        assert!(started.elapsed() < PATIENCE, "{} of {waiting}", all.len());
        let (status, answer) = rest(broker, "POST", &path, r#"{"maxMessages": 1000}"#).await;
        assert_eq!(status, 200, "{answer}");
        for message in answer["receivedMessages"].as_array().into_iter().flatten() {
            let data = message["message"]["data"].as_str().unwrap();
            let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
            all.insert(String::from_utf8(data).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn a_publish_is_answered_after_the_sync_and_never_before() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::in_folder(dir.path());
    let broker = disk.broker(dir.path());
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    disk.order("hold");
    let mut publish = Box::pin(raw::publish(&broker.endpoint, "reports", &[b"x"]));
    let early = tokio::time::timeout(Duration::from_millis(500), publish.as_mut()).await;
    assert!(early.is_err(), "answered before it was synced: {early:?}");
    disk.order("");
    assert_eq!(tokio::time::timeout(PATIENCE, publish).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn after_a_sync_that_failed_nothing_more_is_promised_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::in_folder(dir.path());
    let broker = disk.broker(dir.path());
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    raw::publish(&broker.endpoint, "reports", &[b"before"]).await.unwrap();
    for order in ["fail", ""] {
        disk.order(order);
        let refused = raw::publish(&broker.endpoint, "reports", &[b"refused"]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(refused.message().contains("could not be synced"), "{refused:?}");
    }
    let (status, answer) = rest(&broker, "PUT", "projects/demo/topics/another", "{}").await;
    assert_eq!((status, &answer["error"]["status"]), (503, &"UNAVAILABLE".into()), "{answer}");
    broker.kill();
    let broker = Broker::start(dir.path(), &[]);
    raw::publish(&broker.endpoint, "reports", &[b"after"]).await.unwrap();
    let kept = pull_all(&broker, "pulled").await;
    assert!(kept.contains("before") && kept.contains("after"), "{kept:?}");
}

/// At worst, a power cut leaves of each file what it held when it was last synced. The pushes beside write to the log
/// without syncing it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::in_folder(dir.path());
    let broker = disk.broker(dir.path());
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    clients.push("pushed", "reports", &Endpoint::willing().await.url, |it| it).await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut publishing = JoinSet::new();
    for publisher in 0..4 {
        let (endpoint, acknowledged) = (broker.endpoint.clone(), Arc::clone(&acknowledged));
        publishing.spawn(async move {
            for number in 0.. {
                let report = format!("{publisher}-{number}");
                if raw::publish(&endpoint, "reports", &[report.as_bytes()]).await.is_err() {
                    break;
                }
                acknowledged.lock().unwrap().insert(report);
            }
        });
    }
    let started = Instant::now();
    while acknowledged.lock().unwrap().len() < 200 {
        assert!(started.elapsed() < PATIENCE, "{} acknowledged", acknowledged.lock().unwrap().len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    broker.kill();
    publishing.shutdown().await;
    let after = tempfile::tempdir().unwrap();
    std::fs::rename(&disk.synced, after.path().join("broker")).unwrap();
    let broker = Broker::start(after.path(), &[]);
    let kept = pull_all(&broker, "pulled").await;
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

/// A file system of its own, which goes when it is dropped. None where this user may not mount one.
struct Mount(PathBuf);

impl Mount {
    fn of(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&folder);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn on_a_full_file_system_publishes_are_refused_nothing_is_lost_and_it_goes_on_when_there_is_room() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mount::of(dir.path().join("disk"), "24m") else {
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: this user may not mount a file system");
        return;
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    let broker = Broker::start(&disk.0, &[]);
    let clients = Clients::of(&broker.endpoint).await;
    clients.topic("reports").await;
    clients.pull("pulled", "reports", |it| it).await;
    let (mut acknowledged, mut refused) = (BTreeSet::new(), 0);
    let report = |number: i32| format!("{number}-{}", "x".repeat(20_000));
    for number in 0..2_000 {
        match raw::publish(&broker.endpoint, "reports", &[report(number).as_bytes()]).await {
            Ok(_) => drop(acknowledged.insert(report(number))),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert!(status.message().contains("is full"), "{status:?}");
                refused += 1;
            }
        }
        if refused == 20 {
            break;
        }
    }
    assert!(acknowledged.len() > 100 && refused == 20, "{} acknowledged, {refused} refused", acknowledged.len());
    let body = format!(r#"{{"messages": [{{"data": "{}"}}]}}"#, "QUFB".repeat(10_000));
    let publish = "projects/demo/topics/reports:publish";
    let (status, answer) = rest(&broker, "POST", publish, &body).await;
    assert_eq!((status, &answer["error"]["status"]), (429, &"RESOURCE_EXHAUSTED".into()), "{answer}");
    assert_eq!(broker.figures().await["publishes_refused"]["full"], 21, "every publish that the disk had no room for");
    broker.kill();
    let broker = Broker::start(&disk.0, &[]);
    assert_eq!(pull_all(&broker, "pulled").await, acknowledged, "after a kill, on a disk that is still full");
    std::fs::remove_file(&ballast).unwrap();
    let started = Instant::now();
    while let Err(status) = raw::publish(&broker.endpoint, "reports", &[b"there is room again"]).await {
        assert!(started.elapsed() < PATIENCE, "{status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    acknowledged.insert("there is room again".to_owned());
    assert_eq!(pull_all(&broker, "pulled").await, acknowledged);
}
