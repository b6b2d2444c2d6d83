//! What the platform tells of a revision for one sampling period.

use super::ending::Ending;
use super::probe_book::{ProbeOutcome, ProbeTimes};
use std::collections::BTreeMap;

/// One period of one revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevisionSample {
    /// Service.
    pub service: String,
    /// Revision, short name.
    pub revision: String,
    /// Seconds billed, summed over instances, already in 100 ms slices.
    pub billable_instance_time_s: f64,
    /// The same before rounding to slices: the meter's raw integral (local only, not in Google's metric list).
    pub busy_instance_time_s: f64,
    /// Active instances now.
    pub instances_active: u64,
    /// Idle instances now.
    pub instances_idle: u64,
    /// Requests that reached an instance and ended, by status.
    pub requests: BTreeMap<u16, u64>,
    /// Their times in an instance, milliseconds, by status.
    pub request_latencies_ms: BTreeMap<u16, Distribution>,
    /// Their times waiting for an instance, milliseconds, by status.
    pub pending_ms: BTreeMap<u16, Distribution>,
    /// Start-up times of instances that became ready, milliseconds.
    pub startup_latencies_ms: Distribution,
    /// Each instance's CPU utilisation (0 to 1 of its vCPUs).
    pub cpu_utilizations: Distribution,
    /// Each instance's memory utilisation (0 to 1 of its limit).
    pub memory_utilizations: Distribution,
    /// Each active instance's largest number of simultaneous requests.
    pub max_request_concurrencies: Distribution,
    /// Requests waiting for an instance now.
    pub pending_requests: u64,
    /// How many instances ended, by how (local only, not in Google's metric list).
    pub endings: BTreeMap<Ending, u64>,
    /// Their times from the platform's door to the end of the answer, milliseconds, by status.
    pub e2e_latencies_ms: BTreeMap<u16, Distribution>,
    /// vCPU-seconds that were set aside for instances while their time was billed.
    pub cpu_allocation_vcpu_s: f64,
    /// GiB-seconds of memory, likewise.
    pub memory_allocation_gib_s: f64,
    /// Instances that each scaling driver asked for at the last tick; none before the first one.
    pub recommended_instances: Option<Recommended>,
    /// Each instance's use of CPU, in vCPUs.
    pub cpu_usage_vcpu: Distribution,
    /// Each instance's use of memory, in bytes.
    pub memory_usage_bytes: Distribution,
    /// Bytes that the ingress and the instances have exchanged.
    pub network_bytes: NetworkBytes,
    /// Probes that completed, by what they were and how they ended.
    pub probes: BTreeMap<ProbeOutcome, ProbeTimes>,
}

/// Bytes as the instances see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkBytes {
    /// Of requests.
    pub received: u64,
    /// Of answers.
    pub sent: u64,
}

/// What each scaling driver alone asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recommended {
    /// By the use of CPU.
    pub by_cpu: u32,
    /// By requests in flight.
    pub by_concurrency: u32,
}

/// A distribution as Monitoring holds it: exact count, mean and deviation, and exponential buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Sum of squared deviations from the mean (Welford's).
    pub sum_of_squared_deviation: f64,
    /// Lower bound of the first finite bucket; bucket i (from 1) is `[scale·GROWTH^(i−1), scale·GROWTH^i)`.
    pub scale: f64,
    /// Counts of the underflow bucket, the finite ones, and the overflow bucket, up to the last that counted any: most
    /// distributions of most revisions are empty, and take no memory.
    pub bucket_counts: Vec<u64>,
}

impl Distribution {
    /// Number of finite buckets.
    pub const FINITE_BUCKETS: usize = 200;
    /// Each bucket is this much wider than the one before: quantiles read from buckets are within 10 %.
    pub const GROWTH_FACTOR: f64 = 1.1;
    /// The first bucket's lower bound where nothing else is said: the last one's upper bound is 1.9 million.
    pub const SCALE: f64 = 0.01;
    /// The first bucket's lower bound of amounts of memory: the last one's upper bound is 180 GiB.
    pub const SCALE_OF_BYTES: f64 = 1024.0;

    /// An empty one whose first finite bucket begins at `scale`.
    #[must_use]
    pub fn from_scale(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }

    /// Adds a value.
    pub fn record(&mut self, value: f64) {
        let mean_before = if self.count == 0 { 0.0 } else { self.sum / self.count as f64 };
        self.count += 1;
        self.sum += value;
        self.sum_of_squared_deviation += (value - mean_before) * (value - self.sum / self.count as f64);
        let bucket = self.bucket_of(value);
        if self.bucket_counts.len() <= bucket {
            self.bucket_counts.resize(bucket + 1, 0);
        }
        self.bucket_counts[bucket] += 1;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of buckets")]
    fn bucket_of(&self, value: f64) -> usize {
        if value < self.scale {
            return 0;
        }
        let place = (value / self.scale).ln() / Self::GROWTH_FACTOR.ln();
        (place.floor().clamp(0.0, Self::FINITE_BUCKETS as f64) as usize) + 1
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, sum_of_squared_deviation: 0.0, scale: Self::SCALE, bucket_counts: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_bucket_whose_bounds_hold_it() {
        for value in [0.001, 0.01, 0.5, 99.9, 1e4, 1e12] {
            let mut distribution = Distribution::default();
            distribution.record(value);
            let bucket = distribution.bucket_counts.iter().position(|count| *count == 1).unwrap();
            let bound = |i: usize| Distribution::SCALE * Distribution::GROWTH_FACTOR.powi(i32::try_from(i).unwrap());
            match bucket {
                0 => assert!(value < bound(0)),
                last if last == Distribution::FINITE_BUCKETS + 1 => {
                    assert!(value >= bound(Distribution::FINITE_BUCKETS));
                }
                i => assert!(bound(i - 1) <= value * (1.0 + 1e-12) && value < bound(i), "{value} in {i}"),
            }
        }
    }

    #[test]
    fn the_deviation_is_welfords() {
        let mut distribution = Distribution::default();
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            distribution.record(value);
        }
        assert_eq!(distribution.sum / distribution.count as f64, 5.0);
        assert!((distribution.sum_of_squared_deviation - 32.0).abs() < 1e-9);
    }
}
