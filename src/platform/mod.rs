//! The local Cloud Run: ingress, queue, instances, limiter, meter, Admin and Monitoring endpoints. A process of its own;
//! nothing outside it sees more than its endpoints.

mod admin;
mod clock;
#[cfg(test)]
mod conformance;
mod connection;
mod family;
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
mod place;
mod premises;
mod request;
mod revision;
mod roster;
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
pub use fleet::{Fleet, FleetError, FleetOptions, Leftovers, Outside};
pub use glance::{InstanceGlance, InstancePhase, RevisionGlance};
pub use idle::CpuIdle;
pub use journal::{Event, Journal, Severity};
pub use limiter::{LimiterChoice, LimiterError, LimiterKind, LimiterReport};
pub use sample::{Distribution, Recommended, RevisionSample};
pub use server::{ServeError, ServeOptions, serve};
pub use spec::{Addresses, Operate, OperateError, RevisionSpec, Route};
