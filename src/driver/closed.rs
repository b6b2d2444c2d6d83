//! The closed model: virtual users who wait for answers, exactly as many as the plan says at any time. Each has a
//! connection of its own and runs one session after another: as soon as the one before has ended, or at a fixed pace. At
//! a pace, the wait of a session that is due while the one before is under way is blocked time, and one that is never
//! begun for that reason is dropped, not forgotten.

use super::journey::Prepared;
use super::load::{Load, later};
use crate::scenario::Occasion;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Begins all virtual users that the plan ever has; each waits until it is on.
pub(super) fn begin(load: &Arc<Load>, under_way: &mut JoinSet<()>) {
    for virtual_user in load.plan.virtual_user_numbers() {
        under_way.spawn(run(Arc::clone(load), virtual_user));
    }
}

/// Runs sessions while the plan has this virtual user on. One that is taken off ends its session first, so that no
/// journey is cut in the middle.
async fn run(load: Arc<Load>, virtual_user: u32) {
    let mut connection = None;
    let mut turns = Turns::new(&load, virtual_user);
    // When the session before ended, its last think time included.
    let mut free = load.start;
    while let Some(due) = turns.due {
        let iteration = load.plan.iteration(virtual_user, turns.index, due);
        let draws = load.plan.draws_of_iteration(virtual_user, turns.index);
        let occasion = Occasion::of_iteration(&load.plan, &iteration, load.started_at, due);
        let mut prepared = Prepared::new(&load, &occasion, draws);
        let due = later(load.start, due);
        if due > Instant::now() {
            let mut closing = load.closing.subscribe();
            tokio::select! {
                () = load.timer.sleep_until(due) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        } else if turns.is_off_by_now() {
            turns.drop_session();
            continue;
        }
        if *load.closing.borrow() {
            return;
        }
        turns.begin();
        let finished = prepared.run(&load, due, free.saturating_duration_since(due), &mut connection).await;
        if finished.failed {
            // A target that refuses at once must not keep the others, or the end of the run, from their turn.
            tokio::task::yield_now().await;
        }
        free = finished.next_due;
        turns.ended(load.since_start(free));
    }
}

/// When a virtual user's sessions are due. Dropping this drops those that came due and were never begun, whatever ended
/// the virtual user: so the books hold them even when the run is cut.
struct Turns {
    load: Arc<Load>,
    virtual_user: u32,
    /// The next session's number.
    index: u64,
    /// When it is due, since the start of the load; `None` when there is none left. Without a pace that is not known while
    /// a session is under way.
    due: Option<Duration>,
    pace: Option<Duration>,
}

impl Turns {
    fn new(load: &Arc<Load>, virtual_user: u32) -> Self {
        let (due, pace) = (load.plan.virtual_user_on_from(virtual_user, Duration::ZERO), load.plan.pace());
        Self { load: Arc::clone(load), virtual_user, index: 0, due, pace }
    }

    fn on_from(&self, time: Duration) -> Option<Duration> {
        self.load.plan.virtual_user_on_from(self.virtual_user, time)
    }

    /// The next session begins: with a pace, the one after it is due then, not earlier and not later.
    fn begin(&mut self) {
        self.index += 1;
        let next = self.due.zip(self.pace).map(|(due, pace)| due.saturating_add(pace));
        self.due = next.and_then(|next| self.on_from(next));
    }

    /// The session has ended; without a pace the next is due `free`.
    fn ended(&mut self, free: Duration) {
        if self.pace.is_none() {
            self.due = self.on_from(free);
        }
    }

    /// Whether the next session, due at its pace, came due while this virtual user was on, and now it is off.
    fn is_off_by_now(&self) -> bool {
        let now = self.load.since_start(Instant::now());
        self.pace.is_some() && self.load.plan.virtual_users_at(now) <= self.virtual_user
    }

    /// The next session is never begun.
    fn drop_session(&mut self) {
        let Some(due) = self.due else { return };
        let journey = self.load.plan.iteration(self.virtual_user, self.index, due).journey;
        self.load.record(|recorder| recorder.never_begun(journey, due, due));
        self.begin();
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        if self.pace.is_none() {
            return;
        }
        let now = self.load.since_start(Instant::now());
        while self.due.is_some_and(|due| due <= now) {
            self.drop_session();
        }
    }
}
