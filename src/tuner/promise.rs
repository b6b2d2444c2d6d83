//! Whether the trials of a candidate keep a promise.
//!
//! The unit is the trial: a percentile is taken in each valid trial, and the mean of those percentiles must keep the
//! promise. How sure that is, is not judged here.

use crate::scenario::{Slo, SloMetric};
use crate::trial::{Recording, Times};

/// A mean response time speaks for a service only if at most this share of its requests failed or was dropped.
const MISSES_OF_A_MEAN: f64 = 0.05;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Breach {
    /// What was measured, in words.
    pub(super) measured: String,
    /// By what share of its bound the promise was missed: 0.1 is ten per cent over; infinite when nothing was measured.
    pub(super) excess: f64,
}

/// How the recordings of valid trials break `slo`; `None` when they keep it.
///
/// A response time is promised for answers that are of use. When more requests failed or were dropped than a quantile
/// may leave out (5 % for p95), the promise is broken however fast the failures came.
pub(super) fn breach(slo: &Slo, recordings: &[&Recording]) -> Option<Breach> {
    let scopes: Vec<&Times> = recordings.iter().filter_map(|recording| scope(slo, recording)).collect();
    let due = |times: &&&Times| times.response_time.count() + times.dropped > 0;
    let measured: Vec<&Times> = scopes.iter().filter(due).copied().collect();
    if measured.is_empty() {
        return Some(Breach { measured: "no request of it was measured".to_owned(), excess: f64::INFINITY });
    }
    let error_rate = mean(&measured, Times::error_rate);
    match slo.metric {
        SloMetric::ErrorRate { limit } => (error_rate >= limit).then(|| Breach {
            measured: format!("error rate was {}, {}", percent(error_rate), over(error_rate, limit)),
            excess: error_rate / limit - 1.0,
        }),
        SloMetric::ResponseTime { quantile, limit } => {
            let name = quantile_name(quantile);
            slow(&name, &measured, limit.as_secs_f64() * 1e3, |times| ms(times.response_time.quantile(quantile)))
                .or_else(|| failing(&name, error_rate, 1.0 - quantile))
        }
        SloMetric::MeanResponseTime { limit } => {
            slow("mean", &measured, limit.as_secs_f64() * 1e3, |times| ms(times.response_time.mean()))
                .or_else(|| failing("mean", error_rate, MISSES_OF_A_MEAN))
        }
    }
}

/// The promises that one recording breaks, each with what was measured in words.
#[must_use]
pub fn broken_slos<'a>(slos: &'a [Slo], recording: &Recording) -> Vec<(&'a Slo, String)> {
    slos.iter().filter_map(|slo| Some((slo, breach(slo, &[recording])?.measured))).collect()
}

/// What the promise speaks of in one recording.
fn scope<'a>(slo: &Slo, recording: &'a Recording) -> Option<&'a Times> {
    match &slo.step {
        None => Some(&recording.overall),
        Some(name) => recording.steps.iter().find(|step| step.name == *name).map(|step| &step.times),
    }
}

fn slow(name: &str, measured: &[&Times], limit_ms: f64, of: impl Fn(&Times) -> f64) -> Option<Breach> {
    let answered: Vec<&Times> = measured.iter().filter(|times| times.response_time.count() > 0).copied().collect();
    if answered.is_empty() {
        return Some(Breach { measured: "every request was dropped".to_owned(), excess: f64::INFINITY });
    }
    let told = mean(&answered, of);
    (told >= limit_ms).then(|| Breach {
        measured: format!("{name} was {told:.1} ms, {}", over(told, limit_ms)),
        excess: told / limit_ms - 1.0,
    })
}

fn failing(name: &str, error_rate: f64, allowed: f64) -> Option<Breach> {
    // 1 − 0.95 is a little more than 0.05 in floating point: the bound itself still passes.
    (error_rate > allowed + 1e-9).then(|| Breach {
        measured: format!(
            "{} of its requests failed or were dropped, and a {name} may leave out {}",
            percent(error_rate),
            percent(allowed)
        ),
        excess: if allowed > 0.0 { error_rate / allowed - 1.0 } else { f64::INFINITY },
    })
}

fn mean(measured: &[&Times], of: impl Fn(&Times) -> f64) -> f64 {
    measured.iter().map(|times| of(times)).sum::<f64>() / measured.len() as f64
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// `p95`, `p99.9`.
fn quantile_name(quantile: f64) -> String {
    // Rounded: 0.999 × 100 is 99.9 only to fifteen digits.
    format!("p{}", (quantile * 1e8).round() / 1e6)
}

/// A share in per cent with three significant digits below ten: `0.532 %`, `12.5 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 { format!("{percent:.1} %") } else { format!("{percent:.3} %") }
}

fn over(told: f64, limit: f64) -> String {
    let share = told / limit - 1.0;
    if share < 0.001 { "on the bound or just over it".to_owned() } else { format!("{} over", percent_short(share)) }
}

/// A share in per cent for a comparison: `0.3 %`, `18 %`, `250 %`.
pub(super) fn percent_short(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}
