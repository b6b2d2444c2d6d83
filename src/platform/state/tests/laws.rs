//! Laws of queueing theory, on the meters of the real state machine and its autoscaler, in virtual time.

use super::{Model, bounds};
use crate::autoscaler::Routing;
use crate::platform::state::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Draws of an exponential law.
pub(in crate::platform) fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are positive and short")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6).round() as u64)
}

/// Poisson arrivals at a revision of so many ready instances; who finds no room is turned away at once.
struct Loss {
    state: State<Model>,
    now: Micros,
    departures: BinaryHeap<Reverse<(Micros, InstanceId)>>,
    service_next: Micros,
    /// Integral of the requests in each instance, microseconds, and since when each held so many.
    held: Vec<(u64, Micros, u32)>,
    arrived: u64,
    lost: u64,
}

impl Loss {
    fn new(routing: Routing, max_concurrency: u32, instances: u32) -> Self {
        let policy = Policy { queue_capacity: 0, routing: Some(routing), ..Policy::cloud_run() };
        let mut state = State::new(policy, bounds(max_concurrency, instances), Billing::Request);
        let mut actions = Vec::new();
        let manual = Some(instances);
        state.set_allotment(Micros::ZERO, Allotment { manual, ..Allotment::default() }, &mut actions);
        state.set_routed(Micros::ZERO, true, &mut actions);
        for id in 1..=u64::from(instances) {
            state.ready(Micros::ZERO, id, (), &mut actions);
        }
        let held = vec![(0, Micros::ZERO, 0); instances as usize];
        let departures = BinaryHeap::new();
        Self { state, now: Micros::ZERO, departures, service_next: micros(1.0), held, arrived: 0, lost: 0 }
    }

    /// The requests in an instance become one more or one less.
    fn count(&mut self, id: InstanceId, more: bool) {
        let (integral, since, held) = &mut self.held[usize::try_from(id).unwrap() - 1];
        *integral += (self.now - *since).0 * u64::from(*held);
        *since = self.now;
        *held = if more { *held + 1 } else { *held - 1 };
    }

    fn pass(&mut self, until: Micros) {
        let mut actions = Vec::new();
        while let Some(Reverse((at, id))) = self.departures.peek().copied() {
            if at > until {
                break;
            }
            self.departures.pop();
            self.tick(at);
            self.now = at;
            self.count(id, false);
            self.state.finish(at, id, None, &mut actions);
        }
        self.tick(until);
        self.now = until;
        assert!(actions.is_empty());
    }

    /// The platform's own second passes: buckets are observed and the autoscaler is asked.
    fn tick(&mut self, until: Micros) {
        let mut actions = Vec::new();
        while self.service_next <= until {
            self.state.service(self.service_next, 0.1, &mut actions);
            self.service_next = self.service_next + micros(1.0);
        }
        assert!(actions.is_empty(), "nothing scales by hand");
    }

    fn run(&mut self, rate: f64, arrivals: u64, service: impl Fn(&mut ChaCha8Rng) -> f64, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut at = 0.0;
        for _ in 0..arrivals {
            at += exponential(&mut rng, 1.0 / rate);
            self.pass(micros(at));
            self.arrived += 1;
            let ends = self.now + micros(service(&mut rng));
            if let Some((id, ())) = self.state.admit(self.now) {
                self.count(id, true);
                self.departures.push(Reverse((ends, id)));
            } else {
                assert_eq!(self.state.enqueue(self.now, 0, &mut Vec::new()), Err(Refusal::NoRoom));
                self.lost += 1;
            }
        }
    }

    /// Share of the time in which each instance held a request, on its meter's raw integral.
    fn busy(&mut self) -> Vec<f64> {
        let now = self.now;
        let share = |member: &mut Member<Model>| member.meter.read(now).engaged.seconds() / now.seconds();
        self.state.roster.members.iter_mut().map(share).collect()
    }

    /// Mean number of requests in each instance.
    fn occupancy(&self) -> Vec<f64> {
        self.held.iter().map(|(integral, ..)| *integral as f64 / self.now.0 as f64).collect()
    }
}

/// Erlang's loss formula: the share of a load of `load` Erlang that finds all of `servers` taken.
pub(in crate::platform) fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked))
}

/// Shares of time in which each of two instances of `k` slots is busy under fill-first at a load of `load` Erlang: the
/// stationary law of the Markov chain of both counts, by relaxation.
fn busy_of_two(k: usize, load: f64) -> [f64; 2] {
    let size = k + 1;
    let mut law = vec![1.0 / (size * size) as f64; size * size];
    for _ in 0..4000 {
        for (first, second) in (0..size).flat_map(|first| (0..size).map(move |second| (first, second))) {
            let at = |first: usize, second: usize| law[first * size + second];
            let mut inflow = 0.0;
            if first > 0 {
                inflow += load * at(first - 1, second);
            }
            if second > 0 && first == k {
                inflow += load * at(first, second - 1);
            }
            if first < k {
                inflow += (first + 1) as f64 * at(first + 1, second);
            }
            if second < k {
                inflow += (second + 1) as f64 * at(first, second + 1);
            }
            let arrivals = if first == k && second == k { 0.0 } else { load };
            law[first * size + second] = inflow / (arrivals + (first + second) as f64);
        }
        let sum: f64 = law.iter().sum();
        for share in &mut law {
            *share /= sum;
        }
    }
    let busy = |is_busy: fn(usize, usize) -> bool| {
        law.iter().enumerate().filter(|(at, _)| is_busy(at / size, at % size)).map(|(_, share)| share).sum()
    };
    [busy(|first, _| first > 0), busy(|_, second| second > 0)]
}

#[track_caller]
fn within(measured: f64, expected: f64, tolerance: f64) {
    assert!((measured / expected - 1.0).abs() < tolerance, "{measured} against {expected}");
}

#[test]
fn the_raw_integral_keeps_the_m_g_infinity_law() {
    // V7: busy with probability 1 − e^−ρ, whatever the law of service: hyperexponential of mean 1 s here, with a squared
    // coefficient of variation of 4.
    let p = (1.0 - 0.6_f64.sqrt()) / 2.0;
    let service = |rng: &mut ChaCha8Rng| {
        let mean = if rng.random::<f64>() < p { 0.5 / p } else { 0.5 / (1.0 - p) };
        exponential(rng, mean)
    };
    for (rate, busy, seed) in [(0.5, 0.393_469, 21), (1.0, 0.632_121, 22), (2.0, 0.864_665, 23), (5.0, 0.993_262, 24)] {
        let mut loss = Loss::new(Routing::LeastLoaded, 1000, 1);
        loss.run(rate, 300_000, service, seed);
        assert_eq!(loss.lost, 0);
        within(loss.busy()[0], busy, 0.01);
        within(loss.occupancy()[0], rate, 0.01);
    }
}

#[test]
fn fill_first_keeps_erlangs_laws() {
    // V7: one instance of four slots at 2 Erlang is busy 6/7 of the time, carries 1.8095 and turns 2/21 away.
    let service = |rng: &mut ChaCha8Rng| exponential(rng, 1.0);
    let mut one = Loss::new(Routing::FillFirst, 4, 1);
    one.run(2.0, 400_000, service, 31);
    within(one.busy()[0], 0.857_143, 0.01);
    within(one.occupancy()[0], 1.809_524, 0.01);
    within(one.lost as f64 / one.arrived as f64, 0.095_238, 0.01);

    // What the first instances leave over is what the next one gets: its mean number of requests is the difference of
    // the overflows, a·(B((i−1)·k, a) − B(i·k, a)).
    let (k, load, instances) = (4, 10.0, 3);
    let mut three = Loss::new(Routing::FillFirst, k, instances);
    three.run(load, 600_000, service, 32);
    for (i, measured) in (0..instances).zip(three.occupancy()) {
        within(measured, load * (erlang_b(i * k, load) - erlang_b((i + 1) * k, load)), 0.01);
    }
    within(three.lost as f64 / three.arrived as f64, erlang_b(instances * k, load), 0.01);
    let busy = three.busy();
    let expected = busy_of_two(4, load);
    within(busy[0], expected[0], 0.01);
    within(busy[1], expected[1], 0.01);
    let three_busy = busy[2];
    // The loss of the whole is the same under every routing, and only fill-first leaves an instance idle for long.
    for routing in [Routing::LeastLoaded, Routing::RoundRobin, Routing::TwoChoices] {
        let mut other = Loss::new(routing, k, instances);
        other.run(load, 200_000, service, 33);
        within(other.lost as f64 / other.arrived as f64, erlang_b(instances * k, load), 0.03);
        let busy = other.busy();
        assert!(busy[2] > three_busy, "{routing}: {busy:?} against {three_busy}");
    }
}

#[test]
fn the_formulas_are_those_of_the_literature() {
    // V2, and the first instance of V7.
    within(erlang_b(10, 8.0), 0.121_661_06, 1e-6);
    within(erlang_b(90, 80.0), 0.026_231_98, 1e-6);
    within(busy_of_two(4, 2.0)[0], 0.857_143, 1e-5);
    // What the second instance carries is less than it is busy, and no more than its slots.
    let second = busy_of_two(4, 8.0)[1];
    let carried = 8.0 * (erlang_b(4, 8.0) - erlang_b(8, 8.0));
    assert!(second < carried && carried < 4.0 * second, "{second} {carried}");
}
