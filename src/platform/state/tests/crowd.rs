//! The concurrency limit is exact: millions of arrivals and departures in random order, while instances come, go and
//! die, under every routing, both autoscalers, manual scaling and session affinity.

use super::{Model, bounds};
use crate::autoscaler::{AutoscalerKind, Routing};
use crate::platform::state::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::rc::Rc;

const INSTANCES_MAX: u32 = 6;

struct Crowd {
    state: State<Model>,
    max_concurrency: u32,
    rng: ChaCha8Rng,
    now: Micros,
    /// Living instances, their tokens, and the requests they hold, counted here and nowhere else.
    alive: Vec<(InstanceId, Rc<u8>, u32)>,
    starting: Vec<InstanceId>,
    stopped: Vec<InstanceId>,
    /// One entry for each request in a living instance.
    inside: Vec<InstanceId>,
    /// Requests whose instance died under them and that have not noticed yet.
    orphans: Vec<InstanceId>,
    pending: u64,
    arrived: u64,
    ended: u64,
    /// Admissions that filled an instance.
    filled: u64,
}

impl Crowd {
    fn new(policy: Policy, max_concurrency: u32, seed: u64) -> Self {
        let policy = Policy { queue_capacity: 40, ..policy.scaled(100.0) };
        let mut state = State::new(policy, bounds(max_concurrency, INSTANCES_MAX), Billing::Request);
        state.set_routed(Micros::ZERO, true, &mut Vec::new());
        Self {
            state,
            max_concurrency,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Micros::ZERO,
            alive: Vec::new(),
            starting: Vec::new(),
            stopped: Vec::new(),
            inside: Vec::new(),
            orphans: Vec::new(),
            pending: 0,
            arrived: 0,
            ended: 0,
            filled: 0,
        }
    }

    fn hold(&mut self, id: InstanceId) {
        let (_, _, held) = self.alive.iter_mut().find(|(other, ..)| *other == id).expect("it lives");
        *held += 1;
        assert!(*held <= self.max_concurrency, "instance {id} holds {held} at {:?}", self.now);
        self.filled += u64::from(*held == self.max_concurrency);
        self.inside.push(id);
    }

    fn obey(&mut self, actions: Vec<Action<Model>>) {
        for action in actions {
            match action {
                Action::Start(id, stop) => {
                    self.starting.push(id);
                    self.alive.push((id, stop, 0));
                }
                Action::Stop(stop) => {
                    let (id, ..) = self.alive.iter().find(|(_, other, _)| Rc::ptr_eq(other, &stop)).expect("it lives");
                    self.stopped.push(*id);
                }
                Action::Admit(_, id, ()) => {
                    self.pending -= 1;
                    self.hold(id);
                }
                Action::Refuse(..) => {
                    self.pending -= 1;
                    self.ended += 1;
                }
            }
        }
    }

    fn arrive(&mut self, actions: &mut Vec<Action<Model>>) {
        self.arrived += 1;
        // A session leads to any instance there ever was.
        let session = if self.rng.random_ratio(1, 3) { self.rng.random_range(0..=self.state.started_count) } else { 0 };
        let slot = self.state.admit_to(self.now, session).or_else(|| self.state.admit(self.now));
        if let Some((id, ())) = slot {
            return self.hold(id);
        }
        match self.state.enqueue(self.now, 0, actions) {
            Ok(_) => self.pending += 1,
            Err(_) => self.ended += 1,
        }
    }

    fn depart(&mut self, actions: &mut Vec<Action<Model>>) {
        if self.inside.is_empty() {
            return;
        }
        let id = self.inside.swap_remove(self.rng.random_range(0..self.inside.len()));
        let (_, _, held) = self.alive.iter_mut().find(|(other, ..)| *other == id).expect("it lives");
        *held -= 1;
        self.ended += 1;
        self.state.finish(self.now, id, None, actions);
    }

    fn die(&mut self, id: InstanceId, actions: &mut Vec<Action<Model>>) {
        let before = self.inside.len();
        self.inside.retain(|at| *at != id);
        self.orphans.extend(std::iter::repeat_n(id, before - self.inside.len()));
        self.alive.retain(|(other, ..)| *other != id);
        self.starting.retain(|other| *other != id);
        self.stopped.retain(|other| *other != id);
        self.state.gone(self.now, id, actions);
    }

    /// Something other than an arrival or a departure.
    fn change(&mut self, actions: &mut Vec<Action<Model>>) {
        match self.rng.random_range(0..20) {
            0..10 => {
                if let Some(id) = self.starting.pop() {
                    self.state.ready(self.now, id, (), actions);
                }
            }
            10..13 => {
                if let Some(id) = self.stopped.pop() {
                    self.die(id, actions);
                }
            }
            13 => {
                if self.rng.random_ratio(1, 4) && !self.alive.is_empty() {
                    let (id, ..) = self.alive[self.rng.random_range(0..self.alive.len())];
                    self.die(id, actions);
                }
            }
            14 | 15 => {
                if let Some(id) = self.orphans.pop() {
                    self.ended += 1;
                    self.state.finish(self.now, id, None, actions);
                }
            }
            16 => {
                let manual = self.rng.random_ratio(1, 3).then(|| self.rng.random_range(0..=INSTANCES_MAX));
                let max = self.rng.random_ratio(1, 3).then(|| self.rng.random_range(1..=INSTANCES_MAX));
                let min = self.rng.random_range(0..3);
                let allotment = Allotment { min, max, manual };
                self.state.set_allotment(self.now, allotment, actions);
            }
            _ => {
                let cpu = self.rng.random_range(0.0..4.0);
                self.state.service(self.now, cpu, actions);
            }
        }
    }

    fn run(&mut self, arrivals: u64) {
        while self.arrived < arrivals {
            self.now = self.now + Micros(self.rng.random_range(0..2000));
            let mut actions = Vec::new();
            // Around the room that there is at most, so that instances are full and the queue is not empty for long.
            let crowded = self.inside.len() as u64 + self.pending > u64::from(self.max_concurrency * INSTANCES_MAX) + 4;
            match self.rng.random_range(0..100) {
                0..3 => self.change(&mut actions),
                roll if roll < if crowded { 20 } else { 60 } => self.arrive(&mut actions),
                _ => self.depart(&mut actions),
            }
            self.obey(actions);
            let known = self.inside.len() as u64 + self.orphans.len() as u64 + self.pending + self.ended;
            assert_eq!(known, self.arrived, "a request is unaccounted for");
        }
    }
}

/// So many arrivals in all, spread evenly over every combination.
fn arrivals(total: u64) {
    let routings = [Routing::LeastLoaded, Routing::RoundRobin, Routing::TwoChoices, Routing::FillFirst];
    let limits = [1, 2, 3, 8, 80];
    let each = total / 40;
    let (mut arrived, mut seed) = (0, 1);
    for autoscaler in [AutoscalerKind::CloudRun, AutoscalerKind::Knative] {
        for (routing, max_concurrency) in routings.iter().flat_map(|routing| limits.map(|limit| (*routing, limit))) {
            let policy = Policy { routing: Some(routing), ..Policy::of(autoscaler) };
            let mut crowd = Crowd::new(policy, max_concurrency, seed);
            crowd.run(each);
            assert!(crowd.filled > each / 200, "{autoscaler} {routing} {max_concurrency}: filled {}", crowd.filled);
            arrived += crowd.arrived;
            seed += 1;
        }
    }
    assert_eq!(arrived, total);
}

#[test]
fn no_instance_ever_holds_one_more_in_half_a_million_arrivals() {
    arrivals(500_000);
}

#[test]
#[ignore = "the whole of it: cargo test --lib no_instance_ever_holds -- --ignored"]
fn no_instance_ever_holds_one_more_in_ten_million_arrivals() {
    arrivals(10_000_000);
}
