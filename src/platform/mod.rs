//! The local Cloud Run: ingress, queue, instances, limiter, meter, Admin and Monitoring endpoints. A process of its own;
//! nothing outside it sees more than its endpoints.

mod admin;
mod clock;
#[cfg(test)]
mod conformance;
mod monitoring;
mod place;
mod request;
mod sample;
mod server;
mod spec;
mod status;

pub use clock::Clock;
pub use server::{ServeError, ServeOptions, serve};
