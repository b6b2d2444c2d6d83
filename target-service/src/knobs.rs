//! The knobs: what a request costs, and what goes wrong, besides the shop's own business. All are off by default.

use std::time::Duration;

/// What is asked of every request to `/` and below `/api/`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Knobs {
    /// Requests that are worked on at once; the others wait in order. None is no limit.
    pub(crate) workers: Option<usize>,
    /// CPU time.
    pub(crate) cpu_work: Duration,
    /// Waiting as for another service.
    pub(crate) wait: Duration,
    /// Waiting with the one mutex of the process held.
    pub(crate) mutex_hold: Duration,
    /// Bytes that are held, and have been written to, until the answer is made.
    pub(crate) memory: usize,
    /// Bytes of a temporary file that is never removed.
    pub(crate) temporary_file: usize,
    /// CPU time that the first request spends, and all wait for that come meanwhile.
    pub(crate) first_request_work: Duration,
    /// CPU time that is spent after the answer.
    pub(crate) background_work: Duration,
    pub(crate) crash: Crash,
}

/// When the process ends without an answer and without a farewell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Crash {
    /// At this request, counted from one.
    pub(crate) at_request: Option<u64>,
    /// With this probability at each request.
    pub(crate) probability: f64,
    /// Where the draws begin; drawn itself if none is given.
    pub(crate) seed: Option<u64>,
}
