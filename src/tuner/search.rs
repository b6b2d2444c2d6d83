//! The order of trials: randomised blocks, one plan per block, one repeat of an invalid trial.

use crate::scenario::Candidate;
use crate::trial::{Invalid, TrialResult, Validity};
use rand::seq::SliceRandom as _;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

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
///
/// A slow drift of the machine hits every candidate alike when their order within a block is drawn, and candidates of
/// one block meet the same arrivals. Without both, a drift or a lucky plan looks like a better candidate.
#[derive(Clone, Debug)]
pub struct Search {
    /// What is still wanted, in order.
    wanted: Vec<Proposal>,
}

impl Search {
    /// A search over `candidates`, `blocks` times each, in an order drawn from `seed` anew for each block.
    #[must_use]
    pub fn new(candidates: &[Candidate], blocks: u32, seed: u64) -> Self {
        let mut wanted = Vec::new();
        for block in 1..=blocks {
            // A stream per block: a study with more blocks begins with the trials of one with fewer.
            let mut draws = ChaCha8Rng::seed_from_u64(seed);
            draws.set_stream(u64::from(block));
            // Half of the bits: a seed that a person copies into a command line, exact in every JSON reader.
            let plan_seed = u64::from(draws.next_u32());
            let mut order = candidates.to_vec();
            order.sort_unstable();
            order.dedup();
            order.shuffle(&mut draws);
            wanted.extend(order.into_iter().map(|candidate| Proposal {
                candidate,
                block,
                seed: plan_seed,
                attempt: 1,
            }));
        }
        Self { wanted }
    }

    /// The same search after `trials` of it were recorded, each with whether it counts as valid as far as is known: how a
    /// saved study goes on. An interrupted trial is tried again as if it had not been.
    #[must_use]
    pub fn resume<'a>(
        candidates: &[Candidate],
        blocks: u32,
        seed: u64,
        trials: impl IntoIterator<Item = (&'a TrialResult, bool)>,
    ) -> Self {
        let mut search = Self::new(candidates, blocks, seed);
        for (trial, valid) in trials {
            let interrupted = match &trial.validity {
                Validity::Valid => false,
                Validity::Invalid(reasons) => reasons.contains(&Invalid::Interrupted),
            };
            if !interrupted {
                let TrialResult { candidate, block, seed, attempt, .. } = *trial;
                search.record(Proposal { candidate, block, seed, attempt }, valid);
            }
        }
        search
    }

    /// How many trials the search still wants, repeats of invalid ones not counted before they are known.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.wanted.len()
    }

    /// What to try next; `None` when done. Does not change until the trial was recorded.
    #[must_use]
    pub fn propose(&self) -> Option<Proposal> {
        self.wanted.first().copied()
    }

    /// Takes note of a proposal that was tried: an invalid one is proposed once more at the end of its block. What was
    /// never proposed, or is already recorded, changes nothing.
    pub fn record(&mut self, proposal: Proposal, valid: bool) {
        let Some(place) = self.wanted.iter().position(|wanted| *wanted == proposal) else { return };
        self.wanted.remove(place);
        if !valid {
            self.repeat(proposal);
        }
    }

    /// Takes back what was recorded as valid: a fault that shows only once the trial's usage was read, while others
    /// already ran. A first attempt is proposed once more at the end of its block, or next when its block is over.
    pub fn repeat(&mut self, proposal: Proposal) {
        let again = Proposal { attempt: 2, ..proposal };
        if proposal.attempt > 1 || self.wanted.contains(&again) {
            return;
        }
        let end = self.wanted.iter().rposition(|wanted| wanted.block <= proposal.block).map_or(0, |last| last + 1);
        self.wanted.insert(end, again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::fixtures::trial;
    use proptest::prelude::*;

    fn candidates(max_concurrencies: &[u32]) -> Vec<Candidate> {
        max_concurrencies.iter().map(|max_concurrency| Candidate { max_concurrency: *max_concurrency }).collect()
    }

    fn judged(trials: &[TrialResult]) -> impl Iterator<Item = (&TrialResult, bool)> {
        trials.iter().map(|trial| (trial, trial.is_valid()))
    }

    /// Runs a search to its end; `valid` says of the n-th trial whether it is.
    fn run(mut search: Search, valid: impl Fn(usize) -> bool) -> Vec<Proposal> {
        let mut tried = Vec::new();
        while let Some(proposal) = search.propose() {
            assert_eq!(search.propose(), Some(proposal), "a proposal does not change until it was recorded");
            search.record(proposal, valid(tried.len()));
            tried.push(proposal);
        }
        tried
    }

    #[test]
    fn the_order_of_seed_42_stays_as_it_is() {
        let tried = run(Search::new(&candidates(&[1, 2, 4, 8, 16, 80]), 2, 42), |_| true);
        let order: Vec<_> = tried.iter().map(|proposal| (proposal.block, proposal.candidate.max_concurrency)).collect();
        let first = [80, 1, 8, 2, 16, 4].map(|max_concurrency| (1, max_concurrency));
        let second = [1, 80, 2, 16, 8, 4].map(|max_concurrency| (2, max_concurrency));
        assert_eq!(order, [first, second].concat());
    }

    #[test]
    fn a_fault_found_late_repeats_the_trial_once() {
        let mut search = Search::new(&candidates(&[1, 2]), 2, 7);
        let first = search.propose().unwrap();
        search.record(first, true);
        search.repeat(first);
        search.repeat(first);
        let tried = run(search, |_| true);
        let repeats: Vec<_> = tried.iter().enumerate().filter(|(_, proposal)| proposal.attempt == 2).collect();
        assert_eq!(repeats, [(1, &Proposal { attempt: 2, ..first })]);
    }

    #[test]
    fn an_invalid_trial_is_repeated_once_at_the_end_of_its_block() {
        let search = Search::new(&candidates(&[1, 2, 4]), 2, 7);
        let tried = run(search, |n| n != 0 && n != 3);
        let shape: Vec<_> = tried.iter().map(|proposal| (proposal.block, proposal.attempt)).collect();
        assert_eq!(shape, [(1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (2, 1), (2, 1)]);
        assert_eq!(tried[3], Proposal { attempt: 2, ..tried[0] });
    }

    #[test]
    fn a_repeat_in_the_last_place_of_a_block_comes_before_the_next_block() {
        let tried = run(Search::new(&candidates(&[1, 2]), 2, 7), |n| n != 1);
        let shape: Vec<_> = tried.iter().map(|proposal| (proposal.block, proposal.attempt)).collect();
        assert_eq!(shape, [(1, 1), (1, 1), (1, 2), (2, 1), (2, 1)]);
    }

    /// The trial of a proposal, valid or with this reason.
    fn tried(proposal: Proposal, reason: Option<Invalid>) -> TrialResult {
        TrialResult {
            candidate: proposal.candidate,
            block: proposal.block,
            seed: proposal.seed,
            attempt: proposal.attempt,
            validity: reason.map_or(Validity::Valid, |reason| Validity::Invalid(vec![reason])),
            ..trial(1, 1, 1.0, 1.0)
        }
    }

    #[test]
    fn a_saved_study_goes_on_where_it_stopped() {
        let candidates = candidates(&[1, 2, 4]);
        let mut search = Search::new(&candidates, 2, 7);
        let mut trials = Vec::new();
        let cause = "no points".to_owned();
        for reason in [None, Some(Invalid::UsageMissing { cause }), None] {
            let proposal = search.propose().unwrap();
            search.record(proposal, reason.is_none());
            trials.push(tried(proposal, reason));
        }
        let resumed = Search::resume(&candidates, 2, 7, judged(&trials));
        assert_eq!(run(resumed.clone(), |_| true), run(search, |_| true));
        // An interrupted trial is nobody's fault: it is tried again, and still has its repeat.
        let next = resumed.propose().unwrap();
        trials.push(tried(next, Some(Invalid::Interrupted)));
        assert_eq!(Search::resume(&candidates, 2, 7, judged(&trials)).propose(), Some(next));
    }

    #[test]
    fn what_was_not_proposed_changes_nothing() {
        let mut search = Search::new(&candidates(&[1, 2]), 1, 7);
        let proposal = search.propose().unwrap();
        search.record(Proposal { block: 9, ..proposal }, true);
        assert_eq!(search.remaining(), 2);
        search.record(proposal, true);
        search.record(proposal, true);
        assert_eq!(search.remaining(), 1);
    }

    proptest! {
        #[test]
        fn every_block_tries_every_candidate_with_one_plan(
            n in 1u32..20, blocks in 1u32..6, seed: u64, invalid in prop::collection::btree_set(0usize..200, 0..100),
        ) {
            let candidates = candidates(&(1..=n).collect::<Vec<_>>());
            let tried = run(Search::new(&candidates, blocks, seed), |n| !invalid.contains(&n));
            prop_assert!(tried.is_sorted_by_key(|proposal| proposal.block));
            for block in 1..=blocks {
                let of_block: Vec<_> = tried.iter().filter(|proposal| proposal.block == block).collect();
                let mut first: Vec<_> =
                    of_block.iter().filter(|proposal| proposal.attempt == 1).map(|proposal| proposal.candidate).collect();
                first.sort_unstable();
                prop_assert_eq!(&first, &candidates);
                prop_assert!(of_block.iter().all(|proposal| proposal.seed == of_block[0].seed));
                prop_assert!(of_block.iter().all(|proposal| proposal.attempt <= 2));
                prop_assert!(of_block.is_sorted_by_key(|proposal| proposal.attempt), "repeats end a block");
            }
            let repeats = tried.iter().filter(|proposal| proposal.attempt == 2).count();
            let failed = tried.iter().enumerate().filter(|(n, p)| invalid.contains(n) && p.attempt == 1).count();
            prop_assert_eq!(repeats, failed);
        }

        #[test]
        fn more_blocks_begin_like_fewer(seed: u64) {
            let candidates = candidates(&[1, 4, 16, 80]);
            let few = run(Search::new(&candidates, 2, seed), |_| true);
            let many = run(Search::new(&candidates, 5, seed), |_| true);
            prop_assert_eq!(&many[..few.len()], &few[..]);
        }

        #[test]
        fn blocks_differ_in_their_plans(seed: u64) {
            let tried = run(Search::new(&candidates(&[1]), 3, seed), |_| true);
            prop_assert!(tried[0].seed != tried[1].seed && tried[1].seed != tried[2].seed);
        }
    }
}
