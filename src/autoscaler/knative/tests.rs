//! Knative's policy against golden vectors, and against the examples of its own unit tests.

use crate::autoscaler::{Autoscaler, Bounds, KnativePolicy, Micros, Policy, Reason, Snapshot, Target, Targets};
use std::time::Duration;

fn bounds(max_concurrency: u32) -> Bounds {
    Bounds { max_concurrency, vcpu: 1.0, min_instances: 0, max_instances: 10_000, targets: Targets::default() }
}

fn second(t: u64) -> Micros {
    Micros(t * 1_000_000)
}

fn of(ready: u32) -> Snapshot {
    Snapshot { ready, ..Snapshot::default() }
}

/// Drives the autoscaler with instances that are ready at once, in a world that runs `time_factor` times as fast; returns
/// the changes of what the windows ask for, at the times of a world that does not.
fn drive(time_factor: u32, load: impl Fn(u64) -> f64, until: u64) -> Vec<(u64, u32, u32, Reason)> {
    let mut autoscaler = Autoscaler::new(Policy::knative().scaled(f64::from(time_factor)), bounds(10));
    let (mut ready, mut changes) = (0, Vec::new());
    for t in 0..=until {
        autoscaler.observe(t, load(t), 0.0);
        if t > 0 && t % 2 == 0 {
            let now = Micros(second(t).0 / u64::from(time_factor));
            let decision = autoscaler.tick(now, &of(ready));
            if decision.by_concurrency != ready {
                changes.push((t, ready, decision.by_concurrency, decision.reason));
                ready = decision.by_concurrency;
            }
        }
    }
    changes
}

fn golden_load(t: u64) -> f64 {
    match t {
        0..120 => 100.0,
        120..240 => 20.0,
        _ => 0.0,
    }
}

#[test]
fn golden_vector_a_of_stable_and_panic_windows() {
    let changes = drive(1, golden_load, 400);
    let golden = [
        (2, 0, 15),
        (122, 15, 14),
        (126, 14, 13),
        (132, 13, 12),
        (138, 12, 11),
        (142, 11, 10),
        (148, 10, 9),
        (152, 9, 8),
        (158, 8, 7),
        (164, 7, 6),
        (168, 6, 5),
        (174, 5, 4),
        (180, 4, 3),
        (258, 3, 2),
        (278, 2, 1),
        (300, 1, 0),
    ];
    assert_eq!(changes.iter().map(|(t, from, to, _)| (*t, *from, *to)).collect::<Vec<_>>(), golden);
    assert_eq!(changes[0].3, Reason::Panic);
    assert_eq!(changes[1].3, Reason::Concurrency);
    assert_eq!(drive(10, golden_load, 400), changes, "ten times as fast, the same decisions");
}

/// An autoscaler with a target of ten requests and rates of ten, as Knative's own unit tests have it.
fn tenfold(ready: u32, stable: f64, panic: f64) -> u32 {
    let knative = KnativePolicy {
        target_utilization: 1.0,
        scale_up_rate_max: 10.0,
        scale_down_rate_max: 10.0,
        ..Policy::knative().knative
    };
    let mut autoscaler = Autoscaler::new(Policy { knative, ..Policy::knative() }, bounds(10));
    // 54 buckets of one load and six of another give the panic window its average, and the stable one 0.9 and 0.1.
    let early = (stable * 60.0 - panic * 6.0) / 54.0;
    for t in 0..60 {
        autoscaler.observe(t, if t < 54 { early } else { panic }, 0.0);
    }
    autoscaler.tick(second(60), &of(ready)).by_concurrency
}

#[test]
fn golden_examples_of_scale() {
    // (ready, stable average, panic average) → instances: ceil(average / 10) within a tenth and ten times of the ready
    // ones; the panic window counts when it asks for at least twice the ready ones.
    let golden = [
        (1, 100.0, 100.0, 10),
        (1, 1000.0, 1001.0, 10),
        (10, 1000.0, 1001.0, 100),
        (10, 100.0, 1000.0, 100),
        (10, 95.0, 100.0, 10),
        (10, 100.0, 190.0, 10),
        (10, 100.0, 200.0, 20),
        (100, 10.0, 10.0, 10),
        (1, 0.0, 0.0, 0),
        (3, 1.0, 1.0, 1),
    ];
    for (ready, stable, panic, expected) in golden {
        assert_eq!(tenfold(ready, stable, panic), expected, "ready {ready}, stable {stable}, panic {panic}");
    }
}

#[test]
fn panic_never_asks_for_fewer_until_a_stable_window_after_the_last_excess() {
    let knative = KnativePolicy { target_utilization: 1.0, ..Policy::knative().knative };
    let mut autoscaler = Autoscaler::new(Policy { knative, ..Policy::knative() }, bounds(10));
    let mut wanted = Vec::new();
    for t in 0..=130 {
        autoscaler.observe(t, if t < 10 { 1000.0 } else { 1.0 }, 0.0);
        if t > 0 && t % 2 == 0 {
            // The instances that were wanted are there at once, so the excess is over with the first tick.
            let ready = wanted.last().map_or(1, |(_, count)| *count);
            let decision = autoscaler.tick(second(t), &of(ready));
            wanted.push((t, decision.by_concurrency));
        }
    }
    let at = |time: u64| wanted.iter().find(|(t, _)| *t == time).unwrap().1;
    assert_eq!((at(2), at(40), at(62)), (100, 100, 100));
    // After 62 s the panic is over; the stable window is then nearly empty and the rate of two holds it.
    assert_eq!((at(64), at(66), at(68)), (50, 25, 12));
    assert_eq!(at(130), 1);
}

#[test]
fn the_last_instance_has_its_stable_window_and_its_grace() {
    let mut autoscaler = Autoscaler::new(Policy::knative(), bounds(10));
    let mut ready = 1;
    let mut gone = None;
    for t in 0..=200 {
        autoscaler.observe(t, if t < 20 { 5.0 } else { 0.0 }, 0.0);
        if t > 0 && t % 2 == 0 {
            let decision = autoscaler.tick(second(t), &of(ready));
            if decision.desired == 0 && ready > 0 {
                gone = Some(t);
            }
            ready = decision.desired;
        }
    }
    // The load leaves the stable window at 80 s, and the grace is 30 s.
    assert_eq!(gone, Some(110));

    let mut deployed = Autoscaler::new(Policy::knative(), bounds(10));
    let desired: Vec<_> = (1..=50).map(|n| (2 * n, deployed.tick(second(2 * n), &of(1)).desired)).collect();
    let first_zero = desired.iter().find(|(_, desired)| *desired == 0).map(|(t, _)| *t);
    assert_eq!(first_zero, Some(92), "never used: a stable window since the first tick, and then the grace");
}

#[test]
fn only_the_first_request_starts_an_instance_before_the_tick() {
    let mut autoscaler = Autoscaler::new(Policy::knative(), bounds(10));
    let pending = |ready, starting, pending| Snapshot { ready, starting, pending, ..Snapshot::default() };
    assert_eq!(autoscaler.on_no_capacity(&pending(0, 0, 500)), 1);
    assert_eq!(autoscaler.on_no_capacity(&pending(0, 1, 500)), 0);
    assert_eq!(autoscaler.on_no_capacity(&pending(2, 0, 500)), 0);
    let decision = autoscaler.tick(second(2), &pending(0, 1, 1));
    assert_eq!((decision.desired, decision.reason), (1, Reason::Grace));
    assert_eq!(autoscaler.pending_limit(), Duration::MAX);
}

#[test]
fn bounds_and_the_revisions_own_target_hold() {
    let asked = |bounds: Bounds| {
        let mut autoscaler = Autoscaler::new(Policy::knative(), bounds);
        autoscaler.observe(0, 42.0, 0.0);
        let decision = autoscaler.tick(second(1), &of(1));
        (decision.desired, decision.by_concurrency)
    };
    let aimed = |concurrency| Bounds { targets: Targets { concurrency, ..Targets::default() }, ..bounds(10) };
    // 42 requests of 7 each are 6 instances.
    assert_eq!(asked(bounds(10)), (6, 6));
    assert_eq!(asked(aimed(Target::Share(0.5))), (9, 9));
    assert_eq!(asked(aimed(Target::Off)), (6, 6), "there is no other driver");
    assert_eq!(asked(Bounds { max_instances: 4, ..bounds(10) }), (4, 6));
    assert_eq!(asked(Bounds { min_instances: 8, ..bounds(10) }), (8, 6));
    assert_eq!(
        asked(Bounds { max_concurrency: 0, ..bounds(10) }),
        (1000, 1000),
        "the least target is 0.01, the rate 1000"
    );
}
