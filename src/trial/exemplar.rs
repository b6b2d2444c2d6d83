//! The slowest requests of a step, kept one by one so that they can be found in the traces of the service.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many are kept of each step.
pub const EXEMPLARS_MAX: usize = 10;

/// One slow request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exemplar {
    /// When it was due, seconds since the start of the load.
    pub due_s: f64,
    /// Its response time in milliseconds.
    pub response_time_ms: f64,
    /// The trace id of its `traceparent`, 32 hexadecimal digits.
    pub trace_id: String,
}

/// Keeps the slowest of both, slowest first; of equally slow ones those that were due first.
pub(super) fn merge(own: &mut Vec<Exemplar>, others: &[Exemplar]) {
    own.extend_from_slice(others);
    own.sort_by(|a, b| {
        let slower = b.response_time_ms.total_cmp(&a.response_time_ms);
        slower.then(a.due_s.total_cmp(&b.due_s)).then_with(|| a.trace_id.cmp(&b.trace_id))
    });
    own.truncate(EXEMPLARS_MAX);
}
