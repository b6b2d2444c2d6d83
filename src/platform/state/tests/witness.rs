//! Properties over random sequences.

use super::{Model, bounds, ms};
use crate::autoscaler::Routing;
use crate::platform::state::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Follows a state machine from outside and holds it to what must always be true.
struct Witness {
    state: State<Model>,
    bounds: Bounds,
    starting: BTreeSet<InstanceId>,
    alive: BTreeMap<InstanceId, Rc<u8>>,
    stopped: BTreeSet<InstanceId>,
    /// Where each request is that reached an instance and has not ended.
    inside: BTreeMap<u32, InstanceId>,
    pending: BTreeMap<Ticket, u32>,
    orphans: Vec<(u32, InstanceId)>,
    arrived: u32,
    ended: u32,
}

impl Witness {
    fn obey(&mut self, actions: Vec<Action<Model>>) {
        for action in actions {
            match action {
                Action::Start(id, stop) => {
                    self.starting.insert(id);
                    self.alive.insert(id, stop);
                }
                Action::Stop(stop) => {
                    let found = self.alive.iter().find(|(_, other)| Rc::ptr_eq(other, &stop));
                    self.stopped.insert(*found.expect("only what lives is stopped").0);
                }
                Action::Admit(request, id, ()) => {
                    self.pending.retain(|_, other| *other != request);
                    self.inside.insert(request, id);
                }
                Action::Refuse(request, _) => {
                    self.pending.retain(|_, other| *other != request);
                    self.ended += 1;
                }
            }
        }
    }

    fn step(&mut self, now: Micros, kind: u8, choice: usize) {
        let mut actions = Vec::new();
        match kind {
            0..4 => self.arrive(now, &mut actions),
            4..7 => {
                let everyone: Vec<_> = self.inside.iter().map(|(request, id)| (*request, *id)).collect();
                if !everyone.is_empty() {
                    let (request, id) = everyone[choice % everyone.len()];
                    self.inside.remove(&request);
                    self.end(now, id, &mut actions);
                }
            }
            7 => {
                if let Some(id) = self.starting.pop_first() {
                    self.state.ready(now, id, (), &mut actions);
                }
            }
            8 => {
                let candidates: Vec<_> = self.alive.keys().copied().collect();
                let stopped = self.stopped.first().copied();
                let dying = stopped.or_else(|| candidates.get(choice % candidates.len().max(1)).copied());
                if let Some(id) = dying.filter(|_| choice.is_multiple_of(3) || stopped.is_some()) {
                    self.die(now, id, &mut actions);
                }
            }
            9 => {
                let tickets: Vec<_> = self.pending.keys().copied().collect();
                if !tickets.is_empty() {
                    let ticket = tickets[choice % tickets.len()];
                    assert!(self.state.abandon(now, ticket));
                    self.pending.remove(&ticket);
                    self.ended += 1;
                }
            }
            10 => {
                if let Some((_, id)) = self.orphans.pop() {
                    self.end(now, id, &mut actions);
                }
            }
            11 => self.state.set_routed(now, !choice.is_multiple_of(3), &mut actions),
            12 => {
                let part = |modulus: usize| u32::try_from(choice % modulus).unwrap();
                let manual = choice.is_multiple_of(2).then(|| part(5).min(self.bounds.max_instances));
                let max = choice.is_multiple_of(3).then(|| 1 + part(6));
                let allotment = Allotment { min: part(4), max, manual };
                self.state.set_allotment(now, allotment, &mut actions);
            }
            _ => self.state.service(now, 0.5, &mut actions),
        }
        self.obey(actions);
    }

    fn arrive(&mut self, now: Micros, actions: &mut Vec<Action<Model>>) {
        self.arrived += 1;
        let session = u64::from(self.arrived % 5);
        if let Some((id, ())) = self.state.admit_to(now, session).or_else(|| self.state.admit(now)) {
            self.inside.insert(self.arrived, id);
            return;
        }
        match self.state.enqueue(now, self.arrived, actions) {
            Ok(ticket) => drop(self.pending.insert(ticket, self.arrived)),
            Err(_) => self.ended += 1,
        }
    }

    fn end(&mut self, now: Micros, id: InstanceId, actions: &mut Vec<Action<Model>>) {
        self.ended += 1;
        self.state.finish(now, id, Some(Ended { status: 200, took: ms(1), waited: None }), actions);
    }

    /// The process ends; its requests notice later.
    fn die(&mut self, now: Micros, id: InstanceId, actions: &mut Vec<Action<Model>>) {
        let with_it: Vec<_> = self.inside.iter().filter(|(_, at)| **at == id).map(|(r, at)| (*r, *at)).collect();
        for (request, at) in with_it {
            self.inside.remove(&request);
            self.orphans.push((request, at));
        }
        self.starting.remove(&id);
        self.stopped.remove(&id);
        self.alive.remove(&id);
        self.state.gone(now, id, actions);
    }

    fn check(&self, now: Micros) {
        let snapshot = self.state.snapshot(now);
        for id in self.alive.keys() {
            let inside = self.inside.values().filter(|at| *at == id).count();
            assert!(inside <= self.bounds.max_concurrency as usize, "{inside} requests in instance {id}");
        }
        assert!(self.inside.values().all(|id| self.alive.contains_key(id)), "a request is in no instance");
        assert_eq!(snapshot.in_flight as usize, self.inside.len());
        assert_eq!(snapshot.pending as usize, self.pending.len());
        assert!(snapshot.ready + snapshot.starting <= self.bounds.max_instances);
        assert!(snapshot.pending == 0 || snapshot.free_slots == 0, "someone waits beside a free slot");
        let known = self.inside.len() + self.pending.len() + self.orphans.len() + self.ended as usize;
        assert_eq!(known, self.arrived as usize, "a request is unaccounted for");
    }
}

proptest! {
    #[test]
    fn never_more_than_max_concurrency_and_no_request_is_lost(
        (k, max, knative, routing) in (1_u32..5, 1_u32..6, any::<bool>(), 0_usize..4),
        steps in proptest::collection::vec((0_u8..16, 0_usize..1000, 0_u64..400_000), 1..300),
    ) {
        let policy = if knative { Policy::knative() } else { Policy::cloud_run() };
        let routing = Routing::from_name(Routing::NAMES[routing]);
        let policy = Policy { queue_capacity: 12, routing, ..policy.scaled(20.0) };
        let bounds = bounds(k, max);
        let mut witness = Witness {
            state: State::new(policy, bounds, Billing::Request),
            bounds,
            starting: BTreeSet::new(),
            alive: BTreeMap::new(),
            stopped: BTreeSet::new(),
            inside: BTreeMap::new(),
            pending: BTreeMap::new(),
            orphans: Vec::new(),
            arrived: 0,
            ended: 0,
        };
        let mut now = Micros::ZERO;
        for (kind, choice, gap) in steps {
            now = now + Micros(gap);
            witness.step(now, kind, choice);
            witness.check(now);
        }
    }
}
