//! The question, in a file: what load, which journeys, within which promises. A file as written becomes a valid
//! `Scenario`, and a scenario with a seed becomes a `Plan`. Pure: no sockets and no clock; the only file read is the
//! scenario itself and those it names.

mod answer;
mod arrivals;
mod condition;
mod conversion;
mod cookies;
mod counter;
mod data;
mod decompress;
mod draw;
mod error;
mod file;
mod flow;
mod located;
mod model;
mod notation;
mod occasion;
mod plan;
mod redirect;
mod render;
mod schema;
mod script;
mod session;
mod step;
mod template;

pub use crate::units::Billing;
pub use arrivals::Arrival;
pub use condition::Condition;
pub use counter::{Amount, Conservation, Counter, Observation};
pub use data::{DataOrder, DataSet};
pub use error::{Problem, ScenarioError};
pub use flow::{Group, Repeat, Turn};
pub use model::{
    Arrivals, Candidate, Journey, LoadModel, Objective, Scenario, Service, ServiceSource, Slo, SloMetric, Stage,
    StageKind, Traffic, Tune,
};
pub use occasion::Occasion;
pub use plan::{Iteration, Plan, PlannedStage};
pub use schema::schema;
pub use session::{Request, Session, StepFailure};
pub use step::{
    BODY_BYTES_MAX, Body, Check, Expectation, Extraction, Field, FileBody, JsonTest, Source, Step, TextTest, ThinkTime,
    TimestampForm,
};
