//! Sines, and mixes that change from stage to stage.

use super::*;
use proptest::prelude::*;
use std::f64::consts::TAU;

/// The closed form of the arrivals that are expected until `t`.
fn expected(t: f64, mean: f64, amplitude: f64, period: f64, phase: f64) -> f64 {
    let angle = TAU * phase / period;
    mean * t + amplitude * period / TAU * (angle.cos() - (TAU * t / period + angle).cos())
}

#[test]
fn a_day_has_its_arrivals_where_its_level_is_high() {
    // Mean 60, up to 100 at a quarter of the period: 60·24 h arrivals in all, of which the first half of the swing holds
    // 60·12 h + 2·40·24 h/2π.
    let day = plan(&open("constant"), &["{name: d, sine: {mean: 0.6, amplitude: 0.4, period: 24h}, duration: 24h}"], 1);
    let due = due_s(&day);
    assert_eq!(due.len(), 51_840);
    let first_half = due.iter().filter(|due| **due < 43_200.0).count() as f64;
    assert!((first_half - (25_920.0 + 0.8 * 86_400.0 / TAU)).abs() <= 1.0, "{first_half}");
    let stage = &day.scenario().stages[0];
    assert!((stage.from - 0.6).abs() < 1e-9 && (stage.level_max() - 1.0).abs() < 1e-9);
}

#[test]
fn requests_per_second_are_arrivals_of_the_stages_own_mix() {
    // Journey a has two steps, b has one; in the first stage 7 of 4 arrivals' steps, in the second only b comes.
    let load = "{open: {arrivals: constant, unit: requests_per_second}}";
    let mixed =
        plan(load, &["{name: n, hold: 70, duration: 10s}", "{name: m, hold: 70, duration: 10s, mix: {b: 2}}"], 3);
    let arrivals: Vec<Arrival> = mixed.arrivals().collect();
    let of = |stage: usize| arrivals.iter().filter(move |arrival| arrival.stage == stage);
    assert_eq!((of(0).count(), of(1).count()), (400, 700));
    assert!(of(1).all(|arrival| arrival.journey == 1));
    assert!(of(0).any(|arrival| arrival.journey == 0));
    let turned = plan(&open("poisson"), &["{name: n, hold: 100, duration: 100s, mix: {a: 1, b: 9}}"], 3);
    let share =
        turned.arrivals().filter(|arrival| arrival.journey == 1).count() as f64 / turned.arrivals().count() as f64;
    assert!((share - 0.9).abs() < 5.0 * (0.09 / 10_000.0_f64).sqrt(), "{share}");
    // A virtual user's session is of the mix of the stage it falls into.
    let closed = plan(
        "closed",
        &["{name: n, hold: 2, duration: 1s, mix: {a: 1}}", "{name: m, hold: 2, duration: 1s, mix: {b: 1}}"],
        3,
    );
    let journeys = [0, 999, 1000, 5000].map(|ms| closed.iteration(1, 4, Duration::from_millis(ms)).journey);
    assert_eq!(journeys, [0, 0, 1, 1]);
}

#[test]
fn virtual_users_follow_a_sine_up_and_down() {
    let waves = plan("closed", &["{name: w, sine: {mean: 5, amplitude: 5, period: 20s}, duration: 60s}"], 1);
    let on = |s: f64| waves.virtual_users_at(Duration::from_secs_f64(s));
    assert_eq!([0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 59.9].map(on), [5, 10, 5, 0, 5, 10, 5]);
    assert_eq!(waves.virtual_users(), 10);
    // The last virtual user is on around each crest only: from where the level passes 9.5.
    let mut from = Duration::ZERO;
    for crest in 0..3_u32 {
        let on_from = waves.virtual_user_on_from(9, from).unwrap().as_secs_f64();
        let exact = 20.0 * f64::from(crest) + 20.0 / TAU * 0.9_f64.asin();
        assert!((on_from - exact).abs() < 1e-8, "{on_from}, expected {exact}");
        from = Duration::from_secs(u64::from(20 * crest + 7));
    }
    assert_eq!(waves.virtual_user_on_from(9, from), None);
    assert_eq!(waves.virtual_user_on_from(10, Duration::ZERO), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Constant arrivals are where the closed form of the cumulative level reaches 0, 1, 2, …: number by number, and as
    /// many as it says in all.
    #[test]
    fn a_sine_is_inverted_exactly(
        mean in 1.0..500.0_f64, share in 0.0..=1.0_f64, period_ms in 10..30_000_u32, phase_ms in 0..60_000_u32,
        length_ms in 50..20_000_u32, factor in 1.0..5.0_f64,
    ) {
        let amplitude = mean * share;
        let wave = format!(
            "{{name: s, sine: {{mean: {mean}, amplitude: {amplitude}, period: {period_ms}ms, phase: {phase_ms}ms}}, duration: {length_ms}ms}}"
        );
        let plan = Plan::new(Arc::new(scenario(&open("constant"), &[&wave])), 1, factor);
        let [period, phase] = [period_ms, phase_ms].map(|ms| f64::from(ms) / 1000.0 / factor);
        let length = plan.duration().as_secs_f64();
        let until = |t: f64| expected(t, mean, amplitude, period, phase);
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        prop_assert!((arrivals.len() as f64 - until(length).ceil()).abs() <= 1.0, "{} of {}", arrivals.len(), until(length));
        for arrival in &arrivals {
            let reached = until(arrival.due.as_secs_f64());
            // A nanosecond of rounding at the highest level.
            let slack = 1e-6 + 2e-9 * (mean + amplitude);
            prop_assert!((reached - arrival.index as f64).abs() < slack, "{arrival:?}: {reached}");
        }
        prop_assert!(arrivals.windows(2).all(|pair| pair[0].due <= pair[1].due));
    }

    /// Whatever the levels do: a virtual user is on from when it is said to be, and was off until then.
    #[test]
    fn a_virtual_user_is_on_from_when_it_is_said_to_be(
        mean in 0..8_u32, amplitude in 0..8_u32, period_ms in 1..9_000_u32, phase_ms in 0..9_000_u32,
        virtual_user in 0..16_u32, from_ms in 0..14_000_u64,
    ) {
        let amplitude = amplitude.min(mean);
        let wave = format!("{{name: s, sine: {{mean: {mean}, amplitude: {amplitude}, period: {period_ms}ms, phase: {phase_ms}ms}}, duration: 10s}}");
        let plan = plan("closed", &[&wave, "{name: r, ramp: {from: 0, to: 9}, duration: 3s}"], 1);
        let from = Duration::from_millis(from_ms);
        let on = |at: Duration| plan.virtual_users_at(at) > virtual_user;
        let found = plan.virtual_user_on_from(virtual_user, from);
        if let Some(found) = found {
            prop_assert!(found >= from && on(found), "{found:?}");
        }
        let end = found.unwrap_or(plan.duration());
        for step in 0..500_u32 {
            let at = from + end.saturating_sub(from).mul_f64(f64::from(step) / 500.0);
            prop_assert!(at >= end || !on(at), "on at {at:?}, said to be from {found:?}");
        }
    }
}
