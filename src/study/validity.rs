//! Whether a trial can be trusted, judged from what was recorded. The bounds are named here, each with its source.

use crate::driver::OWN_FAILURES;
use crate::scenario::{Plan, Slo, SloMetric, StageKind};
use crate::stats::{Steadiness, steady_state};
use crate::trial::{Failure, Invalid, Recording, Usage};
use crate::tuner::broken_slos;
use std::time::Duration;

/// A driver later than this at p99 is not trusted, unless the share below allows more.
const LATENESS_P99_MAX: Duration = Duration::from_millis(1);
/// ... or this share of the median response time: 5 % of p50 cannot turn one candidate into another.
const LATENESS_SHARE_OF_P50: f64 = 0.05;
/// Where a promise speaks of a higher percentile than the 99th, the driver's lateness at that percentile may be this share of
/// what is promised: it is in every response time that is measured there.
const LATENESS_SHARE_OF_PROMISE: f64 = 0.05;
/// A host busier than this leaves the driver no room to be on time.
const HOST_CPU_SHARE_MAX: f64 = 0.97;
/// A sending thread busier than this over its busiest five seconds lets answers wait for it. Nothing shows that in a
/// closed load, whose next request is due when the driver has read the last answer.
const DRIVER_SHARE_MAX: f64 = 0.97;
/// Steal above this share makes a closed load invalid: it takes as much off the rate of such a load, and 5 % is what
/// lateness may be of the median response time.
const STEAL_SHARE_MAX_CLOSED: f64 = 0.05;
/// Steal above this share is told: when a hundredth of all moments is stolen, every hundredth sending and every hundredth
/// answer meets one, and the 99th percentile may be the hypervisor's. An open load is invalid only when its lateness says
/// so too, which is the same experiment: a sending that was due in a stolen moment was late by the rest of it.
const STEAL_SHARE_TOLD: f64 = 0.01;
/// Less of the local ports left than this share is told.
const PORTS_LEFT_SHARE_MIN: f64 = 0.1;
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
    if let Some(aborted) = &recording.aborted {
        // What such a run measured is half a run: only who was at fault is judged, not whether it had become steady.
        reasons.extend(
            aborted
                .driver_at_fault
                .then(|| Invalid::RateNotReached { at_s: aborted.at_s, cause: aborted.cause.clone() }),
        );
        reasons.extend(starved(recording));
        reasons.extend(distrust_driver(plan, recording));
        reasons.extend(unbalanced(recording));
        return reasons;
    }
    reasons.extend(starved(recording));
    let completed = recording.steps.iter().map(|step| step.books.completed).sum::<u64>();
    if recording.overall.response_time.count() == 0 || recording.arrivals.completed + completed == 0 {
        let cause = recording.failures.first().map_or_else(
            || "nothing was measured; lengthen a stage or shorten its warm-up".to_owned(),
            |failure| format!("{} of step {:?}: {}", failure.count, failure.step, failure.cause),
        );
        reasons.push(Invalid::NothingAnswered { cause });
        return reasons;
    }
    reasons.extend(distrust_driver(plan, recording));
    reasons.extend(unbalanced(recording));
    reasons.extend(unsteady(plan, recording));
    reasons
}

/// What speaks against the driver and its host.
fn distrust_driver(plan: &Plan, recording: &Recording) -> Vec<Invalid> {
    let late = late(recording).or_else(|| late_at_a_promise(plan, recording));
    let reasons = [late, saturated(recording), saturated_driver(recording), stolen(plan, recording)];
    reasons.into_iter().flatten().collect()
}

/// What does not make `recording` invalid and should be known beside it, each in a sentence.
#[must_use]
pub fn cautions(recording: &Recording) -> Vec<String> {
    let mut cautions = Vec::new();
    if let Some(steal) = recording.host_steal_share.filter(|share| *share > STEAL_SHARE_TOLD) {
        cautions.push(format!(
            "the hypervisor took {:.1} % of the host's CPU time: percentiles from p{:.0} on may be its doing",
            steal * 100.0,
            // Shares above a half leave no percentile that is told anywhere.
            (1.0 - steal).max(0.5) * 100.0
        ));
    }
    for driver in &recording.drivers {
        let (Some(ports), Some(held)) = (driver.local_ports, driver.time_wait_max) else { continue };
        let left = ports.saturating_sub(held + driver.tcp_sockets_max.unwrap_or_default());
        if (left as f64) < PORTS_LEFT_SHARE_MIN * ports as f64 {
            cautions.push(format!(
                "only {left} of {ports} local ports were left ({held} of closed connections): the service closes \
                 connections that the load would use again, or the range is narrow"
            ));
        }
    }
    for coarse in recording.drivers.iter().filter(|driver| driver.timer == "coarse").take(1) {
        cautions.push(format!("due times were waited for by a {} timer, in whole milliseconds", coarse.timer));
    }
    cautions
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

/// What speaks against the deliveries that `recording` tells of.
pub(super) fn distrust_deliveries(recording: &Recording) -> Vec<Invalid> {
    let Some(delivery) = recording.delivery.as_ref().filter(|_| !recording.interrupted) else { return Vec::new() };
    let unobserved = delivery.unobserved.clone().map(|cause| Invalid::Unobserved { cause });
    let cause = "acknowledged is not delivered + lost, or deliveries are not all accounted for".to_owned();
    let unbalanced = (!delivery.balances()).then_some(Invalid::Books { cause });
    // Each trial has topics of its own: what it did not post is another trial's or another program's.
    let foreign: u64 = delivery.consumers.iter().map(|consumer| consumer.books.foreign).sum();
    let cause = format!("{foreign} deliveries were of reports that this trial did not post");
    let stray = (foreign > 0).then_some(Invalid::Books { cause });
    let clocks = delivery.wrong_clocks().into_iter().map(|cause| Invalid::ClockBehind { cause });
    [unobserved, unbalanced, stray].into_iter().flatten().chain(clocks).collect()
}

/// What speaks against trusting a trial once the usage of a service behind the front is known: the platform must have
/// counted every delivery that the consumer told of. It counts more: pushes that failed, and the observer's own questions.
pub(super) fn judge_other(recording: &Recording, name: &str, usage: &Usage) -> Option<Invalid> {
    let consumers = recording.delivery.iter().flat_map(|delivery| &delivery.consumers);
    let told =
        consumers.filter(|consumer| consumer.name == name).map(|consumer| consumer.books.deliveries).sum::<u64>();
    let answered = |status: &&String| status.starts_with('2') || *status == "102";
    let counted: u64 = usage.requests.iter().filter(|(status, _)| answered(status)).map(|(_, count)| count).sum();
    (told.saturating_sub(counted) as f64 > BOOKS_SHARE_MAX * told as f64).then(|| Invalid::Books {
        cause: format!(
            "{name} told of {told} deliveries, yet the platform counted {counted} answers of it that acknowledge one; samples \
             that Monitoring has lost, or a push that reached it another way"
        ),
    })
}

fn may_not_have_arrived(recording: &Recording) -> u64 {
    let unsure = ["429", "503", "504", "refused", "timed out", "broken"];
    unsure.iter().filter_map(|answer| recording.answers.get(*answer)).sum()
}

/// What the 99th percentile of lateness may be in `recording`: max(1 ms, 5 % of the median response time).
#[must_use]
pub fn lateness_bound(recording: &Recording) -> Duration {
    LATENESS_P99_MAX.max(recording.overall.response_time.quantile(0.5).mul_f64(LATENESS_SHARE_OF_P50))
}

fn late(recording: &Recording) -> Option<Invalid> {
    let p99 = recording.lateness.quantile(0.99);
    let bound = lateness_bound(recording);
    (p99 > bound).then_some(Invalid::Late { p99_ms: p99.as_secs_f64() * 1e3, bound_ms: bound.as_secs_f64() * 1e3 })
}

/// The highest percentile above the 99th that is promised, where the driver was later than a share of what is promised.
fn late_at_a_promise(plan: &Plan, recording: &Recording) -> Option<Invalid> {
    let judge = |slo: &Slo| {
        let SloMetric::ResponseTime { quantile, limit } = slo.metric else { return None };
        let late = recording.lateness.quantile(quantile);
        let bound = lateness_bound(recording).max(limit.mul_f64(LATENESS_SHARE_OF_PROMISE));
        (quantile > 0.99 && late > bound).then(|| Invalid::LateAt {
            promise: slo.text.clone(),
            // Rounded: 0.999 × 100 is 99.9 only to fifteen digits.
            percentile: (quantile * 1e8).round() / 1e6,
            late_ms: late.as_secs_f64() * 1e3,
            bound_ms: bound.as_secs_f64() * 1e3,
        })
    };
    plan.scenario().slos.iter().find_map(judge)
}

fn saturated(recording: &Recording) -> Option<Invalid> {
    // What the hypervisor took was no more there for the driver than what other programs used.
    let share = recording.host_cpu_share? + recording.host_steal_share.unwrap_or(0.0);
    (share > HOST_CPU_SHARE_MAX)
        .then_some(Invalid::HostSaturated { share_percent: share * 100.0, bound_percent: HOST_CPU_SHARE_MAX * 100.0 })
}

/// One thread sends: with no moment left, it keeps answers waiting.
fn saturated_driver(recording: &Recording) -> Option<Invalid> {
    let shares = recording.drivers.iter().filter_map(|driver| driver.thread_busy_share_max);
    let share = shares.max_by(f64::total_cmp)?;
    (share > DRIVER_SHARE_MAX)
        .then_some(Invalid::DriverSaturated { share_percent: share * 100.0, bound_percent: DRIVER_SHARE_MAX * 100.0 })
}

/// Failures that are the driver's host's, not the service's.
fn starved(recording: &Recording) -> Option<Invalid> {
    let own = |failure: &&Failure| OWN_FAILURES.contains(&failure.cause.as_str());
    let mut failures = recording.failures.iter().filter(own);
    let first = failures.next()?;
    let same: u64 = failures.filter(|failure| failure.cause == first.cause).map(|failure| failure.count).sum();
    Some(Invalid::DriverStarved { cause: first.cause.clone(), count: first.count + same })
}

fn stolen(plan: &Plan, recording: &Recording) -> Option<Invalid> {
    let share = recording.host_steal_share.filter(|share| *share > STEAL_SHARE_MAX_CLOSED)?;
    (plan.virtual_users() > 0)
        .then_some(Invalid::Stolen { share_percent: share * 100.0, bound_percent: STEAL_SHARE_MAX_CLOSED * 100.0 })
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
/// is not held against the trial. Nor is one whose response times rose, of a service that breaks a promise: it was given
/// more than it can do, and a longer stage would show it slower yet.
fn unsteady(plan: &Plan, recording: &Recording) -> Vec<Invalid> {
    let overloaded = !broken_slos(&plan.scenario().slos, recording).is_empty();
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
            matches!(steadiness, Steadiness::Unsteady { drift_share } if !(overloaded && drift_share > 0.0))
                .then(|| Invalid::Unsteady { stage: stage.name.clone(), cause: steadiness.to_string() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::trial::{Aborted, Books, DriverHealth, Interval};
    use std::path::Path;
    use std::sync::Arc;

    fn plan(load: &str) -> Plan {
        let text = format!(
            "name: fixture
journeys: [{{name: one, steps: [{{name: first, get: /}}]}}]
load: {load}
stages: [{{name: up, ramp: {{from: 1, to: 9}}, duration: 9s}}]"
        );
        Plan::new(Arc::new(Scenario::from_yaml(Path::new("fixture.yaml"), &text).unwrap()), 1, 1.0)
    }

    fn open() -> Plan {
        plan("{open: {arrivals: constant, unit: arrivals_per_second}}")
    }

    #[test]
    fn a_sound_run_is_trusted() {
        assert_eq!(distrust(&open(), &answered(10, 900)), Vec::new());
        assert_eq!(cautions(&answered(10, 900)), Vec::<String>::new());
    }

    #[test]
    fn lateness_is_judged_where_a_promise_is_measured() {
        let mut recording = answered(10, 10);
        (0..9_910).for_each(|_| recording.lateness.record(Duration::from_micros(100)));
        (0..90).for_each(|_| recording.lateness.record(Duration::from_millis(400)));
        let promising = |slo: &str| {
            let text = format!(
                "name: fixture
journeys: [{{name: one, steps: [{{name: first, get: /}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second}}}}
stages: [{{name: up, ramp: {{from: 1, to: 9}}, duration: 9s}}]
slos: [{slo}]"
            );
            Plan::new(Arc::new(Scenario::from_yaml(Path::new("fixture.yaml"), &text).unwrap()), 1, 1.0)
        };
        assert_eq!(distrust(&promising("p95 < 200ms"), &recording), Vec::new(), "its p99 was on time");
        let reasons = distrust(&promising("p99.9 < 200ms"), &recording);
        assert!(matches!(reasons.as_slice(), [Invalid::LateAt { .. }]), "{reasons:?}");
        let told = reasons[0].to_string();
        assert!(
            told.contains("\"p99.9 < 200ms\" is measured: p99.9 of lateness 400.") && told.contains("bound 10.0 ms"),
            "{told}"
        );
        assert_eq!(distrust(&promising("p99.9 < 20s"), &recording), Vec::new(), "a fiftieth of what is promised");
    }

    #[test]
    fn a_driver_whose_thread_had_no_moment_left_is_not_trusted() {
        let mut recording = answered(10, 10);
        let busy = |share| DriverHealth { thread_busy_share_max: Some(share), ..DriverHealth::default() };
        recording.drivers = vec![busy(0.4), busy(0.96)];
        assert_eq!(distrust(&open(), &recording), Vec::new());
        recording.drivers.push(busy(0.99));
        let reasons = distrust(&open(), &recording);
        assert!(matches!(reasons.as_slice(), [Invalid::DriverSaturated { .. }]), "{reasons:?}");
        assert!(reasons[0].to_string().contains("99 % of five seconds"), "{}", reasons[0]);
    }

    #[test]
    fn a_saturated_host_is_not_trusted_whoever_took_its_time() {
        let mut recording = answered(10, 10);
        (recording.host_cpu_share, recording.host_steal_share) = (Some(0.95), Some(0.01));
        assert_eq!(distrust(&open(), &recording), Vec::new());
        recording.host_steal_share = Some(0.03);
        assert!(matches!(distrust(&open(), &recording).as_slice(), [Invalid::HostSaturated { .. }]));
    }

    #[test]
    fn steal_is_told_of_an_open_load_and_held_against_a_closed_one() {
        let mut recording = answered(10, 10);
        recording.host_steal_share = Some(0.04);
        assert_eq!(distrust(&plan("closed"), &recording), Vec::new());
        assert!(cautions(&recording)[0].contains("percentiles from p96 on"), "{:?}", cautions(&recording));
        recording.host_steal_share = Some(0.06);
        assert_eq!(distrust(&open(), &recording), Vec::new(), "its lateness would tell");
        assert!(matches!(distrust(&plan("closed"), &recording).as_slice(), [Invalid::Stolen { .. }]));
    }

    #[test]
    fn what_the_drivers_host_lacked_is_no_failure_of_the_service() {
        let mut recording = answered(10, 10);
        let failure = |cause: &str, count| Failure { step: "a".into(), status: None, cause: cause.into(), count };
        recording.failures = vec![failure("connection refused", 9)];
        assert_eq!(distrust(&open(), &recording), Vec::new());
        recording.failures.extend([failure(OWN_FAILURES[0], 3), failure(OWN_FAILURES[0], 4)]);
        let reasons = distrust(&open(), &recording);
        assert_eq!(reasons, [Invalid::DriverStarved { cause: OWN_FAILURES[0].to_owned(), count: 7 }]);
    }

    #[test]
    fn ports_that_run_out_and_a_coarse_timer_are_told() {
        let mut recording = answered(10, 10);
        recording.drivers = vec![DriverHealth {
            timer: "coarse".to_owned(),
            local_ports: Some(28_232),
            time_wait_max: Some(27_000),
            tcp_sockets_max: Some(100),
            ..DriverHealth::default()
        }];
        let told = cautions(&recording);
        assert!(told[0].contains("only 1132 of 28232 local ports"), "{told:?}");
        assert!(told[1].contains("whole milliseconds"), "{told:?}");
    }

    #[test]
    fn a_run_without_an_answer_or_an_end_or_with_wrong_books_is_not_trusted() {
        let mut recording = Recording { interrupted: true, ..answered(10, 10) };
        assert_eq!(distrust(&open(), &recording), [Invalid::Interrupted]);
        recording = answered(10, 10);
        recording.arrivals.dropped = 1;
        assert!(matches!(distrust(&open(), &recording).as_slice(), [Invalid::Books { .. }]));
        recording = Recording::default();
        let failure = Failure { step: "a".into(), status: None, cause: "connection refused".into(), count: 9 };
        recording.failures = vec![failure];
        let reasons = distrust(&open(), &recording);
        let cause = "9 of step \"a\": connection refused".to_owned();
        assert_eq!(reasons, [Invalid::NothingAnswered { cause }]);
    }

    #[test]
    fn a_hold_that_drifts_is_not_trusted_and_a_ramp_that_does_is() {
        let text = "name: fixture
journeys: [{name: one, steps: [{name: first, get: /}]}]
load: closed
stages: [{name: level, hold: 9, duration: 120s}]";
        let held = |text: &str| {
            let scenario = Scenario::from_yaml(Path::new("fixture.yaml"), text).unwrap();
            Plan::new(Arc::new(scenario), 1, 1.0)
        };
        let mut recording = answered(10, 10);
        let bin = |second: u32| Interval {
            start_s: f64::from(second),
            length_s: 1.0,
            requests_due: 10,
            response_time_mean_ms: 10.0 + f64::from(second),
            ..Interval::default()
        };
        recording.intervals = (0..120).map(bin).collect();
        assert!(matches!(distrust(&held(text), &recording).as_slice(), [Invalid::Unsteady { .. }]));
        let ramp = text.replace("hold: 9", "ramp: {from: 1, to: 9}");
        assert_eq!(distrust(&held(&ramp), &recording), Vec::new());
    }

    #[test]
    fn a_service_that_was_given_more_than_it_can_do_breaks_its_promise_and_is_evidence() {
        let text = "name: fixture
journeys: [{name: one, steps: [{name: first, get: /}]}]
load: closed
stages: [{name: level, hold: 9, duration: 120s}]
slos: [p95 < LIMIT]";
        let held = |limit: &str| {
            let scenario = Scenario::from_yaml(Path::new("fixture.yaml"), &text.replace("LIMIT", limit)).unwrap();
            Plan::new(Arc::new(scenario), 1, 1.0)
        };
        let moving = |from: f64, slope: f64| {
            let mut recording = answered(10, 10);
            recording.intervals = (0..120_u32)
                .map(|second| Interval {
                    start_s: f64::from(second),
                    length_s: 1.0,
                    requests_due: 10,
                    response_time_mean_ms: from + slope * f64::from(second),
                    ..Interval::default()
                })
                .collect();
            recording
        };
        // All answers of the fixture took 10 ms.
        assert_eq!(distrust(&held("5ms"), &moving(10.0, 1.0)), Vec::new(), "it rose, and was too slow already");
        for (limit, recording) in [("50ms", moving(10.0, 1.0)), ("5ms", moving(200.0, -1.0))] {
            assert!(matches!(distrust(&held(limit), &recording).as_slice(), [Invalid::Unsteady { .. }]), "{limit}");
        }
    }

    #[test]
    fn an_aborted_run_is_judged_by_who_was_at_fault() {
        let mut recording = answered(10, 10);
        let aborted = Aborted { at_s: 12.0, rule: "r".into(), cause: "achieved 80 %".into(), driver_at_fault: false };
        recording.aborted = Some(aborted.clone());
        assert_eq!(distrust(&open(), &recording), Vec::new());
        recording.aborted = Some(Aborted { driver_at_fault: true, ..aborted });
        assert!(matches!(distrust(&open(), &recording).as_slice(), [Invalid::RateNotReached { .. }]));
    }

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
