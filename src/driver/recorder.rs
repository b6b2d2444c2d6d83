//! Keeps the books and the histograms of one run. It is told of every event with times since the start of the load and
//! knows no clock, so that ten hours can be recorded in a second. It holds no single sample.

use super::outcome::Outcome;
use super::series::Series;
use super::set_up::SetUp;
use crate::scenario::{Plan, PlannedStage};
use crate::trial::{Books, Failure, JourneyRecording, Recording, StageRecording, StepRecording, Times};
use std::collections::BTreeMap;
use std::time::Duration;

/// Kinds of failures told apart; what comes beyond is grouped as one. Causes are few by design, but some hold words of
/// the scenario.
const FAILURE_KINDS_MAX: usize = 1000;

/// The parts of a plan that a recording is told by.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Step names, in the order of `Scenario::step_names`.
    pub(super) steps: Vec<String>,
    /// Journeys with the indices of their steps into `steps`.
    pub(super) journeys: Vec<(String, Vec<usize>)>,
    /// Stages with their places in time.
    pub(super) stages: Vec<(String, PlannedStage)>,
}

impl Shape {
    /// The shape of `plan`.
    pub(super) fn of(plan: &Plan) -> Self {
        let scenario = plan.scenario();
        let steps: Vec<String> = scenario.step_names().into_iter().map(str::to_owned).collect();
        let number = |name: &str| steps.iter().position(|step| step == name).expect("step_names names every step");
        Self {
            journeys: scenario
                .journeys
                .iter()
                .map(|journey| (journey.name.clone(), journey.steps.iter().map(|step| number(&step.name)).collect()))
                .collect(),
            stages: plan
                .stages()
                .iter()
                .map(|stage| (scenario.stages[stage.index].name.clone(), stage.clone()))
                .collect(),
            steps,
        }
    }

    /// The stage that `due` falls into, if it falls into its measured part.
    fn measured_stage(&self, due: Duration) -> Option<usize> {
        let index = self.stages.partition_point(|(_, stage)| stage.end <= due);
        let (_, stage) = self.stages.get(index)?;
        (due >= stage.measured_from && due >= stage.start).then_some(index)
    }
}

/// A request that was sent and has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Index into `Shape::steps`.
    pub(super) step: usize,
    /// When it was due.
    pub(super) due: Duration,
    /// When it was sent.
    pub(super) sent: Duration,
    /// How long it waited for room.
    pub(super) blocked: Duration,
}

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JourneyEnd {
    /// Every step was answered as expected, the last one at this time.
    Completed(Duration),
    /// A step failed.
    Failed,
    /// It was never begun, or cut short between two steps.
    Dropped,
}

/// How a run stands, for its progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Requests that became due and are not the first of an arrival of the open model.
    pub(super) later_due: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    pub(super) response_time_p99: Duration,
}

/// The recording in the making.
#[derive(Debug)]
pub(super) struct Recorder {
    shape: Shape,
    recording: Recording,
    /// By step and outcome.
    answers: Vec<BTreeMap<Outcome, u64>>,
    failures: BTreeMap<(usize, Option<u16>, String), u64>,
    series: Series,
    service_time_sum: Duration,
    last_done: Duration,
    later_due: u64,
    completed: u64,
    failed: u64,
}

impl Recorder {
    pub(super) fn new(shape: Shape) -> Self {
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
            failures: BTreeMap::new(),
            series: Series::new(),
            service_time_sum: Duration::ZERO,
            last_done: Duration::ZERO,
            later_due: 0,
            completed: 0,
            failed: 0,
            shape,
        }
    }

    /// The set-up steps were sent.
    pub(super) fn set_up(&mut self, set_up: &SetUp) {
        self.recording.set_up_requests += set_up.statuses.len() as u64;
        self.service_time_sum += set_up.service_time;
        for status in &set_up.statuses {
            *self.recording.answers.entry(status.to_string()).or_default() += 1;
        }
    }

    /// The plan holds an arrival (open model), or a session begins (closed model), that starts `journey`.
    pub(super) fn arrive(&mut self, journey: usize, due: Duration) {
        self.plan(journey);
        self.series.arrive(due);
    }

    /// The plan holds an arrival for which there was no room until the end; `now` tells whether it came due at all.
    pub(super) fn never_begun(&mut self, journey: usize, due: Duration, now: Duration) {
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

    /// A later step of an open journey, or a step of a closed one, became due: offered, beside the arrivals.
    pub(super) fn later_due(&mut self) {
        self.later_due += 1;
    }

    /// A request is sent.
    pub(super) fn send(&mut self, flight: &Flight) {
        self.series.due(flight.due);
        self.series.send(flight.sent);
        let waited = flight.sent.saturating_sub(flight.due);
        self.recording.lateness.record(waited.saturating_sub(flight.blocked));
        if flight.blocked > Duration::ZERO {
            self.recording.blocked.record(flight.blocked);
        }
    }

    /// A request ended at `done`: as expected, or for the cause of `failure`.
    pub(super) fn settle(&mut self, flight: &Flight, done: Duration, outcome: Outcome, failure: Option<&str>) {
        let response_time = done.saturating_sub(flight.due);
        let service_time = done.saturating_sub(flight.sent);
        self.series.settle(flight.due, done, failure.is_none());
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
                self.count_failure(flight.step, outcome.status(), cause);
            }
        }
        for times in self.measured(flight.step, flight.due) {
            times.response_time.record(response_time);
            times.service_time.record(service_time);
            times.failed += u64::from(failure.is_some());
        }
    }

    /// The steps of `journey` from its `from`-th on are never sent; `due` is the last due time that was known of it.
    pub(super) fn drop_steps(&mut self, journey: usize, from: usize, due: Duration) {
        for place in from..self.shape.journeys[journey].1.len() {
            let step = self.shape.journeys[journey].1[place];
            self.recording.steps[step].books.dropped += 1;
            for times in self.measured(step, due) {
                times.dropped += 1;
            }
        }
    }

    /// A journey whose first step was due at `due` ended.
    pub(super) fn end_journey(&mut self, journey: usize, due: Duration, end: JourneyEnd) {
        let recording = &mut self.recording.journeys[journey];
        for books in [&mut self.recording.arrivals, &mut recording.books] {
            match end {
                JourneyEnd::Completed(_) => books.completed += 1,
                JourneyEnd::Failed => books.failed += 1,
                JourneyEnd::Dropped => books.dropped += 1,
            }
        }
        if let JourneyEnd::Completed(done) = end
            && self.shape.measured_stage(due).is_some()
        {
            recording.duration.record(done.saturating_sub(due));
        }
    }

    /// How the run stands at `now`.
    pub(super) fn standing(&mut self, now: Duration) -> Standing {
        Standing {
            later_due: self.later_due,
            completed: self.completed,
            failed: self.failed,
            in_flight: self.series.in_flight(),
            response_time_p99: self.series.recent_p99(now),
        }
    }

    /// Gives the recording out; what is told afterwards is lost.
    pub(super) fn conclude(&mut self, interrupted: bool) -> Recording {
        let mut recording = std::mem::take(&mut self.recording);
        for stage in &recording.stages {
            recording.overall.merge(&stage.times);
        }
        for (step, answers) in recording.steps.iter_mut().zip(&self.answers) {
            for (outcome, count) in answers {
                *step.answers.entry(outcome.to_string()).or_default() += count;
                *recording.answers.entry(outcome.to_string()).or_default() += count;
            }
        }
        recording.failures = std::mem::take(&mut self.failures)
            .into_iter()
            .map(|((step, status, cause), count)| Failure {
                step: self.shape.steps[step].clone(),
                status,
                cause,
                count,
            })
            .collect();
        recording.failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        recording.intervals = self.series.conclude(self.last_done);
        recording.duration_s = self.last_done.as_secs_f64();
        recording.service_time_sum_s = self.service_time_sum.as_secs_f64();
        recording.interrupted = interrupted;
        recording
    }

    fn plan(&mut self, journey: usize) {
        self.recording.arrivals.planned += 1;
        self.recording.journeys[journey].books.planned += 1;
        for step in &self.shape.journeys[journey].1 {
            self.recording.steps[*step].books.planned += 1;
        }
    }

    fn count_failure(&mut self, step: usize, status: Option<u16>, cause: &str) {
        let mut kind = (step, status, cause.to_owned());
        if self.failures.len() >= FAILURE_KINDS_MAX && !self.failures.contains_key(&kind) {
            kind.2 = "other causes".to_owned();
        }
        *self.failures.entry(kind).or_default() += 1;
    }

    /// Where a request of `step` that was due at `due` is measured: with its step and its stage, or nowhere.
    fn measured(&mut self, step: usize, due: Duration) -> impl Iterator<Item = &mut Times> {
        let stage = self.shape.measured_stage(due);
        let Recording { steps, stages, .. } = &mut self.recording;
        let places = stage.map(|stage| [&mut steps[step].times, &mut stages[stage].times]);
        places.into_iter().flatten()
    }
}
