//! A histogram of durations with bounded memory and three significant digits, whatever the length of the run.

use super::encoding::{self, Saved};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// The longest duration kept apart: what is longer is recorded as this (an hour, far beyond any request timeout).
const LONGEST_US: u64 = 3_600_000_000;

/// Durations in microseconds with a relative error of at most 0.1 %.
///
/// Saved as the base64 text of `HdrHistogram`'s V2 deflate encoding, which the standard `HdrHistogram` tools read.
/// The exact sum is kept beside the buckets, so that means and totals carry no bucket error.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    buckets: hdrhistogram::Histogram<u64>,
    sum: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_US, 3)
            .expect("1 us to 1 h at 3 digits is a valid range");
        Self { buckets, sum: Duration::ZERO }
    }
}

impl Histogram {
    /// Adds one duration; below 1 us counts as 1 us, above an hour as an hour.
    pub fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US);
        self.buckets.saturating_record(micros.clamp(1, LONGEST_US));
        self.sum += duration;
    }

    /// Adds all that `other` holds.
    ///
    /// # Panics
    /// Never: all histograms have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.add(&other.buckets).expect("both histograms have the same fixed bounds");
        self.sum += other.sum;
    }

    /// Takes away what `part` holds, which was recorded here too.
    ///
    /// # Panics
    /// When `part` holds more of a duration than this does: that is a fault of the caller's.
    pub fn subtract(&mut self, part: &Self) {
        self.buckets.subtract(&part.buckets).expect("a part is no more than the whole");
        self.sum = self.sum.saturating_sub(part.sum);
    }

    /// How many durations were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.len()
    }

    /// The exact sum of what was recorded.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The exact mean, zero when empty.
    #[must_use]
    pub fn mean(&self) -> Duration {
        if self.count() == 0 { Duration::ZERO } else { self.sum.div_f64(self.count() as f64) }
    }

    /// The duration that the share `q` (0 to 1) of all recorded ones does not exceed; zero when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        if self.count() == 0 { Duration::ZERO } else { Duration::from_micros(self.buckets.value_at_quantile(q)) }
    }

    /// The longest duration, to bucket accuracy; zero when empty.
    #[must_use]
    pub fn max(&self) -> Duration {
        if self.count() == 0 { Duration::ZERO } else { Duration::from_micros(self.buckets.max()) }
    }

    /// The share (0 to 1) of durations that do not exceed `limit`; 1 when empty.
    #[must_use]
    pub fn share_within(&self, limit: Duration) -> f64 {
        if self.count() == 0 { 1.0 } else { self.count_within(limit) as f64 / self.count() as f64 }
    }

    /// How many durations do not exceed `limit`.
    #[must_use]
    pub fn count_within(&self, limit: Duration) -> u64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(LONGEST_US).min(LONGEST_US);
        self.buckets.count_between(0, micros)
    }

    /// The buckets as `HdrHistogram` has them, in microseconds: for the formats of its tools.
    #[must_use]
    pub fn as_hdr(&self) -> &hdrhistogram::Histogram<u64> {
        &self.buckets
    }

    /// The recorded buckets as (upper bound, count), shortest first.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.buckets
            .iter_recorded()
            .map(|step| (Duration::from_micros(step.value_iterated_to()), step.count_at_value()))
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Saved::of(&self.buckets, self.sum).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let saved = Saved::deserialize(deserializer)?;
        let mut histogram = Self::default();
        histogram.sum = saved.read_into(&mut histogram.buckets).map_err(serde::de::Error::custom)?;
        Ok(histogram)
    }
}

impl schemars::JsonSchema for Histogram {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Histogram".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        encoding::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for us in micros {
            histogram.record(Duration::from_micros(*us));
        }
        histogram
    }

    proptest! {
        #[test]
        fn merging_is_recording_everything_in_one(a in prop::collection::vec(1u64..LONGEST_US, 0..50), b in prop::collection::vec(1u64..LONGEST_US, 0..50)) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let together: Vec<u64> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(merged, of(&together));
        }

        #[test]
        fn what_is_left_of_a_whole_is_its_other_part(a in prop::collection::vec(1u64..LONGEST_US, 0..50), b in prop::collection::vec(1u64..LONGEST_US, 0..50)) {
            let mut whole = of(&a);
            whole.merge(&of(&b));
            whole.subtract(&of(&b));
            prop_assert_eq!(whole, of(&a));
        }

        #[test]
        fn what_is_saved_is_what_is_loaded(micros in prop::collection::vec(1u64..LONGEST_US, 0..50)) {
            let histogram = of(&micros);
            let text = serde_json::to_string(&histogram).unwrap();
            let loaded: Histogram = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(loaded.buckets, histogram.buckets);
        }
    }

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let histogram = of(&(1..=10_000).collect::<Vec<_>>());
        for (q, exact) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0)] {
            let told = histogram.quantile(q).as_micros() as f64;
            assert!((told - exact).abs() / exact < 0.001, "{q}: {told}");
        }
    }
}
