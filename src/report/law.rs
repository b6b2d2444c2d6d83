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
