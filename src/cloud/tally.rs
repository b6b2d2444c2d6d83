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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_348_800 + seconds).unwrap()
    }

    fn reading(minute: i64, label: &str, value: Value) -> Reading {
        let labels = BTreeMap::from([("response_code".to_owned(), label.to_owned())]);
        Reading { labels, start: at(60 * (minute - 1)), end: at(60 * minute), value }
    }

    fn window(billing: Billing, load_end_s: i64) -> UsageWindow {
        UsageWindow { revision: "r".to_owned(), since: at(0), load_start: at(90), load_end: at(load_end_s), billing }
    }

    fn sampling() -> Sampling {
        Sampling { period: Duration::from_mins(1), ingest_delay: Duration::from_mins(3) }
    }

    proptest! {
        /// Points may come in any order, on any pages, and more than once: each is counted once, in the totals and in
        /// the series.
        #[test]
        fn usage_does_not_depend_on_how_points_arrive(
            billed in proptest::collection::vec(0.0..1000.0_f64, 1..20),
            counts in proptest::collection::vec((1..20_i64, 0..3_usize, 0..5000_u32), 0..40),
            order in any::<proptest::sample::Index>(),
            again in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
        ) {
            let mut points: Vec<Reading> =
                billed.iter().zip(1..).map(|(seconds, minute)| reading(minute, "", Value::Number(*seconds))).collect();
            let counted: BTreeMap<(i64, usize), u32> =
                counts.iter().map(|(minute, status, count)| ((*minute, *status), *count)).collect();
            let status = |index: usize| ["200", "400", "500"][index];
            let requests: Vec<Reading> = counted
                .iter()
                .map(|((minute, index), count)| reading(*minute, status(*index), Value::Number(f64::from(*count))))
                .collect();
            let fetched = |billable: Vec<Reading>, requests: Vec<Reading>| {
                Fetched::from([(Metric::BillableInstanceTime, billable), (Metric::RequestCount, requests)])
            };
            let window = window(Billing::Request, 600);
            let once = conclude(&window, sampling(), &fetched(points.clone(), requests.clone()));
            let repeated: Vec<Reading> = again.iter().map(|index| index.get(&points).clone()).collect();
            let turn = order.index(points.len());
            points.rotate_left(turn);
            points.extend(repeated);
            let requests: Vec<Reading> = requests.iter().rev().chain(&requests).cloned().collect();
            prop_assert_eq!(&conclude(&window, sampling(), &fetched(points, requests)), &once);

            prop_assert!((once.billable_instance_time_s - billed.iter().sum::<f64>()).abs() < 1e-6);
            let in_series: f64 = once.samples.iter().map(|sample| sample.billable_s).sum();
            prop_assert!((in_series - once.billable_instance_time_s).abs() < 1e-6);
            let all: u64 = counted.values().map(|count| u64::from(*count)).sum();
            prop_assert_eq!(once.request_count(), all);
            prop_assert_eq!(once.samples.iter().map(|sample| sample.requests).sum::<u64>(), all);
        }
    }

    #[test]
    fn the_idle_tail_is_what_was_billed_after_the_last_request() {
        let billable = (1..=4).map(|minute| reading(minute, "", Value::Number(120.0))).collect();
        let fetched = Fetched::from([(Metric::BillableInstanceTime, billable)]);
        // Two instances, alive for four minutes; the last request ends after two and a half.
        assert_eq!(conclude(&window(Billing::Instance, 150), sampling(), &fetched).idle_tail_s, 180.0);
        assert_eq!(conclude(&window(Billing::Request, 150), sampling(), &fetched).idle_tail_s, 0.0);
        assert_eq!(conclude(&window(Billing::Instance, 300), sampling(), &fetched).idle_tail_s, 0.0);
    }

    #[test]
    fn metrics_whose_samples_end_a_little_apart_make_one_sample() {
        let mut late = reading(2, "200", Value::Number(7.0));
        late.end = at(125);
        let fetched = Fetched::from([
            (Metric::BillableInstanceTime, vec![reading(2, "", Value::Number(3.0))]),
            (Metric::RequestCount, vec![late]),
        ]);
        let samples = conclude(&window(Billing::Request, 120), sampling(), &fetched).samples;
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].end_s, samples[0].billable_s, samples[0].requests), (30.0, 3.0, 7));
    }

    #[test]
    fn a_platform_that_tells_nothing_but_billed_time_leaves_the_rest_unknown() {
        let billable = vec![reading(1, "", Value::Number(3.0))];
        let usage = conclude(
            &window(Billing::Request, 60),
            sampling(),
            &Fetched::from([(Metric::BillableInstanceTime, billable)]),
        );
        assert_eq!((usage.instance_starts, usage.startup_mean_s), (None, None));
        assert_eq!(usage.samples[0].cpu_utilization_mean, None);
    }
}
