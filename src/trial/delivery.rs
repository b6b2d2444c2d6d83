//! What became of what was posted: the ledger of a run whose reports are delivered beyond the answer. Counts, histograms and
//! series, never single reports.

use super::class::StatusClass;
use super::contrast::Shortfalls;
use super::early::EarlyDeliveries;
use super::subscription::{PublishRefusals, SubscriptionRecording};
use crate::stats::{Histogram, QuantileRatio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The ratio of two delivery times that counts as the same: 1 ± 0.1.
pub const UNAFFECTED_MARGIN: f64 = 0.1;

/// Deliveries of one run. Times are seconds since the start of the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryRecording {
    /// The step that posted the reports.
    pub step: String,
    /// Delivered later than this after it was due, a report is late; the time factor has divided it.
    pub within_s: f64,
    /// How long after the load deliveries were waited for, at most.
    pub drain_limit_s: f64,
    /// When deliveries were looked for the last time.
    pub looked_until_s: f64,
    /// What the platform's and the broker's times were divided by.
    pub time_factor: f64,
    /// The books of the posts, warm-up included.
    pub posts: PostBooks,
    /// Posts that failed, by the class of their answer, which may be that of a success that was not the expected one. Records
    /// of before this was kept have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed_by_class: BTreeMap<StatusClass, u64>,
    /// Response times of posts as those below, due so shortly before a fault that they may have met it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub post_time_beginning: Histogram,
    /// Response times of measured posts due while a fault lasted that were answered as expected; in recordings of before
    /// `post_missing` was kept, of all that were answered.
    pub post_time_inside: Histogram,
    /// Those of posts due after a fault, until it had healed.
    pub post_time_healing: Histogram,
    /// Those of the others.
    pub post_time_outside: Histogram,
    /// p95 of the post's response time inside over that outside, neither of which holds the healing; `None` when there was no
    /// fault, or too little to tell, and in recordings that were made before it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_ratio: Option<QuantileRatio>,
    /// The same while a fault healed over outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_healing_ratio: Option<QuantileRatio>,
    /// Measured posts that failed, by when they were due; in the ratio they take for ever. `None` when there was no fault, and in
    /// recordings of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_missing: Option<Shortfalls>,
    /// What went wrong, and when.
    #[serde(default)]
    pub faults: Vec<FaultRecording>,
    /// By consumer, in the order of the scenario.
    pub consumers: Vec<ConsumerRecording>,
    /// What the broker counted, by subscription; nothing when nobody told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionRecording>,
    /// Publish requests that the broker refused; `None` when nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishes_refused: Option<PublishRefusals>,
    /// Instances over time of the services that are no consumers, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_instances: BTreeMap<String, Vec<InstanceLevel>>,
    /// Reports that were acknowledged and delivered to every consumer. Records of before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_to_all: Option<u64>,
    /// What was promised of deliveries, and what came of it.
    #[serde(default)]
    pub promises: Vec<PromiseRecording>,
    /// What was promised of response times and errors, and what came of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_promises: Vec<PromiseRecording>,
    /// Why what was delivered is not known, if it is not: `lost` then tells nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved: Option<String>,
    /// Why the measurement cannot be trusted, if it cannot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distrust: Vec<String>,
    /// The services, each with the sizes that were asked for, in words.
    #[serde(default)]
    pub services: BTreeMap<String, String>,
    /// What is taken for granted.
    #[serde(default)]
    pub assumptions: Vec<String>,
}

/// posted = acknowledged + failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostBooks {
    /// Reports that were sent.
    pub posted: u64,
    /// Answered as expected: from here on none may be lost.
    pub acknowledged: u64,
    /// Not answered as expected. Such a report may have been published all the same.
    pub failed: u64,
}

/// acknowledged = delivered + lost; deliveries = delivered + duplicates + unacknowledged + foreign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryBooks {
    /// Every delivery that the consumer's observer told of.
    pub deliveries: u64,
    /// Reports that were acknowledged and delivered, each counted once.
    pub delivered: u64,
    /// Deliveries of a report after its first.
    pub duplicates: u64,
    /// Reports that were posted, not acknowledged, and delivered all the same.
    pub unacknowledged: u64,
    /// Deliveries of what this run did not post.
    pub foreign: u64,
    /// Reports that were acknowledged and not delivered when the drain ended.
    pub lost: u64,
    /// Delivered, but later than promised; part of `delivered`.
    pub late: u64,
    /// First deliveries that came after that of a later report with the same ordering key; part of `delivered`.
    pub out_of_order: u64,
}

/// A fault as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRecording {
    /// As written.
    pub text: String,
    /// The service.
    pub service: String,
    /// When the broken revision was asked for; in recordings of before it was kept, nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_s: Option<f64>,
    /// When the broken revision served.
    pub from_s: f64,
    /// When the good one served again.
    pub until_s: f64,
    /// How long after that the consumer had all that was due before and its deliveries took what they take without a fault; in
    /// recordings of before it was kept for each fault, how long it took until the former. `None` when it has not healed, when the service is no consumer, and in recordings of before it was
    /// kept for each fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed_s: Option<f64>,
}

/// One consumer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerRecording {
    /// Its name.
    pub name: String,
    /// Warm-up included.
    pub books: DeliveryBooks,
    /// Whose order was watched; `None` in recordings of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderBooks>,
    /// Messages that its subscriptions still held when the drain limit ended: what is lost may be among them. `None` when nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<u64>,
    /// Deliveries that were told to have been before their report was due: its clock is behind, and no time of it is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<EarlyDeliveries>,
    /// From the due time of the post to the first delivery, of measured reports that were acknowledged.
    pub delivery_time: Histogram,
    /// The same, of reports due so shortly before a fault that they may have met it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub beginning: Histogram,
    /// The same, of reports due while a fault lasted.
    pub inside: Histogram,
    /// The same, of reports due after a fault, until it had healed.
    pub healing: Histogram,
    /// The same, of the others.
    pub outside: Histogram,
    /// p95 inside over p95 outside, neither of which holds the healing; `None` when there was no fault, or too little to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<QuantileRatio>,
    /// p95 while a fault healed over p95 outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healing_ratio: Option<QuantileRatio>,
    /// Measured reports that were lost, by when they were due; in the ratio they take for ever. `None` when there was no fault, and in
    /// recordings of before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Shortfalls>,
    /// The longest time that a fault of its own took to heal; `None` when it had no fault or has not healed from one. In recordings of
    /// before each fault had its own, that of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed_s: Option<f64>,
    /// Deliveries of a message after its first, whatever became of them; `None` when nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeliveries: Option<u64>,
    /// Messages that were given up and went to the dead letter topic; `None` when nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_lettered: Option<u64>,
    /// The series.
    pub series: Vec<DeliveryInterval>,
    /// Instances of its service over time.
    #[serde(default)]
    pub instances: Vec<InstanceLevel>,
}

/// First deliveries with an ordering key. Without one a delivery has no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBooks {
    /// Those whose order was watched.
    pub watched: u64,
    /// Those whose key was not among the first 100,000 and was not watched.
    pub unwatched: u64,
}

/// A stretch of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryInterval {
    /// Start.
    pub start_s: f64,
    /// Length.
    pub length_s: f64,
    /// Reports whose post was answered as expected in it.
    pub acknowledged: u64,
    /// First deliveries in it.
    pub delivered: u64,
    /// Further deliveries in it.
    pub duplicates: u64,
    /// Deliveries of a message after its first in it, whatever became of them; `None` when nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redeliveries: Option<u64>,
    /// Reports that were acknowledged and not yet delivered at its end.
    pub backlog: u64,
    /// Median delivery time of the reports *due* in it, in milliseconds; 0 when there was none.
    pub delivery_time_p50_ms: f64,
    /// 95th percentile.
    pub delivery_time_p95_ms: f64,
}

/// Instances in a sample of Monitoring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceLevel {
    /// End of the sample.
    pub end_s: f64,
    /// Length of the sample.
    pub length_s: f64,
    /// Active.
    pub active: u64,
    /// Idle.
    pub idle: u64,
}

/// A promise and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromiseRecording {
    /// As written.
    pub text: String,
    /// Whether it was kept.
    pub kept: bool,
    /// Whether that cannot be told; it counts as not kept then.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unverifiable: bool,
    /// What was measured, in words.
    pub measured: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_empty(times: &Histogram) -> bool {
    times.count() == 0
}

/// Whether a consumer noticed a fault that was not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The whole interval lies within 1 ± 0.1: shown to be the same.
    Unaffected,
    /// The whole interval lies outside 1 ± 0.1: shown to differ.
    Affected,
    /// Neither is shown.
    Undecided,
}

impl Claim {
    /// What the ratio of two times shows.
    #[must_use]
    pub fn of(ratio: QuantileRatio) -> Self {
        let (least, most) = (1.0 - UNAFFECTED_MARGIN, 1.0 + UNAFFECTED_MARGIN);
        match () {
            () if ratio.low >= least && ratio.high <= most => Self::Unaffected,
            () if ratio.high < least || ratio.low > most => Self::Affected,
            () => Self::Undecided,
        }
    }
}

impl ConsumerRecording {
    /// First deliveries out of order, if the order of any was watched.
    #[must_use]
    pub fn out_of_order(&self) -> Option<u64> {
        let none_watched = self.order.is_some_and(|order| order.watched == 0);
        (!none_watched).then_some(self.books.out_of_order)
    }

    /// Enters how many redeliveries there had been at some moments, in order: (seconds since the start of the load, count).
    /// What came between two looks is entered where the later one was; what was before the load, in the first interval.
    pub fn enter_redeliveries(&mut self, looks: &[(f64, u64)]) {
        let Some((_, total)) = looks.last() else { return };
        self.redeliveries = Some(*total);
        self.series.iter_mut().for_each(|interval| interval.redeliveries = Some(0));
        let mut before = 0;
        for (at, so_far) in looks {
            let after = self.series.partition_point(|interval| interval.start_s <= *at);
            if let Some(interval) = self.series.get_mut(after.saturating_sub(1)) {
                let seen = so_far.saturating_sub(before);
                interval.redeliveries = interval.redeliveries.map(|many| many + seen);
            }
            before = *so_far;
        }
    }
}

impl DeliveryRecording {
    /// Reports that were lost, each counted for each consumer that lacks it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.consumers.iter().map(|consumer| consumer.books.lost).sum()
    }

    /// Every promise that was judged.
    pub fn all_promises(&self) -> impl Iterator<Item = &PromiseRecording> {
        self.response_promises.iter().chain(&self.promises)
    }

    /// True when nothing is hidden.
    #[must_use]
    pub fn balances(&self) -> bool {
        let PostBooks { posted, acknowledged, failed } = self.posts;
        let by_class: u64 = self.failed_by_class.values().sum();
        posted == acknowledged + failed
            && (self.failed_by_class.is_empty() || by_class == failed)
            && self.consumers.iter().all(|consumer| {
                let books = consumer.books;
                acknowledged == books.delivered + books.lost
                    && books.deliveries == books.delivered + books.duplicates + books.unacknowledged + books.foreign
            })
    }

    /// How long it took until `fault` had healed: `Some(None)` when it has not, `None` when its service is no consumer.
    #[must_use]
    pub fn healed_from(&self, fault: &FaultRecording) -> Option<Option<f64>> {
        let consumer = self.consumers.iter().find(|consumer| consumer.name == fault.service)?;
        // A recording of before knows only how long the consumer took.
        Some(fault.healed_s.or(consumer.healed_s))
    }

    /// Enters what the broker counted, and for each consumer what was counted of the subscriptions that push to it.
    pub fn enter_subscriptions(&mut self, subscriptions: Vec<SubscriptionRecording>) {
        for consumer in &mut self.consumers {
            let own = || subscriptions.iter().filter(|subscription| subscription.push_to == consumer.name);
            if own().next().is_some() {
                consumer.redeliveries = Some(own().map(|subscription| subscription.redeliveries).sum());
                consumer.dead_lettered = Some(own().map(|subscription| subscription.dead_lettered).sum());
            }
        }
        self.subscriptions = subscriptions;
    }

    /// The longest time that a consumer took to heal; `None` when none had a fault.
    #[must_use]
    pub fn healed_s(&self) -> Option<f64> {
        self.consumers.iter().filter_map(|consumer| consumer.healed_s).reduce(f64::max)
    }

    /// Whether this consumer's service had a fault.
    #[must_use]
    pub fn is_faulty(&self, consumer: &str) -> bool {
        self.faults.iter().any(|fault| fault.service == consumer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redeliveries_are_entered_where_they_were_seen_and_sum_up() {
        let interval = |start_s: f64| DeliveryInterval { start_s, length_s: 1.0, ..DeliveryInterval::default() };
        let series = vec![interval(0.0), interval(1.0), interval(2.0)];
        let mut consumer = ConsumerRecording { series, ..ConsumerRecording::default() };
        consumer.enter_redeliveries(&[]);
        assert_eq!((consumer.redeliveries, consumer.series[0].redeliveries), (None, None), "nobody told");
        consumer.enter_redeliveries(&[(-1.0, 1), (0.9, 3), (1.0, 4), (1.9, 9), (7.0, 10)]);
        let told: Vec<Option<u64>> = consumer.series.iter().map(|interval| interval.redeliveries).collect();
        assert_eq!((told, consumer.redeliveries), (vec![Some(3), Some(6), Some(1)], Some(10)));
    }

    #[test]
    fn a_claim_takes_the_whole_interval() {
        let claim = |low: f64, high: f64| {
            let ratio = Some(QuantileRatio { ratio: f64::midpoint(low, high), low, high });
            ConsumerRecording { ratio, ..ConsumerRecording::default() }.claim().unwrap()
        };
        assert_eq!(claim(0.95, 1.04), Claim::Unaffected);
        assert_eq!(claim(1.02, 1.08), Claim::Unaffected, "a difference that is shown to be small");
        assert_eq!(claim(0.8, 1.3), Claim::Undecided, "it holds 1, and much else");
        assert_eq!(claim(1.05, 1.3), Claim::Undecided);
        assert_eq!(claim(1.2, 1.3), Claim::Affected);
        assert_eq!(ConsumerRecording::default().claim(), None);
    }
}
