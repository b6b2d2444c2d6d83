//! One trial: a candidate under one scenario and seed, once.

use super::{Recording, Usage};
use crate::cost::Cost;
use crate::scenario::{Candidate, Objective};
use crate::units::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one trial was and gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialResult {
    /// Running number in the study, from 1.
    pub number: u32,
    /// What was tried.
    pub candidate: Candidate,
    /// Which block, from 1.
    pub block: u32,
    /// Seed of its plan: the same for all trials of a block.
    pub seed: u64,
    /// Which attempt at this candidate in this block: 2 repeats an invalid one.
    pub attempt: u32,
    /// The revision that was its own.
    pub revision: String,
    /// When its revision was asked for, RFC 3339: nothing was billed to it before.
    #[serde(default)]
    pub deployed_at: String,
    /// When its load started, RFC 3339.
    pub started_at: String,
    /// When its load had ended and was drained, RFC 3339.
    #[serde(default)]
    pub ended_at: String,
    /// What the driver saw.
    pub recording: Recording,
    /// What the platform billed, if it could be read.
    pub usage: Option<Usage>,
    /// What that costs, if it could be priced: of a system, all its services together.
    pub cost: Option<Cost>,
    /// Of a system, the services behind the one that the journeys were sent to, by name; else empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, MemberUsage>,
    /// Units sold according to the answers and fall in stock according to the service, if the study could ask.
    pub stock: Option<StockCheck>,
    /// Seconds that the service's requests waited for database locks, summed over all of them, from its own logs;
    /// `None` when its logs do not tell.
    #[serde(default)]
    pub lock_wait_s: Option<f64>,
    /// Whether it is evidence.
    pub validity: Validity,
}

/// What a service behind the front did in a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberUsage {
    /// The revision that was the trial's own.
    pub revision: String,
    /// What the platform billed, if it could be read.
    pub usage: Option<Usage>,
    /// What that costs, if it could be priced; part of the trial's cost.
    pub cost: Option<Cost>,
}

/// Whether a trial is evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It is.
    Valid,
    /// It is not, for these reasons, at least one.
    Invalid(Vec<Invalid>),
}

/// Why a trial is no evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Invalid {
    /// The driver itself was late.
    #[error(
        "the driver was late: p99 of lateness {p99_ms:.2} ms, bound {bound_ms:.2} ms; use a quieter or larger machine, or a lower rate"
    )]
    Late {
        /// 99th percentile of lateness.
        p99_ms: f64,
        /// The bound: max(1 ms, 5 % of the median response time).
        bound_ms: f64,
    },
    /// The host had no CPU left.
    #[error(
        "the host was saturated: {share_percent:.0} % of its CPU busy, bound {bound_percent:.0} %; close other programs or lower the rate"
    )]
    HostSaturated {
        /// Busy share.
        share_percent: f64,
        /// The bound.
        bound_percent: f64,
    },
    /// The driver was late at a higher quantile than its p99, which a promise speaks of.
    #[error(
        "the driver was late where {promise:?} is measured: p{percentile} of lateness {late_ms:.1} ms, bound {bound_ms:.1} ms; run it on a quieter machine, or promise a lower percentile"
    )]
    LateAt {
        /// The promise, as written.
        promise: String,
        /// Of which percentile it speaks.
        percentile: f64,
        /// That percentile of lateness.
        late_ms: f64,
        /// The bound.
        bound_ms: f64,
    },
    /// The thread that sends had no moment left.
    #[error(
        "the driver was saturated: its thread was busy for {share_percent:.0} % of five seconds, bound {bound_percent:.0} %, so answers waited for it; lower the load, or split it by --shard over several processes or machines"
    )]
    DriverSaturated {
        /// Busy share of the busiest five seconds.
        share_percent: f64,
        /// The bound.
        bound_percent: f64,
    },
    /// The driver's host had no file or port left for a connection.
    #[error("the driver's own host failed {count} requests: {cause}; these failures say nothing about the service")]
    DriverStarved {
        /// What it lacked.
        cause: String,
        /// How many requests failed of it.
        count: u64,
    },
    /// The hypervisor took time that a closed load does not show as lateness.
    #[error(
        "the hypervisor took {share_percent:.1} % of the host's CPU time, bound {bound_percent:.0} %, which a closed load cannot tell from a slow service; use a machine that is not shared"
    )]
    Stolen {
        /// Stolen share.
        share_percent: f64,
        /// The bound.
        bound_percent: f64,
    },
    /// The run was ended because its rate was not reached, and the driver was why.
    #[error(
        "the driver itself did not reach the rate: after {at_s:.1} s, {cause}; use a larger machine, lower the rate, or split it by --shard"
    )]
    RateNotReached {
        /// When, in seconds since the start of the load.
        at_s: f64,
        /// What was seen.
        cause: String,
    },
    /// Monitoring did not tell what is needed.
    #[error("usage is missing: {cause}")]
    UsageMissing {
        /// Why.
        cause: String,
    },
    /// A hold stage never became steady.
    #[error("stage {stage:?} was not steady: {cause}; lengthen it or its warm-up")]
    Unsteady {
        /// The stage.
        stage: String,
        /// What moved.
        cause: String,
    },
    /// The books of client and platform differ by more than they may.
    #[error("the books do not balance: {cause}")]
    Books {
        /// What differs.
        cause: String,
    },
    /// Nothing was measured.
    #[error("no request was answered: {cause}")]
    NothingAnswered {
        /// The most frequent failure.
        cause: String,
    },
    /// Interrupted.
    #[error("interrupted before its end")]
    Interrupted,
    /// A consumer's clock was behind: its delivery times are not true.
    #[error("delivery times are not true: {cause}")]
    ClockBehind {
        /// Whose, and by how much at least.
        cause: String,
    },
    /// A consumer did not tell what was delivered to it.
    #[error("what was delivered is not known: {cause}")]
    Unobserved {
        /// Who did not tell, and why.
        cause: String,
    },
}

/// What was sold against what is missing from stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockCheck {
    /// Units that successful check-outs took, as the answers say.
    pub sold: i64,
    /// Fall in stock, as the service says.
    pub fall: i64,
}

impl StockCheck {
    /// Whether the two agree.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.sold == self.fall
    }

    /// By how much the two differ, in words: what was sold without leaving the stock, as a share of what was sold, or
    /// what left it without being sold. Empty where they agree.
    #[must_use]
    pub fn difference(&self) -> String {
        let lost = i128::from(self.sold) - i128::from(self.fall);
        match lost {
            0 => String::new(),
            1.. if self.sold > 0 => {
                let share = 100.0 * lost as f64 / self.sold as f64;
                format!("{lost} counted and not gone, {share:.1} % of what was counted")
            }
            1.. => format!("{lost} came back that nobody counted"),
            _ => format!("{} gone and not counted", -lost),
        }
    }
}

impl TrialResult {
    /// True when it is evidence.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.validity == Validity::Valid
    }

    /// Why it is no evidence, in words; empty when it is.
    #[must_use]
    pub fn invalid_reasons(&self) -> String {
        match &self.validity {
            Validity::Valid => String::new(),
            Validity::Invalid(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    /// What a million requests like its own cost: all that its revision was billed, over every request that reached an
    /// instance. `None` when it could not be priced or nothing reached an instance.
    #[must_use]
    pub fn cost_per_million_requests(&self) -> Option<Usd> {
        self.cost.and_then(|cost| cost.per_million_requests())
    }

    /// What it cost in the objective's unit: all that its revisions were billed, over what the unit counts, warm-up
    /// included. `None` when it could not be priced or nothing was counted.
    #[must_use]
    pub fn cost_per_unit(&self, objective: Objective) -> Option<Usd> {
        match objective {
            Objective::CostPerMillionRequests => self.cost_per_million_requests(),
            Objective::CostPerThousandDelivered => {
                self.cost?.per_thousand(self.recording.delivery.as_ref()?.delivered_to_all?)
            }
        }
    }

    /// Of the [lost](Self::lost), those that may have been waiting in their subscriptions still: what delivers nothing in time is too
    /// slow or refuses, and need not have lost anything.
    #[must_use]
    pub fn queued(&self) -> u64 {
        if self.lost() == 0 { 0 } else { self.recording.delivery.as_ref().map_or(0, super::DeliveryRecording::queued) }
    }

    /// Reports that were acknowledged and not delivered within the drain limit, each counted for each consumer that lacks it. What was interrupted
    /// or not observed may still have arrived: that is unknown, not lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        match &self.recording.delivery {
            Some(delivery) if !self.recording.interrupted && delivery.unobserved.is_none() => delivery.lost(),
            _ => 0,
        }
    }

    /// Seconds that were billed, of all services together.
    #[must_use]
    pub fn billable_instance_time_s(&self) -> Option<f64> {
        let others = self.others.values().map(|other| other.usage.as_ref().map(|usage| usage.billable_instance_time_s));
        let front = self.usage.as_ref()?.billable_instance_time_s;
        others.sum::<Option<f64>>().map(|others| front + others)
    }

    /// What a thousand of the scenario's counter `counter` cost, such as successful check-outs: all that the revision
    /// was billed, over all that was counted, warm-up included. `None` when it could not be priced or nothing counted.
    #[must_use]
    pub fn cost_per_thousand(&self, counter: &str) -> Option<Usd> {
        let count = u64::try_from(*self.recording.counters.get(counter)?).ok()?;
        self.cost?.per_thousand(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::trial;
    use super::*;

    #[test]
    fn cost_is_told_per_million_requests_and_per_thousand_of_a_counter() {
        let mut trial = trial(1, 8, 10.0, 100.0);
        trial.recording.counters.insert("checkouts".into(), 40_000);
        trial.recording.counters.insert("returns".into(), -3);
        assert_eq!(trial.cost_per_million_requests(), Some(Usd(10.0)));
        assert_eq!(trial.cost_per_thousand("checkouts"), Some(Usd(0.25)));
        assert_eq!((trial.cost_per_thousand("returns"), trial.cost_per_thousand("orders")), (None, None));
        trial.cost = None;
        assert_eq!((trial.cost_per_million_requests(), trial.cost_per_thousand("checkouts")), (None, None));
    }

    #[test]
    fn every_reason_against_a_trial_is_told() {
        let mut trial = trial(1, 8, 10.0, 100.0);
        assert_eq!((trial.is_valid(), trial.invalid_reasons()), (true, String::new()));
        let cause = "503 from Monitoring".to_owned();
        trial.validity = Validity::Invalid(vec![Invalid::UsageMissing { cause }, Invalid::Interrupted]);
        assert_eq!(trial.invalid_reasons(), "usage is missing: 503 from Monitoring; interrupted before its end");
        assert!(!trial.is_valid());
    }
}
