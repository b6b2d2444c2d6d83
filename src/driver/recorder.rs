//! Keeps the books and the histograms of one run. It is told of every event with times since the start of the load and
//! knows no clock, so that ten hours can be recorded in a second. It holds no single sample. Journeys and steps are given
//! by their indices in its shape, which must hold them.

use super::abort::{Guards, Reading};
use super::detail::Detail;
use super::durations::{Durations, JourneyEnd};
use super::failures::Failures;
use super::live::Stretches;
use super::outcome::Outcome;
use super::phases::Phases;
use super::series::{Recent, Series};
use super::set_up::SetUp;
use super::shape::Shape;
use crate::trial::{JourneyRecording, Live, Recording, StageRecording, StatusClass, StepRecording, Times};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A request that was sent and has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// Index into `Shape::steps`.
    pub step: usize,
    /// When it was due.
    pub due: Duration,
    /// When it was sent.
    pub sent: Duration,
    /// How long it waited for room.
    pub blocked: Duration,
}

/// How a run stands, for its progress.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Requests that became due and are not the first of an arrival of the open model.
    pub(super) later_due: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    /// Arrivals or sessions that have begun.
    pub(super) begun: u64,
    /// Sendings that had to wait for room.
    pub(super) blocked: u64,
    pub(super) lateness_p99: Duration,
    pub(super) recent: Recent,
}

/// The recording in the making.
#[derive(Debug)]
pub struct Recorder {
    shape: Shape,
    recording: Recording,
    /// By step and outcome.
    answers: Vec<BTreeMap<Outcome, u64>>,
    /// By step.
    details: Vec<Detail>,
    /// By journey.
    durations: Vec<Durations>,
    failures: Failures,
    /// By counter.
    counters: Vec<i64>,
    series: Series,
    interval_histograms: bool,
    live: Option<Box<Stretches>>,
    guards: Guards,
    service_time_sum: Duration,
    last_done: Duration,
    later_due: u64,
    completed: u64,
    failed: u64,
}

impl Recorder {
    /// An empty recording of what `shape` says.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let steps = shape.steps.iter().map(|name| StepRecording { name: name.clone(), ..StepRecording::default() });
        let journeys = shape
            .journeys
            .iter()
            .map(|(name, _)| JourneyRecording { name: name.clone(), ..JourneyRecording::default() });
        let stages = shape.stages.iter().map(|(name, stage)| StageRecording {
            name: name.clone(),
            measured_s: stage.end.saturating_sub(stage.measured_from).as_secs_f64(),
            times: Times::default(),
        });
        Self {
            recording: Recording {
                steps: steps.collect(),
                journeys: journeys.collect(),
                stages: stages.collect(),
                ..Recording::default()
            },
            answers: vec![BTreeMap::new(); shape.steps.len()],
            details: vec![Detail::default(); shape.steps.len()],
            durations: vec![Durations::default(); shape.journeys.len()],
            failures: Failures::default(),
            counters: vec![0; shape.counters.len()],
            series: Series::new(),
            interval_histograms: false,
            live: None,
            guards: Guards::default(),
            service_time_sum: Duration::ZERO,
            last_done: Duration::ZERO,
            later_due: 0,
            completed: 0,
            failed: 0,
            shape,
        }
    }

    /// Keeps the histogram of every interval, so that the recording can be merged with others.
    pub fn keep_interval_histograms(&mut self) {
        self.interval_histograms = true;
    }

    /// Begins to tell what becomes of every second; to be called before anything is told.
    pub(super) fn watch(&mut self) {
        self.live = Some(Box::new(Stretches::new(&self.shape)));
    }

    /// The stretch that ended before `now`, if somebody watches and has not been told yet.
    pub(super) fn take_live(&mut self, now: Duration) -> Option<Live> {
        let in_flight = self.series.in_flight();
        self.live.as_mut()?.take(now, in_flight)
    }

    /// All that whoever watches has not been told, up to `now`.
    pub(super) fn rest_live(&mut self, now: Duration) -> Vec<Live> {
        let in_flight = self.series.in_flight();
        self.live.as_mut().map_or_else(Vec::new, |live| live.rest(now, in_flight))
    }

    /// The set-up steps were sent.
    pub(super) fn set_up(&mut self, set_up: &SetUp) {
        self.recording.set_up_requests += set_up.statuses.len() as u64;
        self.service_time_sum += set_up.service_time;
        for status in &set_up.statuses {
            *self.recording.answers.entry(status.to_string()).or_default() += 1;
        }
    }

    /// The rules that may end the run.
    pub(super) fn guard(&mut self, guards: Guards) {
        self.guards = guards;
    }

    /// Judges those rules, and notes which of them ends the run, if one does.
    pub(super) fn judge(&mut self, reading: Reading) -> bool {
        self.recording.aborted = self.guards.judge(reading);
        self.recording.aborted.is_some()
    }

    /// The plan holds an arrival (open model), or a session begins (closed model), that starts `journey`.
    pub fn arrive(&mut self, journey: usize, due: Duration) {
        self.plan(journey);
        self.series.arrive(due);
    }

    /// The plan holds an arrival for which there was no room until the end; `now` tells whether it came due at all.
    pub fn never_begun(&mut self, journey: usize, due: Duration, now: Duration) {
        self.plan(journey);
        if due <= now {
            self.series.arrive(due);
            self.series.due(due);
        }
        self.drop_steps(journey, 0, due);
        self.end_journey(journey, due, JourneyEnd::Dropped);
    }

    /// The number of the `place`-th step of `journey`.
    pub(super) fn step_of(&self, journey: usize, place: usize) -> usize {
        self.shape.journeys[journey].1[place]
    }

    /// Whether what is due at `due` is measured.
    pub(super) fn is_measured(&self, due: Duration) -> bool {
        self.shape.measured_stage(due).is_some()
    }

    /// A later step of an open journey, or a step of a closed one, became due: offered, beside the arrivals.
    pub(super) fn later_due(&mut self) {
        self.later_due += 1;
    }

    /// A request is sent.
    pub fn send(&mut self, flight: &Flight) {
        self.series.due(flight.due);
        self.series.send(flight.sent);
        if !self.guards.is_empty() {
            self.guards.send(flight, self.shape.measured_stage(flight.due).is_some());
        }
        let waited = flight.sent.saturating_sub(flight.due);
        self.recording.lateness.record(waited.saturating_sub(flight.blocked));
        if flight.blocked > Duration::ZERO {
            self.recording.blocked.record(flight.blocked);
        }
        if let Some(live) = &mut self.live {
            live.send(flight, self.series.in_flight());
        }
    }

    /// A request ended at `done`: as expected, or for the cause of `failure`.
    pub fn settle(&mut self, flight: &Flight, done: Duration, outcome: Outcome, failure: Option<&str>) {
        let response_time = done.saturating_sub(flight.due);
        let service_time = done.saturating_sub(flight.sent);
        self.series.settle(flight.due, done, failure.is_none());
        if !self.guards.is_empty() {
            let measured = self.shape.measured_stage(flight.due).is_some();
            self.guards.settle(flight, done, failure.is_some(), measured);
        }
        self.service_time_sum += service_time;
        self.last_done = self.last_done.max(done);
        *self.answers[flight.step].entry(outcome).or_default() += 1;
        let books = &mut self.recording.steps[flight.step].books;
        match failure {
            None => {
                books.completed += 1;
                self.completed += 1;
            }
            Some(cause) => {
                books.failed += 1;
                self.failed += 1;
                self.failures.count(flight.step, outcome.status(), cause);
            }
        }
        let (class, failed) = (StatusClass::of(outcome.status()), failure.is_some());
        if let Some(live) = &mut self.live {
            live.settle(flight, done, (class, failed), self.series.in_flight());
        }
        let Some(stage) = self.shape.measured_stage(flight.due) else { return };
        self.details[flight.step].settle(class, response_time, service_time, failed);
        for times in places(&mut self.recording, flight.step, stage) {
            times.response_time.record(response_time);
            times.service_time.record(service_time);
            times.failed += u64::from(failed);
        }
    }

    /// Where the service time of a request of `step` that was due at `due` went.
    pub fn phases(&mut self, step: usize, due: Duration, phases: &Phases) {
        if self.shape.measured_stage(due).is_some() {
            self.details[step].phases(phases);
        }
    }

    /// A request of `step` carried this trace id and took this long from its due time; the slowest are kept.
    pub fn exemplar(&mut self, step: usize, due: Duration, response_time: Duration, trace_id: u128) {
        if self.details[step].is_slow(response_time) && self.shape.measured_stage(due).is_some() {
            self.details[step].exemplar(due, response_time, trace_id);
        }
    }

    /// The steps of `journey` from its `from`-th on are never sent; `due` is the last due time that was known of it.
    pub fn drop_steps(&mut self, journey: usize, from: usize, due: Duration) {
        for place in from..self.shape.journeys[journey].1.len() {
            let step = self.shape.journeys[journey].1[place];
            self.recording.steps[step].books.dropped += 1;
            if let Some(live) = &mut self.live {
                live.drop_step(step);
            }
            if !self.guards.is_empty() && self.shape.measured_stage(due).is_some() {
                self.guards.lose(step, self.last_done);
            }
            for times in self.measured(step, due) {
                times.dropped += 1;
            }
        }
    }

    /// These steps of `journey` are not sent this time, because their condition does not hold: they leave the plan.
    pub fn skip_steps(&mut self, journey: usize, steps: Range<usize>) {
        for step in &self.shape.journeys[journey].1[steps] {
            let recording = &mut self.recording.steps[*step];
            recording.books.planned -= 1;
            recording.skipped += 1;
        }
    }

    /// These steps of `journey` come due once more.
    pub fn plan_again(&mut self, journey: usize, steps: Range<usize>) {
        for step in &self.shape.journeys[journey].1[steps] {
            self.recording.steps[*step].books.planned += 1;
        }
    }

    /// A redirect in the course of `step`, which the step followed: an answer to a request of its own.
    pub(super) fn redirect(&mut self, step: usize, outcome: Outcome) {
        *self.answers[step].entry(outcome).or_default() += 1;
    }

    /// A journey whose first step was due at `due` ended.
    pub fn end_journey(&mut self, journey: usize, due: Duration, end: JourneyEnd) {
        let recording = &mut self.recording.journeys[journey];
        for books in [&mut self.recording.arrivals, &mut recording.books] {
            match end {
                JourneyEnd::Completed(..) => books.completed += 1,
                JourneyEnd::Failed(..) => books.failed += 1,
                JourneyEnd::Dropped => books.dropped += 1,
            }
        }
        let (done, class, completed) = match end {
            JourneyEnd::Completed(done, class) => (done, class, true),
            JourneyEnd::Failed(done, class) => (done, class, false),
            JourneyEnd::Dropped => return,
        };
        if self.shape.measured_stage(due).is_some() {
            let duration = done.saturating_sub(due);
            if completed {
                recording.duration.record(duration);
            }
            self.durations[journey].end(class, duration, completed);
        }
    }

    /// Answers added to counters, given as (index into `Shape::counters`, amount).
    pub(super) fn count(&mut self, counts: &[(usize, i64)]) {
        for (counter, amount) in counts {
            self.counters[*counter] += amount;
        }
    }

    /// How the run stands at `now`.
    pub(super) fn standing(&mut self, now: Duration) -> Standing {
        Standing {
            later_due: self.later_due,
            completed: self.completed,
            failed: self.failed,
            in_flight: self.series.in_flight(),
            begun: self.recording.arrivals.planned,
            blocked: self.recording.blocked.count(),
            lateness_p99: self.recording.lateness.quantile(0.99),
            recent: self.series.recent(now),
        }
    }

    /// Gives the recording out; what is told afterwards is lost.
    pub fn conclude(&mut self, interrupted: bool) -> Recording {
        let mut recording = std::mem::take(&mut self.recording);
        if let [only] = recording.stages.as_mut_slice() {
            recording.steps.iter().for_each(|step| only.times.merge(&step.times));
        }
        for stage in &recording.stages {
            recording.overall.merge(&stage.times);
        }
        for (step, answers) in recording.steps.iter_mut().zip(&self.answers) {
            for (outcome, count) in answers {
                *step.answers.entry(outcome.to_string()).or_default() += count;
                *recording.answers.entry(outcome.to_string()).or_default() += count;
            }
        }
        for (step, detail) in recording.steps.iter_mut().zip(std::mem::take(&mut self.details)) {
            detail.enter(step);
        }
        for (journey, durations) in recording.journeys.iter_mut().zip(std::mem::take(&mut self.durations)) {
            durations.enter(journey);
        }
        recording.counters = self.shape.counters.iter().cloned().zip(self.counters.iter().copied()).collect();
        recording.failures = std::mem::take(&mut self.failures).into_list(&self.shape.steps);
        recording.intervals = self.series.conclude(self.last_done, self.interval_histograms);
        recording.duration_s = self.last_done.as_secs_f64();
        recording.service_time_sum_s = self.service_time_sum.as_secs_f64();
        recording.interrupted = interrupted && recording.aborted.is_none();
        recording
    }

    fn plan(&mut self, journey: usize) {
        self.recording.arrivals.planned += 1;
        self.recording.journeys[journey].books.planned += 1;
        for step in &self.shape.journeys[journey].1 {
            self.recording.steps[*step].books.planned += 1;
        }
    }

    /// Where a request of `step` that was due at `due` is measured: with its step and its stage, or nowhere.
    fn measured(&mut self, step: usize, due: Duration) -> impl Iterator<Item = &mut Times> {
        let stage = self.shape.measured_stage(due);
        stage.map(|stage| places(&mut self.recording, step, stage)).into_iter().flatten()
    }
}

/// Where a measured request of `step` is entered: with its step, and with its `stage` unless that is the only one, which in
/// the end holds what its steps hold.
fn places(recording: &mut Recording, step: usize, stage: usize) -> impl Iterator<Item = &mut Times> {
    let Recording { steps, stages, .. } = recording;
    let several = stages.len() > 1;
    let stage = stages.get_mut(stage).filter(|_| several).map(|stage| &mut stage.times);
    std::iter::once(&mut steps[step].times).chain(stage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::PlannedStage;
    use crate::trial::Books;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two journeys that share a step; a stage of 100 s whose first 20 s are warm-up, and one of 100 s without.
    fn shape() -> Shape {
        let stage = |index: usize, start: u64, measured_from: u64, end: u64| PlannedStage {
            index,
            start: Duration::from_secs(start),
            measured_from: Duration::from_secs(measured_from),
            end: Duration::from_secs(end),
        };
        Shape {
            steps: ["list", "buy", "pay"].map(str::to_owned).to_vec(),
            counters: Vec::new(),
            journeys: vec![("browse".to_owned(), vec![0]), ("purchase".to_owned(), vec![0, 1, 2])],
            stages: vec![("normal".to_owned(), stage(0, 0, 20, 100)), ("sale".to_owned(), stage(1, 100, 100, 200))],
        }
    }

    fn flight(step: usize, due: Duration, sent: Duration, blocked: Duration) -> Flight {
        Flight { step, due, sent, blocked }
    }

    /// What a driver may tell of one journey: when it is due, how long each step takes, and how each step ends.
    #[derive(Clone, Debug)]
    struct Story {
        journey: usize,
        due_ms: u64,
        begun: bool,
        blocked_ms: u64,
        late_us: u64,
        /// Milliseconds of service, and the kind of ending: 0 to 2 as expected, then failures, then the cut.
        steps: Vec<(u64, u8)>,
    }

    fn story() -> impl Strategy<Value = Story> {
        let step = (0u64..30_000, 0u8..8);
        (0usize..2, 0u64..200_000, 0u8..10, 0u64..5_000, 0u64..50_000, prop::collection::vec(step, 3)).prop_map(
            |(journey, due_ms, begun, blocked_ms, late_us, steps)| Story {
                journey,
                due_ms,
                begun: begun > 0,
                blocked_ms,
                late_us,
                steps,
            },
        )
    }

    fn tell(recorder: &mut Recorder, story: &Story) {
        let began = Duration::from_millis(story.due_ms);
        if !story.begun {
            return recorder.never_begun(story.journey, began, 200_000 * MS);
        }
        recorder.arrive(story.journey, began);
        let (mut due, mut blocked) = (began, Duration::from_millis(story.blocked_ms));
        let steps = recorder.shape.journeys[story.journey].1.len();
        for place in 0..steps {
            let (service_ms, ending) = story.steps[place];
            if ending == 7 {
                recorder.drop_steps(story.journey, place, due);
                return recorder.end_journey(story.journey, began, JourneyEnd::Dropped);
            }
            let step = recorder.step_of(story.journey, place);
            let flight = flight(step, due, due + blocked + Duration::from_micros(story.late_us), blocked);
            recorder.send(&flight);
            let done = flight.sent + Duration::from_millis(service_ms);
            let (outcome, failure) = match ending {
                0..=2 => (Outcome::Answered(200), None),
                3 => (Outcome::Answered(501), Some("status 501, expected 200")),
                4 => (Outcome::TimedOut, Some("no answer in time")),
                5 => (Outcome::Refused, Some("connection refused")),
                _ => (Outcome::Broken, Some("connection reset")),
            };
            recorder.settle(&flight, done, outcome, failure);
            if failure.is_some() {
                recorder.drop_steps(story.journey, place + 1, due);
                let end = JourneyEnd::Failed(done, StatusClass::of(outcome.status()));
                return recorder.end_journey(story.journey, began, end);
            }
            (due, blocked) = (done, Duration::ZERO);
            if place + 1 == steps {
                recorder.end_journey(story.journey, began, JourneyEnd::Completed(done, StatusClass::Success));
            }
        }
    }

    proptest! {
        #[test]
        fn books_balance_and_every_view_of_the_same_requests_agrees(stories in prop::collection::vec(story(), 0..120)) {
            let mut recorder = Recorder::new(shape());
            for story in &stories {
                tell(&mut recorder, story);
            }
            let recording = recorder.conclude(false);

            prop_assert!(recording.arrivals.balance());
            prop_assert_eq!(recording.arrivals.planned, stories.len() as u64);
            prop_assert!(recording.steps.iter().all(|step| step.books.balance()));
            prop_assert!(recording.journeys.iter().all(|journey| journey.books.balance()));
            let planned: u64 = recording.steps.iter().map(|step| step.books.planned).sum();
            prop_assert_eq!(planned, stories.iter().map(|story| [1, 3][story.journey]).sum::<u64>());

            let mut by_step = Times::default();
            recording.steps.iter().for_each(|step| by_step.merge(&step.times));
            prop_assert_eq!(&by_step, &recording.overall);

            for journey in &recording.journeys {
                let by_class = journey.by_class();
                let (mut completed, mut all) = (0, 0);
                for (_, times) in &by_class {
                    completed += times.duration.count() - times.failed;
                    all += times.duration.count();
                }
                prop_assert_eq!(completed, journey.duration.count());
                prop_assert!(all <= journey.books.completed + journey.books.failed);
            }

            let failed: u64 = recording.steps.iter().map(|step| step.books.failed).sum();
            let completed: u64 = recording.steps.iter().map(|step| step.books.completed).sum();
            prop_assert_eq!(recording.requests_sent(), failed + completed);
            prop_assert_eq!(recording.lateness.count(), failed + completed);
            prop_assert_eq!(recording.failures.iter().map(|failure| failure.count).sum::<u64>(), failed);
            prop_assert_eq!(recording.intervals.iter().map(|i| i.failed).sum::<u64>(), failed);
            prop_assert_eq!(recording.intervals.iter().map(|i| i.completed).sum::<u64>(), completed);
            prop_assert_eq!(recording.intervals.iter().map(|i| i.arrivals).sum::<u64>(), stories.len() as u64);
        }
    }

    /// The closed form of a generator that is held up: 100 requests per second of 1 ms for 100 s, then a stall of 100 s
    /// at whose end everything is answered. A driver with one place cannot send meanwhile; who counts from the sending
    /// sees one slow request and a mean of 11 ms.
    #[test]
    fn a_stall_is_in_the_response_times_and_not_in_the_service_times() {
        let mut recorder = Recorder::new(Shape {
            stages: vec![(
                "all".to_owned(),
                PlannedStage { measured_from: Duration::ZERO, end: 200_000 * MS, ..shape().stages[0].1 },
            )],
            ..shape()
        });
        let stall_end = 200_000 * MS;
        for index in 0u32..20_000 {
            let due = index * 10 * MS;
            recorder.arrive(0, due);
            let first_of_stall = index == 10_000;
            let blocked = if index > 10_000 { stall_end.saturating_sub(due) } else { Duration::ZERO };
            let flight = flight(0, due, due + blocked, blocked);
            recorder.send(&flight);
            let done =
                if first_of_stall { stall_end } else { flight.sent + if index < 10_000 { MS } else { Duration::ZERO } };
            recorder.settle(&flight, done, Outcome::Answered(200), None);
            recorder.end_journey(0, due, JourneyEnd::Completed(done, StatusClass::Success));
        }
        let recording = recorder.conclude(false);
        let near = |told: Duration, exact: f64| (told.as_secs_f64() - exact).abs() <= 0.01 * exact;
        let response = &recording.overall.response_time;
        assert!(near(response.mean(), 25.003), "{:?}", response.mean());
        for (q, exact) in [(0.75, 50.0), (0.90, 80.0), (0.99, 98.0), (0.999, 99.80)] {
            assert!(near(response.quantile(q), exact), "{q}: {:?}", response.quantile(q));
        }
        let service = &recording.overall.service_time;
        assert!(service.mean() < 11 * MS && service.quantile(0.999) <= MS + MS / 100);
        assert_eq!(recording.lateness.max(), Duration::from_micros(1), "waiting for room is not lateness");
        assert_eq!(recording.blocked.count(), 9_999);
    }

    #[test]
    fn warm_up_and_what_is_due_after_the_end_is_in_the_books_but_not_measured() {
        let mut recorder = Recorder::new(shape());
        for due in [5_000, 19_999, 20_000, 99_999, 100_000, 199_999, 200_000, 250_000] {
            recorder.arrive(0, due * MS);
            let flight = flight(0, due * MS, due * MS, Duration::ZERO);
            recorder.send(&flight);
            recorder.settle(&flight, (due + 7) * MS, Outcome::Answered(404), Some("status 404, expected 200"));
            recorder.end_journey(0, due * MS, JourneyEnd::Failed((due + 7) * MS, StatusClass::ClientError));
        }
        let recording = recorder.conclude(false);
        assert_eq!(recording.arrivals, Books { planned: 8, failed: 8, ..Books::default() });
        assert_eq!(recording.stages.iter().map(|stage| stage.times.failed).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(recording.overall.response_time.count(), 4);
        assert_eq!(recording.journeys[0].duration.count(), 0);
        assert_eq!(recording.journeys[0].classes[&StatusClass::ClientError].failed, 4, "only what is measured");
        assert_eq!(recording.stages[0].measured_s, 80.0);
        assert_eq!(recording.answers, BTreeMap::from([("404".to_owned(), 8)]));
        assert!((recording.service_time_sum_s - 0.056).abs() < 1e-9);
    }

    #[test]
    fn set_up_is_among_the_answers_and_in_no_other_figure() {
        let mut recorder = Recorder::new(shape());
        recorder.set_up(&SetUp { statuses: vec![200, 204, 200], service_time: 30 * MS });
        let recording = recorder.conclude(false);
        assert_eq!((recording.set_up_requests, recording.requests_sent()), (3, 3));
        assert!((recording.service_time_sum_s - 0.03).abs() < 1e-9);
        assert_eq!(recording.arrivals, Books::default());
    }
}
