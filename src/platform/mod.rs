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
mod host;
mod idle;
mod ingress;
mod instance;
pub mod launch;
mod limiter;
mod load;
mod meter;
mod monitoring;
mod owner;
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
pub use fleet::{Fleet, FleetError, FleetOptions, Leftovers};
pub use idle::CpuIdle;
pub use limiter::{LimiterChoice, LimiterError, LimiterKind, LimiterReport};
pub use sample::{Distribution, RevisionSample};
pub use server::{ServeError, ServeOptions, serve};
pub use spec::{Addresses, Operate, OperateError, RevisionSpec, Route};
