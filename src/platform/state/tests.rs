//! The state machine in virtual time.

mod cold_server;
mod telling;
mod witness;

use super::*;
use std::rc::Rc;

/// The world of a test: requests are numbers, and an instance is known by its stop token.
struct Model;

impl World for Model {
    type Waiter = u32;
    type Handle = ();
    type Stop = Rc<u8>;
}

fn bounds(max_concurrency: u32, max_instances: u32) -> Bounds {
    Bounds { max_concurrency, vcpu: 1.0, min_instances: 0, max_instances }
}

fn ms(milliseconds: u64) -> Micros {
    Micros(milliseconds * 1000)
}

fn state(bounds: Bounds) -> State<Model> {
    State::new(Policy::cloud_run(), bounds, Billing::Request)
}

/// How many instances the actions start.
fn starts(actions: &[Action<Model>]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Start(..))).count()
}

fn admitted(actions: &[Action<Model>]) -> Vec<(u32, InstanceId)> {
    let of = |action: &Action<Model>| match action {
        Action::Admit(request, id, ()) => Some((*request, *id)),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

/// A revision with `count` ready instances, at time zero.
fn ready(bounds: Bounds, count: u32) -> State<Model> {
    let mut state = state(bounds);
    let mut actions = Vec::new();
    state.start(Micros::ZERO, count, &mut actions);
    for id in 1..=u64::from(count) {
        state.ready(Micros::ZERO, id, (), &mut actions);
    }
    state
}

#[test]
fn requests_go_to_the_oldest_desired_and_spill_only_when_those_are_full() {
    let mut state = ready(bounds(2, 9), 3);
    state.desired = 2;
    let order: Vec<_> = (0..6).map(|_| state.admit(Micros::ZERO).unwrap().0).collect();
    assert_eq!(order, [1, 2, 1, 2, 3, 3]);
    assert!(state.admit(Micros::ZERO).is_none());
    state.finish(ms(1), 3, None, &mut Vec::new());
    state.finish(ms(1), 2, None, &mut Vec::new());
    assert_eq!(state.admit(ms(1)).unwrap().0, 2);
}

#[test]
fn the_queue_is_first_in_first_out_and_its_head_gets_the_next_slot() {
    let mut state = ready(bounds(1, 1), 1);
    let mut actions = Vec::new();
    assert!(state.admit(Micros::ZERO).is_some());
    for request in 0..3 {
        state.enqueue(ms(1), request, &mut actions).unwrap();
    }
    assert_eq!(starts(&actions), 0, "max instances is reached");
    assert!(state.abandon(ms(2), 1) && !state.abandon(ms(2), 1));
    state.finish(ms(3), 1, None, &mut actions);
    assert_eq!(admitted(&actions), [(1, 1)]);
    assert!(state.admit(ms(3)).is_none(), "nobody overtakes the queue");
}

#[test]
fn waiting_too_long_and_too_many_waiting_is_429() {
    let mut full =
        State::<Model>::new(Policy { queue_capacity: 2, ..Policy::cloud_run() }, bounds(1, 1), Billing::Request);
    let mut actions = Vec::new();
    assert_eq!(full.enqueue(ms(0), 1, &mut actions), Ok(1));
    assert_eq!(full.enqueue(ms(5_000), 2, &mut actions), Ok(2));
    assert_eq!(full.enqueue(ms(5_000), 3, &mut actions), Err(Refusal::NoRoom));
    actions.clear();
    full.sweep(ms(10_000), &mut actions);
    assert!(actions.is_empty(), "10 s are allowed");
    full.sweep(ms(10_001), &mut actions);
    assert!(matches!(actions[..], [Action::Refuse(1, Refusal::NoRoom)]));
}

#[test]
fn a_start_that_fails_refuses_who_waits_and_is_not_repeated_at_once() {
    let mut state = state(bounds(1, 5));
    let mut actions = Vec::new();
    state.enqueue(ms(0), 7, &mut actions).unwrap();
    assert_eq!(starts(&actions), 1);
    actions.clear();
    state.gone(ms(10), 1, &mut actions);
    assert!(matches!(actions[..], [Action::Refuse(7, Refusal::NoInstance)]));
    assert_eq!(state.enqueue(ms(20), 8, &mut actions), Err(Refusal::NoInstance));
    assert!(state.enqueue(ms(1_010), 8, &mut actions).is_ok());
    assert_eq!(starts(&actions), 1);
}

#[test]
fn an_idle_instance_is_stopped_after_the_time_out_unless_it_is_wanted() {
    let mut state = ready(Bounds { min_instances: 1, ..bounds(1, 5) }, 3);
    let mut actions = Vec::new();
    state.set_routed(ms(0), true, &mut actions);
    assert!(actions.is_empty(), "three are enough for a minimum of one");
    let young = state.roster.members[2].stop.clone();
    state.admit(ms(0));
    state.sweep(ms(899_999), &mut actions);
    assert!(actions.is_empty());
    state.sweep(ms(900_000), &mut actions);
    let stopped: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Stop(_))).collect();
    assert_eq!(stopped.len(), 2, "the third is busy");
    assert!(matches!(stopped[0], Action::Stop(stop) if Rc::ptr_eq(stop, &young)), "the youngest goes first");
    state.finish(ms(900_000), 1, None, &mut actions);
    actions.clear();
    state.sweep(ms(9_900_000), &mut actions);
    assert!(actions.is_empty(), "the minimum stays");
    state.set_routed(ms(9_900_000), false, &mut actions);
    assert_eq!(actions.len(), 1, "without traffic there is no minimum");
}

#[test]
fn a_revision_without_routes_finishes_its_requests_and_stops() {
    let mut state = ready(bounds(1, 2), 1);
    let mut actions = Vec::new();
    state.set_routed(ms(0), false, &mut actions);
    assert!(actions.is_empty(), "a revision that was never routed keeps its first instance");
    state.set_routed(ms(0), true, &mut actions);
    state.admit(ms(0));
    state.set_routed(ms(1), false, &mut actions);
    assert!(actions.is_empty(), "its request is not finished");
    state.finish(ms(2), 1, None, &mut actions);
    assert!(matches!(actions[..], [Action::Stop(_)]));
    state.gone(ms(3), 1, &mut actions);
    assert!(state.is_empty());
}

#[test]
fn the_metrics_driver_starts_what_is_missing_from_the_exact_load() {
    let mut state = ready(bounds(10, 50), 1);
    for _ in 0..10 {
        state.admit(ms(0)).unwrap();
    }
    let mut actions = Vec::new();
    for second in 1..=5 {
        state.service(ms(second * 1000), 0.0, &mut actions);
    }
    // 10 / 10 / 0.6 = 1.67: two instances, one of which is there.
    assert_eq!(starts(&actions), 1);
    assert_eq!(state.desired, 2);
}

#[test]
fn start_up_requests_and_shutdown_are_billed_in_one_grid_of_slices() {
    let mut state = state(bounds(2, 1));
    let mut actions = Vec::new();
    state.start_first(ms(0), &mut actions);
    state.ready(ms(250), 1, (), &mut actions);
    let sample = state.sample(ms(1_000));
    assert_eq!((sample.billable_instance_time_s, sample.busy_instance_time_s), (0.3, 0.25));
    assert_eq!((sample.instances_active, sample.instances_idle), (0, 1));
    state.admit(ms(1_000));
    state.admit(ms(1_050));
    state.finish(ms(1_120), 1, Some(Ended { status: 200, took: ms(120), waited: None }), &mut actions);
    state.finish(ms(1_130), 1, Some(Ended { status: 200, took: ms(80), waited: Some(ms(5)) }), &mut actions);
    let sample = state.sample(ms(2_000));
    assert_eq!((sample.billable_instance_time_s, sample.busy_instance_time_s), (0.2, 0.13));
    assert_eq!((sample.request_latencies_ms[&200].sum, sample.pending_ms[&200].sum), (200.0, 5.0));
    assert_eq!(sample.max_request_concurrencies.sum, 2.0);
    state.stop_all(ms(3_000), &mut actions);
    state.gone(ms(3_010), 1, &mut actions);
    let sample = state.sample(ms(4_000));
    assert_eq!((sample.billable_instance_time_s, sample.busy_instance_time_s), (0.1, 0.01));
    assert_eq!(state.sample(ms(5_000)), RevisionSample::default());
}

#[test]
fn under_instance_based_billing_the_whole_life_is_billed_and_at_least_a_minute() {
    let mut state = State::<Model>::new(Policy::cloud_run().scaled(10.0), bounds(1, 1), Billing::Instance);
    let mut actions = Vec::new();
    state.start_first(ms(0), &mut actions);
    state.ready(ms(200), 1, (), &mut actions);
    assert_eq!(state.sample(ms(20_000)).billable_instance_time_s, 20.0);
    state.stop_all(ms(20_000), &mut actions);
    state.gone(ms(20_500), 1, &mut actions);
    let rest = state.sample(ms(30_000));
    assert_eq!((rest.billable_instance_time_s, rest.busy_instance_time_s), (40.0, 0.5));
}
