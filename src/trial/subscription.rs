//! What the broker counted of a run: pushes and what consumers answered, deadlines that passed, messages that were given up,
//! and publish requests that it refused itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// No token, or that of an account that may not call.
pub const FORBIDDEN: u16 = 403;
/// A token that is expired, forged, or for another service.
pub const UNAUTHORIZED: u16 = 401;

/// One subscription, from the start of the run until it was looked at last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionRecording {
    /// Its short name.
    pub name: String,
    /// The service that it pushes to.
    pub push_to: String,
    /// What came of its pushes.
    pub pushes: PushBooks,
    /// Deliveries of a message after its first, whatever became of them.
    pub redeliveries: u64,
    /// Ack deadlines that passed without an acknowledgement.
    pub expired_deadlines: u64,
    /// Acknowledgements that came when the message was not out any more.
    pub late_acknowledgements: u64,
    /// Messages that were given up and went to the dead letter topic.
    pub dead_lettered: u64,
    /// Messages that were dropped because they were older than the retention.
    pub expired_messages: u64,
    /// Messages that were published and not acknowledged yet.
    pub undelivered: u64,
}

/// sent = acknowledged + refused + unreachable + late + under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushBooks {
    /// Pushes that were sent.
    pub sent: u64,
    /// Answered with a status that acknowledges.
    pub acknowledged: u64,
    /// Answered with another one, by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<u16, u64>,
    /// Without a connection, or without a whole answer on it.
    pub unreachable: u64,
    /// Without an answer until the ack deadline: one that came later was not heard.
    pub late: u64,
}

/// Publish requests that the broker refused, each as often as it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRefusals {
    /// To a topic that there is not.
    pub unknown_topic: u64,
    /// Larger than Pub/Sub takes, as a whole or in a part.
    pub too_large: u64,
    /// Malformed in another way.
    pub invalid: u64,
    /// The disk had no room.
    pub full: u64,
    /// The store failed, or could not keep up.
    pub failed: u64,
}

impl PushBooks {
    /// Pushes that were answered with a status of these and not acknowledged.
    #[must_use]
    pub fn refused_with(&self, statuses: RangeInclusive<u16>) -> u64 {
        self.refused.range(statuses).map(|(_, pushes)| pushes).sum()
    }

    /// All that were answered and not acknowledged.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Those that the consumer's side turned away for who sent them: (status, pushes).
    pub fn turned_away(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let of = |status: u16| self.refused.get(&status).map(|pushes| (status, *pushes));
        [UNAUTHORIZED, FORBIDDEN].into_iter().filter_map(of)
    }
}

impl SubscriptionRecording {
    /// True when everything went as it should: nothing refused, late, given up or dropped.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let PushBooks { unreachable, late, .. } = self.pushes;
        let wrong = [
            self.pushes.refused_in_all(),
            unreachable,
            late,
            self.expired_deadlines,
            self.late_acknowledgements,
            self.dead_lettered,
            self.expired_messages,
        ];
        wrong.iter().all(|many| *many == 0)
    }
}

impl PublishRefusals {
    /// All of them.
    #[must_use]
    pub fn in_all(self) -> u64 {
        self.by_cause().iter().map(|(_, requests)| requests).sum()
    }

    /// Each cause in words, with its count.
    #[must_use]
    pub fn by_cause(self) -> [(&'static str, u64); 5] {
        [
            ("unknown topic", self.unknown_topic),
            ("too large", self.too_large),
            ("invalid", self.invalid),
            ("disk full", self.full),
            ("store failed", self.failed),
        ]
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            unknown_topic: self.unknown_topic.saturating_sub(before.unknown_topic),
            too_large: self.too_large.saturating_sub(before.too_large),
            invalid: self.invalid.saturating_sub(before.invalid),
            full: self.full.saturating_sub(before.full),
            failed: self.failed.saturating_sub(before.failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_by_class_and_those_that_ask_who_calls_apart() {
        let refused = BTreeMap::from([(400, 1), (401, 2), (403, 4), (413, 8), (500, 16), (503, 32)]);
        let pushes = PushBooks { sent: 100, refused, ..PushBooks::default() };
        assert_eq!((pushes.refused_with(400..=499), pushes.refused_with(500..=599)), (15, 48));
        assert_eq!((pushes.refused_in_all(), pushes.turned_away().collect::<Vec<_>>()), (63, vec![(401, 2), (403, 4)]));
    }

    #[test]
    fn a_subscription_with_nothing_but_acknowledgements_is_calm() {
        let pushes = PushBooks { sent: 9, acknowledged: 9, ..PushBooks::default() };
        let calm =
            SubscriptionRecording { pushes, redeliveries: 1, undelivered: 3, ..SubscriptionRecording::default() };
        assert!(calm.is_calm());
        assert!(!SubscriptionRecording { expired_deadlines: 1, ..calm.clone() }.is_calm());
        let pushes = PushBooks { refused: BTreeMap::from([(403, 1)]), ..calm.pushes.clone() };
        assert!(!SubscriptionRecording { pushes, ..calm }.is_calm());
    }

    #[test]
    fn what_was_counted_before_is_not_counted_again() {
        let before = PublishRefusals { full: 2, too_large: 1, ..PublishRefusals::default() };
        let after = PublishRefusals { full: 5, too_large: 1, ..PublishRefusals::default() };
        assert_eq!(after.since(before), PublishRefusals { full: 3, ..PublishRefusals::default() });
        assert_eq!((after.in_all(), after.by_cause()[3]), (6, ("disk full", 5)));
    }
}
