//! What all journeys of a drive share, and the order of its phases: load, drain, cut.

use super::connection::{Connector, Outgoing};
use super::headers::Headers;
use super::posts::Posts;
use super::progress::{self, Progress};
use super::recorder::Recorder;
use super::timer::Timer;
use super::trace::Trace;
use super::{closed, open};
use crate::scenario::{LoadModel, Plan, Rendered};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// What all journeys share.
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) base_url: String,
    pub(super) connector: Arc<Connector>,
    pub(super) headers: Headers,
    pub(super) timer: Timer,
    pub(super) recorder: Mutex<Recorder>,
    /// Where posts are told whose reports must be delivered.
    pub(super) posts: Option<Posts>,
    /// The start of the load: every due time counts from here.
    pub(super) start: Instant,
    /// The same moment on the wall clock.
    pub(super) started_at: jiff::Timestamp,
    /// True from when nothing new is started.
    pub(super) closing: watch::Sender<bool>,
}

impl Load {
    /// Tells the recorder. All who do run on one thread, so the lock is never waited for.
    pub(super) fn record<T>(&self, tell: impl FnOnce(&mut Recorder) -> T) -> T {
        tell(&mut self.recorder.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prepares `request`, which belongs to `trace`, for the connections of the load, in the `memory` of an earlier one.
    pub(super) fn prepare(
        &self,
        memory: Vec<u8>,
        request: Rendered<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<Outgoing, &'static str> {
        self.connector.prepare(memory, request, &self.headers, trace)
    }

    /// `time` since the start of the load.
    pub(super) fn since_start(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.start)
    }

    /// How long a virtual user pauses where the scenario says `think`: not at all while requests are kept in flight.
    pub(super) fn pause(&self, think: Duration) -> Duration {
        if matches!(self.plan.scenario().load, LoadModel::InFlight) { Duration::ZERO } else { think }
    }

    /// When the last stage ends.
    pub(super) fn end(&self) -> Instant {
        later(self.start, self.plan.duration())
    }
}

/// `duration` after `instant`; as late as the clock can tell when that is beyond it.
pub(super) fn later(instant: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_hours(30 * 365 * 24);
    instant.checked_add(duration).unwrap_or_else(|| instant + FAR)
}

/// Runs the load to its end, or until `stopped`, drains and cuts what remains. Says whether it was stopped before
/// everything the plan holds was started.
pub(super) async fn conduct(
    load: &Arc<Load>,
    drain: Duration,
    progress: watch::Sender<Progress>,
    stopped: impl Future<Output = ()>,
) -> bool {
    let (abort, aborted) = oneshot::channel();
    let telling = tokio::spawn(progress::tell(Arc::clone(load), progress, abort));
    let stopped = progress::either(stopped, aborted);
    let mut under_way = JoinSet::new();
    let end = later(load.end(), drain);
    let (interrupted, rest) = if let Some(max_in_flight) = load.plan.max_in_flight() {
        let mut arrivals = load.plan.arrivals().peekable();
        let interrupted = tokio::select! {
            // Asked first: what is stopped before it began begins nothing.
            biased;
            () = stopped => true,
            () = open::send(load, max_in_flight, &mut arrivals, &mut under_way) => false,
            () = tokio::time::sleep_until(end) => false,
        };
        (interrupted, Some(arrivals))
    } else {
        closed::begin(load, &mut under_way);
        let interrupted = tokio::select! {
            biased;
            () = stopped => true,
            () = tokio::time::sleep_until(load.end()) => false,
        };
        (interrupted, None)
    };
    load.closing.send_replace(true);
    let deadline = if interrupted { later(Instant::now(), drain) } else { end };
    let drained = async { while under_way.join_next().await.is_some() {} };
    if timeout_at(deadline, drained).await.is_err() {
        // What is still under way enters the books as it is dropped.
        under_way.shutdown().await;
    }
    let now = load.since_start(Instant::now());
    for arrival in rest.into_iter().flatten() {
        load.record(|recorder| recorder.never_begun(arrival.journey, arrival.due, now));
    }
    telling.abort();
    interrupted
}
