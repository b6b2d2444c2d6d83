//! The value of a point, and what aligners and reducers make of several.

use crate::platform::sample::Distribution;
use serde_json::{Value as Json, json};

/// What a point holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Int64(i64),
    Double(f64),
    Distribution(Distribution),
}

impl Value {
    /// A count; more than Monitoring can hold stays at the most.
    pub(super) fn count(count: u64) -> Self {
        Self::Int64(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// The number; none for a distribution.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Int64(whole) => Some(*whole as f64),
            Self::Double(number) => Some(*number),
            Self::Distribution(_) => None,
        }
    }

    /// The sum of two values of one type; a distribution of both samples.
    pub(super) fn plus(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Int64(a), Self::Int64(b)) => Self::Int64(a.saturating_add(*b)),
            (Self::Distribution(a), Self::Distribution(b)) => Self::Distribution(merged(a, b)),
            (a, b) => Self::Double(a.number().unwrap_or(0.0) + b.number().unwrap_or(0.0)),
        }
    }

    /// Google's JSON: whole numbers as strings.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Int64(whole) => json!({"int64Value": whole.to_string()}),
            Self::Double(number) if number.is_finite() => json!({"doubleValue": number}),
            // Protocol buffers' JSON writes them as words; JSON itself has no such numbers.
            Self::Double(number) => json!({"doubleValue": not_finite(*number)}),
            Self::Distribution(distribution) => json!({"distributionValue": distribution_json(distribution)}),
        }
    }
}

fn not_finite(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn distribution_json(distribution: &Distribution) -> Json {
    let counts = &distribution.bucket_counts[..occupied(distribution)];
    let mut json = json!({"count": distribution.count.to_string()});
    if distribution.count > 0 {
        json["mean"] = mean(distribution).into();
        json["sumOfSquaredDeviation"] = distribution.sum_of_squared_deviation.into();
    }
    json["bucketOptions"] = json!({"exponentialBuckets": {
        "numFiniteBuckets": Distribution::FINITE_BUCKETS,
        "growthFactor": Distribution::GROWTH_FACTOR,
        "scale": distribution.scale,
    }});
    json["bucketCounts"] = counts.iter().map(u64::to_string).collect();
    json
}

/// Buckets up to the last that holds something; Monitoring leaves out the empty ones after it.
pub(super) fn occupied(distribution: &Distribution) -> usize {
    distribution.bucket_counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1)
}

/// Drops the empty buckets at the end, which are most of them, for the long storage.
pub(super) fn trimmed(mut distribution: Distribution) -> Distribution {
    let occupied = occupied(&distribution);
    distribution.bucket_counts.truncate(occupied);
    distribution.bucket_counts.shrink_to_fit();
    distribution
}

pub(super) fn mean(distribution: &Distribution) -> f64 {
    if distribution.count == 0 { 0.0 } else { distribution.sum / distribution.count as f64 }
}

/// The distribution of both samples together (Chan's formula for the deviation).
fn merged(mut a: Distribution, b: &Distribution) -> Distribution {
    let count = a.count + b.count;
    if count > 0 {
        let apart = mean(b) - mean(&a);
        let weight = a.count as f64 * b.count as f64 / count as f64;
        a.sum_of_squared_deviation += b.sum_of_squared_deviation + apart * apart * weight;
    }
    a.count = count;
    a.sum += b.sum;
    if a.bucket_counts.len() < b.bucket_counts.len() {
        a.bucket_counts.resize(b.bucket_counts.len(), 0);
    }
    for (ours, theirs) in a.bucket_counts.iter_mut().zip(&b.bucket_counts) {
        *ours += theirs;
    }
    a
}

/// The value below which `share` (0 to 1) of the sample lies, evenly spread within its bucket, as Monitoring computes
/// it: never more exact than the buckets.
pub(super) fn quantile(distribution: &Distribution, share: f64) -> Option<f64> {
    let total: u64 = distribution.bucket_counts.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = share * total as f64;
    let mut below = 0.0;
    for (bucket, count) in distribution.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let here = *count as f64;
        if below + here >= wanted {
            let (lower, upper) = bounds(bucket, distribution.scale);
            return Some(lower + (upper - lower) * ((wanted - below) / here).clamp(0.0, 1.0));
        }
        below += here;
    }
    None
}

/// Of a bucket; the overflow bucket is as narrow as can be.
fn bounds(bucket: usize, scale: f64) -> (f64, f64) {
    let bound = |power: usize| scale * Distribution::GROWTH_FACTOR.powf(power as f64);
    match bucket {
        0 => (0.0, scale),
        bucket if bucket > Distribution::FINITE_BUCKETS => (bound(bucket - 1), bound(bucket - 1)),
        bucket => (bound(bucket - 1), bound(bucket)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.record(*value);
        }
        distribution
    }

    proptest! {
        #[test]
        fn merging_is_recording_everything_into_one(
            a in prop::collection::vec(0.0..1e6, 0..40),
            b in prop::collection::vec(0.0..1e6, 0..40),
        ) {
            let both = of(&[a.clone(), b.clone()].concat());
            let merged = merged(trimmed(of(&a)), &trimmed(of(&b)));
            prop_assert_eq!(merged.count, both.count);
            prop_assert!((merged.sum - both.sum).abs() <= 1e-9 * both.sum);
            let (ours, theirs) = (merged.sum_of_squared_deviation, both.sum_of_squared_deviation);
            prop_assert!((ours - theirs).abs() <= 1e-6 * theirs.max(1.0));
            prop_assert_eq!(trimmed(merged).bucket_counts, trimmed(both).bucket_counts);
        }

        #[test]
        fn a_quantile_is_within_a_bucket_of_the_samples(values in prop::collection::vec(0.02..1e5, 1..200)) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            for percent in [5_usize, 50, 95, 99] {
                let exact = sorted[(percent * values.len()).div_ceil(100) - 1];
                let read = quantile(&of(&values), percent as f64 / 100.0).unwrap();
                prop_assert!(read / exact < 1.11 && exact / read < 1.11, "{read} for {exact}");
            }
        }
    }
}
