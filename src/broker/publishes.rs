//! Publish requests that the broker refused, by cause: what a publisher was told was not kept.

use super::refusal::Refusal;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tonic::Code;

/// Counts of requests since the broker was started. A request that a client sends again is counted again.
#[derive(Debug, Default)]
pub(super) struct Publishes {
    unknown_topic: AtomicU64,
    too_large: AtomicU64,
    invalid: AtomicU64,
    full: AtomicU64,
    failed: AtomicU64,
}

impl Publishes {
    /// A request was refused so.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let cause = match refusal.code {
            Code::NotFound => &self.unknown_topic,
            Code::InvalidArgument if refusal.too_large => &self.too_large,
            Code::InvalidArgument => &self.invalid,
            Code::ResourceExhausted => &self.full,
            _ => &self.failed,
        };
        cause.fetch_add(1, Relaxed);
    }

    /// A request was so large that it was not even read.
    pub(super) fn not_read(&self) {
        self.too_large.fetch_add(1, Relaxed);
    }

    pub(super) fn to_json(&self) -> Value {
        let count = |count: &AtomicU64| count.load(Relaxed);
        json!({
            "unknown_topic": count(&self.unknown_topic),
            "too_large": count(&self.too_large),
            "invalid": count(&self.invalid),
            "full": count(&self.full),
            "failed": count(&self.failed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::missing;
    use super::super::store::StoreError;
    use super::*;

    #[test]
    fn every_refusal_has_one_cause() {
        let publishes = Publishes::default();
        for refusal in [
            missing("projects/p/topics/nobody"),
            Refusal::too_large("more than 10 MB"),
            Refusal::invalid("no data"),
            Refusal::from(StoreError::Full),
            Refusal::from(StoreError::Busy),
        ] {
            publishes.refused(&refusal);
        }
        publishes.not_read();
        let told = json!({"unknown_topic": 1, "too_large": 2, "invalid": 1, "full": 1, "failed": 1});
        assert_eq!(publishes.to_json(), told);
    }
}
