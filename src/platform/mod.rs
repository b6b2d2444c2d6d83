//! The local Cloud Run: ingress, queue, instances, limiter, meter, Admin and Monitoring endpoints. A process of its own;
//! nothing outside it sees more than its endpoints.

mod fleet;
mod forward;
mod host;
mod ingress;
mod instance;
pub mod launch;
mod limiter;
mod load;
mod meter;
mod revision;
mod roster;
mod sample;
mod spawner;
mod spec;
mod state;
mod usage;
mod wire;
mod world;

pub use fleet::{Fleet, FleetError, FleetOptions};
pub use limiter::{LimiterChoice, LimiterError, LimiterKind, LimiterReport};
pub use sample::{Distribution, RevisionSample};
pub use spec::{Addresses, Operate, OperateError, RevisionSpec, Route};
