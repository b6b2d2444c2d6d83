//! One journey under way: its steps one after another, and its entries in the books whichever way it ends.

use super::connection::{Connection, Outgoing};
use super::durations::JourneyEnd;
use super::exchange::{Span, exchange};
use super::load::{Load, later};
use super::outcome::{Outcome, Unanswered};
use super::phases::Phases;
use super::recorder::Flight;
use super::trace::Trace;
use crate::scenario::{Draws, Occasion, Session, Turn};
use crate::trial::StatusClass;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::Instant;

/// A journey whose variables are drawn and whose first request is written, so that nothing but sending remains to be
/// done when it is due.
pub(super) struct Prepared {
    journey: usize,
    /// Of its arrival or session.
    number: u64,
    session: Session,
    trace: Option<Trace>,
    /// What is skipped before the first step.
    skipped: Vec<Turn>,
    /// The first step and its request; none when every step is skipped.
    first: Option<(usize, Built)>,
}

/// A request ready for the connection, or why HTTP cannot carry it.
type Built = Result<Outgoing, &'static str>;

/// The pause after a journey that sent nothing because every step was skipped: without one, a virtual user would begin
/// session after session in the same instant, and nobody else would get a turn.
const NOTHING_SENT: Duration = Duration::from_millis(1);

/// How a journey went, for the virtual user that made it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    /// When the next session is due: last answer plus think time.
    pub(super) next_due: Instant,
    /// Whether a step failed.
    pub(super) failed: bool,
}

impl Prepared {
    pub(super) fn new(load: &Load, occasion: &Occasion, draws: Draws) -> Self {
        let mut trace = load.headers.trace(&draws);
        let mut session = Session::new(&load.plan, occasion, draws, &load.base_url);
        let mut skipped = Vec::new();
        let first = loop {
            match session.turn() {
                Turn::Send(step) => {
                    break Some((step, load.prepare(Vec::new(), session.render(step), trace.as_mut())));
                }
                Turn::End => break None,
                turn => skipped.push(turn),
            }
        };
        Self { journey: occasion.journey, number: occasion.index, session, trace, skipped, first }
    }

    /// Sends the steps over `connection`, which stays open for the next journey if it can. The first step is `due`, and
    /// waited `blocked` for room. A step that fails ends the journey.
    pub(super) async fn run(
        &mut self,
        load: &Load,
        due: Instant,
        blocked: Duration,
        connection: &mut Option<Connection>,
    ) -> Finished {
        let session = &mut self.session;
        let mut passage = Passage::begin(load, self.journey, due);
        passage.trace = self.trace;
        passage.number = self.number;
        for turn in &self.skipped {
            passage.turn(turn);
        }
        let mut next = self.first.take();
        let (mut due, mut blocked) = (due, blocked);
        while let Some((index, mut request)) = next {
            let mut sent = Instant::now();
            if sent < due {
                load.timer.sleep_until(due).await;
                sent = Instant::now();
            }
            passage.send(due, sent, blocked);
            let (outcome, failure, done) = passage.ask(session, sent, (index, &mut request), connection).await;
            passage.count(&session.take_counts());
            passage.settle(done, outcome, failure.as_deref());
            // From here on, not from the last byte: what judging the answer cost the driver is in nobody's time.
            due = later(Instant::now(), load.pause(session.think_time(index)));
            if passage.failed {
                break;
            }
            blocked = Duration::ZERO;
            let step = loop {
                let turn = session.turn();
                let step = passage.turn(&turn);
                if step.is_some() || turn == Turn::End {
                    break step;
                }
            };
            next = step.map(|step| {
                let memory = request.map_or_else(|_| Vec::new(), Outgoing::into_memory);
                (step, load.prepare(memory, session.render(step), passage.trace.as_mut()))
            });
        }
        if !passage.under_way {
            due = later(due.max(Instant::now()), NOTHING_SENT);
        }
        Finished { next_due: due, failed: passage.failed }
    }
}

/// A journey's place in the books. Whatever ends the journey, dropping this settles what is still open: so the books
/// balance even when the run is cut in the middle of an answer.
struct Passage<'a> {
    load: &'a Load,
    journey: usize,
    /// Of its arrival or session.
    number: u64,
    /// When the first step was due.
    began: Duration,
    /// When the step that was sent last was due.
    last_due: Duration,
    last_done: Duration,
    /// Class of the answer that came last; none before the first.
    last_class: StatusClass,
    steps: usize,
    /// The step that has not been settled yet.
    next: usize,
    /// Whether any step was sent.
    under_way: bool,
    flight: Option<Flight>,
    failed: bool,
    /// The trace that the journey's requests belong to, if they carry one.
    trace: Option<Trace>,
    /// Where the time of the answer went that came last, until it is settled.
    phases: Option<Phases>,
}

impl<'a> Passage<'a> {
    fn begin(load: &'a Load, journey: usize, due: Instant) -> Self {
        let began = load.since_start(due);
        load.record(|recorder| recorder.arrive(journey, began));
        Self {
            load,
            journey,
            number: 0,
            began,
            last_due: began,
            last_done: began,
            last_class: StatusClass::NoAnswer,
            steps: load.plan.scenario().journeys[journey].steps.len(),
            next: 0,
            under_way: false,
            flight: None,
            failed: false,
            trace: None,
            phases: None,
        }
    }

    /// Goes where the journey goes on, and gives the step to send, if it is at one.
    fn turn(&mut self, turn: &Turn) -> Option<usize> {
        match turn {
            Turn::Send(step) => {
                self.next = *step;
                return Some(*step);
            }
            Turn::Skip(steps) => {
                self.next = steps.end;
                self.load.record(|recorder| recorder.skip_steps(self.journey, steps.clone()));
            }
            Turn::Again(steps) => {
                self.next = steps.start;
                self.load.record(|recorder| recorder.plan_again(self.journey, steps.clone()));
            }
            Turn::End => self.next = self.steps,
        }
        None
    }

    /// Sends a step's request and judges its answer, and tells when its last byte was read; redirects that the step follows
    /// are part of it and of its timeout.
    async fn ask(
        &mut self,
        session: &mut Session,
        sent: Instant,
        (index, request): (usize, &mut Built),
        connection: &mut Option<Connection>,
    ) -> (Outcome, Option<Cow<'static, str>>, Instant) {
        let load = self.load;
        let timeout = load.plan.scenario().journeys[self.journey].steps[index].timeout;
        let mut span = Span { begun: sent, deadline: later(sent, timeout) };
        if let Ok(request) = request {
            request.renew(&load.headers);
        }
        loop {
            let answer = match request {
                Ok(request) => exchange(&load.connector, connection, request, span).await,
                Err(cause) => Err(Unanswered::broken(format!("not sent: {cause}"))),
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(Unanswered { outcome, cause }) => return (outcome, Some(cause), Instant::now()),
            };
            self.phases = Some(answer.phases);
            let outcome = Outcome::Answered(answer.status);
            let content = answer.content;
            let verdict = match session.redirected(index, answer.status, &content) {
                Ok(Some(further)) => {
                    let (phases, flight) = (self.phases.take(), self.flight);
                    load.record(|recorder| {
                        recorder.redirect(recorder.step_of(self.journey, index), outcome);
                        if let (Some(phases), Some(flight)) = (phases, flight) {
                            recorder.phases(flight.step, flight.due, &phases);
                        }
                    });
                    load.connector.take_back(content);
                    *request = load.prepare(Vec::new(), further.rendered(), self.trace.as_mut());
                    span.begun = Instant::now();
                    continue;
                }
                Ok(None) => session.accept(index, answer.status, &content, content.body()),
                Err(failure) => Err(failure),
            };
            load.connector.take_back(content);
            return (outcome, verdict.err().map(|failure| Cow::Owned(failure.to_string())), answer.done);
        }
    }

    fn send(&mut self, due: Instant, sent: Instant, blocked: Duration) {
        self.last_due = self.load.since_start(due);
        let (due, sent) = (self.last_due, self.load.since_start(sent));
        let first_of_arrival = !self.under_way && self.load.plan.scenario().load.is_open();
        self.under_way = true;
        self.flight = Some(self.load.record(|recorder| {
            let flight = Flight { step: recorder.step_of(self.journey, self.next), due, sent, blocked };
            if !first_of_arrival {
                recorder.later_due();
            }
            recorder.send(&flight);
            if let Some(posts) = &self.load.posts {
                posts.sent(flight.step, self.number, due, recorder.is_measured(due));
            }
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
        self.last_class = StatusClass::of(outcome.status());
        self.next += 1;
        self.failed |= failure.is_some();
        let done = self.last_done;
        // A request that was refused came to nobody who could have kept its trace.
        let trace_id = self.trace.and_then(|trace| trace.carried()).filter(|_| outcome != Outcome::Refused);
        let phases = self.phases.take();
        self.load.record(|recorder| {
            if let Some(phases) = phases {
                recorder.phases(flight.step, flight.due, &phases);
            }
            recorder.settle(&flight, done, outcome, failure);
            if let Some(posts) = &self.load.posts {
                let answer = if failure.is_none() { Ok(()) } else { Err(self.last_class) };
                posts.settled(flight.step, self.number, done, answer);
            }
            if let Some(trace_id) = trace_id {
                recorder.exemplar(flight.step, flight.due, done.saturating_sub(flight.due), trace_id);
            }
        });
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.settle(Instant::now(), Outcome::TimedOut, Some("no whole answer before the end of the run"));
        }
        let end = if self.failed {
            JourneyEnd::Failed(self.last_done, self.last_class)
        } else if self.next == self.steps {
            JourneyEnd::Completed(self.last_done, self.last_class)
        } else {
            JourneyEnd::Dropped
        };
        self.load.record(|recorder| {
            recorder.drop_steps(self.journey, self.next, self.last_due);
            recorder.end_journey(self.journey, self.began, end);
        });
    }
}
