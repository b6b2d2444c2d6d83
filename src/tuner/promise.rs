//! Whether the trials of a candidate keep a promise.
//!
//! The unit is the trial: a percentile is taken in each valid trial, and the mean of those percentiles must keep the
//! promise. How sure that is, is not judged here.

use crate::scenario::{Slo, SloMetric};
use crate::trial::{Recording, Times};
use std::time::Duration;

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
/// A response time is promised for answers that are of use: to a quantile, requests that failed or were dropped are the
/// slowest, however fast the failures came. When more of them did than it may leave out (5 % for p95), it is broken.
pub(super) fn breach(slo: &Slo, recordings: &[&Recording]) -> Option<Breach> {
    let scopes: Vec<&Times> = recordings.iter().filter_map(|recording| scope(slo, recording)).collect();
    let measured: Vec<&Times> = scopes.iter().filter(|times| is_due(times)).copied().collect();
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
            let missed = error_rate > 0.0;
            slow(&name, &measured, limit.as_secs_f64() * 1e3, |times| ms(times.response_time.quantile(quantile)))
                .or_else(|| failing(&name, error_rate, 1.0 - quantile))
                .or_else(|| {
                    missed.then(|| slow_or_missed(&name, 1.0 - quantile, limit, &response_times_ms(slo, recordings)))?
                })
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
    recording.scope(slo.step.as_deref())
}

/// The response time that `slo` judges in each of `recordings` in which anything of it was due, in milliseconds; infinite
/// where more failed or was dropped than it may leave out, and none for a promise of another kind.
pub(super) fn response_times_ms(slo: &Slo, recordings: &[&Recording]) -> Vec<f64> {
    let due = recordings.iter().filter(|recording| scope(slo, recording).is_some_and(is_due));
    let told = |recording: &&Recording| match slo.metric {
        SloMetric::ResponseTime { quantile, .. } => {
            Some(recording.quantile_of_due(slo.step.as_deref(), quantile).map_or(f64::INFINITY, ms))
        }
        SloMetric::MeanResponseTime { .. } => scope(slo, recording).map(|times| ms(times.response_time.mean())),
        SloMetric::ErrorRate { .. } => None,
    };
    due.filter_map(told).collect()
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

/// The same when what failed or was dropped counts as the slowest: `told_ms` of each trial.
fn slow_or_missed(name: &str, allowed: f64, limit: Duration, told_ms: &[f64]) -> Option<Breach> {
    let limit_ms = ms(limit);
    let mean = told_ms.iter().sum::<f64>() / told_ms.len() as f64;
    (mean >= limit_ms).then(|| Breach {
        measured: if mean.is_finite() {
            format!("{name} was {mean:.1} ms with what failed or was dropped as the slowest, {}", over(mean, limit_ms))
        } else {
            format!("in one trial more failed or was dropped than the {} that a {name} may leave out", percent(allowed))
        },
        excess: mean / limit_ms - 1.0,
    })
}

fn is_due(times: &Times) -> bool {
    times.response_time.count() + times.dropped > 0
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

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// `p95`, `p99.9`.
fn quantile_name(quantile: f64) -> String {
    // Rounded: 0.999 × 100 is 99.9 only to fifteen digits.
    format!("p{}", (quantile * 1e8).round() / 1e6)
}

/// A share in per cent to three places at most, without trailing zeros: `0.532 %`, `6 %`, `12.5 %`.
fn percent(share: f64) -> String {
    format!("{} %", (share * 1e5).round() / 1e3)
}

pub(super) fn over(told: f64, limit: f64) -> String {
    let share = told / limit - 1.0;
    if share < 0.001 { "on the bound or just over it".to_owned() } else { format!("{} over", percent_short(share)) }
}

/// A share in per cent for a comparison: `0.3 %`, `18 %`, `250 %`.
pub(super) fn percent_short(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::fixtures::{times, trial};

    fn p95(limit_ms: u64) -> Slo {
        slo(None, SloMetric::ResponseTime { quantile: 0.95, limit: Duration::from_millis(limit_ms) })
    }

    fn slo(step: Option<&str>, metric: SloMetric) -> Slo {
        Slo { text: "as written".into(), step: step.map(Into::into), metric }
    }

    /// What is measured against `slo` over trials whose requests took these milliseconds.
    fn told(slo: &Slo, response_times_ms: &[f64]) -> Option<String> {
        let trials: Vec<_> = response_times_ms.iter().map(|ms| trial(1, 8, 10.0, *ms)).collect();
        breach(slo, &trials.iter().map(|trial| &trial.recording).collect::<Vec<_>>()).map(|breach| breach.measured)
    }

    #[test]
    fn the_mean_over_trials_of_the_percentile_is_what_counts() {
        assert_eq!(told(&p95(150), &[100.0, 190.0]), None);
        assert_eq!(told(&p95(150), &[110.0, 210.0]).unwrap(), "p95 was 160.0 ms, 6.7 % over");
        // A promise is a "less than": the bound itself breaks it.
        assert_eq!(told(&p95(150), &[150.0]).unwrap(), "p95 was 150.0 ms, on the bound or just over it");
    }

    #[test]
    fn a_promise_on_a_step_is_judged_on_that_step() {
        // In these trials a check-out takes twice as long as the rest.
        let of = |step| slo(Some(step), SloMetric::MeanResponseTime { limit: Duration::from_millis(150) });
        assert_eq!(told(&of("checkout"), &[70.0]), None);
        assert_eq!(told(&of("checkout"), &[100.0]).unwrap(), "mean was 200.0 ms, 33 % over");
        assert_eq!(told(&of("home"), &[70.0]).unwrap(), "no request of it was measured");
    }

    #[test]
    fn the_error_rate_counts_what_failed_and_what_was_dropped() {
        let mut trial = trial(1, 8, 10.0, 100.0);
        trial.recording.overall.failed = 2;
        trial.recording.overall.dropped = 25;
        let of = |limit| breach(&slo(None, SloMetric::ErrorRate { limit }), &[&trial.recording]);
        let Breach { measured, excess } = of(0.2).unwrap();
        assert_eq!(measured, "error rate was 21.6 %, 8.0 % over");
        assert!((excess - 0.08).abs() < 1e-9);
        assert_eq!(of(0.22), None);
    }

    #[test]
    fn quick_failures_are_no_service() {
        let mut trial = trial(1, 8, 10.0, 100.0);
        trial.recording.overall.failed = 5;
        assert_eq!(breach(&p95(150), &[&trial.recording]), None, "a p95 may leave out five of a hundred");
        trial.recording.overall.failed = 6;
        assert_eq!(
            breach(&p95(150), &[&trial.recording]).unwrap().measured,
            "6 % of its requests failed or were dropped, and a p95 may leave out 5 %"
        );
        trial.recording.overall = Times { dropped: 100, ..times(0, 1.0) };
        assert_eq!(breach(&p95(150), &[&trial.recording]).unwrap().measured, "every request was dropped");
    }

    #[test]
    fn what_failed_or_was_dropped_is_the_slowest_to_a_percentile() {
        let mut recording = trial(1, 8, 10.0, 100.0).recording;
        recording.overall = Times::default();
        (1..=1000_u64).for_each(|ms| recording.overall.response_time.record(Duration::from_millis(ms)));
        assert_eq!(breach(&p95(960), &[&recording]), None);
        // 96 in a hundred of what was due were answered; 95 of them within 988 ms and not 960.
        recording.overall.dropped = 40;
        assert_eq!(
            breach(&p95(960), &[&recording]).unwrap().measured,
            "p95 was 988.2 ms with what failed or was dropped as the slowest, 2.9 % over"
        );
        assert_eq!(breach(&p95(990), &[&recording]), None);
        // Together three in a hundred were dropped, but in one of the trials more than five.
        let sound = trial(1, 8, 10.0, 100.0).recording;
        recording.overall.dropped = 60;
        assert_eq!(
            breach(&p95(2000), &[&recording, &sound]).unwrap().measured,
            "in one trial more failed or was dropped than the 5 % that a p95 may leave out"
        );
    }

    #[test]
    fn quantiles_have_the_names_people_write() {
        assert_eq!([0.5, 0.95, 0.999, 0.9999].map(quantile_name), ["p50", "p95", "p99.9", "p99.99"]);
    }
}
