//! Times while a fault lasted beside those of the rest of the run.

use super::super::contrast::{Shortfall, Shortfalls};
use super::calendar::{Calendar, Phase};
use super::{NEVER, Post};
use crate::stats::{QuantileRatio, quantile_ratio};
use std::collections::BTreeMap;

/// The quantile that is compared inside and outside of faults.
const COMPARED: f64 = 0.95;
const SECOND: u64 = 1_000_000;

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compared {
    pub(super) ratio: Option<QuantileRatio>,
    pub(super) healing_ratio: Option<QuantileRatio>,
    pub(super) missing: Option<Shortfalls>,
}

/// Times by the second that their reports were due in.
#[derive(Default)]
struct Side(BTreeMap<u64, Vec<u64>>);

impl Side {
    fn enter(&mut self, post: &Post, end: u64) {
        // What never ends takes for ever, and is not left out: else the times of what is left would speak for it.
        let time = if end == NEVER { NEVER } else { end.saturating_sub(post.due) };
        self.0.entry(post.due / SECOND).or_default().push(time);
    }

    fn shortfall(&self) -> Shortfall {
        let missing = |times: &Vec<u64>| times.iter().filter(|time| **time == NEVER).count() as u64;
        Shortfall {
            missing: self.0.values().map(missing).sum(),
            of: self.0.values().map(|times| times.len() as u64).sum(),
            seconds: self.0.values().filter(|times| missing(times) > 0).count() as u64,
            of_seconds: self.0.len() as u64,
        }
    }

    fn times(self) -> Vec<Vec<u64>> {
        self.0.into_values().collect()
    }
}

/// p95 inside and while healing, each over p95 outside of the faults, of the times from the due time of measured posts to the ends they are paired with, and
/// what never ended; nothing without a fault.
pub(super) fn compare<'a>(ends: impl Iterator<Item = (&'a Post, u64)>, calendar: &Calendar) -> Compared {
    if calendar.is_empty() {
        return Compared::default();
    }
    let (mut inside, mut healing, mut outside) = (Side::default(), Side::default(), Side::default());
    for (post, end) in ends.filter(|(post, _)| post.measured) {
        let side = match calendar.phase(post) {
            Phase::Inside => &mut inside,
            // What comes all at once when a service is back is a load of its own.
            Phase::Healing => &mut healing,
            Phase::Outside => &mut outside,
            // Some of it met the fault and some did not.
            Phase::Beginning => continue,
        };
        side.enter(post, end);
    }
    let missing = Shortfalls { inside: inside.shortfall(), healing: healing.shortfall(), outside: outside.shortfall() };
    let outside = outside.times();
    let ratio = |side: Side| quantile_ratio(&side.times(), &outside, COMPARED);
    Compared { ratio: ratio(inside), healing_ratio: ratio(healing), missing: Some(missing) }
}
