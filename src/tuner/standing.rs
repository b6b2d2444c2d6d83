//! How each candidate did over its valid trials.

use super::promise::{Breach, breach};
use crate::scenario::{Candidate, Slo};
use crate::trial::{Recording, Standing, TrialResult};
use crate::units::Usd;

/// A standing with what the decision needs besides.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) standing: Standing,
    /// Why its last trial was no evidence, when it has no valid one.
    pub(super) distrust: Option<String>,
    /// The worst excess over its broken promises; 0 for a candidate that keeps all.
    pub(super) excess: f64,
}

/// Judges `candidate` over those of `trials` that are its own.
pub(super) fn judge(candidate: Candidate, slos: &[Slo], trials: &[&TrialResult]) -> Judged {
    let own: Vec<&TrialResult> = trials.iter().filter(|trial| trial.candidate == candidate).copied().collect();
    let valid: Vec<&TrialResult> = own.iter().filter(|trial| trial.is_valid()).copied().collect();
    let breaches: Vec<(&Slo, Breach)> = if valid.is_empty() {
        Vec::new()
    } else {
        let recordings: Vec<&Recording> = valid.iter().map(|trial| &trial.recording).collect();
        slos.iter().filter_map(|slo| Some((slo, breach(slo, &recordings)?))).collect()
    };
    let quantile_ms = |q: f64| {
        mean(valid.iter().map(|trial| trial.recording.overall.response_time.quantile(q).as_secs_f64() * 1e3))
            .unwrap_or_default()
    };
    let costs: Option<Vec<f64>> =
        valid.iter().map(|trial| trial.cost_per_million_requests().map(|Usd(cost)| cost)).collect();
    Judged {
        standing: Standing {
            candidate,
            trials_valid: count(&valid),
            trials: count(&own),
            cost_per_million_requests: costs.and_then(|costs| mean(costs.into_iter())).map(Usd),
            response_time_p50_ms: quantile_ms(0.50),
            response_time_p95_ms: quantile_ms(0.95),
            response_time_p99_ms: quantile_ms(0.99),
            error_rate: mean(valid.iter().map(|trial| trial.recording.overall.error_rate())).unwrap_or_default(),
            broken: breaches.iter().map(|(slo, breach)| ((*slo).clone(), breach.measured.clone())).collect(),
            why_not: None,
        },
        distrust: distrust(&own, &valid),
        excess: breaches.iter().map(|(_, breach)| breach.excess).fold(0.0, f64::max),
    }
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
