//! A scenario and a seed, unrolled lazily into arrivals and draws. The same pair always gives the same plan: no answer
//! of a service and no number of threads changes it.

use super::Scenario;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// A scenario, a seed and the factor that divides stage lengths.
#[derive(Clone, Debug)]
pub struct Plan {
    scenario: Arc<Scenario>,
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

/// One planned arrival of an open model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Running number from 0.
    pub index: u64,
    /// When its first step is due, since the start of the load.
    pub due: Duration,
    /// Which journey it starts.
    pub journey: usize,
    /// Which stage it falls into.
    pub stage: usize,
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

impl Plan {
    /// Unrolls `scenario` with `seed`; stage lengths are divided by `time_factor` (1.0 leaves them as written).
    #[must_use]
    pub fn new(scenario: Arc<Scenario>, seed: u64, time_factor: f64) -> Self {
        todo!("{scenario:?} {seed} {time_factor}")
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
        todo!()
    }

    /// The stage that is on at `elapsed`, `None` after the end.
    #[must_use]
    pub fn stage_at(&self, elapsed: Duration) -> Option<&PlannedStage> {
        todo!("{elapsed:?}")
    }

    /// The arrivals of an open model in order of their due times; empty for a closed model.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + Send + 'static {
        std::iter::empty()
    }

    /// The most virtual users a closed model ever has; 0 for an open model.
    #[must_use]
    pub fn virtual_users(&self) -> u32 {
        todo!()
    }

    /// How many virtual users are on at `elapsed` (closed model): those numbered below it run.
    #[must_use]
    pub fn virtual_users_at(&self, elapsed: Duration) -> u32 {
        todo!("{elapsed:?}")
    }

    /// Which journey a virtual user runs in its `index`-th session.
    #[must_use]
    pub fn iteration(&self, virtual_user: u32, index: u64) -> Iteration {
        todo!("{virtual_user} {index}")
    }

    /// The draws of one arrival: a stream of its own, so that neither order nor threads matter.
    #[must_use]
    pub fn draws_of_arrival(&self, index: u64) -> ChaCha8Rng {
        todo!("{index}")
    }

    /// The draws of one session of a virtual user.
    #[must_use]
    pub fn draws_of_iteration(&self, virtual_user: u32, index: u64) -> ChaCha8Rng {
        todo!("{virtual_user} {index}")
    }
}
