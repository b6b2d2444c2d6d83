//! How each candidate did over its valid trials.

use super::aims::Aims;
use super::delivery_promise::delivery_breach;
use super::promise::{Breach, breach};
use crate::scenario::{Candidate, Objective, Slo};
use crate::trial::{DeliveryRecording, PromiseRecording, Recording, Standing, TrialResult};
use crate::units::Usd;

/// A standing with what the decision needs besides.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) standing: Standing,
    /// What it costs in the unit of what is made least, if that is known.
    pub(super) cost: Option<Usd>,
    /// Why its last trial was no evidence, when it has no valid one.
    pub(super) distrust: Option<String>,
    /// The worst excess over its broken promises; 0 for a candidate that keeps all.
    pub(super) excess: f64,
}

/// Judges `candidate` over those of `trials` that are its own.
pub(super) fn judge(candidate: Candidate, aims: Aims<'_>, trials: &[&TrialResult]) -> Judged {
    let own: Vec<&TrialResult> = trials.iter().filter(|trial| trial.candidate == candidate).copied().collect();
    let valid: Vec<&TrialResult> = own.iter().filter(|trial| trial.is_valid()).copied().collect();
    let breaches: Vec<(&Slo, Breach)> = if valid.is_empty() {
        Vec::new()
    } else {
        let recordings: Vec<&Recording> = valid.iter().map(|trial| &trial.recording).collect();
        aims.slos.iter().filter_map(|slo| Some((slo, breach(slo, &recordings)?))).collect()
    };
    let (broken_deliveries, excess_of_deliveries) = deliveries(aims, &valid);
    let quantile_ms = |q: f64| {
        mean(valid.iter().map(|trial| trial.recording.overall.response_time.quantile(q).as_secs_f64() * 1e3))
            .unwrap_or_default()
    };
    let cost = |objective: Objective| {
        let costs: Option<Vec<f64>> =
            valid.iter().map(|trial| trial.cost_per_unit(objective).map(|Usd(cost)| cost)).collect();
        costs.and_then(|costs| mean(costs.into_iter())).map(Usd)
    };
    let lost: u64 = own.iter().map(|trial| trial.lost()).sum();
    // Whatever was promised, nothing is farther from a service than losing what it took.
    let least = if lost > 0 { f64::INFINITY } else { excess_of_deliveries };
    Judged {
        cost: cost(aims.objective),
        standing: Standing {
            candidate,
            trials_valid: count(&valid),
            trials: count(&own),
            cost_per_million_requests: cost(Objective::CostPerMillionRequests),
            cost_per_thousand_delivered: cost(Objective::CostPerThousandDelivered),
            response_time_p50_ms: quantile_ms(0.50),
            response_time_p95_ms: quantile_ms(0.95),
            response_time_p99_ms: quantile_ms(0.99),
            error_rate: mean(valid.iter().map(|trial| trial.recording.overall.error_rate())).unwrap_or_default(),
            broken: breaches.iter().map(|(slo, breach)| ((*slo).clone(), breach.measured.clone())).collect(),
            broken_deliveries,
            lost,
            queued: own.iter().map(|trial| trial.queued()).sum(),
            why_not: None,
        },
        distrust: distrust(&own, &valid),
        excess: breaches.iter().map(|(_, breach)| breach.excess).fold(least, f64::max),
    }
}

/// The promises of deliveries that these trials break, and the worst excess over them.
fn deliveries(aims: Aims<'_>, valid: &[&TrialResult]) -> (Vec<PromiseRecording>, f64) {
    let recordings: Vec<&DeliveryRecording> =
        valid.iter().filter_map(|trial| trial.recording.delivery.as_ref()).collect();
    let breaches = aims.deliveries.iter().filter_map(|promise| Some((promise, delivery_breach(promise, &recordings)?)));
    let (mut broken, mut worst) = (Vec::new(), 0.0_f64);
    for (promise, Breach { measured, excess }) in breaches {
        broken.push(PromiseRecording { text: promise.text.clone(), measured, ..PromiseRecording::default() });
        worst = worst.max(excess);
    }
    (broken, worst)
}

fn distrust(own: &[&TrialResult], valid: &[&TrialResult]) -> Option<String> {
    match own.last() {
        _ if !valid.is_empty() => None,
        None => Some("it was not tried".to_owned()),
        Some(last) => Some(last.invalid_reasons()),
    }
}

fn count(trials: &[&TrialResult]) -> u32 {
    u32::try_from(trials.len()).unwrap_or(u32::MAX)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}
