//! A scenario and a seed, unrolled lazily into arrivals and draws. The same pair always gives the same plan: no answer
//! of a service and no number of threads changes it.
//!
//! All draws come from `ChaCha8` keyed by the seed; each purpose has streams of its own, so that none depends on how many
//! draws another took. The top four bits of the 64-bit stream number name the purpose, the rest tells its members apart:
//!
//! | purpose | stream |
//! |---|---|
//! | gaps between arrivals | `0 << 60` |
//! | journeys of arrivals, in order | `1 << 60` |
//! | draws of arrival i | `2 << 60 \| i` |
//! | journey of session i of virtual user v | `3 << 60 \| v << 28 \| i` |
//! | draws of session i of virtual user v | `4 << 60 \| v << 28 \| i` |
//! | set-up steps and observations | `5 << 60` |

use super::arrivals::ArrivalSeries;
use super::script::Script;
use super::{Arrival, LoadModel, Scenario, StepFailure, answer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// A scenario, a seed and the factor that divides stage lengths.
#[derive(Clone, Debug)]
pub struct Plan {
    scenario: Arc<Scenario>,
    script: Arc<Script>,
    seed: u64,
    stages: Vec<PlannedStage>,
}

/// A stage with its place in time, lengths already divided by the time factor.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStage {
    /// Index into `Scenario::stages`.
    pub index: usize,
    /// When it starts, since the start of the load.
    pub start: Duration,
    /// When its warm-up ends: samples due before are not measured. Equals `start` without warm-up.
    pub measured_from: Duration,
    /// When it ends.
    pub end: Duration,
}

/// One planned session of a closed model's virtual user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// Which virtual user, from 0.
    pub virtual_user: u32,
    /// Which of its sessions, from 0.
    pub index: u64,
    /// Which journey it runs.
    pub journey: usize,
}

/// What a stream of draws is for.
#[derive(Clone, Copy)]
enum Purpose {
    Gaps = 0,
    Journeys = 1,
    Arrival = 2,
    IterationJourney = 3,
    Iteration = 4,
    SetUp = 5,
}

/// Bits of a stream number below the purpose.
const MEMBER_BITS: u32 = 60;

/// Bits of a session's number; a virtual user repeats its draws after 268 million sessions.
const ITERATION_BITS: u32 = 28;

impl Plan {
    /// Unrolls `scenario` with `seed`; stage lengths are divided by `time_factor` (1.0 leaves them as written, and so
    /// does anything that is no number of at least 1). Rates and think times stay as they are.
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, seed: u64, time_factor: f64) -> Self {
        let factor = if time_factor.is_finite() { time_factor.max(1.0) } else { 1.0 };
        let script = Arc::new(Script::new(&scenario));
        let mut start = Duration::ZERO;
        let mut stages = Vec::with_capacity(scenario.stages.len());
        for (index, stage) in scenario.stages.iter().enumerate() {
            let end = start.saturating_add(stage.duration.div_f64(factor));
            let measured_from = start.saturating_add(stage.warm_up.div_f64(factor)).min(end);
            stages.push(PlannedStage { index, start, measured_from, end });
            start = end;
        }
        Self { scenario, script, seed, stages }
    }

    /// The scenario this plan unrolls.
    #[must_use]
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stages with their places in time.
    #[must_use]
    pub fn stages(&self) -> &[PlannedStage] {
        &self.stages
    }

    /// When the last stage ends: nothing is due from then on.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.stages.last().map_or(Duration::ZERO, |stage| stage.end)
    }

    /// The stage that is on at `elapsed`, `None` after the end.
    #[must_use]
    pub fn stage_at(&self, elapsed: Duration) -> Option<&PlannedStage> {
        self.stages.get(self.stages.partition_point(|stage| stage.end <= elapsed))
    }

    /// The arrivals of an open model in order of their due times; empty for a closed model.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + Send + 'static {
        let LoadModel::Open { arrivals, .. } = self.scenario.load else {
            return None.into_iter().flatten();
        };
        let stages = self.stages.iter().cloned().zip(self.scenario.stages.iter().cloned());
        let (gaps, choices) = (self.stream(Purpose::Gaps, 0), self.stream(Purpose::Journeys, 0));
        Some(ArrivalSeries::new(Arc::clone(&self.script), arrivals, stages, gaps, choices)).into_iter().flatten()
    }

    /// The most virtual users a closed model ever has; 0 for an open model.
    #[must_use]
    pub fn virtual_users(&self) -> u32 {
        if self.scenario.load != LoadModel::Closed {
            return 0;
        }
        self.scenario.stages.iter().map(|stage| whole(stage.from.max(stage.to))).max().unwrap_or_default()
    }

    /// How many virtual users are on at `elapsed` (closed model): those numbered below it run. On a ramp the line is
    /// rounded to the nearest whole number.
    #[must_use]
    pub fn virtual_users_at(&self, elapsed: Duration) -> u32 {
        let (LoadModel::Closed, Some(planned)) = (self.scenario.load, self.stage_at(elapsed)) else {
            return 0;
        };
        let stage = &self.scenario.stages[planned.index];
        // A stage that is on has a length: `stage_at` gives none that ends where it starts.
        let since_start = |instant: Duration| instant.saturating_sub(planned.start).as_secs_f64();
        let share = since_start(elapsed) / since_start(planned.end);
        whole(stage.from + (stage.to - stage.from) * share)
    }

    /// Which journey a virtual user runs in its `index`-th session.
    #[must_use]
    pub fn iteration(&self, virtual_user: u32, index: u64) -> Iteration {
        let draw = self.stream(Purpose::IterationJourney, session_number(virtual_user, index)).random::<f64>();
        Iteration { virtual_user, index, journey: self.script.choose_journey(draw) }
    }

    /// The draws of one arrival: a stream of its own, so that neither order nor threads matter.
    #[must_use]
    pub fn draws_of_arrival(&self, index: u64) -> ChaCha8Rng {
        self.stream(Purpose::Arrival, index)
    }

    /// The draws of one session of a virtual user.
    #[must_use]
    pub fn draws_of_iteration(&self, virtual_user: u32, index: u64) -> ChaCha8Rng {
        self.stream(Purpose::Iteration, session_number(virtual_user, index))
    }

    /// What a step of a journey is recorded under: an index into [`Scenario::step_names`].
    ///
    /// # Panics
    /// When the scenario has no such journey or step.
    #[must_use]
    pub fn step_number(&self, journey: usize, step: usize) -> usize {
        self.script.step_numbers[journey][step]
    }

    /// The number that the answer to `Scenario::observations[observation]` holds: the sum of what its `JSONPath`
    /// selects in the body.
    ///
    /// # Errors
    /// When the body is not JSON, or the path selects nothing, or something that is not a whole number.
    ///
    /// # Panics
    /// When the scenario has no such observation.
    pub fn observed(&self, observation: usize, body: &[u8]) -> Result<i64, StepFailure> {
        let name = &self.scenario.observations[observation].name;
        answer::observed(name, &self.script.sums[observation], body)
    }

    pub(super) fn script(&self) -> &Arc<Script> {
        &self.script
    }

    /// Think times of set-up steps.
    pub(super) fn draws_of_set_up(&self) -> ChaCha8Rng {
        self.stream(Purpose::SetUp, 0)
    }

    fn stream(&self, purpose: Purpose, member: u64) -> ChaCha8Rng {
        let mut draws = ChaCha8Rng::seed_from_u64(self.seed);
        draws.set_stream((purpose as u64) << MEMBER_BITS | member & ((1 << MEMBER_BITS) - 1));
        draws
    }
}

fn session_number(virtual_user: u32, index: u64) -> u64 {
    u64::from(virtual_user) << ITERATION_BITS | index & ((1 << ITERATION_BITS) - 1)
}

/// A number of virtual users; the file allows a million at most.
fn whole(level: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and levels are small")]
    let whole = level.round() as u32;
    whole
}

#[cfg(test)]
mod tests;
