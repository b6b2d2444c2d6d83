//! What speaks against relying on a promise that was kept: too few requests, or a distance that chance may make.

use super::promise::{percent_short, response_times_ms};
use crate::scenario::{Slo, SloMetric};
use crate::trial::{Recording, Times};

/// How far a percentile moves from trial to trial where a study cannot tell, as a share of it: 5 to 15 % were seen between
/// trials of one candidate with seeds of their own (docs/decisions/0002).
const SPREAD_SUPPOSED: f64 = 0.10;
/// A distance of this many standard errors is more than chance makes, but once in forty times.
const ERRORS_APART: f64 = 2.0;

/// Why the trials of `recordings` hold too few requests to judge `slo`, which they keep; `None` when they hold enough.
///
/// A percentile speaks of the share of requests that may be slower: where less than one request of all is that share, what
/// is told is the slowest of them, and more of it may be missing than is there. The same holds for a rate of errors of which
/// less than one would be allowed.
#[must_use]
pub fn too_few(slo: &Slo, recordings: &[&Recording]) -> Option<String> {
    let share = match slo.metric {
        SloMetric::ResponseTime { quantile, .. } => 1.0 - quantile,
        SloMetric::ErrorRate { limit } => limit,
        SloMetric::MeanResponseTime { .. } => return None,
    };
    let due = |times: &Times| times.response_time.count() + times.dropped;
    let requests: u64 = recordings.iter().filter_map(|recording| recording.scope(slo.step.as_deref())).map(due).sum();
    // 1 − 0.99 is a little more than 0.01 in floating point: a hundred requests are enough for a p99.
    let enough = (1.0 / share - 1e-6).ceil();
    (share > 0.0 && requests > 0 && (requests as f64) < enough).then(|| {
        format!(
            "{requests} {} too few to judge it: {enough:.0} are needed",
            if requests == 1 { "request is" } else { "requests are" }
        )
    })
}

/// What speaks against relying on the promises that the trials of `chosen` keep, each in a clause; `groups` are the recordings
/// of the valid trials of each candidate, and tell how far chance reaches.
pub(super) fn doubts(slos: &[Slo], chosen: &[&Recording], groups: &[Vec<&Recording>]) -> Vec<String> {
    let doubt = |slo: &Slo| {
        let quoted = &slo.text;
        if let Some(few) = too_few(slo, chosen) {
            return Some(format!("{quoted:?} was kept, but {few}"));
        }
        let (SloMetric::ResponseTime { limit, .. } | SloMetric::MeanResponseTime { limit }) = slo.metric else {
            return None;
        };
        let told = response_times_ms(slo, chosen);
        let mean = told.iter().sum::<f64>() / told.len() as f64;
        let margin = 1.0 - mean / (limit.as_secs_f64() * 1e3);
        let by_chance = ERRORS_APART * spread(slo, groups) / (told.len() as f64).sqrt();
        (margin < by_chance).then(|| {
            let values: Vec<String> = told.iter().map(|ms| format!("{ms:.1}")).collect();
            format!(
                "{quoted:?} was kept by {} only ({} ms), and chance moves such a figure by {}: another study may find it broken",
                percent_short(margin),
                values.join(" and "),
                percent_short(by_chance)
            )
        })
    };
    slos.iter().filter_map(doubt).collect()
}

/// The standard deviation of what `slo` speaks of between trials of one candidate, as a share, pooled over all candidates
/// with more than one trial; what is supposed where there are none.
fn spread(slo: &Slo, groups: &[Vec<&Recording>]) -> f64 {
    let (mut squares, mut freedom) = (0.0, 0);
    for group in groups {
        let logarithms: Vec<f64> =
            response_times_ms(slo, group).into_iter().filter(|ms| *ms > 0.0 && ms.is_finite()).map(f64::ln).collect();
        let mean = logarithms.iter().sum::<f64>() / logarithms.len().max(1) as f64;
        squares += logarithms.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        freedom += logarithms.len().saturating_sub(1);
    }
    if freedom == 0 { SPREAD_SUPPOSED } else { (squares / freedom as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::fixtures::trial;
    use std::time::Duration;

    fn p95(limit_ms: u64) -> Slo {
        let metric = SloMetric::ResponseTime { quantile: 0.95, limit: Duration::from_millis(limit_ms) };
        Slo { text: format!("p95 < {limit_ms}ms"), step: None, metric }
    }

    /// Doubts about the first of candidates whose trials took these milliseconds.
    fn told(slo: &Slo, groups_ms: &[&[f64]]) -> Vec<String> {
        let trials: Vec<Vec<_>> =
            groups_ms.iter().map(|group| group.iter().map(|ms| trial(1, 8, 10.0, *ms)).collect()).collect();
        let groups: Vec<Vec<&Recording>> =
            trials.iter().map(|group| group.iter().map(|trial| &trial.recording).collect()).collect();
        doubts(std::slice::from_ref(slo), &groups[0], &groups)
    }

    #[test]
    fn a_promise_that_is_kept_by_less_than_chance_makes_is_told_with_its_trials() {
        // ln 1.05 apart: a standard deviation of 3.45 %, and two errors of the mean of two of 4.9 %.
        assert_eq!(
            told(&p95(105), &[&[100.0, 105.0]]),
            [
                "\"p95 < 105ms\" was kept by 2.4 % only (100.0 and 105.0 ms), and chance moves such a figure by 4.9 %: another study may find it broken"
            ]
        );
        assert_eq!(told(&p95(110), &[&[100.0, 105.0]]), Vec::<String>::new());
        // What other candidates do tells how far chance reaches.
        assert_eq!(told(&p95(110), &[&[100.0, 105.0], &[100.0, 140.0]]).len(), 1);
    }

    #[test]
    fn one_trial_alone_supposes_a_tenth() {
        assert_eq!(told(&p95(120), &[&[100.0]]).len(), 1, "a sixth is less than two tenths");
        assert_eq!(told(&p95(130), &[&[100.0], &[500.0]]), Vec::<String>::new());
    }

    #[test]
    fn a_percentile_of_fewer_requests_than_it_leaves_out_is_told() {
        // A trial of the fixture has 100 requests.
        let one = trial(1, 8, 10.0, 100.0).recording;
        let of = |metric| Slo { text: "as written".into(), step: None, metric };
        let limit = Duration::from_secs(9);
        let quantile = |quantile| of(SloMetric::ResponseTime { quantile, limit });
        assert_eq!(too_few(&quantile(0.99), &[&one]), None);
        assert_eq!(
            too_few(&quantile(0.999), &[&one]).unwrap(),
            "100 requests are too few to judge it: 1000 are needed"
        );
        assert_eq!(too_few(&quantile(0.995), &[&one, &one]), None, "two trials have two hundred");
        assert_eq!(too_few(&of(SloMetric::ErrorRate { limit: 0.01 }), &[&one]), None);
        assert!(too_few(&of(SloMetric::ErrorRate { limit: 0.001 }), &[&one]).is_some());
        assert_eq!(too_few(&of(SloMetric::MeanResponseTime { limit }), &[&one]), None);
    }
}
