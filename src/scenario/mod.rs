//! The question, in a file: what load, which journeys, within which promises. A file as written becomes a valid
//! `Scenario`, and a scenario with a seed becomes a `Plan`. Pure: no sockets and no clock; the only files read are the
//! scenario itself and those it names (rows, bodies, a log that it replays), once, when the scenario is loaded.

mod abort;
mod answer;
mod arrivals;
mod condition;
mod conversion;
mod cookies;
mod counter;
mod data;
mod decompress;
mod delivery;
mod delivery_notation;
mod draw;
mod draws;
mod error;
mod fields;
mod file;
mod flow;
mod level;
mod load_file;
mod load_model;
mod located;
mod log;
mod mix;
mod model;
mod multipart;
mod notation;
mod occasion;
mod pick;
mod places;
mod plan;
mod recorded;
mod redirect;
mod render;
mod replay;
mod request;
mod route;
mod scan;
mod schema;
mod script;
mod session;
mod step;
mod system;
mod system_file;
mod target;
mod template;
#[cfg(test)]
mod tests;

pub use crate::units::Billing;
pub use abort::{AbortRule, AbortWhen};
pub use arrivals::Arrival;
pub use condition::Condition;
pub use counter::{Amount, Conservation, Counter, Observation};
pub use data::{DataOrder, DataSet};
pub use delivery::{Delivery, DeliveryMetric, DeliveryPromise, Ids};
pub use draws::Draws;
pub use error::{Problem, ScenarioError};
pub use fields::Fields;
pub use flow::{Group, Repeat, Turn};
pub use load_model::{Arrivals, LoadModel, Sine, Stage, StageKind};
pub use log::{
    BadLine, Column, LOG_ARRIVALS_MAX, Log, LogError, LogFormat, LogOptions, LogRequest, LogRequests, RequestOptions,
    TimeUnit, left_out_told, read_log,
};
pub use model::{Candidate, Journey, Objective, Scenario, Service, ServiceSource, Slo, SloMetric, Traffic, Tune};
pub use multipart::{FormContent, FormPart};
pub use occasion::Occasion;
pub use places::{ServiceFault, ServiceField};
pub use plan::{Iteration, Plan, PlannedStage};
pub use recorded::{RecordedRequests, SentRequests};
pub use replay::{RecordedTimes, Replay};
pub use request::{Rendered, RenderedBody, Request};
pub use schema::schema;
pub(crate) use schema::schema_of;
pub use session::{Session, StepFailure};
pub use step::{
    BODY_BYTES_MAX, Body, Check, Expectation, Extraction, Field, FileBody, JsonTest, Source, Step, TextTest, ThinkTime,
    TimestampForm,
};
pub use system::{DeadLetter, Fault, FaultKind, Member, Retry, Subscription, System};
pub use target::{AddressOverride, Audience, Claim, Protocol, ProxyAddress, Target, origin_of};
