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

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}
