//! What the state machine tells of itself.

use super::*;
use crate::platform::glance::InstancePhase;

#[test]
fn a_glance_shows_every_instance_and_the_queue() {
    let mut state = ready(bounds(1, 2), 1);
    let mut actions = Vec::new();
    state.admit(ms(0)).unwrap();
    state.enqueue(ms(10), 7, &mut actions).unwrap();
    let seen = |state: &State<Model>, now| {
        let instances = state.glance(now).instances.into_iter();
        instances.map(|it| (it.number, it.phase, it.in_flight, it.age.as_millis())).collect::<Vec<_>>()
    };
    assert_eq!(seen(&state, ms(500)), [(1, InstancePhase::Active, 1, 500), (2, InstancePhase::Starting, 0, 490)]);
    let glance = state.glance(ms(500));
    assert_eq!((glance.pending, glance.max_concurrency), (1, 1));
    state.ready(ms(600), 2, (), &mut actions);
    state.finish(ms(700), 1, None, &mut actions);
    assert_eq!(seen(&state, ms(700)), [(1, InstancePhase::Idle, 0, 700), (2, InstancePhase::Active, 1, 690)]);
    state.stop_all(ms(800), &mut actions);
    assert!(seen(&state, ms(800)).iter().all(|(_, phase, ..)| *phase == InstancePhase::Stopping));
}

#[test]
fn from_end_to_end_a_request_takes_its_waiting_and_its_time_in_the_instance() {
    let mut state = ready(bounds(1, 1), 1);
    state.admit(ms(0)).unwrap();
    let ended = Ended { status: 200, took: ms(50), waited: Some(ms(30)) };
    state.finish(ms(50), 1, Some(ended), &mut Vec::new());
    state.record_refused(429, ms(20));
    let sample = state.sample(ms(60));
    assert_eq!((sample.request_latencies_ms[&200].sum, sample.e2e_latencies_ms[&200].sum), (50.0, 80.0));
    assert_eq!(sample.e2e_latencies_ms[&429].sum, 20.0, "it never reached an instance");
    assert_eq!(sample.request_latencies_ms.len(), 1);
}

#[test]
fn what_the_drivers_ask_for_is_told_from_the_first_tick_on_while_there_are_instances() {
    let mut state = ready(bounds(10, 50), 1);
    for _ in 0..10 {
        state.admit(ms(0)).unwrap();
    }
    assert_eq!(state.sample(ms(100)).recommended_instances, None);
    state.service(ms(5_000), 0.3, &mut Vec::new());
    let recommended = state.sample(ms(5_000)).recommended_instances.unwrap();
    assert_eq!(recommended.by_cpu, 1, "0.3 vCPU of 0.6");
    assert!(recommended.by_concurrency >= 2, "10 of the 6 that one instance should hold: {recommended:?}");
    for instance in 1..=2 {
        state.gone(ms(5_100), instance, &mut Vec::new());
    }
    assert_eq!(state.sample(ms(5_200)).recommended_instances, None);
}
