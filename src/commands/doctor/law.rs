//! A law of response times with a closed form, which the server keeps and the recording is held against.

use std::time::Duration;

/// Uniform between the two.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(105);
/// The golden section: its multiples fill the unit interval more evenly than any draws would, so that what is recorded
/// differs from the law by the instrument's error and not by chance (the discrepancy falls as fast as log n / n).
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Its name and its bounds, for people.
pub(super) const WORDS: &str = "uniform from 5 ms to 105 ms";

/// How long the answer to the `index`-th request is kept back.
pub(super) fn delay(index: u64) -> Duration {
    // 2^20 requests are more than are ever sent, and keep the product exact enough.
    quantile(((index % (1 << 20)) as f64 * GOLDEN).fract())
}

/// The closed form.
pub(super) fn quantile(q: f64) -> Duration {
    SHORTEST + LONGEST.saturating_sub(SHORTEST).mul_f64(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_follows_the_closed_form_to_a_thousandth() {
        for start in [0, 7, 123_456] {
            let mut delays: Vec<Duration> = (start..start + 4000).map(delay).collect();
            delays.sort_unstable();
            for (q, place) in [(0.5, 1999), (0.9, 3599), (0.99, 3959), (0.999, 3995)] {
                let error = delays[place].as_secs_f64() / quantile(q).as_secs_f64() - 1.0;
                assert!(error.abs() < 0.001, "q {q}: {error}");
            }
        }
    }
}
