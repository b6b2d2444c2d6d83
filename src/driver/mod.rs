//! Sends a plan and gives back a recording: open and closed models, one connection per virtual user, journeys. Knows
//! nothing of platforms, prices or decisions.

use crate::scenario::Plan;
use crate::trial::Recording;
use std::time::Duration;

/// What a drive needs besides its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where requests go: scheme, host and port, without a trailing slash.
    pub base_url: String,
    /// How long after the end of the plan answers are waited for.
    pub drain: Duration,
}

/// How far a drive is, sent about four times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the start of the load.
    pub elapsed: Duration,
    /// Length of the plan.
    pub total: Duration,
    /// Requests per second planned over the last second.
    pub offered_rate: f64,
    /// Requests per second completed over the last second.
    pub achieved_rate: f64,
    /// Response time p99 over the last few seconds.
    pub response_time_p99: Duration,
    /// Requests in flight.
    pub in_flight: u64,
    /// Failures so far.
    pub failed: u64,
}

/// Why a drive could not begin, or gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The address is not one.
    #[error("{url:?} is not an address to send load to: {cause}; write it as http://host:port")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A set-up step failed.
    #[error("set-up step {step:?} failed: {cause}")]
    SetUp {
        /// The step.
        step: String,
        /// What happened.
        cause: String,
    },
}

/// Sends the set-up steps, then the plan, and records what becomes of every arrival.
///
/// `stop` ends the load early: nothing new is started, what is under way is awaited for `options.drain`, and the
/// recording says that it was interrupted.
///
/// # Errors
/// When the address is none, or a set-up step fails. A target that fails under load is not an error but a recording.
pub async fn drive(
    plan: &Plan,
    options: &Options,
    progress: tokio::sync::watch::Sender<Progress>,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Result<Recording, DriveError> {
    let _ = (plan, options, progress, stop);
    todo!()
}
