//! How many instances a revision has: what its autoscaler wants, what falls to it of its service's own counts, and what
//! becomes of those that are too many.

use super::{Action, Allotment, AutoscalerKind, Eligible, Micros, Phase, Recommended, Refusal, State, World};

impl<T: World> State<T> {
    /// Sets what falls to the revision of its service's own instance counts. In force at once if it has traffic.
    pub(in crate::platform) fn set_allotment(
        &mut self,
        now: Micros,
        allotment: Allotment,
        actions: &mut Vec<Action<T>>,
    ) {
        self.advance(now);
        self.allotment = allotment;
        self.apply_bounds(now, actions);
        self.sweep(now, actions);
    }

    /// Tells the autoscaler what its bounds are now, and starts what they ask for at least.
    pub(super) fn apply_bounds(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        self.autoscaler.set_instances(self.instances_min(), self.instances_max());
        if let Some(manual) = self.manual() {
            self.desired = manual;
        }
        let missing = self.instances_min().saturating_sub(self.roster.supply());
        self.start(now, missing, actions);
        self.admit_pending(now, actions);
    }

    pub(super) fn tick(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        let decision = self.autoscaler.tick(now, &self.snapshot(now));
        self.recommended = Some(Recommended { by_cpu: decision.by_cpu, by_concurrency: decision.by_concurrency });
        self.desired = match self.manual() {
            _ if self.retired => 0,
            Some(manual) => manual,
            None => decision.desired,
        };
        let missing = self.desired.saturating_sub(self.roster.supply());
        if self.pause.is_over(now) && !self.waits_for_a_request() {
            self.start(now, missing, actions);
        }
    }

    /// Whether it is at zero: from there only a request starts an instance of Cloud Run, whatever the last minute's average
    /// asks for ("About instance autoscaling", 2026-11-22).
    fn waits_for_a_request(&self) -> bool {
        !self.is_strict() && self.roster.supply() == 0 && self.queue.is_empty() && self.instances_min() == 0
    }

    pub(super) fn start_on_demand(&mut self, now: Micros, actions: &mut Vec<Action<T>>) {
        if !self.queue.is_empty() && self.pause.is_over(now) {
            let count = match self.manual() {
                Some(manual) => manual.saturating_sub(self.roster.supply()),
                None => self.autoscaler.on_no_capacity(&self.snapshot(now)),
            };
            self.start(now, count, actions);
        }
    }

    /// Where instances beyond `desired` are stopped, what was started is wanted until the next tick says otherwise.
    pub(super) fn keep_started(&mut self, count: u32) {
        if count > 0 && self.is_strict() && self.manual().is_none() {
            self.desired = self.desired.max(self.roster.supply());
        }
    }

    pub(super) fn eligible(&self) -> Eligible {
        Eligible {
            desired: self.desired,
            spills: !self.is_strict() || self.retired,
            max_concurrency: self.bounds.max_concurrency,
        }
    }

    /// Whether this instance is one too many and holds no request: Knative and manual scaling stop what is not wanted,
    /// the youngest first, where Cloud Run lets it idle. A
    /// revision that has lost its traffic stops by its own rule.
    pub(super) fn is_surplus(&self, place: usize) -> bool {
        let Some(member) = self.roster.members.get(place).filter(|_| self.is_strict() && !self.retired) else {
            return false;
        };
        member.phase != Phase::Draining
            && member.in_flight == 0
            && self.roster.supply() > self.desired.max(self.instances_min())
    }

    /// Whether there is nothing that could take a request, and never will be by itself.
    pub(super) fn is_switched_off(&self) -> bool {
        self.manual() == Some(0) && self.roster.supply() == 0
    }

    /// What a request is refused with when too many wait already: Knative's activator answers 503, Cloud Run 429.
    pub(super) fn refusal_when_full(&self) -> Refusal {
        match self.autoscaler.policy().autoscaler {
            AutoscalerKind::CloudRun => Refusal::NoRoom,
            AutoscalerKind::Knative => Refusal::NoInstance,
        }
    }

    pub(super) fn instances_min(&self) -> u32 {
        let automatic = self.bounds.min_instances.max(self.allotment.min).min(self.instances_max());
        if self.routed { self.manual().unwrap_or(automatic) } else { 0 }
    }

    fn instances_max(&self) -> u32 {
        self.allotment.max.map_or(self.bounds.max_instances, |most| most.min(self.bounds.max_instances))
    }

    /// Under manual scaling: so many instances, always.
    fn manual(&self) -> Option<u32> {
        self.allotment.manual.filter(|_| self.routed)
    }

    /// Whether instances beyond `desired` get no request and are stopped.
    fn is_strict(&self) -> bool {
        self.manual().is_some() || self.autoscaler.policy().autoscaler == AutoscalerKind::Knative
    }
}
