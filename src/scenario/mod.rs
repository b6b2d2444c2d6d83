//! The question, in a file: what load, which journeys, within which promises. A file as written becomes a valid
//! `Scenario`, and a scenario with a seed becomes a `Plan`. Pure: no sockets and no clock; the only files read are the
//! scenario itself and the log that it replays, once, when the scenario is loaded.

mod arrivals;
mod conversion;
mod cookies;
mod counter;
mod error;
mod file;
mod level;
mod load_file;
mod load_model;
mod located;
mod log;
mod mix;
mod model;
mod notation;
mod plan;
mod replay;
mod schema;
mod script;
mod session;
mod template;
#[cfg(test)]
mod tests;

pub use crate::units::Billing;
pub use arrivals::Arrival;
pub use counter::{Amount, Conservation, Counter, Observation};
pub use error::{Problem, ScenarioError};
pub use load_model::{Arrivals, LoadModel, Sine, Stage, StageKind};
pub use log::{BadLine, Column, LOG_ARRIVALS_MAX, Log, LogError, LogFormat, LogOptions, TimeUnit, read_log};
pub use model::{
    Body, Candidate, Expectation, Extraction, Field, Journey, Objective, Scenario, Service, ServiceSource, Slo,
    SloMetric, Step, ThinkTime, Traffic, Tune,
};
pub use plan::{Iteration, Plan, PlannedStage};
pub use replay::{RecordedTimes, Replay};
pub use schema::schema;
pub use session::{Request, Session, StepFailure};
