//! From what was driven and what was billed to the result of a trial: priced and judged.

use super::site::{Driven, Usages};
use super::validity::{distrust, distrust_deliveries, judge_other, judge_usage};
use crate::cloud::CloudError;
use crate::cost::{Cost, InstanceShape, Prices};
use crate::scenario::{Member, Plan};
use crate::trial::{Invalid, MemberUsage, Observed, Recording, StockCheck, TrialResult, Usage, Validity};

/// The cause that stands in a saved trial between the end of its load and the reading of its usage.
const NOT_READ_YET: &str = "tidegate ended before it was read";

/// A trial whose load has ended: saved at once, so that a crash loses nothing, and no evidence until its usage is read.
pub(super) fn driven(plan: &Plan, driven: Driven) -> TrialResult {
    let mut reasons = distrust(plan, &driven.recording);
    reasons.extend(distrust_deliveries(&driven.recording));
    reasons.push(Invalid::UsageMissing { cause: NOT_READ_YET.to_owned() });
    TrialResult {
        number: driven.number,
        candidate: driven.proposal.candidate,
        block: driven.proposal.block,
        seed: driven.proposal.seed,
        attempt: driven.proposal.attempt,
        revision: driven.tenure.revision,
        others: driven
            .tenure
            .others
            .into_iter()
            .map(|(name, revision)| (name, MemberUsage { revision, ..MemberUsage::default() }))
            .collect(),
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

/// Instances that are kept warm, and charged at the idle rate while they serve nothing: of the front.
fn min_instances(plan: &Plan) -> u32 {
    let scenario = plan.scenario();
    let front = scenario.system.as_ref().and_then(|system| system.services.get(&system.front));
    front.map(|member| &member.service).or(scenario.service.as_ref()).map_or(0, |service| service.min_instances)
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
    usage: Result<Usages, CloudError>,
    shape: &InstanceShape,
    prices: &Prices,
) {
    let mut reasons = distrust(plan, &trial.recording);
    reasons.extend(distrust_deliveries(&trial.recording));
    match usage {
        Ok(Usages { front, others }) => {
            reasons.extend(judge_usage(&trial.recording, &front));
            let mut cost = Some(prices.cost(shape, &front.consumption(min_instances(plan))));
            for (name, usage) in others {
                reasons.extend(judge_other(&trial.recording, &name, &usage));
                let own = cost_of(plan, &name, &usage, prices);
                let other = trial.others.entry(name).or_default();
                (other.usage, other.cost) = (Some(usage), own);
            }
            // What nobody can price is not free: without it the whole has no cost.
            for (name, other) in &trial.others {
                if other.cost.is_none() {
                    reasons.push(unpriced(name, other));
                }
                cost = cost.zip(other.cost).map(|(sum, own)| sum.and(own));
            }
            trial.cost = cost;
            trial.usage = Some(front);
        }
        Err(error) => reasons.push(Invalid::UsageMissing { cause: error.to_string() }),
    }
    trial.validity = if reasons.is_empty() { Validity::Valid } else { Validity::Invalid(reasons) };
}

/// Why a service behind the front has no cost.
fn unpriced(name: &str, other: &MemberUsage) -> Invalid {
    let cause = match other.usage {
        Some(_) => format!("`{name}` was billed and has no price: it is no service of the scenario"),
        None => format!("nothing was told of what `{name}` was billed"),
    };
    Invalid::UsageMissing { cause }
}

/// What a service behind the front was billed, priced by its own shape.
fn cost_of(plan: &Plan, name: &str, usage: &Usage, prices: &Prices) -> Option<Cost> {
    let Member { service, .. } = plan.scenario().system.as_ref()?.services.get(name)?;
    let shape = InstanceShape { vcpu: service.vcpu, memory: service.memory, billing: service.billing };
    Some(prices.cost(&shape, &usage.consumption(service.min_instances)))
}
