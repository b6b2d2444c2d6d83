//! Whether a trial can be trusted, judged from what was recorded. The bounds are named here, each with its source.

use crate::scenario::{Plan, StageKind};
use crate::stats::{Steadiness, steady_state};
use crate::trial::{Invalid, Recording, Usage};
use std::time::Duration;

/// A driver later than this at p99 is not trusted, unless the share below allows more.
const LATENESS_P99_MAX: Duration = Duration::from_millis(1);
/// ... or this share of the median response time: 5 % of p50 cannot turn one candidate into another.
const LATENESS_SHARE_OF_P50: f64 = 0.05;
/// A host busier than this leaves the driver no room to be on time.
const HOST_CPU_SHARE_MAX: f64 = 0.97;
/// Client and platform may disagree on the number of requests by this share (requests cut off at the end of a run).
const BOOKS_SHARE_MAX: f64 = 0.005;

/// Everything that speaks against trusting `recording`, as far as the driver alone can know.
#[must_use]
pub fn distrust(plan: &Plan, recording: &Recording) -> Vec<Invalid> {
    let mut reasons = Vec::new();
    if recording.interrupted {
        reasons.push(Invalid::Interrupted);
        return reasons;
    }
    let completed = recording.steps.iter().map(|step| step.books.completed).sum::<u64>();
    if recording.overall.response_time.count() == 0 || recording.arrivals.completed + completed == 0 {
        let cause = recording.failures.first().map_or_else(
            || "nothing was measured; lengthen a stage or shorten its warm-up".to_owned(),
            |failure| format!("{} of step {:?}: {}", failure.count, failure.step, failure.cause),
        );
        reasons.push(Invalid::NothingAnswered { cause });
        return reasons;
    }
    reasons.extend(late(recording));
    reasons.extend(saturated(recording));
    reasons.extend(unbalanced(recording));
    reasons.extend(unsteady(plan, recording));
    reasons
}

/// What speaks against trusting a trial once its usage is known: the platform must have counted every request that the
/// driver sent, but for those that may have ended before an instance had them. A 429, 503 or 504 may be the platform's or
/// the service's own, and a request that timed out, was refused or broke may or may not have arrived.
pub(super) fn judge_usage(recording: &Recording, usage: &Usage) -> Vec<Invalid> {
    let sent = recording.requests_sent();
    let least = sent - may_not_have_arrived(recording);
    let reached = usage.request_count();
    let tolerance = BOOKS_SHARE_MAX * sent as f64;
    let missing = least.saturating_sub(reached) as f64;
    let excess = reached.saturating_sub(sent) as f64;
    if missing <= tolerance && excess <= tolerance {
        return Vec::new();
    }
    vec![Invalid::Books {
        cause: format!(
            "the driver sent {sent} requests, at least {least} of them reached an instance, yet the platform counted \
             {reached}; other traffic on the revision, or samples that Monitoring has lost"
        ),
    }]
}

fn may_not_have_arrived(recording: &Recording) -> u64 {
    let unsure = ["429", "503", "504", "refused", "timed out", "broken"];
    unsure.iter().filter_map(|answer| recording.answers.get(*answer)).sum()
}

fn late(recording: &Recording) -> Option<Invalid> {
    let p99 = recording.lateness.quantile(0.99);
    let p50 = recording.overall.response_time.quantile(0.5);
    let bound = LATENESS_P99_MAX.max(p50.mul_f64(LATENESS_SHARE_OF_P50));
    (p99 > bound).then_some(Invalid::Late { p99_ms: p99.as_secs_f64() * 1e3, bound_ms: bound.as_secs_f64() * 1e3 })
}

fn saturated(recording: &Recording) -> Option<Invalid> {
    // What the hypervisor took was no more there for the driver than what other programs used.
    let share = recording.host_cpu_share? + recording.host_steal_share.unwrap_or(0.0);
    (share > HOST_CPU_SHARE_MAX)
        .then_some(Invalid::HostSaturated { share_percent: share * 100.0, bound_percent: HOST_CPU_SHARE_MAX * 100.0 })
}

fn unbalanced(recording: &Recording) -> Option<Invalid> {
    let arrivals = Some(("arrivals", recording.arrivals));
    let steps = recording.steps.iter().map(|step| (step.name.as_str(), step.books));
    arrivals.into_iter().chain(steps).find(|(_, books)| !books.balance()).map(|(what, books)| Invalid::Books {
        cause: format!(
            "{what}: {} planned is not {} completed + {} failed + {} dropped",
            books.planned, books.completed, books.failed, books.dropped
        ),
    })
}

/// Hold stages whose response times kept drifting. Ramps and spikes are never judged, and a stage too short to judge
/// is not held against the trial.
fn unsteady(plan: &Plan, recording: &Recording) -> Vec<Invalid> {
    let stages = plan.scenario().stages.iter().zip(plan.stages());
    let holds = stages.filter(|(stage, _)| stage.kind == StageKind::Hold);
    holds
        .filter_map(|(stage, place)| {
            let measured = place.measured_from.as_secs_f64()..=place.end.as_secs_f64();
            let series: Vec<f64> = recording
                .intervals
                .iter()
                .filter(|bin| {
                    bin.requests_due > 0
                        && measured.contains(&bin.start_s)
                        && measured.contains(&(bin.start_s + bin.length_s))
                })
                .map(|bin| bin.response_time_mean_ms)
                .collect();
            let steadiness = steady_state(&series);
            matches!(steadiness, Steadiness::Unsteady { .. })
                .then(|| Invalid::Unsteady { stage: stage.name.clone(), cause: steadiness.to_string() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Books;

    fn answered(response_ms: u64, lateness_us: u64) -> Recording {
        let mut recording = Recording::default();
        for _ in 0..100 {
            recording.overall.response_time.record(Duration::from_millis(response_ms));
            recording.lateness.record(Duration::from_micros(lateness_us));
        }
        recording.arrivals = Books { planned: 100, completed: 100, failed: 0, dropped: 0 };
        recording.answers.insert("200".to_owned(), 100);
        recording
    }

    #[test]
    fn nothing_is_evidence_when_every_request_failed() {
        let text = "name: s\njourneys: [{name: j, steps: [{name: a, get: /}]}]\nload: closed\nstages: [{name: h, hold: 1, duration: 1s}]\n";
        let scenario = crate::scenario::Scenario::from_yaml(std::path::Path::new("s.yaml"), text).unwrap();
        let plan = Plan::new(std::sync::Arc::new(scenario), 1, 1.0);
        let mut recording = answered(10, 10);
        assert_eq!(distrust(&plan, &recording), Vec::new());
        recording.arrivals = Books { planned: 100, completed: 0, failed: 100, dropped: 0 };
        assert!(matches!(distrust(&plan, &recording)[..], [Invalid::NothingAnswered { .. }]));
    }

    #[test]
    fn lateness_is_bounded_by_a_millisecond_or_a_twentieth_of_the_median() {
        assert_eq!(late(&answered(10, 900)), None);
        assert!(matches!(late(&answered(10, 1_100)), Some(Invalid::Late { .. })));
        assert_eq!(late(&answered(100, 4_900)), None);
        assert!(matches!(late(&answered(100, 5_100)), Some(Invalid::Late { .. })));
    }

    #[test]
    fn what_the_platform_counts_lies_between_what_was_sent_and_what_must_have_arrived() {
        let mut recording = answered(10, 10);
        recording.answers.insert("429".to_owned(), 7);
        recording.answers.insert("503".to_owned(), 5);
        let mut usage = Usage::default();
        usage.requests.insert("200".to_owned(), 100);
        assert_eq!(judge_usage(&recording, &usage), Vec::new());
        usage.requests.insert("503".to_owned(), 5);
        assert_eq!(judge_usage(&recording, &usage), Vec::new(), "a service may answer 503 itself");
        usage.requests.insert("200".to_owned(), 90);
        usage.requests.remove("503");
        assert!(matches!(judge_usage(&recording, &usage).as_slice(), [Invalid::Books { .. }]));
        usage.requests.insert("200".to_owned(), 120);
        assert!(
            matches!(judge_usage(&recording, &usage).as_slice(), [Invalid::Books { .. }]),
            "somebody else's traffic"
        );
    }
}
