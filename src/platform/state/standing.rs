//! How a revision stands beside its requests: whether it is routed, has instances, whether anything happens to it, and which of its
//! instances is being probed.

use super::State;
use crate::autoscaler::Micros;
use crate::platform::world::{InstanceId, World};

impl<T: World> State<T> {
    /// Whether any route leads here.
    pub(in crate::platform) fn is_routed(&self) -> bool {
        self.routed
    }

    /// Whether any instance is left, in whatever phase.
    pub(in crate::platform) fn is_empty(&self) -> bool {
        self.roster.members.is_empty()
    }

    /// Whether nothing happens to it until it is routed or an instance is started.
    pub(in crate::platform) fn is_dormant(&self) -> bool {
        self.roster.members.is_empty() && self.queue.is_empty() && !self.routed
    }

    /// A liveness probe of an instance begins or ends: while it lasts the instance has its CPU, and is billed.
    pub(in crate::platform) fn attend(&mut self, now: Micros, id: InstanceId, begins: bool) {
        self.advance(now);
        match self.roster.find(id) {
            Some(member) if begins => member.meter.begin(now),
            Some(member) => member.meter.end(now),
            None => {}
        }
    }
}
