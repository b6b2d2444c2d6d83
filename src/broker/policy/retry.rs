//! When a message that failed is due again.

use super::{BACKOFF_MAXIMUM_DEFAULT, BACKOFF_MINIMUM_DEFAULT, scaled};
use crate::broker::proto::RetryPolicy;
use std::time::Duration;

/// A subscription's retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Retry {
    /// As soon as possible, which is what a subscription without a retry policy does.
    Immediately,
    /// After a backoff that doubles with each failure.
    Exponential {
        /// After the first failure.
        minimum: Duration,
        /// Never longer.
        maximum: Duration,
    },
}

impl Retry {
    /// As configured, its times divided by the time factor.
    pub(in crate::broker) fn of(policy: Option<&RetryPolicy>, time_factor: f64) -> Self {
        let Some(policy) = policy else { return Self::Immediately };
        let time = |given: Option<&prost_types::Duration>, default: Duration| {
            let given = given.map_or(default, |given| Duration::try_from(*given).unwrap_or_default());
            scaled(given, time_factor)
        };
        Self::Exponential {
            minimum: time(policy.minimum_backoff.as_ref(), BACKOFF_MINIMUM_DEFAULT),
            maximum: time(policy.maximum_backoff.as_ref(), BACKOFF_MAXIMUM_DEFAULT),
        }
    }

    /// The backoff after this many failures (1 after the first): minimum × 2^(failures - 1), at most the maximum. Google
    /// names the bounds and that it is exponential, not the base; 2 is this broker's assumption.
    pub(in crate::broker) fn backoff(self, failures: u32) -> Duration {
        match self {
            Self::Immediately => Duration::ZERO,
            Self::Exponential { minimum, maximum } => {
                let doublings = failures.saturating_sub(1).min(31);
                minimum.saturating_mul(1 << doublings).min(maximum)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos: 0 }
    }

    #[test]
    fn without_a_policy_it_is_immediate() {
        assert_eq!(Retry::of(None, 1.0).backoff(7), Duration::ZERO);
    }

    #[test]
    fn the_backoff_doubles_from_the_minimum_to_the_maximum() {
        let retry = Retry::of(
            Some(&RetryPolicy { minimum_backoff: Some(seconds(10)), maximum_backoff: Some(seconds(60)) }),
            1.0,
        );
        let backoffs: Vec<u64> = (1..=5).map(|failures| retry.backoff(failures).as_secs()).collect();
        assert_eq!(backoffs, [10, 20, 40, 60, 60]);
        assert_eq!(retry.backoff(u32::MAX).as_secs(), 60);
        let default = Retry::of(Some(&RetryPolicy::default()), 10.0);
        assert_eq!((default.backoff(1), default.backoff(100)), (Duration::from_secs(1), Duration::from_mins(1)));
    }
}
