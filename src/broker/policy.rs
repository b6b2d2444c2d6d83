//! Pub/Sub's rules in numbers, each with its source, and the laws that follow from them: no clock and no I/O.

mod flow;
mod retry;

pub(super) use flow::PushFlow;
pub(super) use retry::Retry;

use std::time::Duration;

/// A whole publish request, and so a message, may be this large (`cloud.google.com/pubsub/quotas#resource_limits`).
pub(super) const PUBLISH_BYTES_MAX: usize = 10_000_000;
/// Messages of one publish request (the same page).
pub(super) const PUBLISH_MESSAGES_MAX: usize = 1_000;
/// Attributes of one message (the same page).
pub(super) const ATTRIBUTES_MAX: usize = 100;
/// Bytes of an attribute's key (the same page).
pub(super) const ATTRIBUTE_KEY_BYTES_MAX: usize = 256;
/// Bytes of an attribute's value (the same page).
pub(super) const ATTRIBUTE_VALUE_BYTES_MAX: usize = 1_024;
/// Bytes of an ordering key (the same page).
pub(super) const ORDERING_KEY_BYTES_MAX: usize = 1_024;
/// Messages of one answer to a pull, and ids of one acknowledgement, that the broker takes (its own bound).
pub(super) const PULL_MESSAGES_MAX: usize = 1_000;

/// The ack deadline unless the subscription says otherwise (pubsub.proto, `ack_deadline_seconds`).
pub(super) const ACK_DEADLINE_DEFAULT: i32 = 10;
/// The shortest ack deadline (the same).
pub(super) const ACK_DEADLINE_MIN: i32 = 10;
/// The longest ack deadline (the same).
pub(super) const ACK_DEADLINE_MAX: i32 = 600;

/// How long unacknowledged messages are kept, unless the subscription says otherwise: 7 days (pubsub.proto,
/// `message_retention_duration`).
pub(super) const RETENTION_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// The shortest retention: 10 minutes (the same).
pub(super) const RETENTION_MIN: Duration = Duration::from_mins(10);
/// The longest retention: 31 days (the same; older copies say 7 days).
pub(super) const RETENTION_MAX: Duration = Duration::from_hours(31 * 24);

/// A subscription without activity is deleted after 31 days unless it says otherwise (pubsub.proto, `ExpirationPolicy`).
pub(super) const EXPIRATION_DEFAULT: Duration = Duration::from_hours(31 * 24);
/// The shortest time to live: 1 day (the same).
pub(super) const EXPIRATION_MIN: Duration = Duration::from_hours(24);

/// Delivery attempts before a message is dead-lettered, unless the policy says otherwise (pubsub.proto,
/// `DeadLetterPolicy`).
pub(super) const DELIVERY_ATTEMPTS_DEFAULT: i32 = 5;
/// The fewest delivery attempts (the same).
pub(super) const DELIVERY_ATTEMPTS_MIN: i32 = 5;
/// The most delivery attempts (the same).
pub(super) const DELIVERY_ATTEMPTS_MAX: i32 = 100;

/// A retry policy's minimum backoff unless it says otherwise (pubsub.proto, `RetryPolicy`; 0 to 600 s).
pub(super) const BACKOFF_MINIMUM_DEFAULT: Duration = Duration::from_secs(10);
/// A retry policy's maximum backoff unless it says otherwise (the same).
pub(super) const BACKOFF_MAXIMUM_DEFAULT: Duration = Duration::from_mins(10);
/// The longest backoff of either kind (the same).
pub(super) const BACKOFF_MAX: Duration = Duration::from_mins(10);

/// Whether an endpoint's answer acknowledges the message (`cloud.google.com/pubsub/docs/push#receive_push`).
pub(super) fn acknowledges(status: u16) -> bool {
    matches!(status, 102 | 200 | 201 | 202 | 204)
}

/// A time that the platform's time factor divides: backoffs, retention, expiration. The ack deadline is none of them: it
/// bounds a consumer's service time, and those are never divided.
pub(super) fn scaled(time: Duration, time_factor: f64) -> Duration {
    time.div_f64(time_factor.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_answers_acknowledge() {
        let acknowledging: Vec<u16> = (100..600).filter(|status| acknowledges(*status)).collect();
        assert_eq!(acknowledging, [102, 200, 201, 202, 204]);
    }

    #[test]
    fn the_time_factor_divides_and_never_multiplies() {
        assert_eq!(scaled(Duration::from_mins(1), 12.0), Duration::from_secs(5));
        assert_eq!(scaled(Duration::from_mins(1), 0.5), Duration::from_mins(1));
    }
}
