//! The open model: arrivals come when the plan says, whatever the service does. Beyond `max_in_flight` journeys they
//! wait in order, and the wait is blocked time.

use super::connection::Connection;
use super::journey::Prepared;
use super::load::{Load, later};
use crate::scenario::{Arrival, Occasion};
use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Arrivals begun one after another without a pause before the others get a turn.
const BURST: u32 = 16;

/// Begins a journey for each of `arrivals` when it is due and there is room. An arrival is taken from the iterator in
/// the moment that its journey begins, so what is left in there was never begun. That iterator is also the queue of
/// those who wait: they need no memory.
pub(super) async fn send(
    load: &Arc<Load>,
    max_in_flight: u32,
    arrivals: &mut Peekable<impl Iterator<Item = Arrival>>,
    under_way: &mut JoinSet<()>,
) {
    let room = Arc::new(Room::new(max_in_flight));
    let mut begun_in_a_row = 0;
    while let Some(arrival) = arrivals.peek().copied() {
        let occasion = Occasion::of_arrival(&arrival, load.started_at);
        let prepared = Prepared::new(load, &occasion, load.plan.draws_of_arrival(arrival.index));
        let due = later(load.start, arrival.due);
        if due > Instant::now() {
            begun_in_a_row = 0;
            load.timer.sleep_until(due).await;
        } else if begun_in_a_row >= BURST {
            begun_in_a_row = 0;
            tokio::task::yield_now().await;
        }
        let place = room.take().await;
        arrivals.next();
        begun_in_a_row += 1;
        while under_way.try_join_next().is_some() {}
        under_way.spawn(run(Arc::clone(load), prepared, due, place));
        if begun_in_a_row == 1 {
            // What was just begun is sent before the next one is prepared.
            tokio::task::yield_now().await;
        }
    }
}

async fn run(load: Arc<Load>, mut prepared: Prepared, due: Instant, mut place: Place) {
    let blocked = place.free_since.map_or(Duration::ZERO, |free| free.saturating_duration_since(due));
    prepared.run(&load, due, blocked, &mut place.connection).await;
}

/// Room for so many journeys at once, and the connections of those that ended.
struct Room {
    places: Mutex<Places>,
    freed: Notify,
}

struct Places {
    /// Places that were never taken.
    unused: u32,
    /// When each of the others that are free was freed, longest ago first.
    freed: VecDeque<Instant>,
    /// Connections nobody uses, the one used last at the end: it is the least likely to be closed by now.
    idle: Vec<Connection>,
}

/// A place for one journey. Dropping it frees the place and keeps its connection for the next one.
struct Place {
    room: Arc<Room>,
    /// Since when it was free; `None` when it was never taken before.
    free_since: Option<Instant>,
    connection: Option<Connection>,
}

impl Room {
    fn new(places: u32) -> Self {
        let places = Places { unused: places, freed: VecDeque::new(), idle: Vec::new() };
        Self { places: Mutex::new(places), freed: Notify::new() }
    }

    /// Waits for a free place. The one that was freed first is given first, so that what waited for it learns how long
    /// there was really no room.
    async fn take(self: &Arc<Self>) -> Place {
        loop {
            if let Some(place) = self.try_take() {
                return place;
            }
            self.freed.notified().await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let mut places = self.places();
        let free_since = if places.unused > 0 {
            places.unused -= 1;
            None
        } else {
            Some(places.freed.pop_front()?)
        };
        let mut connection = places.idle.pop();
        while connection.as_mut().is_some_and(Connection::is_closed) {
            connection = places.idle.pop();
        }
        Some(Place { room: Arc::clone(self), free_since, connection })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.room.places();
        places.freed.push_back(Instant::now());
        places.idle.extend(self.connection.take().filter(Connection::is_free));
        drop(places);
        self.room.freed.notify_one();
    }
}
