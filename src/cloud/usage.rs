//! From points to usage, as pure functions of what was fetched, and the patient reader that fetches it.

use super::Cloud;
use super::error::CloudError;
use super::monitoring::{Metric, Reading, Sampling, Value};
use crate::scenario::Billing;
use crate::trial::{Usage, UsageSample};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples that must be free of billed time before a revision counts as settled.
const QUIET_SAMPLES: u32 = 2;
/// A revision is waited for this many times (period + delay) after the end of its load.
const PATIENCE: u32 = 4;

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
type Fetched = BTreeMap<Metric, Vec<Reading>>;

impl Cloud {
    /// All that the revision was billed. Waits until its end can be read: two consecutive samples without billed time
    /// after the last billed one and after the load, where a missing sample counts as zero once the ingestion delay has
    /// passed since its end, because Google writes none for a revision without instances.
    ///
    /// Under instance-based billing idle instances are billed until they stop; what was billed after the load is
    /// stated apart, and waiting ends at the bound even if they have not stopped.
    ///
    /// # Errors
    /// When Monitoring refuses; when it is out of quota or down until the bound of waiting; when it holds no billed
    /// time at all; when, under request-based billing, billing does not end.
    pub async fn usage(&self, window: &UsageWindow) -> Result<Usage, CloudError> {
        let sampling = self.patiently_sampling(window).await?;
        let visible_at = later(window.load_end, sampling.ingest_delay);
        let bound = later(window.load_end, (sampling.period + sampling.ingest_delay) * PATIENCE);
        self.sleep_until(visible_at).await;
        loop {
            let now = self.clock.now();
            let failure = match self.fetch_settled(window, sampling, now >= bound).await {
                Ok(Some(fetched)) => return Ok(conclude(window, sampling, &fetched)),
                Ok(None) => None,
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(error),
            };
            if now >= bound {
                let waited = Duration::try_from(now.duration_since(window.load_end)).unwrap_or_default();
                return Err(failure.unwrap_or(CloudError::NoPoints { revision: window.revision.clone(), waited }));
            }
            self.clock.sleep(sampling.period).await;
        }
    }

    /// The sampling, asked for again while Monitoring is out of quota or down: a trial is not lost for that.
    async fn patiently_sampling(&self, window: &UsageWindow) -> Result<Sampling, CloudError> {
        let usual = Sampling::default();
        let bound = later(window.load_end, (usual.period + usual.ingest_delay) * PATIENCE);
        loop {
            match self.sampling().await {
                Err(error) if error.is_transient() && self.clock.now() < bound => {
                    self.clock.sleep(usual.period).await;
                }
                sampling => return sampling,
            }
        }
    }

    /// Every metric, if the revision is settled; else `None`. At the last look what is there is taken where that is
    /// right.
    async fn fetch_settled(
        &self,
        window: &UsageWindow,
        sampling: Sampling,
        last_look: bool,
    ) -> Result<Option<Fetched>, CloudError> {
        let now = self.clock.now();
        // Two periods of margin: nothing that another clock dates a little earlier is cut off. The revision is its own.
        let from = earlier(window.since, sampling.period * 2);
        let billable = self.readings(Metric::BillableInstanceTime, &window.revision, from, now).await?;
        if !settled(&billable, window.load_end, sampling, now) {
            match last_billed(&billable) {
                Some(_) if last_look && window.billing == Billing::Request => {
                    let waited = Duration::try_from(now.duration_since(window.load_end)).unwrap_or_default();
                    return Err(CloudError::Unsettled { revision: window.revision.clone(), waited });
                }
                Some(_) if last_look => {}
                _ => return Ok(None),
            }
        }
        let mut fetched = Fetched::from([(Metric::BillableInstanceTime, billable)]);
        for metric in Metric::OTHERS {
            match self.readings(metric, &window.revision, from, now).await {
                Ok(readings) => {
                    fetched.insert(metric, readings);
                }
                // An unknown metric is refused with 404; a beta metric may also be closed to the project.
                Err(CloudError::NotFound { .. } | CloudError::Refused { .. }) if metric.is_optional() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(fetched))
    }

    async fn sleep_until(&self, moment: Timestamp) {
        if let Ok(wait) = Duration::try_from(moment.duration_since(self.clock.now())) {
            self.clock.sleep(wait).await;
        }
    }
}

/// End of the last sample with billed time.
fn last_billed(billable: &[Reading]) -> Option<Timestamp> {
    billable.iter().filter(|reading| reading.value.total() > 0.0).map(|reading| reading.end).max()
}

/// Whether nothing that was billed can still be missing.
fn settled(billable: &[Reading], load_end: Timestamp, sampling: Sampling, now: Timestamp) -> bool {
    let Some(last) = last_billed(billable) else { return false };
    let period_s = sampling.period.as_secs_f64();
    // Samples end on a grid; the load's end lies between two of its points.
    let behind_s = load_end.duration_since(last).as_secs_f64();
    let behind = if behind_s > 0.0 { (behind_s / period_s).ceil() } else { 0.0 };
    let anchor = later(last, sampling.period.mul_f64(behind));
    let is_readable = |end: Timestamp| now >= later(end, sampling.ingest_delay);
    let near = |end: Timestamp, other: Timestamp| end.duration_since(other).as_secs_f64().abs() < period_s / 2.0;
    let is_quiet = |end: Timestamp| is_readable(end) || billable.iter().any(|reading| near(reading.end, end));
    is_readable(anchor) && (1..=QUIET_SAMPLES).all(|number| is_quiet(later(anchor, sampling.period * number)))
}

/// Usage from what was fetched: in any order, on any pages, each point counted once.
fn conclude(window: &UsageWindow, sampling: Sampling, fetched: &Fetched) -> Usage {
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

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}
