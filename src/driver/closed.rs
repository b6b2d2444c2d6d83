//! The closed model: virtual users who wait for answers, exactly as many as the plan says at any time. Each has a
//! connection of its own and runs one session after another.

use super::journey::Prepared;
use super::load::{Load, later};
use crate::scenario::{Occasion, Plan};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Begins all virtual users that the plan ever has; each waits until it is on.
pub(super) fn begin(load: &Arc<Load>, under_way: &mut JoinSet<()>) {
    for virtual_user in 0..load.plan.virtual_users() {
        under_way.spawn(run(Arc::clone(load), virtual_user));
    }
}

/// Runs sessions while the plan has this virtual user on. One that is taken off ends its session first, so that no
/// journey is cut in the middle.
async fn run(load: Arc<Load>, virtual_user: u32) {
    let mut connection = None;
    let mut index = 0;
    let mut next = load.start;
    while let Some(on) = on_from(&load.plan, virtual_user, load.since_start(next)) {
        let due = next.max(later(load.start, on));
        let iteration = load.plan.iteration(virtual_user, index);
        let draws = load.plan.draws_of_iteration(virtual_user, index);
        let occasion = Occasion::of_iteration(&load.plan, &iteration, load.started_at, load.since_start(due));
        let prepared = Prepared::new(&load, &occasion, draws);
        if due > Instant::now() {
            let mut closing = load.closing.subscribe();
            tokio::select! {
                () = load.timer.sleep_until(due) => {}
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
        if *load.closing.borrow() {
            return;
        }
        let finished = prepared.run(&load, due, Duration::ZERO, &mut connection).await;
        if finished.failed {
            // A target that refuses at once must not keep the others, or the end of the run, from their turn.
            tokio::task::yield_now().await;
        }
        next = finished.next_due;
        index += 1;
    }
}

/// From when on, at or after `from`, the plan has `virtual_user` on; `None` when it never has again. Within a stage the
/// number of virtual users moves in one direction, so the moment is found by halving, to the nanosecond.
fn on_from(plan: &Plan, virtual_user: u32, from: Duration) -> Option<Duration> {
    const STEP: Duration = Duration::from_nanos(1);
    let on = |at: Duration| plan.virtual_users_at(at) > virtual_user;
    for stage in plan.stages().iter().filter(|stage| stage.end > from) {
        let first = stage.start.max(from);
        let last = stage.end.saturating_sub(STEP);
        if on(first) {
            return Some(first);
        }
        if !on(last) {
            continue;
        }
        let (mut off_at, mut on_at) = (first, last);
        while on_at.saturating_sub(off_at) > STEP {
            let middle = off_at + on_at.saturating_sub(off_at) / 2;
            if on(middle) { on_at = middle } else { off_at = middle }
        }
        return Some(on_at);
    }
    None
}
