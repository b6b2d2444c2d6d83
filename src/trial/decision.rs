//! What a study concluded, as a record: made by `tuner`, read by `report`.

use super::PromiseRecording;
use crate::scenario::{Candidate, Objective, Slo};
use crate::units::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The chosen candidate, the frontier, and the reason against each other one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The outcome.
    pub outcome: Outcome,
    /// Every candidate with valid trials or without, in ascending order.
    pub standings: Vec<Standing>,
    /// Candidates no other beats in both cost and p95, cheapest first.
    pub frontier: Vec<Candidate>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// This one, because.
    Chosen(Choice),
    /// No candidate keeps every promise.
    Infeasible {
        /// Why, in a sentence.
        reason: String,
    },
    /// A candidate has no valid trial: no verdict.
    Untrusted {
        /// Which and why, in a sentence.
        reason: String,
    },
}

/// The chosen candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// It.
    pub candidate: Candidate,
    /// Why it and no other, in a sentence.
    pub reason: String,
}

/// How one candidate did over its valid trials. Without a valid trial its times and its error rate are 0 and mean
/// nothing: `trials_valid` says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The candidate.
    pub candidate: Candidate,
    /// Valid trials.
    pub trials_valid: u32,
    /// All trials.
    pub trials: u32,
    /// Mean over valid trials of the cost per million requests; `None` when one of them has no cost, or none is valid.
    pub cost_per_million_requests: Option<Usd>,
    /// The same per thousand reports that were acknowledged and delivered to every consumer; `None` also when nothing was to
    /// be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_thousand_delivered: Option<Usd>,
    /// Mean over valid trials of the p50 of response time, milliseconds.
    pub response_time_p50_ms: f64,
    /// Mean over valid trials of the p95, milliseconds.
    pub response_time_p95_ms: f64,
    /// Mean over valid trials of the p99, milliseconds.
    pub response_time_p99_ms: f64,
    /// Mean over valid trials of the error rate (0 to 1).
    pub error_rate: f64,
    /// Promises it broke: (promise, what was measured, in words). Empty for a feasible one.
    pub broken: Vec<(Slo, String)>,
    /// Promises of deliveries that it broke.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken_deliveries: Vec<PromiseRecording>,
    /// Reports that were acknowledged and not delivered within the drain limit, over all its trials, valid or not: one is enough to rule it out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Of those, how many may have been waiting in their subscriptions still.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queued: u64,
    /// For every candidate but the chosen: why not, in a sentence.
    pub why_not: Option<String>,
}

impl Standing {
    /// True when all that it did not deliver may have been waiting still.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.lost > 0 && self.queued == self.lost
    }

    /// True when it has a valid trial, keeps every promise, and lost nothing.
    #[must_use]
    pub fn feasible(&self) -> bool {
        self.trials_valid > 0 && self.broken.is_empty() && self.broken_deliveries.is_empty() && self.lost == 0
    }

    /// What it costs, in the objective's unit.
    #[must_use]
    pub fn cost(&self, objective: Objective) -> Option<Usd> {
        match objective {
            Objective::CostPerMillionRequests => self.cost_per_million_requests,
            Objective::CostPerThousandDelivered => self.cost_per_thousand_delivered,
        }
    }

    /// Every promise that it broke: as written, and what was measured, in words.
    pub fn broken_promises(&self) -> impl Iterator<Item = (&str, &str)> {
        let answers = self.broken.iter().map(|(slo, measured)| (slo.text.as_str(), measured.as_str()));
        let deliveries = self.broken_deliveries.iter();
        answers.chain(deliveries.map(|promise| (promise.text.as_str(), promise.measured.as_str())))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
