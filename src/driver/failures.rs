//! What failed, grouped by step, status and cause.

use crate::trial::Failure;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Kinds of failures told apart; what comes beyond is grouped as one. Causes are few by design, but some hold words of
/// the scenario.
const KINDS_MAX: usize = 1000;

/// How often each kind of failure came.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<Kind, u64>);

/// Step, status and cause.
type Kind = (usize, Option<u16>, String);

impl Failures {
    /// Counts one of `step`, by the status of its answer, if one came, and its cause.
    pub(super) fn count(&mut self, step: usize, status: Option<u16>, cause: &str) {
        let mut kind = (step, status, cause.to_owned());
        if self.0.len() >= KINDS_MAX && !self.0.contains_key(&kind) {
            "other causes".clone_into(&mut kind.2);
        }
        *self.0.entry(kind).or_default() += 1;
    }

    /// All of them, the most frequent first, with the names of `steps`.
    pub(super) fn into_list(self, steps: &[String]) -> Vec<Failure> {
        let failure =
            |((step, status, cause), count): (Kind, u64)| Failure { step: steps[step].clone(), status, cause, count };
        let mut list: Vec<Failure> = self.0.into_iter().map(failure).collect();
        list.sort_by_key(|failure| Reverse(failure.count));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_step_status_and_cause_and_are_bounded() {
        let mut failures = Failures::default();
        for _ in 0..2 {
            failures.count(0, Some(500), "status 500");
        }
        for (step, status) in [(0, None), (1, Some(500))] {
            failures.count(step, status, "status 500");
        }
        for index in 0..2 * KINDS_MAX {
            failures.count(1, None, &format!("cause {index}"));
        }
        let list = failures.into_list(&["first".to_owned(), "second".to_owned()]);
        assert!(list.len() <= KINDS_MAX + 1);
        assert_eq!((list[0].cause.as_str(), list[0].step.as_str()), ("other causes", "second"));
        assert_eq!((list[1].count, list[1].step.as_str(), list[1].status), (2, "first", Some(500)));
        assert_eq!(list.iter().map(|failure| failure.count).sum::<u64>(), 2 * KINDS_MAX as u64 + 4);
    }
}
