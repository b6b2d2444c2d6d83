//! An asynchronous system: services that hand work on through topics and push subscriptions, and the faults they meet
//! while the load runs.

use super::Service;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Pub/Sub's push backoff pauses a subscription for this long at most, whatever its retry policy ("Push backoff" on Google's
/// page of push subscriptions, read 2026-11-22).
const PUSH_BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Services, and how messages go between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// The services by name, at least one.
    pub services: BTreeMap<String, Member>,
    /// The service that the journeys are sent to.
    pub front: String,
    /// The topics, each once.
    pub topics: Vec<String>,
    /// The push subscriptions by name.
    pub subscriptions: BTreeMap<String, Subscription>,
    /// What goes wrong, in the order of the file.
    pub faults: Vec<Fault>,
    /// Share of a host core that one vCPU stands for on the local platform.
    pub host_cores_per_vcpu: f64,
    /// Divides platform times, the broker's backoffs, stage lengths and the times of faults; at least 1.
    pub time_factor: f64,
}

/// One of the services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What runs in an instance, and how large an instance is.
    pub service: Service,
    /// Requests an instance may hold at once; Google's default if there is none.
    pub max_concurrency: Option<u32>,
    /// The service accounts that may call it, by short name or email, with a token; everybody may if there is no list.
    pub invokers: Option<Vec<String>>,
    /// The topic that it publishes to.
    pub publishes: Option<String>,
    /// Path at which it tells what was delivered to it.
    pub observer: Option<String>,
}

/// A push subscription. What is `None` is Pub/Sub's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The topic whose messages it gets.
    pub topic: String,
    /// The service that they are pushed to.
    pub push_to: String,
    /// The service account whose token each push carries, by short name or email; none if there is none.
    pub push_as: Option<String>,
    /// How long an answer may take, 10 to 600 s.
    pub ack_deadline: Duration,
    /// Exponential backoff between deliveries of a message; at once if there is none.
    pub retry: Option<Retry>,
    /// Where messages go that cannot be delivered.
    pub dead_letter: Option<DeadLetter>,
    /// Messages with the same ordering key come in order.
    pub ordered: bool,
    /// The body of a push is the message's data alone.
    pub unwrapped: bool,
}

/// A retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// After the first failure, up to 600 s.
    pub min_backoff: Duration,
    /// After many, up to 600 s.
    pub max_backoff: Duration,
}

/// A dead letter policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// The topic that takes them.
    pub topic: String,
    /// After so many deliveries, 5 to 100.
    pub max_attempts: u32,
}

/// Something that goes wrong with a service for a while: a broken revision of it is deployed, then a good one again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// As written.
    pub text: String,
    /// The service.
    pub service: String,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// When it begins, since the start of the load, as written: the time factor divides it.
    pub from: Duration,
    /// How long it lasts, as written: the time factor divides it.
    pub length: Duration,
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum FaultKind {
    /// It answers 500.
    Down,
    /// It ends at a request.
    Crashing,
    /// It does not answer.
    Hanging,
    /// Each answer takes so much longer.
    Slow(Duration),
    /// This share (0 to 1) of requests is answered 500.
    Failing(f64),
}

/// The value of the variable `FAULT` that asks a bundled service for it.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("down"),
            Self::Crashing => f.write_str("crash"),
            Self::Hanging => f.write_str("hang"),
            Self::Slow(more) => write!(f, "slow:{}ms", more.as_millis()),
            Self::Failing(share) => write!(f, "share:{share}"),
        }
    }
}

impl Fault {
    /// When it begins and ends, since the start of the load, with `time_factor` at work.
    #[must_use]
    pub fn window(&self, time_factor: f64) -> (Duration, Duration) {
        let factor = time_factor.max(1.0);
        (self.from.div_f64(factor), self.from.saturating_add(self.length).div_f64(factor))
    }
}

impl Subscription {
    /// How long after an acknowledged publish a message may still be on its way, twice over: twice the longest backoff, over
    /// the time factor, and the ack deadline, which is the consumer's time and is not divided.
    #[must_use]
    pub fn patience(&self, time_factor: f64) -> Duration {
        let backoff = self.retry.map_or(PUSH_BACKOFF_MAX, |retry| retry.max_backoff.max(PUSH_BACKOFF_MAX));
        (backoff * 2).div_f64(time_factor.max(1.0)) + self.ack_deadline
    }
}

impl System {
    /// How long after the load deliveries are waited for: what is acknowledged and not delivered then is lost.
    #[must_use]
    pub fn drain_limit(&self, time_factor: f64) -> Duration {
        let each = self.subscriptions.values().map(|subscription| subscription.patience(time_factor));
        each.max().unwrap_or_default()
    }

    /// The subscriptions that push to `service`.
    pub fn subscriptions_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a String, &'a Subscription)> {
        self.subscriptions.iter().filter(move |(_, subscription)| subscription.push_to == service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn the_drain_is_twice_the_longest_backoff_and_the_ack_deadline() {
        let mut subscription = Subscription {
            topic: "t".to_owned(),
            push_to: "s".to_owned(),
            push_as: None,
            ack_deadline: 10 * S,
            retry: None,
            dead_letter: None,
            ordered: false,
            unwrapped: false,
        };
        assert_eq!(subscription.patience(1.0), 130 * S);
        assert_eq!(subscription.patience(12.0), 20 * S);
        subscription.retry = Some(Retry { min_backoff: 10 * S, max_backoff: 600 * S });
        assert_eq!(subscription.patience(1.0), 1210 * S);
        subscription.retry = Some(Retry { min_backoff: S, max_backoff: 2 * S });
        assert_eq!(subscription.patience(1.0), 130 * S, "the push backoff is at work too");
    }

    #[test]
    fn faults_are_told_to_services_in_their_words() {
        let told = [
            (FaultKind::Down, "down"),
            (FaultKind::Crashing, "crash"),
            (FaultKind::Hanging, "hang"),
            (FaultKind::Slow(2 * S), "slow:2000ms"),
            (FaultKind::Failing(0.2), "share:0.2"),
        ];
        for (kind, text) in told {
            assert_eq!(kind.to_string(), text);
        }
    }
}
