//! One journey under way: its steps one after another, and its entries in the books whichever way it ends.

use super::connection::Connection;
use super::exchange::{build, exchange};
use super::load::{Load, later};
use super::outcome::{Outcome, Unanswered};
use super::recorder::{Flight, JourneyEnd};
use super::trace::Trace;
use crate::scenario::{LoadModel, Session};
use bytes::Bytes;
use http_body_util::Full;
use rand_chacha::ChaCha8Rng;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A journey whose variables are drawn and whose first request is written, so that nothing but sending remains to be
/// done when it is due.
pub(super) struct Prepared {
    journey: usize,
    session: Session,
    trace: Option<Trace>,
    first: Result<http::Request<Full<Bytes>>, &'static str>,
}

/// How a journey went, for the virtual user that made it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// When the next session is due: last answer plus think time.
    pub(super) next_due: Instant,
    /// Whether a step failed.
    pub(super) failed: bool,
}

impl Prepared {
    pub(super) fn new(load: &Load, journey: usize, draws: ChaCha8Rng) -> Self {
        let mut trace = load.headers.trace(&draws);
        let mut session = Session::new(&load.plan, journey, draws, &load.base_url);
        let first = build(session.request(0), &load.headers, trace.as_mut());
        Self { journey, session, trace, first }
    }

    /// Sends the steps over `connection`, which stays open for the next journey if it can. The first step is `due`, and
    /// waited `blocked` for room. A step that fails ends the journey.
    pub(super) async fn run(
        self,
        load: &Arc<Load>,
        due: Instant,
        blocked: Duration,
        connection: &mut Option<Connection>,
    ) -> Finished {
        let Self { journey, mut session, trace, first } = self;
        let mut passage = Passage::begin(load, journey, due);
        passage.trace = trace;
        let mut request = first;
        let (mut due, mut blocked) = (due, blocked);
        loop {
            let index = passage.next;
            let timeout = load.plan.scenario().journeys[journey].steps[index].timeout;
            load.timer.sleep_until(due).await;
            let sent = Instant::now();
            passage.send(due, sent, blocked);
            if let Ok(request) = &mut request {
                load.headers.renew(request);
            }
            let answer = match request {
                Ok(request) => timeout_at(later(sent, timeout), exchange(&load.connector, connection, request))
                    .await
                    .unwrap_or_else(|_| Err(Unanswered::timed_out("no whole answer within the step's timeout"))),
                Err(cause) => Err(Unanswered::broken(format!("not sent: {cause}"))),
            };
            let done = Instant::now();
            let (outcome, failure) = match answer {
                Ok(answer) => {
                    let verdict = session.accept(index, answer.status, &answer.headers, &answer.body);
                    (Outcome::Answered(answer.status), verdict.err().map(|failure| Cow::Owned(failure.to_string())))
                }
                Err(Unanswered { outcome, cause }) => (outcome, Some(cause)),
            };
            passage.count(&session.take_counts());
            passage.settle(done, outcome, failure.as_deref());
            due = later(done, session.think_time(index));
            if passage.failed || passage.next == passage.steps {
                return Finished { next_due: due, failed: passage.failed };
            }
            blocked = Duration::ZERO;
            request = build(session.request(passage.next), &load.headers, passage.trace.as_mut());
        }
    }
}

/// A journey's place in the books. Whatever ends the journey, dropping this settles what is still open: so the books
/// balance even when the run is cut in the middle of an answer.
struct Passage {
    load: Arc<Load>,
    journey: usize,
    /// When the first step was due.
    began: Duration,
    /// When the step that was sent last was due.
    last_due: Duration,
    last_done: Duration,
    steps: usize,
    /// The step that has not been settled yet.
    next: usize,
    flight: Option<Flight>,
    failed: bool,
    /// The trace that the journey's requests belong to, if they carry one.
    trace: Option<Trace>,
}

impl Passage {
    fn begin(load: &Arc<Load>, journey: usize, due: Instant) -> Self {
        let began = load.since_start(due);
        load.record(|recorder| recorder.arrive(journey, began));
        Self {
            load: Arc::clone(load),
            journey,
            began,
            last_due: began,
            last_done: began,
            steps: load.plan.scenario().journeys[journey].steps.len(),
            next: 0,
            flight: None,
            failed: false,
            trace: None,
        }
    }

    fn send(&mut self, due: Instant, sent: Instant, blocked: Duration) {
        self.last_due = self.load.since_start(due);
        let (due, sent) = (self.last_due, self.load.since_start(sent));
        let first_of_arrival = self.next == 0 && matches!(self.load.plan.scenario().load, LoadModel::Open { .. });
        self.flight = Some(self.load.record(|recorder| {
            let flight = Flight { step: recorder.step_of(self.journey, self.next), due, sent, blocked };
            if !first_of_arrival {
                recorder.later_due();
            }
            recorder.send(&flight);
            flight
        }));
    }

    fn count(&self, counts: &[(usize, i64)]) {
        if !counts.is_empty() {
            self.load.record(|recorder| recorder.count(counts));
        }
    }

    fn settle(&mut self, done: Instant, outcome: Outcome, failure: Option<&str>) {
        let Some(flight) = self.flight.take() else { return };
        self.last_done = self.load.since_start(done);
        self.next += 1;
        self.failed |= failure.is_some();
        self.load.record(|recorder| recorder.settle(&flight, self.last_done, outcome, failure));
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.settle(Instant::now(), Outcome::TimedOut, Some("no whole answer before the end of the run"));
        }
        let end = if self.failed {
            JourneyEnd::Failed
        } else if self.next == self.steps {
            JourneyEnd::Completed(self.last_done)
        } else {
            JourneyEnd::Dropped
        };
        self.load.record(|recorder| {
            recorder.drop_steps(self.journey, self.next, self.last_due);
            recorder.end_journey(self.journey, self.began, end);
        });
    }
}
