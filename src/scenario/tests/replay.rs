//! What a replay keeps of a recording, and what it changes.
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times and counts are small and positive")]

use super::*;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SECOND: u64 = 1_000_000_000;

/// A bursty recording: a Poisson process whose rate jumps between 2 and 60 per second, each for two seconds on average.
fn bursty(seed: u64, seconds: f64) -> Vec<u64> {
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let (mut t, mut high, mut until) = (0.0, false, 0.0);
    let mut times = vec![0];
    while t < seconds {
        let rate = if high { 60.0 } else { 2.0 };
        t += crate::scenario::arrivals::exponential(&mut draws) / rate;
        while t > until {
            until += 2.0 * crate::scenario::arrivals::exponential(&mut draws);
            high = draws.random();
        }
        times.push((t * 1e9) as u64);
    }
    times
}

/// Mean and variance of the counts in windows of so many seconds.
fn counts(due_s: &[f64], window_s: f64) -> (f64, f64) {
    let number = (due_s.last().unwrap() / window_s) as usize;
    let mut counts = vec![0.0; number];
    for due in due_s {
        if let Some(count) = counts.get_mut((due / window_s) as usize) {
            *count += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / number as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (number - 1) as f64;
    (mean, variance)
}

fn dispersion(due_s: &[f64], window_s: f64) -> f64 {
    let (mean, variance) = counts(due_s, window_s);
    variance / mean
}

#[test]
fn a_replay_is_the_recording_to_the_nanosecond() {
    let times = bursty(1, 60.0);
    let plan = replay(times.clone(), 3, 1.0, |_| {});
    let due: Vec<u64> = plan.arrivals().map(|arrival| u64::try_from(arrival.due.as_nanos()).unwrap()).collect();
    assert_eq!(due, times);
    let faster = replay(times.clone(), 3, 1.0, |replay| replay.speed = 4.0);
    let due: Vec<u64> = faster.arrivals().map(|arrival| u64::try_from(arrival.due.as_nanos()).unwrap()).collect();
    assert!(due.iter().zip(&times).all(|(due, time)| due.abs_diff(time / 4) <= 1));
    assert!(faster.duration() <= plan.duration() / 4 + Duration::from_secs(1));
}

#[test]
fn a_whole_factor_multiplies_every_count_and_keeps_the_burstiness() {
    let times = bursty(2, 2_000.0);
    let once = due_s(&replay(times.clone(), 3, 1.0, |_| {}));
    let tenfold = due_s(&replay(times.clone(), 3, 1.0, |replay| replay.multiply = 10.0));
    assert_eq!(tenfold.len(), 10 * once.len());
    for window_s in [1.0, 5.0] {
        let ((mean, variance), (mean_10, variance_10)) = (counts(&once, window_s), counts(&tenfold, window_s));
        assert!((mean_10 / mean - 10.0).abs() < 0.05, "{mean_10} of {mean}");
        // The coefficient of variation stays, so the index of dispersion is ten times as large.
        let variation = (variance_10.sqrt() / mean_10) / (variance.sqrt() / mean);
        assert!((variation - 1.0).abs() < 0.03, "{window_s} s: {variation}");
        let ratio = dispersion(&tenfold, window_s) / dispersion(&once, window_s);
        assert!((ratio - 10.0).abs() < 0.6, "{window_s} s: {ratio}");
    }
    // Copies do not come at once: hardly any two share an instant.
    let together = tenfold.windows(2).filter(|pair| pair[1] - pair[0] < 1e-9).count();
    assert!(together < tenfold.len() / 1000, "{together}");
    // Nor do those of the last arrival of a burst fill the silence after it.
    let burst_then_silence = vec![0, SECOND / 100, SECOND / 50, 30 * SECOND];
    let due = due_s(&replay(burst_then_silence, 3, 1.0, |replay| replay.multiply = 50.0));
    assert_eq!(due.iter().filter(|due| **due <= 0.03).count(), 150);
}

#[test]
fn thinning_takes_the_dispersion_towards_that_of_poisson_by_the_factor() {
    let times = bursty(4, 4_000.0);
    let once = due_s(&replay(times.clone(), 3, 1.0, |_| {}));
    let quarter = due_s(&replay(times.clone(), 3, 1.0, |replay| replay.multiply = 0.25));
    let share = quarter.len() as f64 / once.len() as f64;
    assert!((share - 0.25).abs() < 5.0 * (0.25 * 0.75 / once.len() as f64).sqrt(), "{share}");
    let (index, expected) = (dispersion(&quarter, 1.0), 1.0 + 0.25 * (dispersion(&once, 1.0) - 1.0));
    assert!((index / expected - 1.0).abs() < 0.05, "{index}, expected {expected}");
    // Another seed leaves out others; the same seed the same.
    let again = due_s(&replay(times.clone(), 3, 1.0, |replay| replay.multiply = 0.25));
    let other = due_s(&replay(times, 4, 1.0, |replay| replay.multiply = 0.25));
    assert!(again == quarter && other != quarter);
}

#[test]
fn a_fractional_factor_is_met_on_average() {
    let times = bursty(5, 500.0);
    let recorded = times.len() as f64;
    let due = due_s(&replay(times, 3, 1.0, |replay| replay.multiply = 2.5));
    assert!((due.len() as f64 - 2.5 * recorded).abs() < 5.0 * (recorded * 0.25).sqrt(), "{}", due.len());
}

#[test]
fn arrivals_of_one_second_are_spread_over_it_and_stay_in_it() {
    // A Poisson process of 50 per second, written in whole seconds, as access logs do.
    let mut draws = ChaCha8Rng::seed_from_u64(9);
    let mut t = 0.0;
    let exact: Vec<f64> = (0..50_000)
        .map(|_| {
            t += crate::scenario::arrivals::exponential(&mut draws) / 50.0;
            t
        })
        .collect();
    let first = exact[0].floor();
    let written: Vec<u64> = exact.iter().map(|time| (time.floor() - first) as u64 * SECOND).collect();
    let spread = replay(written.clone(), 3, 1.0, |replay| replay.spread = Duration::from_secs(1));
    let due = due_s(&spread);
    assert!(due.is_sorted() && due.len() == written.len());
    assert!(due.iter().zip(&written).all(|(due, second)| due.floor() as u64 == second / SECOND));
    // Unspread, windows of a tenth are all or nothing; spread, they are again those of a Poisson process.
    let packed = due_s(&replay(written, 3, 1.0, |_| {}));
    assert!(dispersion(&packed, 0.1) > 40.0);
    let index = dispersion(&due, 0.1);
    assert!((index - 1.0).abs() < 0.05, "{index}");
}

#[test]
fn a_time_factor_divides_the_length_and_keeps_the_rate() {
    let times = bursty(6, 1_000.0);
    let once = due_s(&replay(times.clone(), 3, 1.0, |_| {}));
    let scaled = replay(times, 3, 8.0, |_| {});
    let due = due_s(&scaled);
    let expected = once.len() as f64 / 8.0;
    assert!((due.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{} of {expected}", due.len());
    assert!(
        due.iter().all(|due| *due < scaled.duration().as_secs_f64()) && scaled.duration() < Duration::from_secs(126)
    );
}

#[test]
fn recordings_are_told_apart_by_their_fingerprint() {
    let of = |times: Vec<u64>| RecordedTimes(Arc::new(times)).fingerprint();
    assert_eq!(of(vec![]), "cbf29ce484222325");
    assert_ne!(of(vec![0, 1]), of(vec![0, 2]));
    // Saved with a study, a replay keeps all but its times, and is known again by the rest.
    let plan = replay(vec![0, 5], 1, 1.0, |_| {});
    let saved = serde_json::to_string(&plan.scenario().load).unwrap();
    assert!(!saved.contains("times"), "{saved}");
    let read: LoadModel = serde_json::from_str(&saved).unwrap();
    assert_eq!(read, plan.scenario().load);
    assert_ne!(read, replay(vec![0, 6], 1, 1.0, |_| {}).scenario().load);
    assert_eq!(
        Plan::new(Arc::new(Scenario { load: read, ..(**plan.scenario()).clone() }), 1, 1.0).arrivals().count(),
        0
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_replay_keeps_its_promises(
        gaps in prop::collection::vec(prop_oneof![Just(0), 1..5_000_u64, 1..3 * SECOND], 0..60), seed in any::<u64>(),
        speed in 0.01..50.0_f64, multiply in 0.05..7.0_f64, spread_ms in prop_oneof![Just(0_u64), 1..2_000_u64],
        factor in 1.0..8.0_f64,
    ) {
        let times: Vec<u64> = std::iter::once(0).chain(gaps.iter().scan(0, |time, gap| { *time += gap; Some(*time) })).collect();
        let recorded = times.len() as f64;
        let plan = replay(times, seed, factor, |replay| {
            (replay.speed, replay.multiply, replay.spread) = (speed, multiply, Duration::from_millis(spread_ms));
        });
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        prop_assert!(arrivals.windows(2).all(|pair| pair[0].due <= pair[1].due && pair[0].index + 1 == pair[1].index));
        prop_assert!(arrivals.iter().all(|arrival| arrival.due < plan.duration() && arrival.journey < 2 && arrival.stage == 0));
        let (least, most) = ((multiply / factor).floor() * recorded, (multiply / factor).ceil() * recorded);
        prop_assert!((least..=most).contains(&(arrivals.len() as f64)), "{} of {recorded}", arrivals.len());
        let again: Vec<Arrival> = plan.clone().arrivals().collect();
        prop_assert_eq!(arrivals, again);
    }
}
