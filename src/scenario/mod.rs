//! The question, in a file: what load, which journeys, within which promises. A file as written becomes a valid
//! `Scenario`, and a scenario with a seed becomes a `Plan`. Pure: no sockets and no clock; the only file read is the
//! scenario itself.

mod model;
mod plan;
mod session;

pub use model::{
    Arrivals, Billing, Body, Candidate, Expectation, Extraction, Field, Journey, LoadModel, Objective, Scenario,
    Service, ServiceSource, Slo, SloMetric, Stage, StageKind, Step, ThinkTime, Traffic, Tune,
};
pub use plan::{Arrival, Iteration, Plan, PlannedStage};
pub use session::{Request, Session, StepFailure};
