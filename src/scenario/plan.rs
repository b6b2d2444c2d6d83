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
//! | copies and places of recorded arrivals | `6 << 60` |
//!
//! A plan may be one shard of several: it then holds each n-th arrival or virtual user, with the same numbers and draws
//! that they have in the whole plan.

use super::arrivals::{ArrivalSeries, Piece};
use super::draws::Draws;
use super::level::Level;
use super::mix::Mix;
use super::replay::ReplaySeries;
use super::script::Script;
use super::{Arrival, LoadModel, Scenario, StepFailure, answer};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// A scenario, a seed and the factor that divides stage lengths.
#[derive(Clone, Debug)]
pub struct Plan {
    scenario: Arc<Scenario>,
    script: Arc<Script>,
    seed: u64,
    /// What lengths were divided by, at least 1.
    time_factor: f64,
    stages: Vec<PlannedStage>,
    /// By stage.
    levels: Vec<Level>,
    mixes: Vec<Mix>,
    shard: ShardOf,
}

/// Which of how many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShardOf {
    /// From 1 to `of`.
    number: u32,
    /// At least 1; 1 is the whole plan.
    of: u32,
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
    Replay = 6,
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
        let script = Arc::new(Script::new(&scenario, seed));
        let mut start = Duration::ZERO;
        let mut stages = Vec::with_capacity(scenario.stages.len());
        for (index, stage) in scenario.stages.iter().enumerate() {
            let end = start.saturating_add(stage.duration.div_f64(factor));
            let measured_from = start.saturating_add(stage.warm_up.div_f64(factor)).min(end);
            stages.push(PlannedStage { index, start, measured_from, end });
            start = end;
        }
        let stage_of = |planned: &PlannedStage| &scenario.stages[planned.index];
        Self {
            levels: stages.iter().map(|planned| Level::new(stage_of(planned), planned)).collect(),
            mixes: stages.iter().map(|planned| Mix::of(stage_of(planned), &scenario)).collect(),
            scenario,
            script,
            seed,
            time_factor: factor,
            stages,
            shard: ShardOf { number: 1, of: 1 },
        }
    }

    /// The `number`-th (from 1) of `of` shards of this plan. Arrivals and virtual users are dealt out in turn, so that the
    /// shards together hold each of them once and each shard has the same mix; `max_in_flight` is shared out, but never
    /// less than 1. A number that is none of 1 to `of` is taken as the nearest.
    #[must_use]
    pub fn shard(mut self, number: u32, of: u32) -> Self {
        let of = of.max(1);
        self.shard = ShardOf { number: number.clamp(1, of), of };
        self
    }

    /// Which shard of how many this is, both from 1; (1, 1) for the whole plan.
    #[must_use]
    pub fn shard_of(&self) -> (u32, u32) {
        (self.shard.number, self.shard.of)
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

    /// The arrivals of an open model in order of their due times, those of this shard; empty for virtual users.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + Send + 'static {
        let (gaps, choices) = (self.stream(Purpose::Gaps, 0), self.stream(Purpose::Journeys, 0));
        let (open, replay) = match &self.scenario.load {
            LoadModel::Open { arrivals, .. } => {
                (Some(ArrivalSeries::new(*arrivals, self.pieces(), gaps, choices)), None)
            }
            LoadModel::Replay(replay) => {
                let draws = self.stream(Purpose::Replay, 0);
                (None, ReplaySeries::new(replay, self.time_factor, self.pieces(), (draws, choices)))
            }
            _ => (None, None),
        };
        let ShardOf { number, of } = self.shard;
        let all = open.into_iter().flatten().chain(replay.into_iter().flatten());
        all.filter(move |arrival| arrival.index % u64::from(of) == u64::from(number - 1))
    }

    fn pieces(&self) -> Vec<Piece> {
        let levels = self.levels.iter().zip(&self.mixes);
        let piece = |(planned, (level, mix)): (&PlannedStage, (&Level, &Mix))| Piece {
            planned: planned.clone(),
            level: level.clone(),
            mix: mix.clone(),
        };
        self.stages.iter().zip(levels).map(piece).collect()
    }

    /// How many journeys of an open model may be under way at once in this shard; `None` for virtual users.
    #[must_use]
    pub fn max_in_flight(&self) -> Option<u32> {
        let room = match &self.scenario.load {
            LoadModel::Open { max_in_flight, .. } => *max_in_flight,
            LoadModel::Replay(replay) => replay.max_in_flight,
            _ => return None,
        };
        let ShardOf { number, of } = self.shard;
        Some((room / of + u32::from(number <= room % of)).max(1))
    }

    /// The most virtual users that all shards together ever have; 0 for an open model.
    #[must_use]
    pub fn virtual_users(&self) -> u32 {
        if self.scenario.load.is_open() {
            return 0;
        }
        self.scenario.stages.iter().map(|stage| whole(stage.level_max())).max().unwrap_or_default()
    }

    /// The numbers of the virtual users of this shard.
    pub fn virtual_user_numbers(&self) -> impl Iterator<Item = u32> {
        (self.shard.number - 1..self.virtual_users()).step_by(self.shard.of as usize)
    }

    /// How many virtual users are on at `elapsed`, over all shards: those numbered below it run. On a ramp and a sine the
    /// level is rounded to the nearest whole number.
    #[must_use]
    pub fn virtual_users_at(&self, elapsed: Duration) -> u32 {
        let Some(planned) = self.stage_at(elapsed).filter(|_| !self.scenario.load.is_open()) else {
            return 0;
        };
        // A stage that is on has a length: `stage_at` gives none that ends where it starts.
        whole(self.levels[planned.index].at(elapsed.saturating_sub(planned.start).as_secs_f64()))
    }

    /// From when on, at or after `from`, `virtual_user` is on; `None` when it never is again. Between two turns of the
    /// level the number of virtual users moves in one direction, so the moment is found by halving, to the nanosecond.
    #[must_use]
    pub fn virtual_user_on_from(&self, virtual_user: u32, from: Duration) -> Option<Duration> {
        const STEP: Duration = Duration::from_nanos(1);
        let on = |at: Duration| self.virtual_users_at(at) > virtual_user;
        let reaches = |stage: &&PlannedStage| whole(self.scenario.stages[stage.index].level_max()) > virtual_user;
        for stage in self.stages.iter().filter(|stage| stage.end > from).filter(reaches) {
            let length = stage.end.saturating_sub(stage.start);
            let mut first = stage.start.max(from);
            while first < stage.end {
                if on(first) {
                    return Some(first);
                }
                let turn = self.levels[stage.index].next_turn(first.saturating_sub(stage.start).as_secs_f64());
                let last = (stage.start + Level::offset(turn, length)).max(first);
                if on(last) {
                    return Some(halved(first, last, on));
                }
                first = last + STEP;
            }
        }
        None
    }

    /// From the due time of a virtual user's session to that of the next, if that is fixed.
    #[must_use]
    pub fn pace(&self) -> Option<Duration> {
        if let LoadModel::Paced { every } = self.scenario.load { Some(every) } else { None }
    }

    /// Which journey a virtual user runs in its `index`-th session, due at `due`: the draw is the session's, the mix that
    /// of the stage it falls into.
    #[must_use]
    pub fn iteration(&self, virtual_user: u32, index: u64, due: Duration) -> Iteration {
        if self.scenario.journeys.len() == 1 {
            // Whatever would be drawn, there is nothing to choose.
            return Iteration { virtual_user, index, journey: 0 };
        }
        let draw = self.stream(Purpose::IterationJourney, session_number(virtual_user, index)).random::<f64>();
        let stage = self.stage_at(due).or(self.stages.last()).map_or(0, |stage| stage.index);
        let journey = self.mixes.get(stage).map_or(0, |mix| mix.choose(draw));
        Iteration { virtual_user, index, journey }
    }

    /// The draws of one arrival: a stream of its own, so that neither order nor threads matter.
    #[must_use]
    pub fn draws_of_arrival(&self, index: u64) -> Draws {
        self.draws(Purpose::Arrival, index)
    }

    /// The draws of one session of a virtual user.
    #[must_use]
    pub fn draws_of_iteration(&self, virtual_user: u32, index: u64) -> Draws {
        self.draws(Purpose::Iteration, session_number(virtual_user, index))
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
    pub(super) fn draws_of_set_up(&self) -> Draws {
        self.draws(Purpose::SetUp, 0)
    }

    fn stream(&self, purpose: Purpose, member: u64) -> ChaCha8Rng {
        Draws::begun(self.seed, stream_number(purpose, member))
    }

    fn draws(&self, purpose: Purpose, member: u64) -> Draws {
        Draws::new(self.seed, stream_number(purpose, member))
    }
}

fn stream_number(purpose: Purpose, member: u64) -> u64 {
    (purpose as u64) << MEMBER_BITS | member & ((1 << MEMBER_BITS) - 1)
}

fn session_number(virtual_user: u32, index: u64) -> u64 {
    u64::from(virtual_user) << ITERATION_BITS | index & ((1 << ITERATION_BITS) - 1)
}

/// The first moment that is on, where `off` is not and `on` is, and in between it changes once.
fn halved(mut off: Duration, mut on: Duration, is_on: impl Fn(Duration) -> bool) -> Duration {
    while on.saturating_sub(off) > Duration::from_nanos(1) {
        let middle = off + on.saturating_sub(off) / 2;
        if is_on(middle) { on = middle } else { off = middle }
    }
    on
}

/// A number of virtual users; the file allows a million at most.
fn whole(level: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and levels are small")]
    let whole = level.round() as u32;
    whole
}

#[cfg(test)]
mod tests;
