//! When a run ends before its plan does.

use super::Slo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A rule that ends a run early. A study does not apply it: half a trial is no evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AbortRule {
    /// The rule in words, for messages and the record.
    pub text: String,
    /// What ends the run.
    pub when: AbortWhen,
    /// Judged from here on, as written: the time factor divides it.
    pub after: Duration,
}

/// What ends a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum AbortWhen {
    /// A promise that the run as a whole can no longer keep, whatever is still to come.
    Lost(Slo),
    /// A promise that is broken over a sliding window.
    Broken {
        /// The promise.
        slo: Slo,
        /// The window's length, as written: the time factor divides it.
        over: Duration,
    },
    /// The achieved rate is below this share of the offered rate over a sliding window.
    Behind {
        /// Share (0 to 1).
        share: f64,
        /// The window's length, as written: the time factor divides it.
        over: Duration,
    },
}
