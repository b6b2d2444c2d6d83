//! The instances of a revision, oldest first.

use super::meter::Meter;
use super::router::Eligible;
use super::world::{InstanceId, World};
use crate::autoscaler::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its process runs, its port is not open yet.
    Starting,
    /// Takes requests.
    Ready,
    /// Was told to stop.
    Draining,
}

/// An instance.
pub(super) struct Member<T: World> {
    pub(super) id: InstanceId,
    pub(super) phase: Phase,
    pub(super) handle: Option<T::Handle>,
    pub(super) stop: T::Stop,
    pub(super) started: Micros,
    pub(super) idle_since: Micros,
    pub(super) in_flight: u32,
    /// Most simultaneous requests since the last sample.
    pub(super) peak: u32,
    pub(super) meter: Meter,
}

impl<T: World> Member<T> {
    /// An instance whose process starts now; its start-up is metered.
    pub(super) fn starting(id: InstanceId, now: Micros, slice: Micros) -> Self {
        let mut meter = Meter::new(slice);
        meter.begin(now);
        let stop = T::Stop::default();
        Self {
            id,
            phase: Phase::Starting,
            handle: None,
            stop,
            started: now,
            idle_since: now,
            in_flight: 0,
            peak: 0,
            meter,
        }
    }
}

/// All instances of a revision, ascending by number.
pub(super) struct Roster<T: World> {
    pub(super) members: Vec<Member<T>>,
}

impl<T: World> Roster<T> {
    /// The instance of this number.
    pub(super) fn find(&mut self, id: InstanceId) -> Option<&mut Member<T>> {
        let place = self.place(id)?;
        self.members.get_mut(place)
    }

    /// Takes the instance of this number out.
    pub(super) fn remove(&mut self, id: InstanceId) -> Option<Member<T>> {
        let place = self.place(id)?;
        Some(self.members.remove(place))
    }

    /// How many are in this phase.
    pub(super) fn count(&self, phase: Phase) -> u32 {
        self.count_if(|member| member.phase == phase)
    }

    /// How many take requests or will.
    pub(super) fn supply(&self) -> u32 {
        self.count_if(|member| member.phase != Phase::Draining)
    }

    /// How many requests those of the ready ones that are eligible could take now.
    pub(super) fn free_slots(&self, eligible: Eligible) -> u32 {
        let ready = self.members.iter().filter(|member| member.phase == Phase::Ready).enumerate();
        let free = ready.map(|(rank, member)| eligible.room(rank, member.in_flight));
        free.fold(0, u32::saturating_add)
    }

    /// How many of them are so.
    pub(super) fn count_if(&self, which: impl Fn(&Member<T>) -> bool) -> u32 {
        u32::try_from(self.members.iter().filter(|member| which(member)).count()).unwrap_or(u32::MAX)
    }

    /// Where the instance of this number stands.
    pub(super) fn place(&self, id: InstanceId) -> Option<usize> {
        self.members.binary_search_by_key(&id, |member| member.id).ok()
    }
}
