//! That plans are stable, and their arrivals those of the process they claim to be.

use super::*;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_compose, proptest};
use rand::Rng;
use std::path::Path;

/// A plan over `stages` (YAML, one flow mapping each) under `load`.
fn plan(load: &str, stages: &[String], seed: u64, factor: f64) -> Plan {
    let stages = stages.join("\n  - ");
    let text = format!(
        "name: p\njourneys:\n  - {{name: a, weight: 3, steps: [{{name: x, get: /}}, {{name: y, get: /}}]}}\n  \
         - {{name: b, steps: [{{name: y, get: /}}, {{name: z, get: /}}]}}\nload: {load}\nstages:\n  - {stages}\n"
    );
    let scenario = Scenario::from_yaml(Path::new("p"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Plan::new(Arc::new(scenario), seed, factor)
}

fn open(arrivals: &str) -> String {
    format!("{{open: {{arrivals: {arrivals}, unit: arrivals_per_second}}}}")
}

fn poisson(stages: &[&str], seed: u64) -> Plan {
    plan(&open("poisson"), &stages.iter().map(ToString::to_string).collect::<Vec<_>>(), seed, 1.0)
}

fn seconds(value: f64) -> Duration {
    Duration::from_secs_f64(value)
}

#[test]
fn the_plan_of_a_seed_never_changes() {
    let stages = ["{name: n, hold: 10, duration: 1s}", "{name: r, ramp: {from: 10, to: 0}, duration: 10s}"];
    let arrivals: Vec<String> = poisson(&stages, 7)
        .arrivals()
        .map(|arrival| format!("{} {} {} {}", arrival.index, arrival.due.as_nanos(), arrival.journey, arrival.stage))
        .collect();
    insta::assert_snapshot!(arrivals[..6].join("\n"), @r"
    0 17173313 0 0
    1 35564318 0 0
    2 157397231 0 0
    3 287130861 0 0
    4 379075184 1 0
    5 423604626 0 0
    ");
    let mut draws = poisson(&stages, 7).draws_of_arrival(3);
    insta::assert_snapshot!(draws.random::<u64>(), @"7354699154532338928");
    let mut draws = poisson(&stages, 7).draws_of_iteration(2, 3);
    insta::assert_snapshot!(draws.random::<u64>(), @"47782363647436152");
}

#[test]
fn constant_arrivals_are_the_inverse_of_the_expected_number() {
    // On a ramp from 0 to 100 per second in 10 s, 5·t² arrivals are expected until t: number k is due at √(k/5).
    let ramp = ["{name: r, ramp: {from: 0, to: 100}, duration: 10s}".to_owned()];
    let arrivals: Vec<Arrival> = plan(&open("constant"), &ramp, 1, 1.0).arrivals().collect();
    assert_eq!(arrivals.len(), 500);
    for arrival in &arrivals {
        let expected = (arrival.index as f64 / 5.0).sqrt();
        assert!((arrival.due.as_secs_f64() - expected).abs() < 1e-8, "{arrival:?}");
    }
    let down = ["{name: r, ramp: {from: 100, to: 0}, duration: 10s}".to_owned()];
    let arrivals: Vec<Arrival> = plan(&open("constant"), &down, 1, 1.0).arrivals().collect();
    assert_eq!(arrivals.len(), 500);
    assert!((arrivals[375].due.as_secs_f64() - 5.0).abs() < 1e-8, "three quarters come in the first half");
}

#[test]
fn constant_arrivals_run_on_across_stages() {
    let stages =
        ["{name: a, hold: 2, duration: 1s}", "{name: gap, hold: 0, duration: 1s}", "{name: b, spike: 4, duration: 1s}"];
    let arrivals = plan(&open("constant"), &stages.map(str::to_owned), 1, 1.0).arrivals();
    let due: Vec<(u128, usize)> = arrivals.map(|arrival| (arrival.due.as_millis(), arrival.stage)).collect();
    assert_eq!(due, [(0, 0), (500, 0), (2000, 2), (2250, 2), (2500, 2), (2750, 2)]);
}

#[test]
fn poisson_gaps_are_exponential() {
    let plan = poisson(&["{name: n, hold: 1000, duration: 60s}"], 11);
    let due: Vec<f64> = plan.arrivals().map(|arrival| arrival.due.as_secs_f64()).collect();
    let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) * 1000.0).collect();
    // Of unit exponential gaps the share e^−x is longer than x; 5 standard errors of a share.
    for x in [0.1_f64, 0.5, 1.0, 2.0, 4.0] {
        let share = gaps.iter().filter(|gap| **gap > x).count() as f64 / gaps.len() as f64;
        let expected = (-x).exp();
        let error = (expected * (1.0 - expected) / gaps.len() as f64).sqrt();
        assert!((share - expected).abs() < 5.0 * error, "beyond {x}: {share}, expected {expected}");
    }
    // Independence: neighbouring gaps do not correlate.
    let pairs: f64 = gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).sum();
    assert!((pairs / gaps.len() as f64).abs() < 5.0 / (gaps.len() as f64).sqrt());
}

#[test]
fn a_ramp_gathers_arrivals_where_its_level_is_high() {
    let plan = poisson(&["{name: r, ramp: {from: 0, to: 1000}, duration: 40s}"], 5);
    let early = plan.arrivals().filter(|arrival| arrival.due < seconds(20.0)).count() as f64;
    // 500/40·20² … a quarter of 20,000.
    assert!((early - 5000.0).abs() < 5.0 * 5000_f64.sqrt(), "{early}");
}

#[test]
fn journeys_come_by_weight() {
    let plan = poisson(&["{name: n, hold: 100, duration: 100s}"], 3);
    let journeys: Vec<usize> = plan.arrivals().map(|arrival| arrival.journey).collect();
    let error = (0.75 * 0.25 / journeys.len() as f64).sqrt();
    let share = journeys.iter().filter(|journey| **journey == 0).count() as f64 / journeys.len() as f64;
    assert!((share - 0.75).abs() < 5.0 * error, "{share}");
    let share =
        (0..10_000).filter(|index| plan.iteration(7, *index, Duration::ZERO).journey == 0).count() as f64 / 10_000.0;
    assert!((share - 0.75).abs() < 5.0 * (0.75 * 0.25 / 10_000_f64).sqrt(), "{share}");
}

#[test]
fn every_arrival_and_every_session_has_draws_of_its_own() {
    let plan = poisson(&["{name: n, hold: 1, duration: 10s}"], 3);
    let mut firsts: Vec<u64> = (0..100).map(|index| plan.draws_of_arrival(index).random()).collect();
    for virtual_user in 0..10 {
        firsts.extend((0..10).map(|index| plan.draws_of_iteration(virtual_user, index).random::<u64>()));
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 200);
    assert_eq!(plan.draws_of_arrival(5), plan.clone().draws_of_arrival(5));
}

#[test]
fn a_closed_model_has_virtual_users_instead_of_arrivals() {
    let stages = ["{name: n, hold: 4, duration: 10s}", "{name: r, ramp: {from: 4, to: 8}, duration: 10s}"];
    let plan = plan("closed", &stages.map(str::to_owned), 1, 2.0);
    assert_eq!(plan.arrivals().count(), 0);
    assert_eq!(plan.virtual_users(), 8);
    let on: Vec<u32> = [0.0, 4.9, 5.0, 7.5, 9.9, 10.0].map(|at| plan.virtual_users_at(seconds(at))).to_vec();
    assert_eq!(on, [4, 4, 4, 6, 8, 0]);
    assert_eq!(poisson(&["{name: n, hold: 4, duration: 10s}"], 1).virtual_users(), 0);
}

#[test]
fn a_plan_is_lazy() {
    let plan = poisson(&["{name: n, hold: 1000000, duration: 1000h}"], 1);
    assert_eq!(plan.arrivals().take(3).count(), 3);
}

#[test]
fn steps_are_recorded_under_their_names() {
    let plan = poisson(&["{name: n, hold: 1, duration: 1s}"], 1);
    assert_eq!(plan.scenario().step_names(), ["x", "y", "z"]);
    assert_eq!([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(journey, step)| plan.step_number(journey, step)), [0, 1, 1, 2]);
}

#[test]
fn a_time_factor_that_is_none_leaves_lengths_as_written() {
    for factor in [f64::NAN, f64::INFINITY, 0.0, -3.0, 1.0] {
        let plan = plan(&open("constant"), &["{name: n, hold: 1, duration: 9s, warm_up: 3s}".to_owned()], 1, factor);
        assert_eq!((plan.duration(), plan.stages()[0].measured_from), (seconds(9.0), seconds(3.0)), "{factor}");
    }
}

prop_compose! {
    fn any_stage()(kind in 0..3_u8, from in 0..200_u32, to in 0..200_u32, ms in 1..20_000_u32, warm in 0..=100_u32) -> (String, f64, f64) {
        let level = match kind {
            0 => format!("hold: {from}"),
            1 => format!("spike: {from}"),
            _ => format!("ramp: {{from: {from}, to: {to}}}"),
        };
        let mean = if kind == 2 { f64::from(from + to) / 2.0 } else { f64::from(from) };
        let rest = format!("{level}, duration: {ms}ms, warm_up: {}us", u64::from(ms) * u64::from(warm) * 10);
        (rest, f64::from(ms) / 1000.0, mean)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arrivals_keep_their_promises(
        stages in prop::collection::vec(any_stage(), 1..5), seed in any::<u64>(), factor in 1.0..20.0_f64, even in any::<bool>(),
    ) {
        let mut written: Vec<String> =
            stages.iter().enumerate().map(|(index, (rest, ..))| format!("{{name: s{index}, {rest}}}")).collect();
        // One more, so that something is measured whatever was drawn.
        written.push("{name: last, hold: 1, duration: 1s}".to_owned());
        let load = open(if even { "constant" } else { "poisson" });
        let plan = plan(&load, &written, seed, factor);
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        prop_assert!(arrivals.windows(2).all(|pair| pair[0].due <= pair[1].due && pair[0].index + 1 == pair[1].index));
        prop_assert!(arrivals.iter().all(|arrival| arrival.due < plan.duration() && arrival.journey < 2));
        for arrival in &arrivals {
            prop_assert_eq!(plan.stage_at(arrival.due).map(|stage| stage.index), Some(arrival.stage));
        }
        prop_assert_eq!(plan.stage_at(plan.duration()), None);
        // The factor divides lengths, and so the numbers of arrivals, but never rates.
        for (index, (_, length, mean)) in stages.iter().enumerate() {
            let planned = &plan.stages()[index];
            let shrunk = planned.end.saturating_sub(planned.start).as_secs_f64();
            prop_assert!((shrunk - length / factor).abs() < 1e-6);
            let expected = shrunk * mean;
            let count = arrivals.iter().filter(|arrival| arrival.stage == index).count() as f64;
            let slack = if even { 1.0 } else { 5.0 * expected.sqrt() + 5.0 };
            prop_assert!((count - expected).abs() <= slack + 1e-6, "stage {index}: {count}, expected {expected}");
        }
        let again: Vec<Arrival> = plan.clone().arrivals().collect();
        prop_assert_eq!(arrivals, again);
    }
}
