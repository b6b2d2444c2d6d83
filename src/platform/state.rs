//! One revision as a pure state machine: its instances, its queue of pending requests, and who gets a slot. Time is
//! passed in and is the revision's own (zero when it was created). Nothing here waits, spawns or reads a clock; what
//! has to be done outside comes back as [`Action`]s, to be performed after the lock is released.

use super::load::Load;
use super::meter::Reading;
use super::roster::{Member, Phase, Roster};
use super::sample::{Recommended, RevisionSample};
use super::world::{Action, Ended, InstanceId, Refusal, Ticket, World};
use crate::autoscaler::{Autoscaler, Bounds, Micros, Policy, Snapshot};
use crate::scenario::Billing;
use std::collections::VecDeque;

struct Pending<T: World> {
    ticket: Ticket,
    since: Micros,
    waiter: T::Waiter,
}

/// A revision.
pub(super) struct State<T: World> {
    bounds: Bounds,
    billing: Billing,
    autoscaler: Autoscaler,
    roster: Roster<T>,
    queue: VecDeque<Pending<T>>,
    started_count: InstanceId,
    ticket_count: Ticket,
    desired: u32,
    recommended: Option<Recommended>,
    routed: bool,
    retired: bool,
    deleted: bool,
    in_flight: u32,
    start_not_before: Micros,
    load: Load,
    tick_next: Micros,
    gone: Reading,
    tally: RevisionSample,
}

/// After an instance failed to start, nothing is started on demand for this long: a program that dies at once must not
/// be started thousands of times per second.
const START_PAUSE: Micros = Micros(1_000_000);

impl<T: World> State<T> {
    /// A revision without instances. The policy is used as it is: scale it before.
    pub(super) fn new(policy: Policy, bounds: Bounds, billing: Billing) -> Self {
        let bucket = Micros::of(policy.bucket);
        let tick_next = Micros::of(policy.tick);
        // Min instances are kept only while the revision has traffic.
        let autoscaler = Autoscaler::new(policy, Bounds { min_instances: 0, ..bounds });
        Self {
            bounds,
            billing,
            autoscaler,
            roster: Roster { members: Vec::new() },
            queue: VecDeque::new(),
            started_count: 0,
            ticket_count: 0,
            desired: 0,
            recommended: None,
            routed: false,
            retired: false,
            deleted: false,
            in_flight: 0,
            start_not_before: Micros::ZERO,
            load: Load::new(bucket),
            tick_next,
            gone: Reading::default(),
            tally: RevisionSample::default(),
        }
    }

    /// Gives a request a slot at once, if there is one and nobody waits.
    pub(super) fn admit(&mut self, now: Micros) -> Option<(InstanceId, T::Handle)> {
        if !self.queue.is_empty() {
            return None;
        }
        self.take_slot(now)
    }

    /// Lets a request wait for a slot; starts instances for it if those that come are not enough.
    pub(super) fn enqueue(
        &mut self,
        now: Micros,
        waiter: T::Waiter,
        actions: &mut Vec<Action<T>>,
    ) -> Result<Ticket, Refusal> {
        if self.queue.len() >= self.autoscaler.policy().queue_capacity {
            return Err(Refusal::NoRoom);
        }
        if self.deleted || (now < self.start_not_before && self.roster.supply() == 0) {
            return Err(Refusal::NoInstance);
        }
        self.advance(now);
        self.ticket_count += 1;
        self.queue.push_back(Pending { ticket: self.ticket_count, since: now, waiter });
        self.start_on_demand(now, actions);
        Ok(self.ticket_count)
    }

    /// The client of a pending request went away. False if the request is not pending any more.
    pub(super) fn abandon(&mut self, now: Micros, ticket: Ticket) -> bool {
        let Ok(place) = self.queue.binary_search_by_key(&ticket, |pending| pending.ticket) else { return false };
        self.advance(now);
        self.queue.remove(place);
        true
    }

    /// A slot is free again. `ended` is `None` if the request never was forwarded: then nothing is recorded.
    pub(super) fn finish(&mut self, now: Micros, id: InstanceId, ended: Option<Ended>, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        if let Some(ended) = ended {
            *self.tally.requests.entry(ended.status).or_default() += 1;
            let latencies = self.tally.request_latencies_ms.entry(ended.status).or_default();
            latencies.record(ended.took.0 as f64 / 1e3);
            let whole = ended.took + ended.waited.unwrap_or_default();
            self.tally.e2e_latencies_ms.entry(ended.status).or_default().record(whole.0 as f64 / 1e3);
            if let Some(waited) = ended.waited {
                self.tally.pending_ms.entry(ended.status).or_default().record(waited.0 as f64 / 1e3);
            }
        }
        // The instance may have gone before its requests noticed: then its slots went with it.
        let Some(member) = self.roster.find(id) else { return };
        member.in_flight -= 1;
        member.meter.end(now);
        if member.in_flight == 0 {
            member.idle_since = now;
        }
        self.in_flight -= 1;
        self.admit_pending(now, actions);
        if self.retired {
            self.sweep(now, actions);
        }
    }

    /// Notes how long a request waited that never reached an instance, under the status it was answered with.
    pub(super) fn record_refused(&mut self, status: u16, waited: Micros) {
        self.tally.pending_ms.entry(status).or_default().record(waited.0 as f64 / 1e3);
        self.tally.e2e_latencies_ms.entry(status).or_default().record(waited.0 as f64 / 1e3);
    }

    /// Starts one instance whatever the load: the first of a new revision.
    pub(super) fn start_first(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        self.start(now, 1, actions);
    }

    /// An instance listens.
    pub(super) fn ready(&mut self, now: Micros, id: InstanceId, handle: T::Handle, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        let Some(member) = self.roster.find(id) else { return };
        if member.phase != Phase::Starting {
            return;
        }
        let took = now - member.started;
        member.phase = Phase::Ready;
        member.handle = Some(handle);
        member.idle_since = now;
        member.meter.end(now);
        self.autoscaler.observe_startup(took.duration());
        self.tally.startup_latencies_ms.record(took.0 as f64 / 1e3);
        self.admit_pending(now, actions);
    }

    /// An instance's process has ended, for whatever reason.
    pub(super) fn gone(&mut self, now: Micros, id: InstanceId, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        let Some(mut member) = self.roster.remove(id) else { return };
        let life_min = match self.billing {
            Billing::Request => Micros::ZERO,
            Billing::Instance => Micros::of(self.autoscaler.policy().billing_instance_min),
        };
        member.meter.stop(now, life_min);
        self.gone.add(member.meter.read(now));
        self.in_flight -= member.in_flight;
        if member.phase == Phase::Starting {
            self.start_not_before = now + START_PAUSE;
            if self.roster.supply() == 0 {
                self.refuse_all(Refusal::NoInstance, actions);
            }
        } else {
            self.start_on_demand(now, actions);
        }
    }

    /// The revision gets requests by some route, or no longer does: then its instances finish theirs and stop.
    pub(super) fn set_routed(&mut self, now: Micros, routed: bool, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        self.retired = !routed && (self.routed || self.retired);
        self.routed = routed;
        self.autoscaler.set_min_instances(self.instances_min());
        let missing = self.instances_min().saturating_sub(self.roster.supply());
        self.start(now, missing, actions);
        if self.retired {
            self.sweep(now, actions);
        }
    }

    /// Stops every instance at once; pending requests are refused.
    pub(super) fn stop_all(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        self.routed = false;
        self.retired = true;
        self.deleted = true;
        self.refuse_all(Refusal::NoInstance, actions);
        for place in 0..self.roster.members.len() {
            self.stop(now, place, actions);
        }
    }

    /// What has to happen once per bucket: the bucket is observed, the metrics drivers are asked when their tick has
    /// come, what waited or idled too long goes. `cpu` is the number of vCPUs all instances used since the last call.
    pub(super) fn service(&mut self, now: Micros, cpu: f64, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        let silent = self.roster.members.is_empty();
        for (bucket, load) in self.load.closed.drain(..) {
            // A revision without instances has no metrics: its window ages instead of filling with zeros.
            if !silent || load > 0.0 {
                self.autoscaler.observe(bucket, load, cpu);
            }
        }
        if now >= self.tick_next {
            let tick = Micros::of(self.autoscaler.policy().tick).max(Micros(1));
            while self.tick_next <= now {
                self.tick_next = self.tick_next + tick;
            }
            self.tick(now, actions);
        }
        self.sweep(now, actions);
    }

    /// Answers what waited too long, and stops what idled too long.
    pub(super) fn sweep(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        self.advance(now);
        let limit = Micros::of(self.autoscaler.pending_limit());
        while self.queue.front().is_some_and(|pending| now - pending.since > limit) {
            if let Some(pending) = self.queue.pop_front() {
                actions.push(Action::Refuse(pending.waiter, Refusal::NoRoom));
            }
        }
        let idle_timeout = Micros::of(self.autoscaler.policy().idle_timeout);
        // The youngest first: they are the ones beyond `desired`, to which requests only spill.
        for place in (0..self.roster.members.len()).rev() {
            let member = &self.roster.members[place];
            if member.phase != Phase::Ready || member.in_flight > 0 {
                continue;
            }
            let unwanted = self.retired && self.queue.is_empty();
            let idled = now - member.idle_since >= idle_timeout;
            if unwanted || (idled && self.roster.supply() > self.desired.max(self.instances_min())) {
                self.stop(now, place, actions);
            }
        }
    }

    /// What was counted since the last call; CPU, memory and names are left to the caller.
    pub(super) fn sample(&mut self, now: Micros) -> RevisionSample {
        self.advance(now);
        let mut sample = std::mem::take(&mut self.tally);
        let mut reading = std::mem::take(&mut self.gone);
        for member in &mut self.roster.members {
            reading.add(member.meter.read(now));
            if member.peak > 0 {
                sample.max_request_concurrencies.record(f64::from(member.peak));
            }
            member.peak = member.in_flight;
        }
        let slice = Micros::of(self.autoscaler.policy().billing_slice);
        sample.billable_instance_time_s = Micros(reading.slices * slice.0).seconds();
        sample.busy_instance_time_s = reading.engaged.seconds();
        sample.instances_active = self.roster.count_if(|member| member.in_flight > 0).into();
        sample.instances_idle =
            self.roster.count_if(|member| member.phase == Phase::Ready && member.in_flight == 0).into();
        sample.pending_requests = self.queue.len() as u64;
        // A revision without instances has no metrics, and nobody to recommend for.
        sample.recommended_instances = self.recommended.filter(|_| !self.roster.members.is_empty());
        sample
    }

    /// Whether any instance is left, in whatever phase.
    pub(super) fn is_empty(&self) -> bool {
        self.roster.members.is_empty()
    }

    fn tick(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        let decision = self.autoscaler.tick(now, &self.snapshot(now));
        self.recommended = Some(Recommended { by_cpu: decision.by_cpu, by_concurrency: decision.by_concurrency });
        self.desired = if self.retired { 0 } else { decision.desired };
        let missing = self.desired.saturating_sub(self.roster.supply());
        if now >= self.start_not_before {
            self.start(now, missing, actions);
        }
    }

    fn take_slot(&mut self, now: Micros) -> Option<(InstanceId, T::Handle)> {
        self.advance(now);
        let member = self.roster.pick(self.desired, self.bounds.max_concurrency)?;
        let handle = member.handle.clone()?;
        member.in_flight += 1;
        member.peak = member.peak.max(member.in_flight);
        member.meter.begin(now);
        self.in_flight += 1;
        Some((member.id, handle))
    }

    fn admit_pending(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        if self.queue.is_empty() {
            return;
        }
        let limit = Micros::of(self.autoscaler.pending_limit());
        while let Some(head) = self.queue.front() {
            let late = now - head.since > limit;
            let slot = if late { None } else { self.take_slot(now) };
            if !late && slot.is_none() {
                return;
            }
            let Some(pending) = self.queue.pop_front() else { return };
            actions.push(match slot {
                Some((id, handle)) => Action::Admit(pending.waiter, id, handle),
                None => Action::Refuse(pending.waiter, Refusal::NoRoom),
            });
        }
    }

    fn refuse_all(&mut self, refusal: Refusal, actions: &mut Vec<Action<T>>) {
        actions.extend(self.queue.drain(..).map(|pending| Action::Refuse(pending.waiter, refusal)));
    }

    fn start_on_demand(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        if !self.queue.is_empty() && now >= self.start_not_before {
            let count = self.autoscaler.on_no_capacity(now, &self.snapshot(now));
            self.start(now, count, actions);
        }
    }

    fn start(&mut self, now: Micros, count: u32, actions: &mut Vec<Action<T>>) {
        for _ in 0..count {
            self.started_count += 1;
            let slice = Micros::of(self.autoscaler.policy().billing_slice);
            let mut member = Member::<T>::starting(self.started_count, now, slice);
            if self.billing == Billing::Instance {
                // The whole life is billed: this engagement ends only with the instance.
                member.meter.begin(now);
            }
            actions.push(Action::Start(member.id, member.stop.clone()));
            self.roster.members.push(member);
        }
    }

    fn stop(&mut self, now: Micros, place: usize, actions: &mut Vec<Action<T>>) {
        let member = &mut self.roster.members[place];
        if member.phase != Phase::Draining {
            // A start-up that is cut short goes over into the shutdown without a gap.
            if member.phase == Phase::Ready {
                member.meter.begin(now);
            }
            member.phase = Phase::Draining;
            actions.push(Action::Stop(member.stop.clone()));
        }
    }

    fn snapshot(&self, now: Micros) -> Snapshot {
        Snapshot {
            ready: self.roster.count(Phase::Ready),
            starting: self.roster.count(Phase::Starting),
            draining: self.roster.count(Phase::Draining),
            in_flight: self.in_flight,
            pending: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            free_slots: self.roster.free_slots(self.bounds.max_concurrency),
            oldest_pending_age: self.queue.front().map_or(Micros::ZERO, |pending| now - pending.since),
        }
    }

    fn instances_min(&self) -> u32 {
        if self.routed { self.bounds.min_instances } else { 0 }
    }

    fn advance(&mut self, now: Micros) {
        self.load.advance(now, u64::from(self.in_flight) + self.queue.len() as u64);
    }
}

mod glance;
#[cfg(test)]
mod tests;
