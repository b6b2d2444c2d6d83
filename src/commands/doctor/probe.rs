//! One load of a few seconds, and the bare timer loop that it is held against.

use crate::commands::error::CommandError;
use crate::driver::{self, DriverTimer, Options, Progress};
use crate::scenario::{Plan, Scenario};
use crate::stats::Histogram;
use crate::study;
use crate::trial::Recording;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Connections at most: far more than a server on the same machine needs, far fewer than any limit.
const MAX_IN_FLIGHT: u32 = 256;
/// Answers under way at the end are awaited this long; what comes later was not achieved.
const DRAIN: Duration = Duration::from_millis(500);
/// A rate counts as achieved from this share of it on.
const ACHIEVED_SHARE_MIN: f64 = 0.99;

/// A load that was sent.
#[derive(Debug)]
pub(super) struct Probe {
    /// Requests per second that were planned.
    pub(super) offered: f64,
    /// Requests per second that were answered.
    pub(super) achieved: f64,
    pub(super) recording: Recording,
}

impl Probe {
    /// Sends `rate` requests per second to `path` of the server at `base_url` for `length`.
    pub(super) async fn send(
        base_url: &str,
        path: &str,
        rate: f64,
        length: Duration,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, CommandError> {
        let text = format!(
            "name: doctor
journeys: [{{name: doctor, steps: [{{name: doctor, get: {path}, timeout: 5s}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: {MAX_IN_FLIGHT}}}}}
stages: [{{name: doctor, hold: {rate}, duration: {}ms}}]",
            length.as_millis()
        );
        let plan = Plan::new(Arc::new(Scenario::from_yaml(Path::new("doctor.yaml"), &text)?), 1, 1.0);
        let options = Options { base_url: base_url.to_owned(), drain: DRAIN, ..Options::default() };
        let recording = driver::drive(&plan, &options, watch::Sender::new(Progress::default()), stop).await?;
        let took = recording.duration_s.max(length.as_secs_f64());
        Ok(Self { offered: rate, achieved: recording.arrivals.completed as f64 / took, recording })
    }

    /// Whether the driver was on time and the rate was achieved.
    pub(super) fn kept(&self) -> bool {
        self.lateness(0.99) <= bound() && self.achieved >= ACHIEVED_SHARE_MIN * self.offered
    }

    pub(super) fn lateness(&self, q: f64) -> Duration {
        self.recording.lateness.quantile(q)
    }
}

/// What a 99th percentile of lateness may be here: what it may be for a service that answers at once, since a server that
/// is overloaded must not widen the bound by its own slowness.
pub(super) fn bound() -> Duration {
    study::lateness_bound(&Recording::default())
}

/// Waits for the due times of `rate` per second for `length` on a thread and an event loop as the driver's, and does
/// nothing else: how late it is is the host's doing.
pub(super) async fn control(rate: f64, length: Duration) -> Result<Histogram, CommandError> {
    let (answer, lateness) = oneshot::channel();
    let failed = |cause| CommandError::System { action: "start a thread", cause };
    let gap = Duration::from_secs_f64(rate.recip());
    let wait = move || {
        let waited = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
            runtime.block_on(async {
                let timer = DriverTimer::precise();
                let start = Instant::now();
                let mut lateness = Histogram::default();
                let mut due = Duration::ZERO;
                while due < length {
                    timer.sleep_until(start + due).await;
                    lateness.record(start.elapsed().saturating_sub(due));
                    due += gap;
                }
                lateness
            })
        });
        // Nobody listens any more when the doctor was interrupted.
        let _ = answer.send(waited);
    };
    std::thread::Builder::new().name("control".to_owned()).spawn(wait).map_err(failed)?;
    lateness.await.unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into())).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::{law, server};
    use super::*;

    /// The law is a lower bound of what is recorded, and on a quiet machine nearly all of it.
    #[tokio::test]
    async fn what_is_recorded_of_the_law_is_never_shorter_than_the_law() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(server::serve(listener));
        let (_stop, stopped) = watch::channel(false);
        let probe = Probe::send(&base_url, server::BY_LAW, 200.0, Duration::from_secs(1), stopped).await.unwrap();
        let Recording { arrivals, overall, .. } = &probe.recording;
        assert_eq!((arrivals.planned, arrivals.failed), (200, 0), "{:?}", probe.recording.failures);
        // 200 requests follow the law to a fiftieth.
        for q in [0.5, 0.9] {
            let (told, exact) = (overall.response_time.quantile(q), law::quantile(q));
            assert!(told >= exact.mul_f64(0.96), "q {q}: {told:?} of {exact:?}");
        }
        let (_stop, stopped) = watch::channel(false);
        let at_once =
            Probe::send(&base_url, server::AT_ONCE, 100.0, Duration::from_millis(500), stopped).await.unwrap();
        assert_eq!(at_once.recording.arrivals.completed + at_once.recording.arrivals.dropped, 50);
        assert!(at_once.achieved <= 100.0 + 1e-9, "{}", at_once.achieved);
    }

    #[tokio::test]
    async fn a_bare_timer_waits_for_every_due_time() {
        let lateness = control(1000.0, Duration::from_millis(50)).await.unwrap();
        assert_eq!(lateness.count(), 50);
    }
}
