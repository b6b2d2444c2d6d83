//! From what was driven and what was billed to the result of a trial: priced and judged.

use super::site::Driven;
use super::validity::{distrust, judge_usage};
use crate::cloud::CloudError;
use crate::cost::{InstanceShape, Prices};
use crate::scenario::Plan;
use crate::trial::{Invalid, Observed, Recording, StockCheck, TrialResult, Usage, Validity};

/// The cause that stands in a saved trial between the end of its load and the reading of its usage.
const NOT_READ_YET: &str = "tidegate ended before it was read";

/// A trial whose load has ended: saved at once, so that a crash loses nothing, and no evidence until its usage is read.
pub(super) fn driven(plan: &Plan, driven: Driven) -> TrialResult {
    let mut reasons = distrust(plan, &driven.recording);
    reasons.push(Invalid::UsageMissing { cause: NOT_READ_YET.to_owned() });
    TrialResult {
        number: driven.number,
        candidate: driven.proposal.candidate,
        block: driven.proposal.block,
        seed: driven.proposal.seed,
        attempt: driven.proposal.attempt,
        revision: driven.tenure.revision,
        deployed_at: driven.tenure.deployed_at.to_string(),
        started_at: driven.tenure.started_at.to_string(),
        ended_at: driven.tenure.ended_at.to_string(),
        lock_wait_s: None,
        stock: stock(plan, &driven.recording),
        recording: driven.recording,
        usage: None,
        cost: None,
        validity: Validity::Invalid(reasons),
    }
}

/// The scenario's first law of conservation, checked: what was sold is what is missing.
fn stock(plan: &Plan, recording: &Recording) -> Option<StockCheck> {
    let law = plan.scenario().conservation.first()?;
    let sold = *recording.counters.get(&law.counter)?;
    let Observed { before, after } = *recording.observed.get(&law.observation)?;
    Some(StockCheck { sold, fall: before - after })
}

/// Instances that are kept warm, and charged at the idle rate while they serve nothing.
fn min_instances(plan: &Plan) -> u32 {
    plan.scenario().service.as_ref().map_or(0, |service| service.min_instances)
}

/// True when nothing but the reading of its usage is left to do: the session that drove it ended before.
pub(super) fn unread(trial: &TrialResult) -> bool {
    let never_read = |reason: &Invalid| matches!(reason, Invalid::UsageMissing { cause } if cause == NOT_READ_YET);
    matches!(&trial.validity, Validity::Invalid(reasons) if reasons.iter().any(never_read))
}

/// True when the driver's side alone already spoils the trial.
pub(super) fn spoiled(trial: &TrialResult) -> bool {
    match &trial.validity {
        Validity::Valid => false,
        Validity::Invalid(reasons) => reasons.iter().any(|reason| !matches!(reason, Invalid::UsageMissing { .. })),
    }
}

/// Adds what was billed, prices it, and judges the whole.
pub(super) fn billed(
    trial: &mut TrialResult,
    plan: &Plan,
    usage: Result<Usage, CloudError>,
    shape: &InstanceShape,
    prices: &Prices,
) {
    let mut reasons = distrust(plan, &trial.recording);
    match usage {
        Ok(usage) => {
            reasons.extend(judge_usage(&trial.recording, &usage));
            trial.cost = Some(prices.cost(shape, &usage.consumption(min_instances(plan))));
            trial.usage = Some(usage);
        }
        Err(error) => reasons.push(Invalid::UsageMissing { cause: error.to_string() }),
    }
    trial.validity = if reasons.is_empty() { Validity::Valid } else { Validity::Invalid(reasons) };
}
