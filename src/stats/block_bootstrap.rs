//! Whether a quantile is the same in two stretches of one run: the ratio of the two with a confidence interval.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resamples: the ends of a 95 % interval then lie on some fifty of them.
const RESAMPLES: u32 = 2000;
/// Confidence of the interval.
const CONFIDENCE: f64 = 0.95;
/// Fewer seconds than this on either side tell nothing of how seconds differ.
const SECONDS_MIN: usize = 8;

/// A ratio of two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileRatio {
    /// The quantile of the one over that of the other.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The `q`-quantile of `inside` over that of `outside`, with a 95 % interval by the circular block bootstrap (Politis and
/// Romano, 1992): each resample draws, on each side, blocks of neighbouring seconds until it has as many seconds as there
/// were, and takes the quantile of all their values; the interval is that of the percentiles of the resampled ratios.
/// Blocks, because neighbouring seconds resemble each other (a queue that is long now is long in a second); their length
/// is the cube root of the number of seconds (Hall, Horowitz and Jing, 1995). One run is one sample of the world all
/// the same: what differs from run to run is not in the interval.
///
/// Each element of `inside` and `outside` holds the values of one second, in any order; `u64::MAX` is infinite. `None` when a
/// side has too few seconds, or no values, and when the ratio or an end of the interval is not finite.
#[must_use]
pub fn quantile_ratio(inside: &[Vec<u64>], outside: &[Vec<u64>], q: f64, seed: u64) -> Option<QuantileRatio> {
    let (one, other) = (Side::of(inside)?, Side::of(outside)?);
    let number = |value: u64| if value == u64::MAX { f64::INFINITY } else { value.max(1) as f64 };
    let ratio_of = |one: Option<u64>, other: Option<u64>| Some(number(one?) / number(other?));
    let ratio = ratio_of(one.quantile(&vec![1; one.seconds], q), other.quantile(&vec![1; other.seconds], q))?;
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let (counts, others) = (one.draw(&mut draws), other.draw(&mut draws));
            ratio_of(one.quantile(&counts, q), other.quantile(&others, q))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short list's length")]
    let at = |share: f64| ratios.get((share * (ratios.len() - 1) as f64).round() as usize).copied();
    if ratios.is_empty() {
        return None;
    }
    let told = QuantileRatio { ratio, low: at(tail)?, high: at(1.0 - tail)? };
    let is_finite = [told.ratio, told.low, told.high].iter().all(|end| end.is_finite() && *end > 0.0);
    is_finite.then_some(told)
}

/// All values of a side, ascending, each with its second.
struct Side {
    values: Vec<(u64, usize)>,
    seconds: usize,
}

impl Side {
    fn of(by_second: &[Vec<u64>]) -> Option<Self> {
        let seconds = by_second.len();
        let mut values: Vec<(u64, usize)> = by_second
            .iter()
            .enumerate()
            .flat_map(|(second, values)| values.iter().map(move |value| (*value, second)))
            .collect();
        values.sort_unstable();
        (seconds >= SECONDS_MIN && !values.is_empty()).then_some(Self { values, seconds })
    }

    /// How often each second is drawn.
    fn draw(&self, draws: &mut impl Rng) -> Vec<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cube root is smaller")]
        let length = (self.seconds as f64).cbrt().ceil() as usize;
        let mut counts = vec![0; self.seconds];
        let mut left = self.seconds;
        while left > 0 {
            let start = draws.random_range(0..self.seconds);
            let block = length.min(left);
            for place in start..start + block {
                counts[place % self.seconds] += 1;
            }
            left -= block;
        }
        counts
    }

    /// The smallest value that the share `q` does not exceed, each second counted as often as `counts` says.
    fn quantile(&self, counts: &[u32], q: f64) -> Option<u64> {
        let all: u64 = self.values.iter().map(|(_, second)| u64::from(counts[*second])).sum();
        let wanted = q * all as f64;
        let mut passed = 0;
        let reached = self.values.iter().find(|(_, second)| {
            passed += u64::from(counts[*second]);
            passed > 0 && passed as f64 >= wanted
        });
        reached.map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of `each` values: exponential, times a level that wanders from second to second with correlation 0.6.
    fn seconds(count: usize, each: usize, scale: f64, seed: u64) -> Vec<Vec<u64>> {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut level = 0.0_f64;
        (0..count)
            .map(|_| {
                level = 0.6 * level + 0.1 * (draws.random::<f64>() - 0.5);
                let value = |draw: f64| 1e5 * scale * level.exp() * (0.5 - 0.1 * (1.0 - draw).ln());
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
                (0..each).map(|_| value(draws.random()) as u64).collect()
            })
            .collect()
    }

    /// The true ratio is 1.2: the interval holds it about as often as it says. Percentile intervals of few blocks hold a
    /// little less.
    #[test]
    fn the_interval_holds_the_true_ratio_about_as_often_as_it_says() {
        let held = (0..60)
            .filter(|run| {
                let (inside, outside) = (seconds(30, 40, 1.2, 2 * run), seconds(60, 40, 1.0, 2 * run + 1));
                let told = quantile_ratio(&inside, &outside, 0.95, *run).unwrap();
                assert!(told.low <= told.ratio && told.ratio <= told.high, "{told:?}");
                told.low <= 1.2 && 1.2 <= told.high
            })
            .count();
        assert!((51..=60).contains(&held), "{held} of 60 intervals hold it");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_equal_sides_hold_one() {
        let (inside, outside) = (seconds(30, 40, 1.0, 1), seconds(40, 40, 1.0, 2));
        let told = quantile_ratio(&inside, &outside, 0.95, 7).unwrap();
        assert_eq!(quantile_ratio(&inside, &outside, 0.95, 7), Some(told));
        assert!(told.low < 1.0 && 1.0 < told.high, "{told:?}");
    }

    #[test]
    fn too_few_seconds_tell_nothing() {
        let long = seconds(30, 40, 1.0, 1);
        assert_eq!(quantile_ratio(&long[..7], &long, 0.95, 1), None);
        assert_eq!(quantile_ratio(&long, &vec![Vec::new(); 30], 0.95, 1), None);
    }

    #[test]
    fn what_takes_for_ever_has_no_ratio_once_it_reaches_the_quantile() {
        let with = |infinite: usize| {
            let second = |_| (0..40).map(|place| if place < infinite { u64::MAX } else { 500 }).collect();
            (0..30).map(second).collect::<Vec<Vec<u64>>>()
        };
        assert!(quantile_ratio(&with(1), &with(0), 0.95, 1).is_some(), "2.5 % do not reach p95");
        assert_eq!(quantile_ratio(&with(40), &with(0), 0.95, 1), None);
        assert_eq!(quantile_ratio(&with(0), &with(4), 0.95, 1), None);
        assert_eq!(quantile_ratio(&with(4), &with(4), 0.95, 1), None);
    }

    #[test]
    fn a_constant_time_has_the_ratio_one_exactly() {
        let constant = vec![vec![500; 10]; 20];
        let told = quantile_ratio(&constant, &constant, 0.95, 1).unwrap();
        assert_eq!((told.ratio, told.low, told.high), (1.0, 1.0, 1.0));
    }
}
