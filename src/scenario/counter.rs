//! Counters that answers add to, numbers a service is asked for before and after a load, and what must agree between
//! the two: how a study proves that units sold equal the fall in stock.

use super::Step;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an answer adds to a counter, and which answers do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// How much an answer adds.
    pub add: Amount,
    /// Statuses of the answers that add; empty means every answer with a status that its step expects.
    pub statuses: Vec<u16>,
}

/// How much an answer adds to a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Amount {
    /// Always this much.
    Constant(i64),
    /// The sum of the numbers this `JSONPath` (RFC 9535) selects in the body.
    JsonSum(String),
}

/// A number that a service is asked for before the load and after the last answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Name, unique in the scenario.
    pub name: String,
    /// The request; it may use constants and `${base_url}` only.
    pub step: Step,
    /// The number is the sum of the numbers that this `JSONPath` (RFC 9535) selects in the body.
    pub sum: String,
}

/// A law of conservation: what a counter gained is what an observation lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conservation {
    /// The counter, by name.
    pub counter: String,
    /// The observation that falls by as much, by name.
    pub observation: String,
}
