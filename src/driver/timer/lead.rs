//! How much earlier than a deadline the alarm is set.

use std::time::Duration;
use tokio::time::Instant;

/// The median of how late alarms are noticed, learnt alarm by alarm: a step up for one that was later than it, an equal
/// step down for one that was not (Robbins and Monro, "A stochastic approximation method", 1951). So half of all alarms
/// come too early, by little, and the remainder of these is waited out awake.
#[derive(Debug, Default)]
pub(super) struct Lead(Duration);

impl Lead {
    /// Follows a host that changes within some hundred alarms, and is off by no more than it matters.
    const STEP: Duration = Duration::from_nanos(200);
    /// Where waking takes longer, the host is short of CPU, and waiting awake would take more of it.
    const MOST: Duration = Duration::from_micros(50);

    /// Takes in that an alarm was noticed so `late`.
    pub(super) fn learn(&mut self, late: Duration) {
        self.0 = if late > self.0 { (self.0 + Self::STEP).min(Self::MOST) } else { self.0.saturating_sub(Self::STEP) };
    }

    /// When to set the alarm for `deadline`.
    pub(super) fn before(&self, deadline: Instant) -> Instant {
        deadline.checked_sub(self.0).unwrap_or(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    /// The lead after so many alarms, each late by what `late_us` gives.
    fn learnt(alarms: u32, mut late_us: impl FnMut() -> f64) -> f64 {
        let mut lead = Lead::default();
        for _ in 0..alarms {
            lead.learn(Duration::from_secs_f64(late_us() / 1e6));
        }
        lead.0.as_secs_f64() * 1e6
    }

    #[test]
    fn the_lead_is_the_median_of_a_skewed_law_and_not_its_mean() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        // Exponential: median 20·ln 2, mean 20, with a stall of 10 ms in every hundred.
        let lead = learnt(20_000, || {
            if random.random_bool(0.01) { 10_000.0 } else { -20.0 * (1.0 - random.random::<f64>()).ln() }
        });
        let median = 20.0 * 2_f64.ln();
        assert!((lead - median).abs() < 2.0, "{lead} against {median}");
    }

    #[test]
    fn the_lead_follows_a_host_that_changes_and_is_bounded() {
        assert!((learnt(1000, || 18.0) - 18.0).abs() < 0.5);
        assert!((learnt(1000, || 5000.0) - 50.0).abs() < 0.5);
        let mut alarm = 0;
        let changed = learnt(2000, || {
            alarm += 1;
            if alarm <= 1000 { 40.0 } else { 8.0 }
        });
        assert!((changed - 8.0).abs() < 0.5, "{changed}");
    }

    #[test]
    fn an_alarm_is_never_set_after_its_deadline() {
        let deadline = Instant::now();
        let mut lead = Lead::default();
        assert_eq!(lead.before(deadline), deadline);
        lead.learn(Duration::from_secs(1));
        assert_eq!(lead.before(deadline), deadline - Lead::STEP);
    }
}
