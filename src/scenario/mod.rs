//! The question, in a file: what load, which journeys, within which promises. A file as written becomes a valid
//! `Scenario`, and a scenario with a seed becomes a `Plan`. Pure: no sockets and no clock; the only file read is the
//! scenario itself.

mod abort;
mod arrivals;
mod conversion;
mod cookies;
mod counter;
mod error;
mod file;
mod located;
mod model;
mod notation;
mod plan;
mod schema;
mod script;
mod session;
mod template;

pub use crate::units::Billing;
pub use abort::{AbortRule, AbortWhen};
pub use arrivals::Arrival;
pub use counter::{Amount, Conservation, Counter, Observation};
pub use error::{Problem, ScenarioError};
pub use model::{
    Arrivals, Body, Candidate, Expectation, Extraction, Field, Journey, LoadModel, Objective, Scenario, Service,
    ServiceSource, Slo, SloMetric, Stage, StageKind, Step, ThinkTime, Traffic, Tune,
};
pub use plan::{Iteration, Plan, PlannedStage};
pub use schema::schema;
pub use session::{Request, Session, StepFailure};
