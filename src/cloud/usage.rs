//! The patient reader of usage: when a revision's end can be read, and what is read then.

use super::Cloud;
use super::error::CloudError;
use super::monitoring::{Metric, Reading, Sampling};
use super::tally::{Fetched, UsageWindow, conclude};
use crate::scenario::Billing;
use crate::trial::Usage;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Samples that must be free of billed time before a revision counts as settled.
const QUIET_SAMPLES: u32 = 2;
/// How often Monitoring is asked in a sample period while a revision is not settled: a trial waits no longer than a
/// fraction of a period more than it must. Eight looks of a minute's period are far below any quota.
const LOOKS_PER_PERIOD: u32 = 8;
/// A revision is waited for this many times (period + delay) after the end of its load.
const PATIENCE: u32 = 4;

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
            self.clock.sleep(sampling.period / LOOKS_PER_PERIOD).await;
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

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::monitoring::Value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const GOOGLE: Sampling = Sampling { period: Duration::from_mins(1), ingest_delay: Duration::from_mins(3) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_348_800 + seconds).unwrap()
    }

    fn sample(minute: i64, seconds: f64) -> Reading {
        let (start, end) = (at(60 * (minute - 1)), at(60 * minute));
        Reading { labels: BTreeMap::new(), start, end, value: Value::Number(seconds) }
    }

    fn settled_at(readings: &[Reading], load_end_s: i64, now_s: i64) -> bool {
        settled(readings, at(load_end_s), GOOGLE, at(now_s))
    }

    #[test]
    fn a_revision_without_billed_time_is_never_settled() {
        assert!(!settled_at(&[], 100, 1_000_000));
        assert!(!settled_at(&[sample(1, 0.0), sample(2, 0.0)], 100, 1_000_000));
    }

    #[test]
    fn two_quiet_samples_after_the_last_billed_one_settle_it_once_that_one_is_surely_complete() {
        let readings = [sample(1, 5.0), sample(2, 0.0), sample(3, 0.0)];
        assert!(!settled_at(&readings, 55, 239));
        assert!(settled_at(&readings, 55, 240));
        // The second quiet sample is missing: it counts as zero 180 s after its end.
        assert!(!settled_at(&readings[..2], 55, 359));
        assert!(settled_at(&readings[..2], 55, 360));
    }

    #[test]
    fn quiet_samples_during_the_load_settle_nothing() {
        let readings = [sample(1, 5.0), sample(2, 0.0), sample(3, 0.0), sample(4, 0.0)];
        assert!(!settled_at(&readings, 250, 300));
        // The load ends within the fifth minute; the sixth and seventh must be quiet.
        assert!(!settled_at(&readings, 250, 7 * 60 + 179));
        assert!(settled_at(&readings, 250, 7 * 60 + 180));
    }

    proptest! {
        /// However late each point comes within the documented delay, and whether or not empty samples are written:
        /// when the revision counts as settled, nothing that was billed is missing; and it does become settled.
        #[test]
        fn nothing_billed_is_missing_once_settled(
            during in proptest::collection::vec(prop_oneof![Just(0.0), 0.1..100.0_f64], 0..12),
            tail in proptest::collection::vec(0.1..20.0_f64, 1..4),
            gaps in proptest::collection::vec(any::<bool>(), 4),
            delays in proptest::collection::vec(0..=180_i64, 40),
            writes_zeros in proptest::collection::vec(any::<bool>(), 40),
            load_end_in_sample_s in 0..60_i64,
        ) {
            let load_minutes = i64::try_from(during.len()).unwrap();
            // After the load's last sample, billing may pause for one sample at a time.
            let mut billed = during;
            for (seconds, gap) in tail.iter().zip(&gaps) {
                if *gap {
                    billed.push(0.0);
                }
                billed.push(*seconds);
            }
            let last = i64::try_from(billed.len()).unwrap();
            billed.extend([0.0; 6]);
            let load_end_s = 60 * load_minutes + load_end_in_sample_s;
            let total: f64 = billed.iter().sum();
            let points: Vec<(Reading, i64)> = billed
                .iter()
                .zip(1_i64..)
                .zip(delays.iter().zip(&writes_zeros))
                .filter(|((seconds, _), (_, writes))| **seconds > 0.0 || **writes)
                .map(|((seconds, minute), (delay, _))| (sample(minute, *seconds), 60 * minute + delay))
                .collect();
            let bound_s = 60 * (last.max(load_minutes + 1) + 2) + 180;
            let visible = |now_s: i64| -> Vec<Reading> {
                points.iter().filter(|(_, visible_s)| *visible_s <= now_s).map(|(reading, _)| reading.clone()).collect()
            };
            let mut looks = (load_end_s..bound_s).step_by(3).chain([bound_s]);
            let first = looks.find(|now_s| settled_at(&visible(*now_s), load_end_s, *now_s));
            prop_assert!(first.is_some(), "not settled by {bound_s}");
            let seen: f64 = visible(first.unwrap()).iter().map(|reading| reading.value.total()).sum();
            prop_assert!((seen - total).abs() < 1e-9, "{seen} of {total} at {first:?}");
        }
    }
}
