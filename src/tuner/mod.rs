//! Pure search: propose → evaluate → record, then decide. Cannot know whether a trial was measured or simulated.

use crate::scenario::{Candidate, Slo};
use crate::trial::{Decision, TrialResult};

/// What to try next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What.
    pub candidate: Candidate,
    /// In which block, from 1.
    pub block: u32,
    /// Seed of the trial's plan: one per block, the same for every candidate of it.
    pub seed: u64,
    /// 1, or 2 when it repeats an invalid trial.
    pub attempt: u32,
}

/// The search over randomised blocks.
#[derive(Clone, Debug)]
pub struct Search {}

impl Search {
    /// A search over `candidates`, `blocks` times each, in an order drawn from `seed` anew for each block.
    #[must_use]
    pub fn new(candidates: &[Candidate], blocks: u32, seed: u64) -> Self {
        todo!("{candidates:?} {blocks} {seed}")
    }

    /// How many trials the search still wants, repeats of invalid ones not counted before they are known.
    #[must_use]
    pub fn remaining(&self) -> usize {
        todo!()
    }

    /// What to try next; `None` when done. Does not change until the trial was recorded.
    #[must_use]
    pub fn propose(&self) -> Option<Proposal> {
        todo!()
    }

    /// Takes note of a proposal that was tried: an invalid one is proposed once more at the end of its block.
    pub fn record(&mut self, proposal: Proposal, valid: bool) {
        todo!("{proposal:?} {valid}")
    }
}

/// Decides over what was measured.
#[must_use]
pub fn decide(candidates: &[Candidate], slos: &[Slo], trials: &[TrialResult]) -> Decision {
    todo!("{candidates:?} {slos:?} {}", trials.len())
}
