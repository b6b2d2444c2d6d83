//! The pause after instances that failed to start: a program that dies at once must not be started thousands of times per
//! second.

use crate::autoscaler::Micros;

/// How long nothing is started on demand.
#[derive(Default)]
pub(super) struct Pause {
    until: Micros,
    /// Starts in a row that failed.
    failures: u32,
}

/// After the first failure; after each further one it is twice as long …
const FIRST: Micros = Micros(1_000_000);
/// … up to so many doublings, 64 s. "Cloud Run limits instance restarts to prevent uncontrolled crash loops" (Configure
/// container health checks, 2026-11-22) without saying how: an assumption.
const DOUBLINGS: u32 = 6;

impl Pause {
    /// A start has failed.
    pub(super) fn failed(&mut self, now: Micros) {
        self.until = now + Micros(FIRST.0 << self.failures.min(DOUBLINGS));
        self.failures = self.failures.saturating_add(1);
    }

    /// An instance has started: what fails next is the first again.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether something may be started.
    pub(super) fn is_over(&self, now: Micros) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_doubles_the_pause_up_to_a_minute_and_a_success_ends_the_row() {
        let (mut pause, mut now) = (Pause::default(), Micros(5));
        assert!(pause.is_over(now));
        for seconds in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            pause.failed(now);
            let end = now + Micros(seconds * 1_000_000);
            assert!(!pause.is_over(Micros(end.0 - 1)) && pause.is_over(end), "{seconds}");
            now = end;
        }
        pause.succeeded();
        pause.failed(now);
        assert!(pause.is_over(now + FIRST));
    }
}
