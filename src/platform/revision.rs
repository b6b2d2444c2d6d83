//! A running revision: the state machine behind one lock that is held for microseconds, the tasks of its instances, and
//! the slots its requests hold.

use super::allotment::Allotment;
use super::ending::{Ending, Endings};
use super::glance::RevisionGlance;
use super::host::{Counts, Host, StartError};
use super::instance::{Gauge, Instance, measure};
use super::journal::{Event, Severity};
use super::sample::RevisionSample;
use super::slot::Slot;
use super::spec::RevisionSpec;
use super::state::State;
use super::world::{Action, Ended, InstanceId, Refusal, Ticket, World};
use crate::autoscaler::{Bounds, Micros, Policy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

/// Locks; a panic elsewhere does not make counters worse than they are.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The asynchronous world.
struct Tasks;

impl World for Tasks {
    type Waiter = oneshot::Sender<Result<Slot, Refusal>>;
    type Handle = Arc<Instance>;
    /// Keeps one notification, so that an instance can be told to stop before its task has begun.
    type Stop = Arc<Notify>;
}

/// What a revision needs to run.
pub(super) struct Revision {
    /// What it is.
    pub(super) spec: RevisionSpec,
    policy: Policy,
    host: Arc<Host>,
    epoch: Instant,
    state: Mutex<State<Tasks>>,
    gauges: Mutex<BTreeMap<InstanceId, Arc<Gauge>>>,
    first: Mutex<Option<oneshot::Sender<Result<(), String>>>>,
    emptied: Notify,
    endings: Endings,
    /// Wakes the task that observes it, which sleeps while there is nothing to be seen.
    woken: Arc<Notify>,
    counts: Counts,
    sampled: Mutex<Micros>,
}

impl Revision {
    /// A revision without instances, and the task that observes it.
    pub(super) fn new(spec: RevisionSpec, policy: Policy, host: Arc<Host>) -> Arc<Self> {
        let bounds = Bounds {
            max_concurrency: spec.max_concurrency,
            vcpu: spec.vcpu.0,
            min_instances: spec.min_instances,
            max_instances: spec.max_instances,
            targets: spec.scaling_targets,
        };
        let revision = Arc::new(Self {
            state: Mutex::new(State::new(policy.clone(), bounds, spec.billing)),
            spec,
            host,
            epoch: Instant::now(),
            gauges: Mutex::default(),
            first: Mutex::default(),
            emptied: Notify::new(),
            endings: Endings::default(),
            woken: Arc::default(),
            counts: Counts::default(),
            sampled: Mutex::default(),
            policy,
        });
        tokio::spawn(observe(Arc::downgrade(&revision)));
        revision
    }

    /// Starts the first instance and waits until it listens.
    pub(super) async fn deploy(self: &Arc<Self>) -> Result<(), String> {
        let (sender, listening) = oneshot::channel();
        *lock(&self.first) = Some(sender);
        self.change(State::start_first);
        listening.await.unwrap_or_else(|_| Err("it was deleted while it started".to_owned()))
    }

    /// Sets what falls to it of its service's own instance counts.
    pub(super) fn set_allotment(self: &Arc<Self>, allotment: Allotment) {
        self.change(|state, now, actions| state.set_allotment(now, allotment, actions));
    }

    /// Whether any route leads here.
    pub(super) fn is_routed(&self) -> bool {
        lock(&self.state).is_routed()
    }

    /// Whether no route leads here and no instance is left.
    pub(super) fn is_dormant(&self) -> bool {
        lock(&self.state).is_dormant()
    }

    /// Sets whether any route leads here.
    pub(super) fn set_routed(self: &Arc<Self>, routed: bool) {
        self.change(|state, now, actions| state.set_routed(now, routed, actions));
        self.woken.notify_one();
    }

    /// Stops every instance and waits until they are gone.
    pub(super) async fn delete(self: &Arc<Self>) {
        self.change(State::stop_all);
        loop {
            let emptied = self.emptied.notified();
            if lock(&self.state).is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// A slot, if one is free and nobody waits: of the instance of this session, else of any.
    pub(super) fn try_acquire(self: &Arc<Self>, session: Option<InstanceId>) -> Option<Slot> {
        let (id, instance) = {
            let mut state = lock(&self.state);
            let now = self.now();
            session.and_then(|id| state.admit_to(now, id)).or_else(|| state.admit(now))?
        };
        Some(Slot::new(self, id, instance))
    }

    /// Waits in the queue for a slot.
    pub(super) async fn acquire(self: &Arc<Self>, deadline: Instant) -> Result<Slot, Refusal> {
        let since = self.now();
        let (sender, slot) = oneshot::channel();
        let queued = self.change(|state, now, actions| match state.admit(now) {
            // One became free since the caller looked.
            Some((id, instance)) => Ok(Err(Slot::new(self, id, instance))),
            None => state.enqueue(now, sender, actions).map(Ok),
        });
        let ticket = match queued {
            Ok(Ok(ticket)) => ticket,
            Ok(Err(slot)) => return Ok(slot),
            Err(refusal) => return Err(self.refused(refusal, Micros::ZERO)),
        };
        let _waiting = Waiting { revision: self, ticket };
        let slot = tokio::time::timeout_at(deadline, slot).await;
        let waited = self.now() - since;
        match slot {
            Ok(Ok(Ok(slot))) => Ok(slot.after(waited)),
            Ok(Ok(Err(refusal))) => Err(self.refused(refusal, waited)),
            Ok(Err(_)) => Err(self.refused(Refusal::NoInstance, waited)),
            Err(_) => Err(self.refused(Refusal::TimedOut, waited)),
        }
    }

    /// What it did since the last call; `None` if it neither has instances nor did anything.
    pub(super) fn sample(&self) -> Option<RevisionSample> {
        let now = self.now();
        let period = now - std::mem::replace(&mut *lock(&self.sampled), now);
        let (mut sample, empty) = {
            let mut state = lock(&self.state);
            (state.sample(now), state.is_empty())
        };
        sample.endings = self.endings.sample();
        sample.probes = self.counts.probes.take();
        sample.network_bytes = self.counts.traffic.take();
        if empty && sample == RevisionSample::default() {
            return None;
        }
        let gauges: Vec<_> = lock(&self.gauges).values().cloned().collect();
        measure(&mut sample, &gauges, (&self.spec, self.host.cores_per_vcpu, period));
        sample.cpu_allocation_vcpu_s = sample.billable_instance_time_s * self.spec.vcpu.0;
        sample.memory_allocation_gib_s = sample.billable_instance_time_s * self.spec.memory.0;
        sample.service.clone_from(&self.spec.service);
        sample.revision.clone_from(&self.spec.revision);
        Some(sample)
    }

    /// What its instances are doing; `None` if it has none, nobody waits for one, and all ended as they should.
    pub(super) fn glance(&self) -> Option<RevisionGlance> {
        let glance = lock(&self.state).glance(self.now());
        let last_ending = self.endings.last();
        if glance.instances.is_empty() && glance.pending == 0 && last_ending.is_none() {
            return None;
        }
        let (service, revision) = (self.spec.service.clone(), self.spec.revision.clone());
        Some(RevisionGlance { service, revision, endings: self.endings.ever(), last_ending, ..glance })
    }

    /// Tells the journal of one of its instances.
    pub(super) fn tell(&self, id: InstanceId, severity: Severity, message: impl Into<String>) {
        self.host.journal.tell(|| {
            let event = Event::new(severity, message);
            event.of_service(&self.spec.service).of_revision(&self.spec.revision).of_instance(id)
        });
    }

    /// Microseconds since it was created.
    pub(super) fn now(&self) -> Micros {
        Micros::of(self.epoch.elapsed())
    }

    /// A slot of this instance is free again; see [`State::finish`].
    pub(super) fn release(self: &Arc<Self>, id: InstanceId, ended: impl FnOnce(Micros) -> Option<Ended>) {
        self.change(|state, now, actions| state.finish(now, id, ended(now), actions));
    }

    /// Changes the state under the lock, then does what the change asks for.
    fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut State<Tasks>, Micros, &mut Vec<Action<Tasks>>) -> R) -> R {
        let now = self.now();
        let mut actions = Vec::new();
        let result = change(&mut lock(&self.state), now, &mut actions);
        for action in actions {
            match action {
                Action::Start(id, stop) => {
                    self.woken.notify_one();
                    drop(tokio::spawn(Arc::clone(self).run_instance(id, stop)));
                }
                Action::Stop(stop) => stop.notify_one(),
                // A waiter that is gone drops the slot, which frees it.
                Action::Admit(waiter, id, instance) => drop(waiter.send(Ok(Slot::new(self, id, instance)))),
                Action::Refuse(waiter, refusal) => drop(waiter.send(Err(refusal))),
            }
        }
        result
    }

    fn refused(&self, refusal: Refusal, waited: Micros) -> Refusal {
        lock(&self.state).record_refused(refusal.status().as_u16(), waited);
        refusal
    }

    /// The life of an instance, from its process's start to its end.
    async fn run_instance(self: Arc<Self>, id: InstanceId, stop: Arc<Notify>) {
        let started = self.host.start(&self.spec, &self.policy, (id, &stop, &self.counts)).await;
        match started {
            Ok(mut process) => {
                lock(&self.gauges).insert(id, Arc::clone(&process.gauge));
                let instance = Arc::clone(&process.instance);
                self.change(|state, now, actions| state.ready(now, id, instance, actions));
                self.tell(id, Severity::Info, "the instance listens");
                self.tell_first(Ok(()));
                let attend = |begins| self.change(|state, now, _| state.attend(now, id, begins));
                let watch = (&self.counts.probes, attend);
                let (ending, message) = process.run_until(&stop, (&self.spec, self.policy.shutdown_grace), watch).await;
                self.endings.note(id, ending, message);
                if ending == Ending::Stopped {
                    self.host.forget_log(&process.log);
                }
                lock(&self.gauges).remove(&id);
                self.host.bury(process).await;
                let severity = if ending == Ending::Stopped { Severity::Info } else { Severity::Error };
                self.tell(id, severity, format!("the instance has ended: {ending}"));
            }
            Err(StartError::Stopped) => self.endings.note(id, Ending::Stopped, String::new()),
            Err(StartError::Failed(cause)) => {
                self.endings.note(id, Ending::NeverReady, cause.clone());
                self.host.report(&self.spec, id, &cause);
                self.tell(id, Severity::Error, format!("the instance did not become ready: {cause}"));
                self.tell_first(Err(cause));
            }
        }
        self.change(|state, now, actions| state.gone(now, id, actions));
        self.emptied.notify_waiters();
    }

    /// How its instances have ended so far.
    pub(super) fn endings(&self) -> BTreeMap<Ending, u64> {
        self.endings.ever()
    }

    fn tell_first(&self, result: Result<(), String>) {
        if let Some(first) = lock(&self.first).take() {
            // Who created the revision may have been cut off; the revision stays.
            drop(first.send(result));
        }
    }

    /// vCPUs that all instances used since the last call.
    fn cpu_used(&self, elapsed: Micros) -> f64 {
        let gauges: Vec<_> = lock(&self.gauges).values().cloned().collect();
        let used: f64 = gauges.iter().filter_map(|gauge| gauge.cpu_since_bucket()).map(|used| used.as_secs_f64()).sum();
        used / elapsed.seconds().max(1e-6) / self.host.cores_per_vcpu
    }
}

/// Observes a revision once per bucket, as long as it exists. While it has neither a route nor an instance there is
/// nothing to be seen: a platform may have hundreds of such revisions.
async fn observe(revision: Weak<Revision>) {
    let Some((bucket, woken)) = revision.upgrade().map(|it| (it.policy.bucket, Arc::clone(&it.woken))) else { return };
    let mut interval = tokio::time::interval(bucket.max(std::time::Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Micros::ZERO;
    loop {
        interval.tick().await;
        let Some(observed) = revision.upgrade() else { return };
        let now = observed.now();
        let cpu = observed.cpu_used(now - before);
        before = now;
        observed.change(|state, now, actions| state.service(now, cpu, actions));
        if observed.is_dormant() {
            drop(observed);
            woken.notified().await;
            let Some(observed) = revision.upgrade() else { return };
            before = observed.now();
        }
    }
}

impl Drop for Revision {
    fn drop(&mut self) {
        // Whoever observes it ends with it.
        self.woken.notify_one();
    }
}

/// Leaves the queue when the client goes away.
struct Waiting<'a> {
    revision: &'a Revision,
    ticket: Ticket,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.revision.state).abandon(self.revision.now(), self.ticket);
    }
}
