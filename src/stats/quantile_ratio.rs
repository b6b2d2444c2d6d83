//! Whether a quantile is the same in two stretches of one run: the ratio of the two with a confidence interval.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values of neighbouring seconds resemble each other, those of neighbouring batches of so many seconds much less.
const BATCH_SECONDS: usize = 5;
/// Batches of a side: the spread of fewer tells nothing.
const BATCHES_MIN: usize = 3;
/// Values of a side that must lie beyond the quantile: of fewer it is a few outliers' (100 values for p95).
const BEYOND_MIN: f64 = 5.0;
/// What the standard error is multiplied by. Batches of five seconds still resemble each other: a correlation of 0.35 between
/// neighbours, which a correlation of 0.8 to 0.9 between seconds leaves, makes the true one √(1 + 2 × 0.35) times as large.
const WIDENED: f64 = 1.3;

/// A ratio of two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileRatio {
    /// The quantile of the one over that of the other: of each the geometric mean over batches of five seconds.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The `q`-quantile of `inside` over that of `outside`, with a 95 % interval: the logarithms of the quantiles of batches of at
/// least five seconds are compared by Welch's t (Welch, 1947; method of batch means: Law and Carson, 1979), with a standard error that
/// is widened for what batches still have in common. In simulated runs of 40 values a second, 30 s inside and 45 s
/// outside, the interval held the true ratio in 99, 98, 95 and 92 % of runs when neighbouring seconds' levels were correlated by 0,
/// 0.6, 0.8 and 0.9. One run is one sample of the world all the same: what differs from run to run is not in the interval.
///
/// Each element of `inside` and `outside` holds the values of one second, in the order of time; `u64::MAX` is infinite. `None` when a
/// side has too few batches, or too few values beyond the quantile to tell it, and when the quantile of a batch is infinite.
#[must_use]
pub fn quantile_ratio(inside: &[Vec<u64>], outside: &[Vec<u64>], q: f64) -> Option<QuantileRatio> {
    let (one, other) = (Side::of(inside, q)?, Side::of(outside, q)?);
    let difference = one.mean - other.mean;
    let error = (one.error + other.error).sqrt();
    let margin = if error > 0.0 { WIDENED * error * t_95(one.freedom(&other)) } else { 0.0 };
    Some(QuantileRatio { ratio: difference.exp(), low: (difference - margin).exp(), high: (difference + margin).exp() })
}

/// The logarithms of the quantiles of one side's batches.
struct Side {
    mean: f64,
    /// Variance of the mean, if batches were independent.
    error: f64,
    batches: f64,
}

impl Side {
    fn of(seconds: &[Vec<u64>], q: f64) -> Option<Self> {
        let values = seconds.iter().map(Vec::len).sum::<usize>();
        // A batch that has fewer would have its largest value for a quantile.
        let values_min = (1.0 / (1.0 - q)).round();
        if (values as f64) * (1.0 - q) < BEYOND_MIN * (1.0 - 1e-9) {
            return None;
        }
        let mut batches: Vec<Vec<u64>> = Vec::new();
        let (mut batch, mut length) = (Vec::new(), 0);
        for second in seconds.iter().filter(|second| !second.is_empty()) {
            batch.extend_from_slice(second);
            length += 1;
            if length >= BATCH_SECONDS && batch.len() as f64 >= values_min {
                batches.push(std::mem::take(&mut batch));
                length = 0;
            }
        }
        // What is left over makes the last batch longer.
        batches.last_mut()?.append(&mut batch);
        let logs = batches.into_iter().map(|batch| log_quantile(batch, q)).collect::<Option<Vec<f64>>>()?;
        if logs.len() < BATCHES_MIN {
            return None;
        }
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some(Self { mean, error: variance / n, batches: n })
    }

    /// Degrees of freedom by Welch and Satterthwaite.
    fn freedom(&self, other: &Self) -> f64 {
        let part = |side: &Self| side.error.powi(2) / (side.batches - 1.0);
        (self.error + other.error).powi(2) / (part(self) + part(other))
    }
}

/// The logarithm of the smallest value that the share `q` does not exceed; `None` when that is infinite.
fn log_quantile(mut values: Vec<u64>, q: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a list's length")]
    let place = ((q * values.len() as f64 - 1e-9).ceil() as usize).saturating_sub(1);
    let (_, value, _) = values.select_nth_unstable(place);
    let value = *value;
    (value != u64::MAX).then(|| (value.max(1) as f64).ln())
}

/// The 97.5 % quantile of Student's t, between the degrees of freedom that are listed that of the lower, which is larger.
fn t_95(freedom: f64) -> f64 {
    const LISTED: [(f64, f64); 19] = [
        (2.0, 4.303),
        (3.0, 3.182),
        (4.0, 2.776),
        (5.0, 2.571),
        (6.0, 2.447),
        (7.0, 2.365),
        (8.0, 2.306),
        (9.0, 2.262),
        (10.0, 2.228),
        (11.0, 2.201),
        (12.0, 2.179),
        (13.0, 2.160),
        (14.0, 2.145),
        (16.0, 2.120),
        (18.0, 2.101),
        (20.0, 2.086),
        (30.0, 2.042),
        (60.0, 2.000),
        (120.0, 1.980),
    ];
    let listed = LISTED.iter().rev().find(|(from, _)| freedom >= *from);
    listed.map_or(12.706, |(_, t)| *t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A run whose level wanders from second to second, normal by its logarithm, with this correlation and a spread of 5 %; a value is the
    /// level times 1 and an exponential tenth. 20 s before, 30 s of the fault, 25 s after, `each` values a second.
    fn run(each: usize, correlation: f64, truth: f64, seed: u64) -> [Vec<Vec<u64>>; 2] {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut level = 0.0_f64;
        let mut second = |number: usize| {
            let normal = (-2.0 * (1.0 - draws.random::<f64>()).ln()).sqrt()
                * (std::f64::consts::TAU * draws.random::<f64>()).cos();
            let fresh = if number == 0 { 1.0 } else { (1.0 - correlation * correlation).sqrt() };
            level = correlation * level + 0.05 * fresh * normal;
            let scale = 1e6 * level.exp() * if (20..50).contains(&number) { truth } else { 1.0 };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
            let value = |draw: f64| (scale * (1.0 - 0.1 * (1.0 - draw).ln())) as u64;
            (0..each).map(|_| value(draws.random())).collect::<Vec<u64>>()
        };
        let mut seconds: Vec<Vec<u64>> = (0..75).map(&mut second).collect();
        let inside = seconds.drain(20..50).collect();
        [inside, seconds]
    }

    /// Of so many runs, in how many the interval holds the truth, and how many are called unaffected or affected at a margin of 0.1.
    fn shares(each: usize, correlation: f64, truth: f64) -> [f64; 3] {
        const RUNS: u64 = 300;
        let mut counts = [0; 3];
        for seed in 0..RUNS {
            let [inside, outside] = run(each, correlation, truth, seed);
            let Some(told) = quantile_ratio(&inside, &outside, 0.95) else { continue };
            counts[0] += u32::from(told.low <= truth && truth <= told.high);
            counts[1] += u32::from(told.low >= 0.9 && told.high <= 1.1);
            counts[2] += u32::from(told.high < 0.9 || told.low > 1.1);
        }
        counts.map(|count| f64::from(count) / RUNS as f64)
    }

    #[test]
    fn the_interval_holds_the_true_ratio_as_often_as_it_says_though_seconds_resemble_each_other() {
        for (correlation, least) in [(0.0, 0.95), (0.6, 0.94), (0.8, 0.91), (0.9, 0.88)] {
            for truth in [1.0, 1.2] {
                let [held, ..] = shares(40, correlation, truth);
                assert!(held >= least, "{held} at {correlation}, {truth}");
            }
        }
    }

    #[test]
    fn what_is_the_same_is_found_so_and_what_is_not_is_not() {
        let [_, unaffected, affected] = shares(40, 0.6, 1.0);
        assert!(unaffected > 0.6 && affected < 1e-9, "{unaffected} {affected}");
        let [_, unaffected, affected] = shares(40, 0.6, 1.3);
        assert!(unaffected < 1e-9 && affected > 0.9, "{unaffected} {affected}");
    }

    #[test]
    fn few_values_tell_nothing_and_are_never_called_affected() {
        // 30, 60 and 90 values: the p95 of a second is its largest value.
        for each in [1, 2, 3] {
            assert!(shares(each, 0.0, 1.0).iter().all(|share| *share < 1e-9), "{each}");
        }
        let [held, _, affected] = shares(4, 0.0, 1.0);
        assert!(held >= 0.95 && affected <= 0.01, "{held} {affected}");
    }

    #[test]
    fn too_little_tells_nothing() {
        let [inside, outside] = run(40, 0.0, 1.0, 1);
        assert!(quantile_ratio(&inside[..15], &outside, 0.95).is_some());
        assert_eq!(quantile_ratio(&inside[..14], &outside, 0.95), None, "two batches have no spread to speak of");
        assert_eq!(quantile_ratio(&inside, &vec![Vec::new(); 30], 0.95), None);
        assert_eq!(quantile_ratio(&[], &outside, 0.95), None);
    }

    #[test]
    fn what_takes_for_ever_has_no_ratio_once_it_reaches_the_quantile() {
        let with = |infinite: usize| {
            let second = |_| (0..40).map(|place| if place < infinite { u64::MAX } else { 500 }).collect();
            (0..30).map(second).collect::<Vec<Vec<u64>>>()
        };
        assert!(quantile_ratio(&with(1), &with(0), 0.95).is_some(), "2.5 % do not reach p95");
        assert_eq!(quantile_ratio(&with(40), &with(0), 0.95), None);
        assert_eq!(quantile_ratio(&with(0), &with(4), 0.95), None);
    }

    #[test]
    fn a_constant_time_has_the_ratio_one_exactly() {
        let constant = vec![vec![500; 10]; 20];
        let told = quantile_ratio(&constant, &constant, 0.95).unwrap();
        assert_eq!((told.ratio, told.low, told.high), (1.0, 1.0, 1.0));
    }

    #[test]
    fn welch_s_figures_are_those_of_a_worked_example() {
        // p95 of batches: 100, 110, 121 against 100, 100, 110 µs, whose logarithms are multiples of ln 1.1: means 1 and 1/3 of it,
        // variances of the means 1/3 and 1/9, 3.2 degrees of freedom.
        let side = |levels: [u64; 3]| levels.iter().flat_map(|level| vec![vec![*level; 10]; 5]).collect::<Vec<_>>();
        let told = quantile_ratio(&side([1000, 1100, 1210]), &side([1000, 1000, 1100]), 0.95).unwrap();
        let unit = 1.1_f64.ln();
        let margin = WIDENED * (4.0_f64 / 9.0).sqrt() * 3.182 * unit;
        let wanted = [2.0 / 3.0 * unit, 2.0 / 3.0 * unit - margin, 2.0 / 3.0 * unit + margin];
        for (told, wanted) in [told.ratio, told.low, told.high].into_iter().zip(wanted) {
            assert!((told.ln() - wanted).abs() < 1e-9, "{told} {wanted}");
        }
    }
}
