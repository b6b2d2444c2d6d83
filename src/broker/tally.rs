//! What a subscription counts, as Cloud Monitoring's `pubsub.googleapis.com/subscription/*` metrics count it.

use super::push::Answer;
use crate::autoscaler::Micros;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Counts since the broker was started.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When something was last delivered to it with success, in microseconds since 1970.
    active: AtomicU64,
    acknowledged: AtomicU64,
    dead_lettered: AtomicU64,
    delivered: AtomicU64,
    redelivered: AtomicU64,
    expired: AtomicU64,
    late: AtomicU64,
    missed: AtomicU64,
    pushed: AtomicU64,
    refused: AtomicU64,
    /// By `response_class` of `push_request_count`.
    ack: AtomicU64,
    unreachable: AtomicU64,
    deadline_exceeded: AtomicU64,
    client_error: AtomicU64,
    server_error: AtomicU64,
    other: AtomicU64,
    /// Answers that did not acknowledge, by status: at most as many as there are statuses.
    by_status: Mutex<BTreeMap<u16, u64>>,
}

impl Tally {
    /// Begins with this instant as the last activity.
    pub(super) fn since(now: Micros) -> Self {
        Self { active: AtomicU64::new(now.0), ..Self::default() }
    }

    /// Something went on with the subscription.
    pub(super) fn active(&self, now: Micros) {
        self.active.fetch_max(now.0, Relaxed);
    }

    /// When something last did.
    pub(super) fn last_active(&self) -> Micros {
        Micros(self.active.load(Relaxed))
    }

    pub(super) fn acknowledged(&self) {
        self.acknowledged.fetch_add(1, Relaxed);
    }

    pub(super) fn dead_lettered(&self) {
        self.dead_lettered.fetch_add(1, Relaxed);
    }

    pub(super) fn delivered(&self, attempt: u32) {
        self.delivered.fetch_add(1, Relaxed);
        if attempt > 1 {
            self.redelivered.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    /// An acknowledgement came when the message was not out any more.
    pub(super) fn late(&self) {
        self.late.fetch_add(1, Relaxed);
    }

    /// A deadline passed.
    pub(super) fn missed(&self) {
        self.missed.fetch_add(1, Relaxed);
    }

    pub(super) fn pushed(&self) {
        self.pushed.fetch_add(1, Relaxed);
    }

    /// A subscriber handed a message back.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// A push was answered, or not.
    pub(super) fn answered(&self, answer: Answer) {
        let class = match answer {
            answer if answer.acknowledges() => &self.ack,
            Answer::Status(400..=499) => &self.client_error,
            Answer::Status(500..=599) => &self.server_error,
            Answer::Status(_) => &self.other,
            Answer::Late => &self.deadline_exceeded,
            Answer::Unreachable => &self.unreachable,
        };
        class.fetch_add(1, Relaxed);
        if let Answer::Status(status) = answer
            && !answer.acknowledges()
        {
            *self.by_status.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let count = |count: &AtomicU64| count.load(Relaxed);
        let by_status = self.by_status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        json!({
            "delivered": count(&self.delivered),
            "redelivered": count(&self.redelivered),
            "acknowledged": count(&self.acknowledged),
            "negatively_acknowledged": count(&self.refused),
            "missed_deadlines": count(&self.missed),
            "late_acknowledgements": count(&self.late),
            "expired": count(&self.expired),
            "dead_letter_message_count": count(&self.dead_lettered),
            "push_request_count": {
                "sent": count(&self.pushed),
                "ack": count(&self.ack),
                "client_error": count(&self.client_error),
                "server_error": count(&self.server_error),
                "other": count(&self.other),
                "unreachable": count(&self.unreachable),
                "deadline_exceeded": count(&self.deadline_exceeded),
                "refused_by_status": by_status,
            },
        })
    }
}
