//! How the load comes: the load model and its stages, once everything that can be wrong with them has been refused.

use super::Replay;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the load comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum LoadModel {
    /// Arrivals come whatever the service does. Stage levels are arrivals (journeys) per second.
    Open {
        /// How arrivals are spaced.
        arrivals: Arrivals,
        /// How many journeys may be under way at once; beyond it an arrival waits, and the wait is blocked time.
        max_in_flight: u32,
    },
    /// Virtual users wait for answers. Stage levels are numbers of virtual users.
    Closed,
    /// Virtual users who begin a session at a fixed pace. Stage levels are numbers of virtual users.
    Paced {
        /// From the due time of one session to that of the next, above 0. A session that is due while the one before is
        /// under way begins late, and the wait is blocked time.
        every: Duration,
    },
    /// As many requests in flight as the stage's level says, at all times: virtual users without think times.
    InFlight,
    /// Arrivals come as they were recorded. The level of the only stage is the mean rate of arrivals.
    Replay(Replay),
}

impl LoadModel {
    /// True when arrivals come whatever the service does.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Replay(_))
    }
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Evenly spaced.
    Constant,
}

/// A stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, unique in the scenario.
    pub name: String,
    /// What the level does.
    pub kind: StageKind,
    /// Level at the start: arrivals per second (open) or virtual users (closed).
    pub from: f64,
    /// Level at the end; equals `from` unless it ramps or is a sine.
    pub to: f64,
    /// How long, as written: a platform's time factor divides it.
    pub duration: Duration,
    /// How much of its start is warm-up, as written; at most `duration`.
    pub warm_up: Duration,
    /// Weights of the journeys during this stage, in their order, instead of the journeys' own; empty for those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mix: Vec<f64>,
}

impl Stage {
    /// The highest level that the stage may reach.
    #[must_use]
    pub fn level_max(&self) -> f64 {
        match self.kind {
            StageKind::Sine(sine) => sine.mean + sine.amplitude,
            _ => self.from.max(self.to),
        }
    }
}

/// What the level does during a stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Stays; steady state is judged.
    Hold,
    /// Moves on a line; steady state is not judged.
    Ramp,
    /// Jumps, stays for a short time; steady state is not judged.
    Spike,
    /// Swings around a mean; steady state is not judged.
    Sine(Sine),
    /// Follows a recording; steady state is not judged.
    Replay,
}

/// A level that swings, such as that of a day: mean + amplitude · sin(2π · (t + phase) / period).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sine {
    /// The level it swings around.
    pub mean: f64,
    /// How far it swings: at most the mean.
    pub amplitude: f64,
    /// Length of a whole swing, as written; above 0.
    pub period: Duration,
    /// How far into a swing the stage begins, as written: 0 begins at the mean, going up.
    pub phase: Duration,
}
