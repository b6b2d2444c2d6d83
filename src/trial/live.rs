//! What became of a run in one of its intervals, told while it goes on. Intervals add up: all of them make the whole
//! run so far, in memory that does not grow with its length.

use super::{StatusClass, Times};
use crate::stats::Histogram;
use std::collections::BTreeMap;

/// What ended in a stretch of time, warm-up included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// When the load started, RFC 3339.
    pub started_at: String,
    /// Start of the stretch, seconds since the start of the load.
    pub start_s: f64,
    /// Its length in seconds.
    pub length_s: f64,
    /// Requests sent in it.
    pub sent: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// The driver's own lateness (sent − due − blocked) of what was sent in it.
    pub lateness: Histogram,
    /// By step, in the order of `Scenario::step_names`.
    pub steps: Vec<LiveStep>,
}

/// What ended of one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveStep {
    /// Its name.
    pub name: String,
    /// Requests answered as expected.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were planned and will never be sent.
    pub dropped: u64,
    /// Response and service times by the class of the answer.
    pub classes: BTreeMap<StatusClass, Times>,
}

impl LiveStep {
    /// All classes together.
    #[must_use]
    pub fn times(&self) -> Times {
        let mut all = Times::default();
        self.classes.values().for_each(|times| all.merge(times));
        all
    }
}

impl Live {
    /// All steps together.
    #[must_use]
    pub fn times(&self) -> Times {
        let mut all = Times::default();
        self.steps.iter().flat_map(|step| step.classes.values()).for_each(|times| all.merge(times));
        all
    }

    /// Takes in the interval that follows.
    pub fn absorb(&mut self, next: &Self) {
        if self.steps.is_empty() {
            next.clone_into(self);
            return;
        }
        self.length_s = next.start_s + next.length_s - self.start_s;
        self.sent += next.sent;
        self.in_flight = next.in_flight;
        self.lateness.merge(&next.lateness);
        for (own, next) in self.steps.iter_mut().zip(&next.steps) {
            own.completed += next.completed;
            own.failed += next.failed;
            own.dropped += next.dropped;
            for (class, times) in &next.classes {
                own.classes.entry(*class).or_default().merge(times);
            }
        }
    }
}
