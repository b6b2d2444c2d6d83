//! What a driver saw of one trial: books, histograms and series. Never holds single samples, so its size does not grow
//! with the number of requests.

use super::{
    Aborted, DeliveryRecording, DriverHealth, Exemplar, PhaseTimes, RecordingVersion, StatusClass, TargetRecording,
};
use crate::stats::{Histogram, Sketch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one run of a plan gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Version of this form.
    #[serde(default)]
    pub schema_version: RecordingVersion,
    /// When the load started, RFC 3339; empty when it did not.
    #[serde(default)]
    pub started_at: String,
    /// Seconds from the start of the load to the last answer.
    pub duration_s: f64,
    /// The books of all arrivals (open model) or sessions (closed model), warm-up included.
    pub arrivals: Books,
    /// All measured requests together.
    pub overall: Times,
    /// By step, in the order of `Scenario::step_names`.
    pub steps: Vec<StepRecording>,
    /// By journey, in the order of the scenario.
    pub journeys: Vec<JourneyRecording>,
    /// By stage, in the order of the scenario.
    pub stages: Vec<StageRecording>,
    /// The driver's own lateness (sent − due − blocked) of every sending, warm-up included.
    pub lateness: Histogram,
    /// Time spent waiting for room to send, of every sending that had to, warm-up included.
    pub blocked: Histogram,
    /// The series of the run, one entry per second or a multiple of it.
    pub intervals: Vec<Interval>,
    /// Failures by step and cause, most frequent first.
    pub failures: Vec<Failure>,
    /// Requests around the load: set-up, tear-down and observations, in the answers and in no other figure.
    pub set_up_requests: u64,
    /// Sum of the service times of every request that was sent, set-up included, in seconds.
    pub service_time_sum_s: f64,
    /// Every request that was sent, warm-up and set-up included, by answer: a status code or a cause such as
    /// `timed out`, `refused`, `broken`.
    pub answers: BTreeMap<String, u64>,
    /// What the answers added to the scenario's counters, by name, warm-up included.
    #[serde(default)]
    pub counters: BTreeMap<String, i64>,
    /// The scenario's observations, by name; empty when the service did not tell them after the load.
    #[serde(default)]
    pub observed: BTreeMap<String, Observed>,
    /// CPU-seconds that the driver's process used while driving.
    pub driver_cpu_s: f64,
    /// Share (0 to 1) of the host's CPU that was busy while driving, if it could be read.
    pub host_cpu_share: Option<f64>,
    /// Share (0 to 1) of the host's CPU time that the hypervisor took (steal), if it could be read.
    pub host_steal_share: Option<f64>,
    /// What went wrong beside the load, such as a tear-down step; the measurement is none the worse for it.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How the target was reached.
    #[serde(default)]
    pub target: TargetRecording,
    /// True when the run was interrupted: what is here is what was measured until then.
    pub interrupted: bool,
    /// Why the run ended before its plan did, when a rule of the scenario's `abort` ended it.
    #[serde(default)]
    pub aborted: Option<Aborted>,
    /// What became of the reports that were posted, where the scenario expects deliveries and they could be observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryRecording>,
    /// What each process that drove tells of itself: one, or as many as there were shards.
    #[serde(default)]
    pub drivers: Vec<DriverHealth>,
    /// Which shard of the plan this is; none for the whole plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Seed of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Name of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
}

/// One of several parts that a plan was split into: all arrivals or virtual users whose number leaves the same rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which one, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// A number that the service told before the load (after the set-up) and after its last answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Before.
    pub before: i64,
    /// After.
    pub after: i64,
}

/// planned = completed + failed + dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// How many the plan held (of steps: every step of every planned journey).
    pub planned: u64,
    /// Answered as expected.
    pub completed: u64,
    /// Sent and not answered as expected, whatever the reason. A journey failed when one of its steps did.
    pub failed: u64,
    /// Never sent: no room, the end of the run, or an earlier step of the journey failed.
    pub dropped: u64,
}

/// Times of measured requests: due after the warm-up of their stage, failed ones included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// done − due.
    pub response_time: Histogram,
    /// done − sent.
    pub service_time: Histogram,
    /// Measured requests that failed.
    pub failed: u64,
    /// Measured requests that were dropped: in no histogram, but in the error rate.
    pub dropped: u64,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepRecording {
    /// Its name.
    pub name: String,
    /// Warm-up included. A step that is repeated is planned as often as it comes due, one whose condition does not hold
    /// is not planned.
    pub books: Books,
    /// How often its condition did not hold, or a repeat was drawn as none: taken out of the plan, and in no other
    /// figure. Warm-up included.
    #[serde(default)]
    pub skipped: u64,
    /// Measured requests only, of all classes: what SLOs judge.
    pub times: Times,
    /// The class of all measured requests, when they had but one: `times` is then its times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_class: Option<StatusClass>,
    /// `times` by the class of the answer, when there was more than one. Nobody judges these; they show whether quick
    /// failures pull a percentile of `times` down. What was dropped is in `times` only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<StatusClass, Times>,
    /// Parts of the service time of measured requests.
    #[serde(default, skip_serializing_if = "PhaseTimes::is_empty")]
    pub phases: PhaseTimes,
    /// The slowest measured requests that carried a trace id, slowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<Exemplar>,
    /// Every answer, warm-up included, by status code or cause.
    pub answers: BTreeMap<String, u64>,
}

/// One journey, from the due time of its first step to the end of its last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JourneyRecording {
    /// Its name.
    pub name: String,
    /// Warm-up included.
    pub books: Books,
    /// Measured journeys that ran to their end: last answer − due time of the first step, think times included.
    pub duration: Histogram,
    /// The class of the answer that all measured journeys ended with, when there was but one and none of them failed:
    /// `duration` is then its duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_class: Option<StatusClass>,
    /// Measured journeys by the class of the answer that they ended with, those that failed among them, up to the answer that
    /// they failed with. So neither quick failures nor timeouts hide, and neither is mixed into `duration`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<StatusClass, JourneyTimes>,
}

/// Measured journeys that ended with an answer of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JourneyTimes {
    /// Last answer − due time of the first step, think times included.
    pub duration: Histogram,
    /// How many of them failed.
    pub failed: u64,
}

/// One stage: what was due in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageRecording {
    /// Its name.
    pub name: String,
    /// Measured seconds (length without warm-up).
    pub measured_s: f64,
    /// Requests whose due time fell into the measured part.
    pub times: Times,
}

/// A stretch of the series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Start, seconds since the start of the load.
    pub start_s: f64,
    /// Length in seconds.
    pub length_s: f64,
    /// Arrivals that were due in it (open model) or sessions that began (closed model).
    pub arrivals: u64,
    /// Requests that became due in it.
    pub requests_due: u64,
    /// Requests answered as expected in it.
    pub completed: u64,
    /// Requests that failed in it.
    pub failed: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    /// Response times of the requests *due* in it (so that a stall shows where it began).
    pub response_time_p50_ms: f64,
    /// 95th percentile.
    pub response_time_p95_ms: f64,
    /// 99th percentile.
    pub response_time_p99_ms: f64,
    /// Mean.
    pub response_time_mean_ms: f64,
    /// The histogram behind these figures, where the recording is to be merged with others: `None` when nothing became
    /// due, and in recordings of studies, which are not merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_times: Option<Sketch>,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The step.
    pub step: String,
    /// Status code, when there was an answer.
    pub status: Option<u16>,
    /// Cause in words, without anything that differs from request to request.
    pub cause: String,
    /// How many.
    pub count: u64,
}

impl Books {
    /// True when nothing is hidden: planned = completed + failed + dropped.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.planned == self.completed + self.failed + self.dropped
    }
}

impl Times {
    /// Share (0 to 1) of measured requests that failed or were dropped; 0 when none was measured.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        let all = self.response_time.count() + self.dropped;
        if all == 0 { 0.0 } else { (self.failed + self.dropped) as f64 / all as f64 }
    }

    /// Takes away what `part` holds, which is a part of this.
    pub fn subtract(&mut self, part: &Self) {
        self.response_time.subtract(&part.response_time);
        self.service_time.subtract(&part.service_time);
        self.failed = self.failed.saturating_sub(part.failed);
        self.dropped = self.dropped.saturating_sub(part.dropped);
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.response_time.merge(&other.response_time);
        self.service_time.merge(&other.service_time);
        self.failed += other.failed;
        self.dropped += other.dropped;
    }
}

impl StepRecording {
    /// Measured requests by the class of their answer.
    #[must_use]
    pub fn by_class(&self) -> Vec<(StatusClass, &Times)> {
        match self.only_class {
            Some(class) => vec![(class, &self.times)],
            None => self.classes.iter().map(|(class, times)| (*class, times)).collect(),
        }
    }

    /// Enters the classes that add up to `times`, which is kept once when there is but one.
    pub fn set_classes(&mut self, classes: BTreeMap<StatusClass, Times>) {
        self.only_class = None;
        self.classes = classes;
        if self.classes.len() == 1 {
            self.only_class = self.classes.pop_first().map(|(class, _)| class);
        }
    }
}

impl JourneyTimes {
    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.duration.merge(&other.duration);
        self.failed += other.failed;
    }
}

impl JourneyRecording {
    /// Measured journeys that ended, by the class of the answer that they ended with.
    #[must_use]
    pub fn by_class(&self) -> Vec<(StatusClass, JourneyTimes)> {
        match self.only_class {
            Some(class) => vec![(class, JourneyTimes { duration: self.duration.clone(), failed: 0 })],
            None => self.classes.iter().map(|(class, times)| (*class, times.clone())).collect(),
        }
    }

    /// Enters the classes, which are kept once when `duration` holds all there is of them.
    pub fn set_classes(&mut self, classes: BTreeMap<StatusClass, JourneyTimes>) {
        self.only_class = None;
        self.classes = classes;
        if self.classes.len() == 1 && self.classes.values().all(|times| times.failed == 0) {
            self.only_class = self.classes.pop_first().map(|(class, _)| class);
        }
    }

    /// Adds all that `theirs` holds, which is the same journey's.
    pub(super) fn merge(&mut self, theirs: &Self) {
        let mut classes: BTreeMap<StatusClass, JourneyTimes> = self.by_class().into_iter().collect();
        for (class, times) in theirs.by_class() {
            classes.entry(class).or_default().merge(&times);
        }
        self.duration.merge(&theirs.duration);
        self.set_classes(classes);
    }
}

impl Interval {
    /// Takes the figures of response time from `sketch`, which is kept where `keep` says so.
    pub fn tell(&mut self, sketch: Sketch, keep: bool) {
        self.response_time_p50_ms = sketch.quantile_ms(0.5);
        self.response_time_p95_ms = sketch.quantile_ms(0.95);
        self.response_time_p99_ms = sketch.quantile_ms(0.99);
        self.response_time_mean_ms = sketch.mean_ms();
        self.response_times = (keep && !sketch.is_empty()).then_some(sketch);
    }
}

impl Recording {
    /// Every request that was sent, warm-up and set-up included.
    #[must_use]
    pub fn requests_sent(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Whether the user stopped it before anything was sent: nothing that was saved before is worth less.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        self.interrupted && self.requests_sent() == 0
    }
}
