//! Loads that a rule ends early, under a paused clock.

use super::abort::{Guards, Reading};
use super::fixture::{assert_balance, in_memory, plan};
use super::recorder::Flight;
use crate::trial::{Aborted, Recording};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Ten arrivals per second for 100 s, and rules.
fn ruled(abort: &str, timeout: &str) -> crate::scenario::Plan {
    plan(&format!(
        "journeys: [{{name: one, steps: [{{name: first, get: /, timeout: {timeout}}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 500}}}}
stages: [{{name: steady, hold: 10, duration: 100s, warm_up: 5s}}]
abort: {abort}"
    ))
}

async fn run(
    abort: &str,
    timeout: &str,
    service: impl Fn(Duration) -> Duration + Send + Sync + Clone + 'static,
) -> Recording {
    let recording = in_memory(ruled(abort, timeout), 10 * SECOND, service).await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.planned, 1000, "what was not begun is dropped, not forgotten");
    assert!(!recording.interrupted, "nobody interrupted it");
    recording
}

fn aborted(recording: &Recording) -> &Aborted {
    recording.aborted.as_ref().expect("a rule ends this run")
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_is_broken_over_the_window_ends_the_run() {
    let recording =
        run("[{slo: p90 < 500ms, over: 10s}]", "30s", |now| if now < 40 * SECOND { 10 * MS } else { 800 * MS }).await;
    let aborted = aborted(&recording);
    // Ten slow ones of fewer than a hundred that are known: the tenth is due at 40.9 s and overdue half a second later.
    assert!((41.4..=42.3).contains(&aborted.at_s), "{aborted:?}");
    assert_eq!(aborted.rule, "p90 < 500ms");
    assert!(aborted.cause.contains("10 of 95 requests took 500 ms or longer"), "{aborted:?}");
    assert!(!aborted.driver_at_fault);
    assert!((415..=430).contains(&recording.arrivals.completed), "what was under way is awaited: {recording:?}");
    assert_eq!(recording.arrivals.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stall_breaks_a_promise_while_it_lasts() {
    let recording =
        run("[{slo: p90 < 500ms, over: 10s}]", "60s", |now| if now < 40 * SECOND { 10 * MS } else { 60 * SECOND })
            .await;
    let aborted = aborted(&recording);
    assert!((41.4..=42.3).contains(&aborted.at_s), "no answer came since 40 s: {aborted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_once_its_promise_cannot_be_kept_any_more() {
    let rule = "[{slo: error_rate < 5%}]";
    // 950 requests are measured, and the 48th failure is one too many; it is seen at the next look.
    let recording = run(rule, "100ms", |_| SECOND).await;
    let aborted = aborted(&recording);
    assert!((9.7..=10.1).contains(&aborted.at_s), "{aborted:?}");
    assert!(aborted.cause.starts_with("49 of the 950 requests of the whole run failed"), "{aborted:?}");

    let kept = run(rule, "100ms", |now| if now < 50 * SECOND || now > 5450 * SECOND / 100 { MS } else { SECOND }).await;
    assert_eq!(kept.aborted, None, "46 failures leave the promise to be kept");
    assert_eq!(kept.arrivals.failed, 46);
}

#[tokio::test(start_paused = true)]
async fn warm_up_is_not_judged_and_neither_is_what_comes_before_after() {
    let slow_start = |now: Duration| if now < 5 * SECOND { SECOND } else { MS };
    let recording = run("[{slo: p90 < 500ms, over: 1s}]", "30s", slow_start).await;
    assert_eq!(recording.aborted, None);
    let slow = |now: Duration| if now < 20 * SECOND { SECOND } else { MS };
    let recording = run("[{slo: p90 < 500ms, over: 1s, after: 22s}]", "30s", slow).await;
    assert_eq!(recording.aborted, None, "from 22 s on it is fast");
    let recording = run("[{slo: mean < 500ms, over: 2s}]", "30s", |_| SECOND).await;
    assert!((5.5..=6.3).contains(&aborted(&recording).at_s), "{:?}", recording.aborted);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_the_service_does_not_reach_is_the_services_fault() {
    let crowded = |rule: &str| {
        plan(&format!(
            "journeys: [{{name: one, steps: [{{name: first, get: /}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 2}}}}
stages: [{{name: steady, hold: 10, duration: 60s}}]
abort: {rule}"
        ))
    };
    // Two at a time, 400 ms each: five per second, half of what comes.
    let rule = r#"[{rate: "achieved < 90% of offered", over: 10s}]"#;
    let recording = in_memory(crowded(rule), SECOND, |_| 400 * MS).await;
    assert_balance(&recording);
    let aborted = aborted(&recording);
    // Of 50 in ten seconds it is behind as soon as more than 55 had come five seconds before.
    assert!((10.5..=11.0).contains(&aborted.at_s), "{aborted:?}");
    assert!(aborted.cause.starts_with("achieved ") && !aborted.driver_at_fault, "{aborted:?}");
    let lower = r#"[{rate: "achieved < 40% of offered", over: 10s}]"#;
    assert_eq!(in_memory(crowded(lower), SECOND, |_| 400 * MS).await.aborted, None);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_keeps_up_with_a_rate_that_rises_is_not_behind() {
    let rising = |service: Duration| async move {
        let plan = plan(
            r#"journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 2000}}
stages: [{name: few, hold: 10, duration: 20s}, {name: many, hold: 40, duration: 20s}, {name: more, ramp: {from: 40, to: 150}, duration: 20s}]
abort: [{rate: "achieved < 90% of offered", over: 10s}]"#,
        );
        in_memory(plan, 10 * SECOND, move |_| service).await.aborted
    };
    for service in [500 * MS, 2 * SECOND] {
        assert_eq!(rising(service).await, None, "{service:?}");
    }
    assert!(rising(20 * SECOND).await.is_some(), "twice the window is too long");
}

#[tokio::test(start_paused = true)]
async fn a_time_factor_divides_windows_as_it_divides_stages() {
    let scenario = ruled("[{slo: p90 < 500ms, over: 10s}]", "30s").scenario().clone();
    let quick = crate::scenario::Plan::new(scenario, 7, 10.0);
    let recording = in_memory(quick, SECOND, |now| if now < 4 * SECOND { 10 * MS } else { 800 * MS }).await;
    let aborted = aborted(&recording);
    assert!((4.5..=4.8).contains(&aborted.at_s), "{aborted:?}");
    assert!(aborted.cause.ends_with("over the last 1 s"), "{aborted:?}");
}

#[tokio::test(start_paused = true)]
async fn virtual_users_are_stopped_too() {
    let closed = plan(
        "journeys: [{name: one, steps: [{name: first, get: /, think: 100ms}]}]
load: closed
stages: [{name: steady, hold: 5, duration: 100s}]
abort: [{slo: p90 < 500ms, over: 10s}]",
    );
    let recording = in_memory(closed, 5 * SECOND, |now| if now < 40 * SECOND { 10 * MS } else { SECOND }).await;
    assert_balance(&recording);
    assert!((40.0..60.0).contains(&aborted(&recording).at_s), "{:?}", recording.aborted);
    assert!(recording.duration_s < 62.0, "{}", recording.duration_s);
}

/// What the guards say of a second in which each of 100 sendings was so late and so long blocked, and 50 were answered.
fn judged(late: Duration, blocked: Duration) -> Aborted {
    let plan = ruled(r#"[{rate: "achieved < 90% of offered", over: 1s}]"#, "30s");
    let mut guards = Guards::of(&plan);
    assert_eq!(guards.judge(Reading { now: Duration::ZERO, due: 0, completed: 0 }), None);
    for index in 0..100 {
        let due = index * 10 * MS;
        guards.send(&Flight { step: 0, due, sent: due + late + blocked, blocked }, true);
    }
    guards.judge(Reading { now: SECOND, due: 100, completed: 50 }).expect("half of the rate is not reached")
}

#[test]
fn a_rate_that_the_driver_does_not_reach_is_its_own_fault() {
    assert!(judged(50 * MS, 10 * MS).driver_at_fault);
    assert!(!judged(2 * MS, 10 * MS).driver_at_fault, "more of the waiting was for room");
    assert!(!judged(MS / 2, Duration::ZERO).driver_at_fault, "the driver was on time");
    let told = judged(50 * MS, Duration::ZERO).cause;
    assert_eq!(told, "achieved 50.0/s, 50.0 % of 100.0/s offered over the last 1.0 s");
}
