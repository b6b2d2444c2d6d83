//! What revisions of a service that is not tuned did: how many instances they had, and what was billed.

use super::Cloud;
use super::error::CloudError;
use super::monitoring::{Metric, Reading};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What some revisions of a service did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevisionActivity {
    /// By the end of the sample: its length in seconds, active instances, idle instances.
    pub instances: BTreeMap<Timestamp, (f64, u64, u64)>,
    /// Seconds that were billed.
    pub billable_instance_time_s: f64,
}

impl Cloud {
    /// Everything that Monitoring can tell now of these revisions since `from`.
    pub async fn activity(&self, revisions: &[String], from: Timestamp) -> Result<RevisionActivity, CloudError> {
        let period = self.sampling().await?.period;
        let from = SignedDuration::try_from(period * 2).ok().and_then(|margin| from.checked_sub(margin).ok());
        let (from, now) = (from.unwrap_or(Timestamp::MIN), self.clock.now());
        let mut told = RevisionActivity::default();
        for revision in revisions {
            for reading in self.readings(Metric::InstanceCount, revision, from, now).await? {
                let (_, active, idle) = told.instances.entry(reading.end).or_insert((period.as_secs_f64(), 0, 0));
                let state = reading.labels.get("state").map_or("active", String::as_str);
                *(if state == "active" { active } else { idle }) += whole(&reading);
            }
            let billed = self.readings(Metric::BillableInstanceTime, revision, from, now).await?;
            told.billable_instance_time_s += billed.iter().map(|reading| reading.value.total()).sum::<f64>();
        }
        Ok(told)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
fn whole(reading: &Reading) -> u64 {
    reading.value.total().round() as u64
}
