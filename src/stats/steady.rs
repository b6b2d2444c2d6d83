//! Whether a series has reached its steady state, and from where on.

use std::fmt;

/// How many consecutive values are averaged before MSER looks at them.
const BATCH: usize = 5;
/// MSER-5 looks at batches: below this many of them its minimum is mostly chance, so shorter series are only tested for
/// a trend. Nor is a trend looked for in fewer where MSER found no end of the warm-up.
const BATCHES_MIN: usize = 10;
/// Below this many values even a strict trend would often be chance, so nothing is judged.
const POINTS_MIN: usize = 10;
/// Two-sided 1 % quantile of the normal distribution. MSER keeps the stretch that looks best, and neighbouring values
/// resemble each other, so that of steady series up to two in a hundred are called a trend: each costs one repeat.
const Z_TREND: f64 = 2.576;
/// What bends, as a warm-up does, lies on one side of its slope for long, which looks like resemblance and is the trend
/// itself: it is not taken for more than this.
const RESEMBLANCE_MAX: f64 = 0.6;
/// The share of a series' squares below which what is left about its slope is the rounding of its values.
const ROUNDING: f64 = 1e-20;
/// A trend that moves the series by less than this share of its median over its whole length is not worth a repeat.
const DRIFT_SHARE_MIN: f64 = 0.10;

/// What a series of a hold stage shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steadiness {
    /// No trend from `from` on.
    Steady {
        /// How many values at the start belong to the warm-up.
        from: usize,
    },
    /// The series was still moving at its end.
    Unsteady {
        /// By how much it moved over its judged length, as a share of its median: 0.25 rose by a quarter.
        drift_share: f64,
    },
    /// Too few values to tell steady from unsteady. This is no reason to distrust a trial.
    TooShort {
        /// How many there were.
        points: usize,
        /// How many it takes.
        needed: usize,
    },
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady { from: 0 } => write!(f, "steady from its start"),
            Self::Steady { from } => write!(f, "steady after its first {from} values"),
            Self::Unsteady { drift_share } => {
                let direction = if *drift_share < 0.0 { "fell" } else { "rose" };
                write!(f, "it {direction} by {:.0} % of its median and was still moving", drift_share.abs() * 100.0)
            }
            Self::TooShort { points, needed } => write!(f, "too short to judge: {points} values of {needed} needed"),
        }
    }
}

/// Judges a series of equally long intervals, such as the mean response time of each second of a hold stage.
///
/// With 50 values or more, MSER-5 (White, 1997) finds the warm-up: batches of five are averaged and as many are cut as
/// make the squared standard error of the rest smallest. What is left, or a shorter series as a whole, is then tested
/// for a trend: Mann and Kendall's test at 1 %, and Theil and Sen's slope must move the series by a tenth of its median
/// over its length, so that a long series is not refused for a drift that changes no decision. Both look at ranks and
/// medians, so that single outliers do not matter. Values that resemble the one before them make runs that look like a trend:
/// the test's variance is that of as many independent ones, by the correlation of neighbours about the slope (Bayley and
/// Hammersley, 1946: (1 + r) / (1 − r) times as much, as if it fell off geometrically). Below ten values nothing is judged.
///
/// A cut that reaches half of the series, which is as far as MSER may look, means that it found no end of the warm-up.
/// Of fewer than a hundred values it would leave too few batches for any trend to be significant (even five that do
/// nothing but rise are not), so at that limit no fewer than the last ten batches are tested.
///
/// Assumes finite values.
#[must_use]
pub fn steady_state(series: &[f64]) -> Steadiness {
    let points = series.len();
    if points < POINTS_MIN {
        return Steadiness::TooShort { points, needed: POINTS_MIN };
    }
    if points < BATCH * BATCHES_MIN {
        return match trend(series) {
            Some(drift_share) => Steadiness::Unsteady { drift_share },
            None => Steadiness::Steady { from: 0 },
        };
    }
    let batches: Vec<f64> = series.chunks_exact(BATCH).map(mean_of).collect();
    let cut = mser(&batches);
    let at_limit = cut == batches.len() / 2;
    let judged_from = if at_limit { cut.min(batches.len() - BATCHES_MIN) } else { cut };
    match trend(&batches[judged_from..]) {
        Some(drift_share) => Steadiness::Unsteady { drift_share },
        None => Steadiness::Steady { from: cut * BATCH },
    }
}

/// How many batches to cut: the `d` up to half of them that makes Σ(z − mean)² / (k − d)² smallest.
fn mser(batches: &[f64]) -> usize {
    let mut best = (0, f64::INFINITY);
    for cut in 0..=batches.len() / 2 {
        let kept = &batches[cut..];
        let mean = mean_of(kept);
        let squares: f64 = kept.iter().map(|value| (value - mean).powi(2)).sum();
        let error = squares / (kept.len() as f64).powi(2);
        if error < best.1 {
            best = (cut, error);
        }
    }
    best.0
}

/// The drift over the whole series as a share of its median, if it is both significant and worth noting.
fn trend(series: &[f64]) -> Option<f64> {
    let n = series.len() as f64;
    let mut concordance = 0.0;
    let mut slopes = Vec::with_capacity(series.len() * series.len() / 2);
    for (i, earlier) in series.iter().enumerate() {
        for (gap, later) in series[i + 1..].iter().enumerate() {
            let rise = later - earlier;
            concordance += if rise > 0.0 {
                1.0
            } else if rise < 0.0 {
                -1.0
            } else {
                0.0
            };
            slopes.push(rise / (gap + 1) as f64);
        }
    }
    // Ties only make the true variance smaller than this one, so the test errs towards "no trend".
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let slope = median(&mut slopes);
    let resemblance = resemblance(series, slope);
    let deviation = deviation * ((1.0 + resemblance) / (1.0 - resemblance)).sqrt();
    // Continuity correction: the count moves in steps of two.
    let z = (f64::abs(concordance) - 1.0).max(0.0) / deviation;
    let drift = slope * (n - 1.0);
    let level = median(&mut series.to_vec()).abs();
    let share = if level > 0.0 { drift / level } else { drift.signum() * f64::from(drift != 0.0) };
    (z > Z_TREND && share.abs() > DRIFT_SHARE_MIN).then_some(share)
}

/// The correlation of neighbours in `series` about a line of this slope: 0 where they differ more than by chance, and never
/// so much that no trend of as many values could be significant.
fn resemblance(series: &[f64], slope: f64) -> f64 {
    let mut rests: Vec<f64> = series.iter().enumerate().map(|(at, value)| value - slope * at as f64).collect();
    let level = mean_of(&rests);
    for rest in &mut rests {
        *rest -= level;
    }
    let squares: f64 = rests.iter().map(|rest| rest * rest).sum();
    // What rounding leaves of a line resembles itself.
    if squares <= ROUNDING * series.iter().map(|value| value * value).sum::<f64>() {
        return 0.0;
    }
    let products: f64 = rests.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (products / squares).clamp(0.0, RESEMBLANCE_MAX)
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    const RUNS: usize = 400;

    /// `1 + height · exp(−t / settle_s)` with normal noise of 10 % that remembers `memory` of the last second's.
    fn series(seed: u64, seconds: usize, (height, settle_s): (f64, f64), memory: f64) -> Vec<f64> {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        let mut noise = 0.0;
        (0..seconds)
            .map(|t| {
                // The sum of twelve uniforms less six is normal to within what matters here.
                let fresh = (0..12).map(|_| draws.random::<f64>()).sum::<f64>() - 6.0;
                noise = memory * noise + (1.0 - memory * memory).sqrt() * 0.1 * fresh;
                1.0 + height * (-(t as f64) / settle_s).exp() + noise
            })
            .collect()
    }

    /// Cuts of the runs that were found steady, sorted, and how many were not.
    fn cuts(seconds: usize, transient: (f64, f64), memory: f64) -> (Vec<usize>, usize) {
        let mut cuts = Vec::new();
        for seed in 0..RUNS as u64 {
            if let Steadiness::Steady { from } = steady_state(&series(seed, seconds, transient, memory)) {
                cuts.push(from);
            }
        }
        cuts.sort_unstable();
        let unsteady = RUNS - cuts.len();
        (cuts, unsteady)
    }

    #[test]
    fn a_transient_that_ends_is_cut_where_published_runs_cut_it() {
        // Transient, share by which it biases the mean of all 180 s, and MSER-5's median cut.
        for (transient, bias_before, median_cut) in
            [((1.0, 5.0), 0.030, 15), ((1.0, 15.0), 0.085, 40), ((3.0, 15.0), 0.259, 55), ((0.0, 1.0), 0.0, 0)]
        {
            let (cuts, unsteady) = cuts(180, transient, 0.3);
            assert!(unsteady <= RUNS / 50, "{transient:?}: {unsteady}");
            let bias_from = |cut: usize| {
                let tail = (cut..180).map(|t| transient.0 * (-(t as f64) / transient.1).exp());
                tail.sum::<f64>() / (180 - cut) as f64
            };
            assert!((bias_from(0) - bias_before).abs() < 0.005, "{transient:?}: {}", bias_from(0));
            let bias = cuts.iter().map(|cut| bias_from(*cut)).sum::<f64>() / cuts.len() as f64;
            assert!(bias < 0.01, "{transient:?}: {bias}");
            assert!(cuts[cuts.len() / 2].abs_diff(median_cut) <= BATCH, "{transient:?}: {}", cuts[cuts.len() / 2]);
        }
    }

    #[test]
    fn a_transient_as_long_as_the_series_is_unsteady() {
        let unsteady = cuts(180, (1.0, 60.0), 0.3).1;
        assert!(unsteady > RUNS / 2, "{unsteady}");
        assert!(cuts(40, (1.0, 15.0), 0.0).1 > RUNS * 95 / 100);
    }

    #[test]
    fn a_steady_series_is_called_unsteady_at_most_twice_in_a_hundred() {
        for (seconds, memory) in [(10, 0.0), (12, 0.0), (20, 0.0), (40, 0.0), (60, 0.5), (180, 0.5)] {
            let (cuts, unsteady) = cuts(seconds, (0.0, 1.0), memory);
            assert!(unsteady <= RUNS / 50, "{seconds}: {unsteady}");
            assert_eq!(cuts[cuts.len() / 2], 0, "{seconds}");
        }
    }

    #[test]
    fn seconds_that_resemble_each_other_are_no_trend() {
        // Without regard to it, 6 to 16 and 16 to 35 in a hundred were called one.
        for (memory, at_most) in [(0.3, 4), (0.6, 6), (0.8, 9)] {
            for seconds in [20, 30, 48] {
                let unsteady = cuts(seconds, (0.0, 1.0), memory).1;
                assert!(unsteady <= RUNS * at_most / 100, "{seconds} s, {memory}: {unsteady} of {RUNS}");
            }
        }
    }

    #[test]
    fn a_rise_that_mser_would_cut_to_its_limit_is_unsteady_at_every_length() {
        for points in 10..=240_u32 {
            // From 100 to 600, alone and with noise that leaves hardly any two batches out of order.
            let line = |t: u32| 100.0 + 500.0 * f64::from(t) / f64::from(points - 1);
            let wobbling = |t: u32| line(t) + if t.is_multiple_of(2) { 40.0 } else { -40.0 };
            for series in [(0..points).map(line).collect::<Vec<_>>(), (0..points).map(wobbling).collect()] {
                let falling: Vec<f64> = series.iter().rev().copied().collect();
                for (series, direction) in [(series, 1.0), (falling, -1.0)] {
                    let judged = steady_state(&series);
                    assert!(
                        matches!(judged, Steadiness::Unsteady { drift_share } if drift_share * direction > 0.1),
                        "{points} points: {judged:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_short_series_is_not_judged_however_it_looks() {
        let rising: Vec<f64> = (0..9).map(f64::from).collect();
        assert_eq!(steady_state(&rising), Steadiness::TooShort { points: 9, needed: 10 });
        assert_eq!(steady_state(&[]), Steadiness::TooShort { points: 0, needed: 10 });
        assert_eq!(steady_state(&rising).to_string(), "too short to judge: 9 values of 10 needed");
    }

    #[test]
    fn a_trend_is_told_with_its_size_and_direction() {
        let rising: Vec<f64> = (0..11).map(|t| 100.0 + 5.0 * f64::from(t)).collect();
        let judged = steady_state(&rising);
        assert!(
            matches!(judged, Steadiness::Unsteady { drift_share } if (drift_share - 0.4).abs() < 1e-12),
            "{judged:?}"
        );
        assert_eq!(judged.to_string(), "it rose by 40 % of its median and was still moving");
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        assert_eq!(steady_state(&falling).to_string(), "it fell by 40 % of its median and was still moving");
    }

    #[test]
    fn a_trend_too_small_to_matter_and_a_constant_are_steady() {
        let creeping: Vec<f64> = (0..40).map(|t| 100.0 + 0.1 * f64::from(t)).collect();
        assert_eq!(steady_state(&creeping), Steadiness::Steady { from: 0 });
        for constant in [0.0, 7.0] {
            assert_eq!(steady_state(&[constant; 30]), Steadiness::Steady { from: 0 });
            assert_eq!(steady_state(&[constant; 90]), Steadiness::Steady { from: 0 });
        }
    }

    #[test]
    fn one_outlier_is_no_trend() {
        let mut series = [100.0; 20];
        series[19] = 10_000.0;
        assert_eq!(steady_state(&series), Steadiness::Steady { from: 0 });
    }

    proptest! {
        #[test]
        fn the_unit_of_the_series_does_not_matter(values in prop::collection::vec(1.0..1000.0, 0..120)) {
            let thousandfold: Vec<f64> = values.iter().map(|value| value * 1024.0).collect();
            prop_assert_eq!(steady_state(&values), steady_state(&thousandfold));
        }

        #[test]
        fn never_more_than_half_is_cut(values in prop::collection::vec(0.0..1000.0, 0..200)) {
            if let Steadiness::Steady { from } = steady_state(&values) {
                prop_assert!(2 * from <= values.len());
            }
        }
    }
}
