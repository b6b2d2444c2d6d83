//! A histogram of durations with two significant digits: a tenth of the memory of a full one, which a plot does not
//! notice. The series of a run keeps one for each of its intervals.

use super::encoding::{self, Saved};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// The longest duration told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Durations in microseconds with a relative error of at most 1 %, and their exact sum. Saved as a
/// [`Histogram`](super::Histogram) is.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    buckets: hdrhistogram::Histogram<u32>,
    sum: Duration,
}

impl Default for Sketch {
    fn default() -> Self {
        let buckets = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_US, 2)
            .expect("1 us to 1 h at 2 digits is a valid range");
        Self { buckets, sum: Duration::ZERO }
    }
}

impl Sketch {
    /// Adds one duration; below 1 us counts as 1 us, above an hour as an hour.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        self.buckets.saturating_record(micros.clamp(1, LONGEST_US));
        self.sum += time;
    }

    /// Adds all that `other` holds.
    ///
    /// # Panics
    /// Never: all sketches have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.add(&other.buckets).expect("both sketches have the same fixed bounds");
        self.sum += other.sum;
    }

    /// True when nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Milliseconds that the share `q` (0 to 1) does not exceed; zero when empty.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> f64 {
        if self.is_empty() { 0.0 } else { self.buckets.value_at_quantile(q) as f64 / 1e3 }
    }

    /// Counts by upper bound, on a scale of six steps to a decade; empty at neither end.
    #[must_use]
    pub fn bars(&self) -> Vec<(Duration, u64)> {
        let decades = (0..10).map(|decade| 10_u64.pow(decade));
        let mut bounds = decades.flat_map(|decade| [10, 15, 20, 30, 50, 70].map(|step| decade * step / 10));
        let mut bars: Vec<(Duration, u64)> = Vec::new();
        let mut bound = bounds.next().unwrap_or(LONGEST_US);
        for bucket in self.buckets.iter_recorded() {
            while bucket.value_iterated_to() > bound {
                bound = bounds.next().unwrap_or(u64::MAX);
                if !bars.is_empty() {
                    bars.push((Duration::from_micros(bound), 0));
                }
            }
            if bars.is_empty() {
                bars.push((Duration::from_micros(bound), 0));
            }
            if let Some((_, count)) = bars.last_mut() {
                *count += bucket.count_since_last_iteration();
            }
        }
        bars
    }

    /// The exact mean in milliseconds, zero when empty.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum.as_secs_f64() * 1e3 / self.buckets.len() as f64 }
    }
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Saved::of(&self.buckets, self.sum).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let saved = Saved::deserialize(deserializer)?;
        let mut sketch = Self::default();
        sketch.sum = saved.read_into(&mut sketch.buckets).map_err(serde::de::Error::custom)?;
        Ok(sketch)
    }
}

impl schemars::JsonSchema for Sketch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sketch".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        encoding::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_what_is_loaded_and_merging_loses_nothing() {
        let of = |times: std::ops::Range<u64>| {
            let mut sketch = Sketch::default();
            times.for_each(|ms| sketch.record(Duration::from_micros(ms * 777)));
            sketch
        };
        let text = serde_json::to_string(&of(1..500)).unwrap();
        let mut loaded: Sketch = serde_json::from_str(&text).unwrap();
        loaded.merge(&of(500..900));
        assert_eq!(loaded, of(1..900));
        assert!((loaded.quantile_ms(0.5) - 449.0 * 0.777).abs() < 4.0);
        assert!(serde_json::from_str::<Sketch>(&text.replace("499", "498")).is_err(), "a count that is not true");
    }
}
