//! Conditions: how far a service or a revision has come.

use jiff::Timestamp;
use serde_json::{Value, json};

/// How far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// On its way.
    Reconciling,
    /// There.
    Succeeded,
    /// It will not get there; the message says why.
    Failed(String),
}

/// A state and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) state: State,
    pub(super) since: Timestamp,
}

impl Condition {
    pub(super) fn new(state: State, since: Timestamp) -> Self {
        Self { state, since }
    }

    /// Google's JSON for the condition of this type (`Ready`, `RoutesReady`, ...).
    pub(super) fn to_json(&self, kind: &str) -> Value {
        let state = match self.state {
            State::Reconciling => "CONDITION_RECONCILING",
            State::Succeeded => "CONDITION_SUCCEEDED",
            State::Failed(_) => "CONDITION_FAILED",
        };
        let mut condition = json!({"type": kind, "state": state, "lastTransitionTime": self.since.to_string()});
        if let State::Failed(message) = &self.state {
            condition["message"] = message.as_str().into();
            condition["severity"] = "ERROR".into();
        }
        condition
    }
}
