//! From points to usage: pure functions of what was fetched, whatever the order and the pages it came in.

use super::monitoring::{Metric, Reading, Sampling, Value};
use crate::scenario::Billing;
use crate::trial::{Usage, UsageSample};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Whose usage, and when its load was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageWindow {
    /// The revision, by its short name.
    pub revision: String,
    /// From here on it may have been billed: when its deployment began.
    pub since: Timestamp,
    /// When the load (set-up steps not included) started: the origin of the series.
    pub load_start: Timestamp,
    /// When its last request ended.
    pub load_end: Timestamp,
    /// What is billed.
    pub billing: Billing,
}

/// All points of a revision, by metric. A metric that the platform does not know is absent.
pub(super) type Fetched = BTreeMap<Metric, Vec<Reading>>;

/// Usage from what was fetched: in any order, on any pages, each point counted once.
pub(super) fn conclude(window: &UsageWindow, sampling: Sampling, fetched: &Fetched) -> Usage {
    let all = |metric: Metric| unique(fetched.get(&metric).map(Vec::as_slice).unwrap_or_default());
    let billable = all(Metric::BillableInstanceTime);
    let counts = all(Metric::RequestCount);
    let startups = all(Metric::StartupLatencies);
    let starts: u64 = startups.iter().map(|reading| count_of(reading.value)).sum();
    Usage {
        revision: window.revision.clone(),
        billable_instance_time_s: sum(&billable),
        idle_tail_s: match window.billing {
            Billing::Request => 0.0,
            Billing::Instance => billable.iter().map(|reading| billed_after(reading, window.load_end)).sum(),
        },
        requests: requests_by_status(&counts),
        request_latencies_sum_s: sum(&all(Metric::RequestLatencies)) / 1000.0,
        pending_sum_s: sum(&all(Metric::Pending)) / 1000.0,
        instance_starts: (!startups.is_empty()).then_some(starts),
        startup_mean_s: (starts > 0).then(|| sum(&startups) / 1000.0 / starts as f64),
        samples: samples(window, sampling, fetched),
    }
}

/// Each point once: the same series at the same time is the same point, wherever it stood.
fn unique(readings: &[Reading]) -> Vec<&Reading> {
    let by_place: BTreeMap<_, _> = readings.iter().map(|reading| ((reading.end, &reading.labels), reading)).collect();
    by_place.into_values().collect()
}

fn sum(readings: &[&Reading]) -> f64 {
    readings.iter().map(|reading| reading.value.total()).sum()
}

/// The part of a sample that was billed after `moment`, as if billed evenly: idle instances are.
fn billed_after(reading: &Reading, moment: Timestamp) -> f64 {
    let length_s = reading.end.duration_since(reading.start).as_secs_f64();
    let after_s = reading.end.duration_since(moment).as_secs_f64();
    if after_s <= 0.0 {
        0.0
    } else if length_s <= after_s {
        reading.value.total()
    } else {
        reading.value.total() * after_s / length_s
    }
}

fn requests_by_status(counts: &[&Reading]) -> BTreeMap<String, u64> {
    let mut requests = BTreeMap::new();
    for reading in counts {
        let status = reading.labels.get("response_code").map_or("unknown", String::as_str);
        *requests.entry(status.to_owned()).or_insert(0) += count_of(reading.value);
    }
    requests.retain(|_, count| *count > 0);
    requests
}

/// A whole number, or how many values a distribution holds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative; `as` saturates"
)]
fn count_of(value: Value) -> u64 {
    match value {
        Value::Number(number) => number.round() as u64,
        Value::Distribution { count, .. } => count,
    }
}

/// The series: points of all metrics that end in the same period make one sample.
fn samples(window: &UsageWindow, sampling: Sampling, fetched: &Fetched) -> Vec<UsageSample> {
    let period_s = sampling.period.as_secs_f64();
    let origin = window.load_start;
    let end_s = |reading: &Reading| reading.end.duration_since(origin).as_secs_f64();
    // Billed samples show where the grid lies.
    let billable = fetched.get(&Metric::BillableInstanceTime).and_then(|readings| readings.first());
    let phase_s = billable.map_or(0.0, |reading| end_s(reading).rem_euclid(period_s));
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and a trial is no 2^63 periods away")]
    let place = |reading: &Reading| ((end_s(reading) - phase_s) / period_s).round() as i64;
    let mut by_place: BTreeMap<i64, BTreeMap<Metric, Vec<&Reading>>> = BTreeMap::new();
    for (metric, readings) in fetched {
        for reading in unique(readings) {
            by_place.entry(place(reading)).or_default().entry(*metric).or_default().push(reading);
        }
    }
    let sample = |(place, metrics): (i64, BTreeMap<Metric, Vec<&Reading>>)| {
        let of = |metric: Metric| metrics.get(&metric).map(Vec::as_slice).unwrap_or_default();
        UsageSample {
            end_s: place as f64 * period_s + phase_s,
            period_s,
            billable_s: sum(of(Metric::BillableInstanceTime)),
            instances_active: instances(of(Metric::InstanceCount), "active"),
            instances_idle: instances(of(Metric::InstanceCount), "idle"),
            requests: of(Metric::RequestCount).iter().map(|reading| count_of(reading.value)).sum(),
            cpu_utilization_mean: mean(of(Metric::CpuUtilizations)),
            memory_utilization_mean: mean(of(Metric::MemoryUtilizations)),
        }
    };
    by_place.into_iter().map(sample).collect()
}

fn instances(counts: &[&Reading], state: &str) -> u64 {
    let in_state = |reading: &&&Reading| reading.labels.get("state").is_some_and(|label| label == state);
    counts.iter().filter(in_state).map(|reading| count_of(reading.value)).sum()
}

/// Mean over all values of all distributions; `None` when there is none.
fn mean(distributions: &[&Reading]) -> Option<f64> {
    let count: u64 = distributions.iter().map(|reading| count_of(reading.value)).sum();
    (count > 0).then(|| sum(distributions) / count as f64)
}
