//! Scale-out from zero and bursts beyond max instances, with real processes: every request is accounted for.

use super::{Fleet, Operate, RevisionSample, RevisionSpec, get_text, one_under, spec};
use crate::autoscaler::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A policy under which an idle instance goes at once, so that there is none.
fn impatient(policy: Policy) -> Policy {
    // Scaled by ten in these tests.
    Policy { idle_timeout: Duration::from_millis(10), bucket: Duration::from_millis(100), ..policy }
}

/// Waits until nothing is left of the first instance.
async fn until_zero(fleet: &Fleet) {
    let gone = async {
        while !fleet.sample().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, gone).await.expect("the idle instance goes");
}

/// Sends so many requests at once; the answers' statuses and texts.
async fn burst(url: &str, path: &str, count: usize) -> Vec<(u16, String)> {
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..count {
        let url = format!("{url}{path}");
        requests.spawn(async move { get_text(&url).await });
    }
    requests.join_all().await
}

fn counted(answers: &[(u16, String)]) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for (status, _) in answers {
        *counts.entry(*status).or_default() += 1;
    }
    counts
}

/// What the platform says of all requests: those that reached an instance, and those that were refused.
fn accounted(sample: &RevisionSample) -> BTreeMap<u16, u64> {
    let mut counts = sample.requests.clone();
    for status in [429, 503] {
        counts.extend(sample.pending_ms.get(&status).map(|waited| (status, waited.count)));
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_at_zero_starts_what_it_needs_and_all_are_served() {
    let (fleet, url) = one_under(impatient(Policy::cloud_run()), spec("shop-1", 4, 5)).await;
    until_zero(&fleet).await;
    let answers = burst(&url, "/sleep/1500", 20).await;
    let sample = fleet.sample().await.remove(0);
    assert_eq!(counted(&answers), BTreeMap::from([(200, 20)]));
    assert_eq!(accounted(&sample), counted(&answers));
    let pids: BTreeSet<_> = answers.iter().map(|(_, pid)| pid).collect();
    assert_eq!(pids.len(), 5, "20 requests of 4 at once are five instances");
    // On a busy host one may have idled too long before all are answered, and the average asks for another.
    assert!(sample.startup_latencies_ms.count >= 5, "{sample:?}");
    // On a busy host the last ones may come when the first instances listen already.
    let waited = sample.pending_ms[&200].count;
    assert!((5..=20).contains(&waited), "{waited} waited for a cold start");
    let most = &sample.max_request_concurrencies;
    assert_eq!((most.count, most.sum), (5, 20.0), "each instance was full");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_max_instances_ends_in_429_after_the_wait_that_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let released = directory.path().join("released");
    let env = BTreeMap::from([("RELEASED".to_owned(), released.to_string_lossy().into_owned())]);
    let revision = RevisionSpec { env, ..spec("shop-1", 2, 3) };
    let (fleet, url) = one_under(impatient(Policy::cloud_run()), revision).await;
    until_zero(&fleet).await;
    // Six hold every place, so the others wait max(1 s, 3.5 × mean start-up) and are refused.
    let served = tokio::spawn({
        let url = url.clone();
        async move { burst(&url, "/held", 6).await }
    });
    // All six, each in an instance: one that is late would wait among the others.
    let begun = directory.path().join("released.begun");
    super::wait_until(|| std::fs::read_to_string(&begun).is_ok_and(|lines| lines.lines().count() == 6)).await;
    super::until(&fleet, |sample| sample.instances_active == 3 && sample.pending_requests == 0).await;
    let since = tokio::time::Instant::now();
    let refused = burst(&url, "/sleep/0", 24).await;
    let waited = since.elapsed();
    assert_eq!(counted(&refused), BTreeMap::from([(429, 24)]));
    assert!(refused.iter().all(|(_, text)| text == "Rate exceeded."));
    assert!(waited >= Duration::from_secs(1), "they waited for {waited:?} only");
    let sample = fleet.sample().await.remove(0);
    assert_eq!((accounted(&sample), sample.instances_active), (BTreeMap::from([(429, 24)]), 3));
    assert!(sample.pending_ms[&429].sum / 24.0 >= 1000.0, "{sample:?}");
    std::fs::write(released, "").unwrap();
    assert_eq!(counted(&served.await.unwrap()), BTreeMap::from([(200, 6)]));
    assert_eq!(accounted(&fleet.sample().await[0]), BTreeMap::from([(200, 6)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_the_queue_full_is_429_at_once_and_the_books_agree() {
    let pending_min = Duration::from_hours(1);
    let policy = Policy { queue_capacity: 5, pending_min, ..impatient(Policy::cloud_run()) };
    let (fleet, url) = one_under(policy, spec("shop-1", 2, 2)).await;
    until_zero(&fleet).await;
    let answers = burst(&url, "/sleep/1500", 40).await;
    let counts = counted(&answers);
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&200, &429], "{counts:?}");
    assert!(counts[&200] >= 5, "the queue itself is served: {counts:?}");
    let sample = fleet.sample().await.remove(0);
    assert_eq!(accounted(&sample), counts);
    assert!(sample.startup_latencies_ms.count <= 2, "never more than max instances");
    let pids: BTreeSet<_> = answers.iter().filter(|(status, _)| *status == 200).map(|(_, pid)| pid).collect();
    assert!(pids.len() <= 2, "{pids:?}");
    fleet.shutdown().await;
}
