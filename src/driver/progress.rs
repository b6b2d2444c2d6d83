//! How far a drive is, told four times a second.

use super::abort::Reading;
use super::load::Load;
use super::recorder::Standing;
use crate::scenario::Plan;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(250);
/// A rate is told over no less than this: the first reading comes at once, and one arrival in a millisecond is no rate.
const RATE_SECONDS_MIN: f64 = 0.1;
/// How many readings make the second that rates are told over.
const READINGS: usize = 4;
/// Arrivals counted one after another before sendings that are due get their turn: some ten microseconds' work.
const COUNTED_AT_ONCE: u64 = 128;

/// How far a drive is, sent about four times a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the start of the load.
    pub elapsed: Duration,
    /// Length of the plan.
    pub total: Duration,
    /// The stage that is on and when it ends, since the start of the load; `None` before the first and after the last.
    pub stage: Option<(String, Duration)>,
    /// Requests per second that became due over the last second.
    pub offered_rate: f64,
    /// Requests per second completed over the last second.
    pub achieved_rate: f64,
    /// Median response time over the last few seconds.
    pub response_time_p50: Duration,
    /// Response time p90 over the last few seconds.
    pub response_time_p90: Duration,
    /// Response time p99 over the last few seconds.
    pub response_time_p99: Duration,
    /// Response times of the last few seconds: counts by the upper bounds of their bars, ascending.
    pub histogram: Vec<(Duration, u64)>,
    /// The driver's own lateness p99 so far.
    pub lateness_p99: Duration,
    /// Requests in flight.
    pub in_flight: u64,
    /// Arrivals that are due and wait for room.
    pub waiting: u64,
    /// Sendings so far that had to wait for room.
    pub blocked: u64,
    /// Requests answered as expected so far.
    pub completed: u64,
    /// Failures so far.
    pub failed: u64,
}

/// Tells `sender` how `load` is doing, for as long as it is polled, and `abort` when a rule ends it.
pub(super) async fn tell(load: Arc<Load>, sender: watch::Sender<Progress>, abort: oneshot::Sender<()>) {
    let mut abort = Some(abort);
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
            if arrivals_due % COUNTED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        let standing = load.record(|recorder| recorder.standing(elapsed));
        let due = arrivals_due + standing.later_due;
        let (then, due_then, completed_then) = readings.front().copied().unwrap_or_default();
        let seconds = elapsed.saturating_sub(then).as_secs_f64();
        let rate = |now: u64, then: u64| if seconds >= RATE_SECONDS_MIN { (now - then) as f64 / seconds } else { 0.0 };
        readings.push_back((elapsed, due, standing.completed));
        if readings.len() > READINGS {
            readings.pop_front();
        }
        let reading = Reading { now: elapsed, due, completed: standing.completed };
        let rates = (rate(due, due_then), rate(standing.completed, completed_then));
        sender.send_replace(progress(&load.plan, elapsed, arrivals_due, rates, standing));
        // What comes after the end of the plan is the drain's: nothing is left to be ended.
        if abort.is_some()
            && elapsed < load.plan.duration()
            && load.record(|recorder| recorder.judge(reading))
            && let Some(abort) = abort.take()
        {
            // Nobody listens when the load is ending anyway.
            let _ = abort.send(());
        }
    }
}

fn progress(
    plan: &Plan,
    elapsed: Duration,
    arrivals_due: u64,
    (offered_rate, achieved_rate): (f64, f64),
    standing: Standing,
) -> Progress {
    let Standing { completed, failed, in_flight, begun, blocked, lateness_p99, recent, .. } = standing;
    let stage = plan.stage_at(elapsed);
    Progress {
        elapsed,
        total: plan.duration(),
        stage: stage.map(|stage| (plan.scenario().stages[stage.index].name.clone(), stage.end)),
        offered_rate,
        achieved_rate,
        response_time_p50: recent.p50,
        response_time_p90: recent.p90,
        response_time_p99: recent.p99,
        histogram: recent.histogram,
        lateness_p99,
        in_flight,
        waiting: arrivals_due.saturating_sub(begun),
        blocked,
        completed,
        failed,
    }
}

/// Resolves when the load is `stopped` or a rule has `aborted` it.
pub(super) async fn either(stopped: impl Future<Output = ()>, aborted: oneshot::Receiver<()>) {
    let aborted = async {
        if aborted.await.is_err() {
            // Nobody is left who could.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        // Asked first: what is stopped before it began begins nothing.
        biased;
        () = stopped => {}
        () = aborted => {}
    }
}
