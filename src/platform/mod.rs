//! The local Cloud Run: ingress, queue, instances, limiter, meter, Admin and Monitoring endpoints. A process of its own;
//! nothing outside it sees more than its endpoints.

mod admin;
mod affinity;
mod allotment;
mod clock;
#[cfg(test)]
mod conformance;
mod connection;
mod cores;
mod ending;
mod family;
#[cfg(test)]
mod fixture;
mod fleet;
mod forward;
mod glance;
mod host;
mod idle;
mod ingress;
mod instance;
mod journal;
pub mod launch;
mod limiter;
mod load;
mod meter;
mod monitoring;
mod owner;
mod page;
mod pause;
mod place;
mod premises;
mod probe;
mod request;
mod revision;
mod roster;
mod router;
mod sample;
mod server;
mod spawner;
mod spec;
mod state;
mod status;
mod usage;
mod wire;
mod world;

pub use clock::Clock;
pub use ending::Ending;
pub use fleet::{Fleet, FleetError, FleetOptions, Leftovers, Outside};
pub use glance::{InstanceGlance, InstancePhase, RevisionGlance};
pub use idle::CpuIdle;
pub use journal::{Event, Journal, Severity};
pub use limiter::{LimiterChoice, LimiterError, LimiterKind, LimiterReport};
pub use probe::{Check, Probe};
pub use sample::{Distribution, Recommended, RevisionSample};
pub use server::{ServeError, ServeOptions, serve};
pub use spec::{Addresses, Operate, OperateError, RevisionSpec, Route, ServiceScaling};
