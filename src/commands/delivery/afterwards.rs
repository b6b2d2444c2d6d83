//! What Monitoring tells of the services once a run is over. Its samples come once a period, and late: they are waited for
//! until they hold the run's end, up to a bound, or until the user stops.

use super::Progress;
use crate::cloud::{Cloud, RevisionActivity, Sampling};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Longer is never waited: Google's samples come once a minute and are up to three minutes late.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// A wait that is shorter is not worth a word.
const UNTOLD_MAX: Duration = Duration::from_secs(15);
/// Looks in a sample period: who waits, waits no longer than a fraction of it more than he must.
const LOOKS_PER_PERIOD: u32 = 8;
/// How often is shown what is waited for.
const SHOWN_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(200);

/// A service whose activity is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    pub(super) cloud: &'a Cloud,
    pub(super) revisions: &'a [String],
}

/// How long is waited, and who may end it.
pub(super) struct Wait<'a> {
    /// The run that is asked about.
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) stop: watch::Receiver<bool>,
    /// What is told now is taken, and nothing waited for.
    pub(super) is_skipped: bool,
    pub(super) progress: &'a Progress,
}

/// By service, what Monitoring tells of its revisions; nothing of those of which it tells nothing.
pub(super) async fn read(services: &[Asked<'_>], wait: Wait<'_>) -> BTreeMap<String, RevisionActivity> {
    let Some(first) = services.first() else { return BTreeMap::new() };
    if wait.is_skipped {
        return ask(services, wait.from).await;
    }
    let Ok(sampling) = first.cloud.sampling().await else { return BTreeMap::new() };
    let now = Timestamp::now();
    let bound = bound(sampling, wait.until, now);
    let left = between(now, bound);
    let shown = (left > UNTOLD_MAX && !*wait.stop.borrow()).then_some(wait.progress);
    let mut stop = wait.stop;
    // No sample that holds the end can be read before its own delay has passed.
    let mut pause = between(now, later(wait.until, sampling.ingest_delay)).min(left);
    loop {
        let stopped = tokio::select! {
            () = sleep(pause, bound, shown) => false,
            Ok(_) = stop.wait_for(|stop| *stop) => true,
        };
        let told = ask(services, wait.from).await;
        if stopped || Timestamp::now() >= bound || covers(&told, services.len(), wait.until) {
            return told;
        }
        pause = (sampling.period / LOOKS_PER_PERIOD).max(LOOK_MIN);
    }
}

/// Sleeps, and shows meanwhile what is waited for, and for how long at most.
async fn sleep(pause: Duration, bound: Timestamp, shown: Option<&Progress>) {
    let end = Instant::now() + pause;
    while let Some(progress) = shown
        && Instant::now() < end
    {
        progress.awaiting(&format!(
            "the report is saved; instances over time are added when Cloud Monitoring tells them, {:.0} s at most to go (Ctrl-C or \
             --no-wait: without them)",
            between(Timestamp::now(), bound).as_secs_f64()
        ));
        tokio::time::sleep_until(end.min(Instant::now() + SHOWN_EVERY)).await;
    }
    tokio::time::sleep_until(end).await;
}

async fn ask(services: &[Asked<'_>], from: Timestamp) -> BTreeMap<String, RevisionActivity> {
    let mut told = BTreeMap::new();
    for Asked { name, cloud, revisions } in services {
        if let Ok(activity) = Box::pin(cloud.activity(revisions, from)).await {
            told.insert((*name).to_owned(), activity);
        }
    }
    told
}

/// Whether every service has a sample that holds `until`.
fn covers(told: &BTreeMap<String, RevisionActivity>, services: usize, until: Timestamp) -> bool {
    let holds = |activity: &RevisionActivity| activity.instances.last_key_value().is_some_and(|(end, _)| *end >= until);
    told.len() == services && told.values().all(holds)
}

/// The sample that holds `until` ends within a period, and can be read when the delay has passed after that; one look more.
fn bound(sampling: Sampling, until: Timestamp, now: Timestamp) -> Timestamp {
    let last = later(until, sampling.period + sampling.ingest_delay + LOOK_MIN);
    last.min(later(now, WAIT_MAX))
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(moment)
}

/// Zero when `to` is not after `from`.
fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_348_800 + second).unwrap()
    }

    #[test]
    fn it_is_waited_for_the_sample_that_holds_the_end_and_never_for_ever() {
        let sampling = |period: u64, delay: u64| Sampling {
            period: Duration::from_secs(period),
            ingest_delay: Duration::from_secs(delay),
        };
        assert_eq!(between(at(0), bound(sampling(60, 120), at(100), at(103))).as_secs(), 280);
        assert_eq!(between(at(0), bound(sampling(3600, 120), at(100), at(103))).as_secs(), 403);
        assert_eq!(between(at(500), bound(sampling(60, 120), at(100), at(500))), Duration::ZERO, "it is there already");
    }

    #[test]
    fn the_end_is_held_when_every_service_has_a_sample_behind_it() {
        let until = |second: i64| RevisionActivity {
            instances: BTreeMap::from([(at(5), (5.0, 1, 0)), (at(second), (5.0, 1, 0))]),
            ..RevisionActivity::default()
        };
        let told = BTreeMap::from([("email".to_owned(), until(60)), ("sms".to_owned(), until(55))]);
        assert!(covers(&told, 2, at(55)) && !covers(&told, 2, at(56)) && !covers(&told, 3, at(55)));
    }
}
