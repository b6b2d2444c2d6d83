//! The search for the highest rate that is still kept: proposes rates and is told how they went. It knows no clock and
//! no network.

/// No rate above it is tried: the file allows no more either.
const RATE_MAX: f64 = 1e6;
/// No rate below it is tried: who cannot send so much on time cannot be trusted with any load.
const RATE_MIN: f64 = 50.0;
/// What the rate is multiplied or divided by until the highest one is bracketed.
const STRIDE: f64 = 4.0;

/// A search under way.
#[derive(Clone, Debug)]
pub(super) struct RateSearch {
    start: f64,
    /// The highest rate that was kept.
    kept: Option<f64>,
    /// The lowest rate that was not, twice.
    missed: Option<f64>,
    /// Whether the rate that is proposed has been missed once: on a shared host that happens to any rate.
    again: bool,
    /// It ends when the two are no further apart than this factor.
    resolution: f64,
    probes_left: u32,
}

impl RateSearch {
    /// Begins at `start` requests per second and ends after `probes` at the latest.
    pub(super) fn new(start: f64, resolution: f64, probes: u32) -> Self {
        Self { start, kept: None, missed: None, again: false, resolution, probes_left: probes }
    }

    /// The rate to try next; `None` when the search is over.
    pub(super) fn propose(&self) -> Option<f64> {
        if self.probes_left == 0 {
            return None;
        }
        let rate = match (self.kept, self.missed) {
            (None, None) => self.start,
            (Some(kept), None) if kept < RATE_MAX => (kept * STRIDE).min(RATE_MAX),
            (None, Some(missed)) if missed > RATE_MIN => (missed / STRIDE).max(RATE_MIN),
            (Some(kept), Some(missed)) if missed / kept > self.resolution => (kept * missed).sqrt(),
            _ => return None,
        };
        Some(rounded(rate))
    }

    /// The proposed rate was kept, or not.
    pub(super) fn record(&mut self, kept: bool) {
        let Some(rate) = self.propose() else { return };
        self.probes_left -= 1;
        if kept {
            self.kept = Some(rate);
            self.again = false;
        } else if self.again {
            self.missed = Some(rate);
            self.again = false;
        } else {
            self.again = true;
        }
    }

    /// The highest rate that was kept.
    pub(super) fn best(&self) -> Option<f64> {
        self.kept
    }
}

/// Two significant digits say as much as a few seconds on a shared host do; never out of the range that is tried.
fn rounded(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 1.0);
    ((rate / unit).round() * unit).clamp(RATE_MIN, RATE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches on a machine that keeps what `keeps` says; gives the result and what was tried.
    fn search(probes: u32, mut keeps: impl FnMut(f64) -> bool) -> (Option<f64>, Vec<f64>) {
        let mut search = RateSearch::new(1000.0, 1.1, probes);
        let mut tried = Vec::new();
        while let Some(rate) = search.propose() {
            tried.push(rate);
            search.record(keeps(rate));
        }
        (search.best(), tried)
    }

    #[test]
    fn it_strides_until_a_rate_is_missed_twice_and_halves_from_there() {
        let (best, tried) = search(30, |rate| rate <= 21_000.0);
        assert_eq!(tried[..5], [1000.0, 4000.0, 16_000.0, 64_000.0, 64_000.0]);
        assert_eq!(best, Some(21_000.0), "{tried:?}");
        let (best, tried) = search(30, |rate| rate <= 90.0);
        assert!(best.is_some_and(|best| (80.0..=90.0).contains(&best)), "{best:?} {tried:?}");
    }

    #[test]
    fn a_rate_that_is_missed_once_is_tried_again() {
        let mut disturbed = true;
        let (best, _) = search(30, |rate| rate <= 21_000.0 && !(rate > 900.0 && std::mem::take(&mut disturbed)));
        assert_eq!(best, Some(21_000.0));
    }

    #[test]
    fn a_machine_that_keeps_nothing_or_everything_is_told_so() {
        let (best, tried) = search(30, |_| false);
        assert_eq!((best, tried.last()), (None, Some(&50.0)));
        assert_eq!(search(30, |_| true).0, Some(RATE_MAX));
        assert_eq!(search(0, |_| true), (None, Vec::new()));
    }

    proptest! {
        /// Whatever the machine: within its budget, in range, and no further below the truth than the resolution.
        #[test]
        fn the_result_is_near_the_truth_and_never_above_it(truth in 50f64..1e6) {
            let (best, tried) = search(60, |rate| rate <= truth);
            let best = best.unwrap();
            prop_assert!(best <= truth && best * 1.1 * 1.06 >= truth, "{best} of {truth}: {tried:?}");
            prop_assert!(tried.len() <= 25, "{tried:?}");
            prop_assert!(tried.iter().all(|rate| (RATE_MIN..=RATE_MAX).contains(rate)));
        }

        #[test]
        fn it_ends_within_its_budget_whatever_it_is_told(answers in prop::collection::vec(any::<bool>(), 0..30)) {
            let mut search = RateSearch::new(1000.0, 1.1, 20);
            let mut answers = answers.into_iter().cycle();
            let mut probes = 0;
            while search.propose().is_some() {
                search.record(answers.next().unwrap_or(false));
                probes += 1;
                prop_assert!(probes <= 20);
            }
        }
    }
}
