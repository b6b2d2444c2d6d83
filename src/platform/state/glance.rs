//! A look at a revision that changes nothing.

use super::State;
use crate::autoscaler::Micros;
use crate::platform::glance::{InstanceGlance, InstancePhase, RevisionGlance};
use crate::platform::roster::Phase;
use crate::platform::world::World;

impl<T: World> State<T> {
    /// Instances and queue; the names are left to the caller.
    pub(in crate::platform) fn glance(&self, now: Micros) -> RevisionGlance {
        let instances = self.roster.members.iter().map(|member| InstanceGlance {
            number: member.id,
            phase: match member.phase {
                Phase::Starting => InstancePhase::Starting,
                Phase::Ready if member.in_flight > 0 => InstancePhase::Active,
                Phase::Ready => InstancePhase::Idle,
                Phase::Draining => InstancePhase::Stopping,
            },
            in_flight: member.in_flight,
            age: (now - member.started).duration(),
        });
        RevisionGlance {
            max_concurrency: self.bounds.max_concurrency,
            pending: self.queue.len() as u64,
            instances: instances.collect(),
            ..RevisionGlance::default()
        }
    }
}
