//! What the tests of instances' lives share: what the clients were answered beside what the platform counted, how
//! instances have ended, and a platform that limits them.

use super::*;
use crate::platform::{CpuIdle, Ending};

/// Clients' answers by status.
pub(super) type Answers = BTreeMap<u16, u64>;

/// What the platform counted: requests that reached an instance and ended, and those that it refused.
pub(super) fn counted(samples: &[RevisionSample]) -> Answers {
    let mut answers = Answers::new();
    for sample in samples {
        for (status, count) in &sample.requests {
            *answers.entry(*status).or_default() += count;
        }
        // Who waited and then reached an instance is counted there; nobody here waits for one and is answered 429 or 503
        // by it, or times out in it.
        for status in [429, 503, 504] {
            let reached = sample.requests.get(&status).copied().unwrap_or_default();
            let pending = sample.pending_ms.get(&status).map_or(0, |waits| waits.count);
            *answers.entry(status).or_default() += pending.saturating_sub(reached);
        }
    }
    answers.retain(|_, count| *count > 0);
    answers
}

pub(super) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn endings(fleet: &Fleet) -> BTreeMap<Ending, u64> {
    fleet.endings().remove(&("shop".to_owned(), "shop-1".to_owned())).unwrap_or_default()
}

/// Waits until the only revision is so, and keeps what is sampled meanwhile.
pub(super) async fn until_kept(
    fleet: &Fleet,
    samples: &mut Vec<RevisionSample>,
    is_so: impl Fn(&RevisionSample) -> bool,
) {
    let seen = async {
        loop {
            let now = fleet.sample().await;
            let found = now.first().is_some_and(&is_so);
            samples.extend(now);
            if found {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, seen).await.expect("it is so in time");
}

/// Waits until the first instance has ended so.
pub(super) async fn wait_until_ended(fleet: &Fleet, samples: &mut Vec<RevisionSample>, ending: Ending) {
    while !endings(fleet).contains_key(&ending) {
        samples.extend(fleet.sample().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A fleet under a limiter, with its launcher.
pub(super) async fn limited(kind: LimiterChoice, directory: &std::path::Path, policy: Policy) -> Fleet {
    let options = FleetOptions {
        policy,
        time_factor: 10.0,
        host_cores_per_vcpu: 0.25,
        limiter: kind,
        cpu_idle: CpuIdle::Frozen,
        launcher: Some(launcher(directory)),
        logs_dir: Some(directory.to_owned()),
    };
    Fleet::start(options).await.unwrap()
}
