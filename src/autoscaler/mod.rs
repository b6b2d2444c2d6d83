//! Decisions only: (policy, observation, now) → desired instances. No clock, no I/O, no randomness, no threads; shared
//! by the platform and, later, the simulator.

mod cloud_run;
mod micros;
mod policy;
mod window;

pub use cloud_run::{Autoscaler, Bounds, Decision, Reason, Snapshot};
pub use micros::Micros;
pub use policy::{Assumption, Policy};
