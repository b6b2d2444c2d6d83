//! The scenario's laws of conservation, checked against what a trial recorded: what a counter gained by the answers is
//! what an observation lost by the service's own account.

use crate::scenario::Conservation;
use crate::trial::{Observed, StockCheck, Study, TrialResult};

/// The law in a few words: `units_sold = fall of stock`.
pub(super) fn name(law: &Conservation) -> String {
    format!("{} = fall of {}", law.counter, law.observation)
}

/// What the trial shows of each law, in the order of the scenario; none where the service did not tell. The first is
/// what the trial itself was saved with.
pub(super) fn checks(study: &Study, trial: &TrialResult) -> Vec<Option<StockCheck>> {
    let laws = study.scenario.conservation.iter().enumerate();
    laws.map(|(index, law)| if index == 0 { trial.stock.clone() } else { recorded(law, trial) }).collect()
}

fn recorded(law: &Conservation, trial: &TrialResult) -> Option<StockCheck> {
    let sold = *trial.recording.counters.get(&law.counter)?;
    let Observed { before, after } = *trial.recording.observed.get(&law.observation)?;
    Some(StockCheck { sold, fall: before.saturating_sub(after) })
}

/// A line for each law that did not hold in every trial that could be asked: in how many it did, and by how much it failed.
pub(super) fn broken(study: &Study) -> Vec<String> {
    let checks: Vec<_> = study.trials.iter().map(|trial| checks(study, trial)).collect();
    let line = |(index, law): (usize, &Conservation)| {
        let asked: Vec<_> = checks.iter().filter_map(|checks| checks[index].as_ref()).collect();
        let held = asked.iter().filter(|check| check.holds()).count();
        let line = || format!("law {}: kept in {held} of {} trials.{}", name(law), asked.len(), failure(&asked));
        (held < asked.len()).then(line)
    };
    study.scenario.conservation.iter().enumerate().filter_map(line).collect()
}

/// By how much the law failed in all the trials that could be asked, in words; empty where it held in each.
pub(super) fn failure(checks: &[&StockCheck]) -> String {
    let broken: Vec<&StockCheck> = checks.iter().copied().filter(|check| !check.holds()).collect();
    let sum = |number: fn(&StockCheck) -> i64| broken.iter().map(|check| number(check)).fold(0, i64::saturating_add);
    let all = StockCheck { sold: sum(|check| check.sold), fall: sum(|check| check.fall) };
    match (broken.len(), all.difference()) {
        (0, _) => String::new(),
        (_, difference) if difference.is_empty() => " In the others the differences cancel out.".to_owned(),
        (_, difference) => {
            format!(" In the others {} were counted and {} are gone: {difference}.", all.sold, all.fall)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_law_is_told_by_how_much() {
        let check = |sold, fall| StockCheck { sold, fall };
        let (held, lossy, lossier) = (check(200, 200), check(200, 130), check(200, 95));
        assert_eq!(failure(&[]), "");
        assert_eq!(failure(&[&held, &held]), "");
        assert_eq!(
            failure(&[&held, &lossy, &lossier]),
            " In the others 400 were counted and 225 are gone: 175 counted and not gone, 43.8 % of what was counted."
        );
        assert_eq!(failure(&[&check(4, 9)]), " In the others 4 were counted and 9 are gone: 5 gone and not counted.");
        assert_eq!(failure(&[&check(4, 9), &check(9, 4)]), " In the others the differences cancel out.");
        assert_eq!(check(0, -3).difference(), "3 came back that nobody counted");
        assert_eq!(check(i64::MAX, i64::MIN).difference().split_once(' ').unwrap().0, "18446744073709551615");
    }
}
