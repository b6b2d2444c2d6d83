//! Each way of choosing, against its closed form or a golden order.

use super::*;
use crate::autoscaler::Micros;

struct Model;

impl World for Model {
    type Waiter = ();
    type Handle = ();
    type Stop = ();
}

/// Ready instances, numbered from 1, that hold so many requests.
fn holding(loads: &[u32]) -> Roster<Model> {
    let member = |(place, load): (usize, &u32)| {
        let mut member = Member::starting(place as u64 + 1, Micros::ZERO, Micros(1));
        member.phase = Phase::Ready;
        member.in_flight = *load;
        member
    };
    Roster { members: loads.iter().enumerate().map(member).collect() }
}

fn everyone(max_concurrency: u32) -> Eligible {
    Eligible { desired: u32::MAX, spills: false, max_concurrency }
}

/// The instances that get the next requests, none of which ends.
fn order(routing: Routing, roster: &mut Roster<Model>, eligible: Eligible, requests: usize) -> Vec<InstanceId> {
    let mut choice = Router::new(routing, 1);
    let next = |_| {
        let place = choice.choose(roster, eligible)?;
        roster.members[place].in_flight += 1;
        Some(roster.members[place].id)
    };
    (0..requests).map_while(next).collect()
}

#[test]
fn golden_orders() {
    let golden: [(Routing, &[InstanceId]); 3] = [
        (Routing::LeastLoaded, &[2, 4, 2, 3, 4, 2, 3, 4]),
        // Instance 1 is full from the start, and the others from their third request on.
        (Routing::RoundRobin, &[2, 3, 4, 2, 3, 4, 2, 4]),
        (Routing::FillFirst, &[2, 2, 2, 3, 3, 4, 4, 4]),
    ];
    for (routing, expected) in golden {
        assert_eq!(order(routing, &mut holding(&[3, 0, 1, 0]), everyone(3), 100), expected, "{routing}");
    }
}

#[test]
fn every_way_prefers_the_oldest_desired_and_spills_only_when_told() {
    for routing in [Routing::LeastLoaded, Routing::RoundRobin, Routing::TwoChoices, Routing::FillFirst] {
        let spilling = Eligible { desired: 2, spills: true, max_concurrency: 2 };
        let spilled = order(routing, &mut holding(&[0, 0, 0]), spilling, 100);
        assert!(spilled[..4].iter().all(|id| *id <= 2) && spilled[4..] == [3, 3], "{routing}: {spilled:?}");
        let strict = Eligible { spills: false, ..spilling };
        let kept = order(routing, &mut holding(&[0, 0, 0]), strict, 100);
        assert!(kept.len() == 4 && kept.iter().all(|id| *id <= 2), "{routing}: {kept:?}");
    }
}

#[test]
fn a_turn_goes_on_after_the_last_one_and_passes_over_who_cannot() {
    let mut roster = holding(&[0, 0, 0, 0]);
    let mut choice = Router::new(Routing::RoundRobin, 1);
    let mut next = |roster: &Roster<Model>| choice.choose(roster, everyone(9)).map(|place| roster.members[place].id);
    assert_eq!((next(&roster), next(&roster)), (Some(1), Some(2)));
    roster.members[2].phase = Phase::Draining;
    assert_eq!((next(&roster), next(&roster)), (Some(4), Some(1)));
    roster.members.remove(1);
    roster.members[1].phase = Phase::Starting;
    assert_eq!((next(&roster), next(&roster)), (Some(4), Some(1)));
}

#[test]
fn two_choices_draw_each_pair_equally_often() {
    // Of the three pairs among loads 0, 1 and 2 two hold the first instance and one only the second and the third: their
    // shares are 2/3, 1/3 and 0. An instance without room is in no pair.
    const DRAWS: u32 = 60_000;
    let roster = holding(&[0, 9, 1, 2]);
    let mut choice = Router::new(Routing::TwoChoices, 7);
    let mut counts = [0_u32; 4];
    for _ in 0..DRAWS {
        counts[choice.choose(&roster, everyone(9)).unwrap()] += 1;
    }
    assert_eq!((counts[1], counts[3]), (0, 0));
    let share = f64::from(counts[0]) / f64::from(DRAWS);
    let error = (2.0 / 9.0 / f64::from(DRAWS)).sqrt();
    assert!((share - 2.0 / 3.0).abs() < 3.0 * error, "{share} ± {error}");
    // Equal loads: everyone equally often.
    let roster = holding(&[1, 1, 1, 1]);
    let mut counts = [0_u32; 4];
    for _ in 0..DRAWS {
        counts[choice.choose(&roster, everyone(9)).unwrap()] += 1;
    }
    let error = (f64::from(DRAWS) * 3.0 / 16.0).sqrt();
    assert!(counts.iter().all(|count| (f64::from(*count) - 15_000.0).abs() < 4.0 * error), "{counts:?}");
}

#[test]
fn two_choices_keep_the_law_of_the_fullest() {
    // Mean field: of n instances with n requests put in by two choices, the share that holds at least i tends to s(i),
    // the value at time 1 of ds(i)/dt = s(i−1)² − s(i)², s(0) = 1 (Mitzenmacher 1996).
    const INSTANCES: usize = 2000;
    let mut shares = [1.0, 0.0, 0.0, 0.0, 0.0_f64];
    for _ in 0..100_000 {
        for i in (1..shares.len()).rev() {
            shares[i] += 1e-5 * (shares[i - 1].powi(2) - shares[i].powi(2));
        }
    }
    let mut roster = holding(&[0; INSTANCES]);
    order(Routing::TwoChoices, &mut roster, everyone(u32::MAX), INSTANCES);
    for (i, expected) in (0..).zip(shares) {
        let share = roster.members.iter().filter(|member| member.in_flight >= i).count() as f64 / INSTANCES as f64;
        assert!((share - expected).abs() < 0.02, "{share} of the instances hold {i} or more, not {expected}");
    }
}

#[test]
fn the_same_seed_draws_the_same() {
    let drawn = |seed| {
        let mut choice = Router::new(Routing::TwoChoices, seed);
        let roster = holding(&[0; 50]);
        (0..20).map(|_| choice.choose(&roster, everyone(1)).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(drawn(3), drawn(3));
    assert_ne!(drawn(3), drawn(4));
}
