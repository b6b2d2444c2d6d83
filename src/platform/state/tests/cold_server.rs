//! Closed forms of a queue whose server must be set up.

use super::{Model, bounds};
use crate::platform::state::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// One server that sets up when a request finds it cold and goes when it has been idle for `idle`; Poisson arrivals at
/// 0.5 per second, exponential service of 1 s. Returns what was seen over `arrivals` requests.
fn cold_server(setup: impl Fn(&mut ChaCha8Rng) -> f64, idle: Duration, arrivals: u32, seed: u64) -> ColdServer {
    let policy = Policy {
        idle_timeout: idle,
        pending_min: Duration::from_hours(1_000_000),
        queue_capacity: usize::MAX,
        bucket: Duration::from_hours(1_000),
        ..Policy::cloud_run()
    };
    let mut state = State::<Model>::new(policy, bounds(1, 1), Billing::Request);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let exponential = |rng: &mut ChaCha8Rng, mean: f64| -mean * (1.0 - rng.random::<f64>()).ln();
    let mut outcome = ColdServer::default();
    let (mut next, mut done, mut up, mut cold) = (0.0, f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let (mut instance, mut since) = (0, BTreeMap::new());
    let mut number = 0;
    while number < arrivals {
        let now = f64::min(next, done).min(up).min(cold);
        let at = micros(now);
        let mut actions = Vec::new();
        if now == next {
            number += 1;
            next = now + exponential(&mut rng, 2.0);
            let empty = state.in_flight == 0 && state.queue.is_empty();
            outcome.periods += u32::from(empty);
            outcome.cold += u32::from(empty && state.is_empty());
            cold = f64::INFINITY;
            if state.admit(at).is_some() {
                done = now + exponential(&mut rng, 1.0);
            } else {
                since.insert(number, now);
                state.enqueue(at, number, &mut actions).unwrap();
            }
        } else if now == done {
            done = f64::INFINITY;
            state.finish(at, instance, None, &mut actions);
            cold = now + idle.as_secs_f64();
        } else if now == up {
            up = f64::INFINITY;
            state.ready(at, instance, (), &mut actions);
        } else {
            cold = f64::INFINITY;
            state.sweep(at, &mut actions);
        }
        for action in actions {
            match action {
                Action::Start(id, _) => {
                    instance = id;
                    up = now + setup(&mut rng);
                }
                Action::Stop(_) => state.gone(at, instance, &mut Vec::new()),
                Action::Admit(request, ..) => {
                    outcome.waited += now - since.remove(&request).unwrap();
                    done = now + exponential(&mut rng, 1.0);
                    cold = f64::INFINITY;
                }
                Action::Refuse(..) => panic!("nothing is refused"),
            }
        }
        outcome.end = now;
    }
    outcome.engaged = state.sample(micros(outcome.end)).busy_instance_time_s;
    outcome
}

#[derive(Default)]
struct ColdServer {
    end: f64,
    waited: f64,
    engaged: f64,
    periods: u32,
    cold: u32,
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are positive and short")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6).round() as u64)
}

#[test]
fn cold_starts_keep_the_law_of_the_queue_with_set_up() {
    // V8: mean waiting time 2.5 s when every start takes 2 s. Set-up takes a quarter of the time, requests half of it:
    // both are metered.
    const ARRIVALS: u32 = 1_000_000;
    let fixed = cold_server(|_| 2.0, Duration::ZERO, ARRIVALS, 11);
    let waited = fixed.waited / f64::from(ARRIVALS);
    assert!((waited / 2.5 - 1.0).abs() < 0.01, "waited {waited}");
    assert!((fixed.engaged / fixed.end / 0.75 - 1.0).abs() < 0.01, "engaged {}", fixed.engaged / fixed.end);
    assert_eq!(fixed.cold, fixed.periods);
    // Exponential start-ups of the same mean: 3 s.
    let spread = cold_server(|rng| -2.0 * (1.0 - rng.random::<f64>()).ln(), Duration::ZERO, ARRIVALS, 12);
    let waited = spread.waited / f64::from(ARRIVALS);
    assert!((waited / 3.0 - 1.0).abs() < 0.01, "waited {waited}");
    // An idle time-out of 2 s: a busy period begins cold with probability e^−1.
    let warm = cold_server(|_| 2.0, Duration::from_secs(2), ARRIVALS, 13);
    let share = f64::from(warm.cold) / f64::from(warm.periods);
    assert!((share / (-1.0_f64).exp() - 1.0).abs() < 0.01, "cold {share}");
}
