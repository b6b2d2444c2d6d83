//! How many instances there are, under manual scaling, under a service's own counts, and under Knative's policy.

use super::{Model, admitted, bounds, ms, ready, starts};
use crate::autoscaler::Routing;
use crate::platform::state::*;

fn stops(actions: &[Action<Model>]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Stop(_))).count()
}

fn manual(count: u32) -> Allotment {
    Allotment { manual: Some(count), ..Allotment::default() }
}

/// A revision with all traffic under Knative's policy, and `count` ready instances, all of which are wanted.
fn knative(bounds: Bounds, count: u32) -> State<Model> {
    let mut state = State::<Model>::new(Policy::knative(), bounds, Billing::Request);
    let mut actions = Vec::new();
    state.set_routed(ms(0), true, &mut actions);
    state.start(ms(0), count, &mut actions);
    for id in 1..=u64::from(count) {
        state.ready(ms(0), id, (), &mut actions);
    }
    assert_eq!(state.desired, count);
    state
}

#[test]
fn manual_scaling_keeps_so_many_instances_whatever_the_load() {
    let mut state = ready(Bounds { min_instances: 4, ..bounds(1, 2) }, 1);
    let mut actions = Vec::new();
    state.set_allotment(ms(0), manual(3), &mut actions);
    assert_eq!(starts(&actions), 0, "nothing is started without traffic");
    state.set_routed(ms(0), true, &mut actions);
    assert_eq!(starts(&actions), 2, "the revision's own bounds do not count");
    state.ready(ms(1), 2, (), &mut actions);
    state.ready(ms(1), 3, (), &mut actions);
    actions.clear();
    for _ in 0..3 {
        state.admit(ms(2)).unwrap();
    }
    for request in 0..50 {
        state.enqueue(ms(3), request, &mut actions).unwrap();
    }
    for second in 1..=9 {
        state.service(ms(second * 1000), 3.0, &mut actions);
    }
    assert_eq!(starts(&actions), 0, "a load of 53 starts nothing");
    // One that dies is replaced.
    state.gone(ms(9_500), 2, &mut actions);
    assert_eq!(starts(&actions), 1);
    // Without load all stay, for ever.
    let mut idle = ready(bounds(1, 9), 2);
    idle.set_allotment(ms(0), manual(2), &mut actions);
    idle.set_routed(ms(0), true, &mut actions);
    actions.clear();
    for second in 1..=2000 {
        idle.service(ms(second * 1000), 0.0, &mut actions);
    }
    assert!(actions.is_empty());
}

#[test]
fn a_smaller_manual_count_lets_requests_end_and_gives_the_others_room_only_where_it_is_wanted() {
    let mut state = ready(bounds(1, 9), 3);
    let mut actions = Vec::new();
    state.set_routed(ms(0), true, &mut actions);
    state.set_allotment(ms(0), manual(3), &mut actions);
    for id in 1..=3 {
        assert_eq!(state.admit(ms(1)).unwrap().0, id);
    }
    state.set_allotment(ms(2), manual(1), &mut actions);
    assert_eq!(stops(&actions), 0, "all hold a request");
    state.enqueue(ms(3), 7, &mut actions).unwrap();
    state.finish(ms(4), 3, None, &mut actions);
    assert!(admitted(&actions).is_empty() && state.admit(ms(4)).is_none(), "the third is not wanted any more");
    state.service(ms(5), 0.0, &mut actions);
    assert_eq!(stops(&actions), 1);
    state.finish(ms(6), 1, None, &mut actions);
    assert_eq!(admitted(&actions), [(7, 1)]);
}

#[test]
fn a_manual_count_of_zero_switches_the_revision_off() {
    let mut state = ready(bounds(1, 9), 1);
    let mut actions = Vec::new();
    state.set_routed(ms(0), true, &mut actions);
    state.set_allotment(ms(0), manual(0), &mut actions);
    assert_eq!(stops(&actions), 1);
    state.gone(ms(1), 1, &mut actions);
    assert_eq!(state.enqueue(ms(2), 1, &mut actions), Err(Refusal::NoInstance));
    actions.clear();
    state.set_allotment(ms(3), Allotment::default(), &mut actions);
    state.enqueue(ms(4), 2, &mut actions).unwrap();
    assert_eq!(starts(&actions), 1, "automatic again");
}

#[test]
fn a_services_minimum_and_maximum_count_beside_the_revisions_own() {
    let started = |own: (u32, u32), min, max| {
        let mut state = super::state(Bounds { min_instances: own.0, ..bounds(1, own.1) });
        let mut actions = Vec::new();
        state.set_allotment(ms(0), Allotment { min, max, manual: None }, &mut actions);
        assert!(actions.is_empty());
        state.set_routed(ms(0), true, &mut actions);
        let warm = starts(&actions);
        for request in 0..100 {
            state.enqueue(ms(1), request, &mut actions).unwrap();
        }
        (warm, starts(&actions))
    };
    assert_eq!(started((0, 9), 3, None), (3, 9));
    assert_eq!(started((4, 9), 3, None), (4, 9));
    assert_eq!(started((1, 9), 0, Some(5)), (1, 5));
    assert_eq!(started((1, 9), 7, Some(5)), (5, 5));
    assert_eq!(started((1, 2), 0, Some(5)), (1, 2));
}

#[test]
fn a_session_gets_its_instance_while_that_has_room_and_is_wanted() {
    let mut state = ready(bounds(2, 9), 3);
    assert_eq!(state.admit_to(ms(0), 3).unwrap().0, 3);
    assert_eq!(state.admit_to(ms(0), 3).unwrap().0, 3);
    assert!(state.admit_to(ms(0), 3).is_none(), "full");
    assert!(state.admit_to(ms(0), 4).is_none(), "unknown");
    let mut actions = Vec::new();
    state.gone(ms(1), 2, &mut actions);
    assert!(state.admit_to(ms(1), 2).is_none(), "gone");
    assert_eq!(state.admit(ms(1)).unwrap().0, 1);
    state.admit(ms(1)).unwrap();
    state.enqueue(ms(2), 9, &mut actions).unwrap();
    state.finish(ms(3), 3, None, &mut actions);
    assert_eq!(admitted(&actions), [(9, 3)]);
    assert!(state.admit_to(ms(3), 3).is_none(), "nobody overtakes the queue");
    let mut strict = knative(bounds(2, 9), 3);
    strict.admit_to(ms(0), 3).unwrap();
    strict.desired = 2;
    assert!(strict.admit_to(ms(0), 3).is_none(), "one too many takes no more");
    assert!(strict.admit_to(ms(0), 2).is_some());
}

#[test]
fn under_knative_what_is_not_wanted_gets_nothing_and_stops_when_it_is_idle() {
    let mut state = knative(bounds(10, 50), 4);
    let mut actions = Vec::new();
    // 14 requests of 7 each are two instances.
    for _ in 0..14 {
        state.admit(ms(0)).unwrap();
    }
    for second in 1..=61 {
        state.service(ms(second * 1000), 0.0, &mut actions);
    }
    assert_eq!((state.desired, stops(&actions)), (2, 0), "each holds requests");
    let placed: Vec<_> = (0..13).map_while(|_| state.admit(ms(61_000))).map(|(id, ())| id).collect();
    assert!(!placed.is_empty() && placed.iter().all(|id| *id <= 2), "{placed:?}");
    for _ in 0..4 {
        state.finish(ms(61_001), 3, None, &mut actions);
        if state.roster.find(3).unwrap().in_flight == 0 {
            break;
        }
    }
    state.service(ms(61_500), 0.0, &mut actions);
    assert_eq!(stops(&actions), 1);
}

#[test]
fn under_knative_the_first_request_starts_one_and_the_tick_starts_the_rest() {
    let mut state = State::<Model>::new(Policy::knative(), bounds(10, 50), Billing::Request);
    let mut actions = Vec::new();
    state.set_routed(ms(0), true, &mut actions);
    for request in 0..100 {
        state.enqueue(ms(100), request, &mut actions).unwrap();
    }
    assert_eq!(starts(&actions), 1);
    state.service(ms(1_000), 0.0, &mut actions);
    state.service(ms(2_000), 0.0, &mut actions);
    // 100 requests for 1.9 of 2 s: 95 / 7 = 13.6.
    assert_eq!((starts(&actions), state.desired), (14, 14));
    // Nobody is refused for having waited: only the request's own time-out ends that.
    state.sweep(ms(250_000), &mut actions);
    assert!(!actions.iter().any(|action| matches!(action, Action::Refuse(..))));
    let mut full =
        State::<Model>::new(Policy { queue_capacity: 0, ..Policy::knative() }, bounds(1, 1), Billing::Request);
    assert_eq!(full.enqueue(ms(0), 1, &mut actions), Err(Refusal::NoInstance), "503, not 429");
}

#[test]
fn under_knative_the_last_instance_goes_after_its_grace() {
    let mut state = knative(bounds(10, 50), 1);
    let mut actions = Vec::new();
    for second in 1..=200 {
        state.service(ms(second * 1000), 0.0, &mut actions);
        if stops(&actions) == 1 {
            // A stable window since the first tick, then the grace.
            assert_eq!(second, 92);
            return;
        }
    }
    panic!("it stayed");
}

#[test]
fn from_zero_only_a_request_starts_an_instance_whatever_the_average_asks_for() {
    let mut state = ready(bounds(2, 5), 1);
    state.admit(ms(0)).unwrap();
    let mut actions = Vec::new();
    state.service(ms(4_000), 1.0, &mut actions);
    // It dies, and its request with it; a second later the drivers look at the seconds before.
    state.gone(ms(4_000), 1, &mut actions);
    state.service(ms(5_000), 0.0, &mut actions);
    assert!(state.desired >= 1, "the average still asks for one");
    assert_eq!(starts(&actions), 0);
    state.enqueue(ms(6_000), 7, &mut actions).unwrap();
    assert_eq!(starts(&actions), 1);
}

#[test]
fn routing_is_the_policys() {
    let order = |policy: Policy, k| {
        let mut state = State::<Model>::new(policy, bounds(k, 9), Billing::Request);
        let mut actions = Vec::new();
        state.start(ms(0), 3, &mut actions);
        for id in 1..=3 {
            state.ready(ms(0), id, (), &mut actions);
        }
        state.finish(ms(0), 99, None, &mut actions);
        (0..4).map(|_| state.admit(ms(1)).unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(order(Policy { routing: Some(Routing::FillFirst), ..Policy::cloud_run() }, 4), [1, 1, 1, 1]);
    assert_eq!(order(Policy::knative(), 3), [1, 1, 1, 2]);
    assert_eq!(order(Policy::knative(), 4), [1, 2, 3, 1]);
}
