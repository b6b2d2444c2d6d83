//! How far a drive is, told four times a second.

use super::load::Load;
use super::recorder::Standing;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(250);
/// A rate is told over no less than this: the first reading comes at once, and one arrival in a millisecond is no rate.
const RATE_SECONDS_MIN: f64 = 0.1;
/// How many readings make the second that rates are told over.
const READINGS: usize = 4;

/// How far a drive is, sent about four times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the start of the load.
    pub elapsed: Duration,
    /// Length of the plan.
    pub total: Duration,
    /// Requests per second that became due over the last second.
    pub offered_rate: f64,
    /// Requests per second completed over the last second.
    pub achieved_rate: f64,
    /// Response time p99 over the last few seconds.
    pub response_time_p99: Duration,
    /// Requests in flight.
    pub in_flight: u64,
    /// Failures so far.
    pub failed: u64,
}

/// Tells `sender` how `load` is doing, for as long as it is polled.
pub(super) async fn tell(load: Arc<Load>, sender: watch::Sender<Progress>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A plan of its own, since arrivals that wait for room have not been taken from the load's plan yet.
    let mut arrivals = load.plan.arrivals().peekable();
    let mut arrivals_due = 0;
    let mut readings: VecDeque<(Duration, u64, u64)> = VecDeque::new();
    loop {
        ticks.tick().await;
        let elapsed = load.start.elapsed();
        while arrivals.next_if(|arrival| arrival.due <= elapsed).is_some() {
            arrivals_due += 1;
        }
        let standing = load.record(|recorder| recorder.standing(elapsed));
        let due = arrivals_due + standing.later_due;
        let (then, due_then, completed_then) = readings.front().copied().unwrap_or_default();
        let seconds = elapsed.saturating_sub(then).as_secs_f64();
        let rate = |now: u64, then: u64| if seconds >= RATE_SECONDS_MIN { (now - then) as f64 / seconds } else { 0.0 };
        let Standing { completed, failed, in_flight, response_time_p99, .. } = standing;
        sender.send_replace(Progress {
            elapsed,
            total: load.plan.duration(),
            offered_rate: rate(due, due_then),
            achieved_rate: rate(completed, completed_then),
            response_time_p99,
            in_flight,
            failed,
        });
        readings.push_back((elapsed, due, completed));
        if readings.len() > READINGS {
            readings.pop_front();
        }
    }
}
