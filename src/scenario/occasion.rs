//! What a journey is begun for: its place in the plan, and when it is due. Counters, rows of data and timestamps come
//! from it, so that they are the same whatever the order in which journeys really run.

use super::{Arrival, Iteration, Plan};
use jiff::Timestamp;
use std::time::Duration;

/// What a journey is begun for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// Index into `Scenario::journeys`.
    pub journey: usize,
    /// Running number from 0 among the arrivals of the plan. In the closed model session s of virtual user v of V has
    /// the number s · V + v, so that no two sessions share one.
    pub index: u64,
    /// Which virtual user, in the closed model.
    pub virtual_user: Option<u32>,
    /// When the load started.
    pub load_start: Timestamp,
    /// When the first step is due, since then.
    pub due: Duration,
    /// Which recorded request it is, where those are sent again.
    pub request: Option<u32>,
}

impl Occasion {
    /// The occasion of an arrival.
    #[must_use]
    pub fn of_arrival(arrival: &Arrival, load_start: Timestamp) -> Self {
        let Arrival { index, due, journey, request, .. } = *arrival;
        Self { journey, index, virtual_user: None, load_start, due, request }
    }

    /// The occasion of a session of a virtual user that is `due` since the start of the load.
    #[must_use]
    pub fn of_iteration(plan: &Plan, iteration: &Iteration, load_start: Timestamp, due: Duration) -> Self {
        let Iteration { virtual_user, index, journey } = *iteration;
        let number = index.wrapping_mul(u64::from(plan.virtual_users())).wrapping_add(u64::from(virtual_user));
        Self { journey, index: number, virtual_user: Some(virtual_user), load_start, due, request: None }
    }

    /// When the first step is due.
    pub(super) fn time(&self) -> Timestamp {
        self.load_start.saturating_add(self.due).unwrap_or(Timestamp::MAX)
    }
}
