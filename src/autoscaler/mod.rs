//! Decisions only: (policy, observation, now) → desired instances, by Cloud Run's policy or Knative's. No clock, no I/O,
//! no randomness, no threads; shared by the platform and, later, the simulator.

mod choice;
mod cloud_run;
mod constants;
mod decision;
mod knative;
mod micros;
mod policy;
mod scaler;
mod window;

pub use choice::{AutoscalerKind, Routing};
pub use decision::{Bounds, Decision, Reason, Snapshot, Target, Targets};
pub use micros::Micros;
pub use policy::{Assumption, KnativePolicy, Policy};
pub use scaler::Autoscaler;
