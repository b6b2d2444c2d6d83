//! Which instance gets the next request: pure, its draws come from a seed.

use super::roster::{Member, Phase, Roster};
use super::world::{InstanceId, World};
use crate::autoscaler::Routing;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Who may get a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Eligible {
    /// The oldest ready instances, so many of them, come first.
    pub(super) desired: u32,
    /// The younger ones get a request when none of those has room; otherwise never.
    pub(super) spills: bool,
    /// Nobody ever holds more than so many.
    pub(super) max_concurrency: u32,
}

impl Eligible {
    /// Whether the ready instance of this rank by age, from 0, belongs to the first ones.
    fn is_first(self, rank: usize) -> bool {
        u32::try_from(rank).is_ok_and(|rank| rank < self.desired)
    }

    /// Whether this instance may get a request: ready, with room, and not beyond those that are wanted.
    pub(super) fn admits<T: World>(self, roster: &Roster<T>, place: usize) -> bool {
        let Some(member) = roster.members.get(place) else { return false };
        let rank = roster.members[..place].iter().filter(|older| older.phase == Phase::Ready).count();
        member.phase == Phase::Ready && self.room(rank, member.in_flight) > 0
    }

    /// How many more requests the ready instance of this rank may get that holds so many.
    pub(super) fn room(self, rank: usize, in_flight: u32) -> u32 {
        if self.spills || self.is_first(rank) { self.max_concurrency.saturating_sub(in_flight) } else { 0 }
    }
}

/// The choice among a revision's instances.
pub(super) struct Router {
    routing: Routing,
    draws: ChaCha8Rng,
    /// Who got the last request.
    last: InstanceId,
}

impl Router {
    /// Chooses in this way.
    pub(super) fn new(routing: Routing, seed: u64) -> Self {
        Self { routing, draws: ChaCha8Rng::seed_from_u64(seed), last: 0 }
    }

    /// The place of the instance that gets the next request; `None` if no eligible one has room.
    pub(super) fn choose<T: World>(&mut self, roster: &Roster<T>, eligible: Eligible) -> Option<usize> {
        let with_room = |first: bool| {
            let ready = roster.members.iter().enumerate().filter(|(_, member)| member.phase == Phase::Ready);
            ready.enumerate().filter_map(move |(rank, (place, member))| {
                let fits = eligible.is_first(rank) == first && member.in_flight < eligible.max_concurrency;
                fits.then_some((place, member))
            })
        };
        let place = match self.among(&with_room(true)) {
            None if eligible.spills => self.among(&with_room(false)),
            place => place,
        }?;
        self.last = roster.members[place].id;
        Some(place)
    }

    fn among<'a, T: World + 'a>(
        &mut self,
        candidates: &(impl Iterator<Item = (usize, &'a Member<T>)> + Clone),
    ) -> Option<usize> {
        let mut all = candidates.clone();
        let (place, _) = match self.routing {
            // The oldest among equals.
            Routing::LeastLoaded => all.min_by_key(|(_, member)| member.in_flight),
            Routing::FillFirst => all.next(),
            Routing::RoundRobin => all.find(|(_, member)| member.id > self.last).or_else(|| candidates.clone().next()),
            Routing::TwoChoices => match candidates.clone().count() {
                0 | 1 => all.next(),
                count => {
                    let first = self.draws.random_range(0..count);
                    // Of the others: the one drawn first is passed over.
                    let second = self.draws.random_range(0..count - 1);
                    let second = second + usize::from(second >= first);
                    let drawn = [first, second].map(|rank| candidates.clone().nth(rank));
                    drawn.into_iter().flatten().min_by_key(|(_, member)| member.in_flight)
                }
            },
        }?;
        Some(place)
    }
}

#[cfg(test)]
mod tests;
