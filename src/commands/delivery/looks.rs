//! Redeliveries over time: looks at what the local broker counts, while a run goes on.

use super::broker;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often is looked: a few times in the shortest interval of a series.
const EVERY: Duration = Duration::from_millis(250);

/// By service, how many redeliveries there had been when something new was seen, the first look included.
pub(super) type Seen = BTreeMap<String, Vec<(Timestamp, u64)>>;

/// Looks that go on until they are ended or dropped.
#[derive(Debug)]
pub(super) struct Looks {
    task: JoinHandle<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Looks {
    /// Looks from now on at the broker at `host`, whose subscriptions push to these services: (full name, service).
    pub(super) fn begin(host: String, subscriptions: Vec<(String, String)>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let client = broker::client();
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(stats) = broker::stats(&client, &host).await else { continue };
                let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
                for (name, service) in &subscriptions {
                    if let Some(figures) = stats.subscriptions.get(name) {
                        *counts.entry(service).or_default() += figures.redelivered;
                    }
                }
                let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                for (service, count) in counts {
                    enter(&mut seen, service, (Timestamp::now(), count));
                }
            }
        });
        Self { task, seen }
    }

    /// What was seen.
    pub(super) fn end(self) -> Seen {
        mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a look if it saw something new.
pub(super) fn enter(seen: &mut Seen, service: &str, look: (Timestamp, u64)) {
    let looks = seen.entry(service.to_owned()).or_default();
    if looks.last().is_none_or(|(_, count)| *count != look.1) {
        looks.push(look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_kept() {
        let at = |second: i64| Timestamp::from_second(1_795_348_800 + second).unwrap();
        let mut seen = Seen::new();
        for (second, count) in [(0, 0), (1, 0), (2, 3), (3, 3), (4, 4)] {
            enter(&mut seen, "email", (at(second), count));
        }
        assert_eq!(seen["email"], [(at(0), 0), (at(2), 3), (at(4), 4)]);
    }
}
