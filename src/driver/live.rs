//! What became of a run in each of its seconds, for those who watch it. Nothing of it is recorded unless somebody does.

use super::load::Load;
use super::recorder::Flight;
use super::shape::Shape;
use crate::trial::{Live, LiveStep, StatusClass};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// What a drive keeps or tells beside what every recording holds.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Keep the histogram of every interval, so that the recording can be merged with those of other shards.
    pub interval_histograms: bool,
    /// Tell what became of every second as it ends.
    pub live: Option<mpsc::Sender<Live>>,
}

/// Length of a stretch, if whoever takes them is in time.
const LENGTH: Duration = Duration::from_secs(1);
/// How often is looked whether one has ended.
const EVERY: Duration = Duration::from_millis(250);

/// The stretch under way, and the one before it until it is taken. When it is not taken in time the stretch under way
/// grows longer: so memory is bounded however slow the taker is.
#[derive(Debug)]
pub(super) struct Stretches {
    empty: Live,
    current: Live,
    start: Duration,
    ended: Option<Live>,
}

impl Stretches {
    pub(super) fn new(shape: &Shape) -> Self {
        let steps = shape.steps.iter().map(|name| LiveStep { name: name.clone(), ..LiveStep::default() }).collect();
        let empty = Live { steps, ..Live::default() };
        Self { current: empty.clone(), empty, start: Duration::ZERO, ended: None }
    }

    pub(super) fn send(&mut self, flight: &Flight, in_flight: u64) {
        // What is in flight before this sending was so when the stretch ended.
        self.advance(flight.sent, in_flight.saturating_sub(1));
        self.current.sent += 1;
        self.current.lateness.record(flight.sent.saturating_sub(flight.due).saturating_sub(flight.blocked));
    }

    pub(super) fn settle(
        &mut self,
        flight: &Flight,
        done: Duration,
        (class, failed): (StatusClass, bool),
        in_flight: u64,
    ) {
        self.advance(done, in_flight + 1);
        let step = &mut self.current.steps[flight.step];
        *(if failed { &mut step.failed } else { &mut step.completed }) += 1;
        let times = step.classes.entry(class).or_default();
        times.response_time.record(done.saturating_sub(flight.due));
        times.service_time.record(done.saturating_sub(flight.sent));
        times.failed += u64::from(failed);
    }

    pub(super) fn drop_step(&mut self, step: usize) {
        self.current.steps[step].dropped += 1;
    }

    /// The stretch that ended before `now`, once.
    pub(super) fn take(&mut self, now: Duration, in_flight: u64) -> Option<Live> {
        self.advance(now, in_flight);
        self.ended.take()
    }

    /// What has not been taken, up to `now`.
    pub(super) fn rest(&mut self, now: Duration, in_flight: u64) -> Vec<Live> {
        let before = self.ended.take();
        self.end(now.max(self.start), in_flight);
        let empty = &self.empty.steps;
        let tells = |last: &Live| last.length_s > 0.0 || last.sent > 0 || last.steps != *empty;
        before.into_iter().chain(self.ended.take().filter(tells)).collect()
    }

    /// Ends the stretch under way at the last full second before `now`, if it has lasted one and the one before is taken.
    fn advance(&mut self, now: Duration, in_flight: u64) {
        if self.ended.is_none() && now >= self.start + LENGTH {
            self.end(Duration::from_secs(now.as_secs()), in_flight);
        }
    }

    fn end(&mut self, end: Duration, in_flight: u64) {
        let mut ended = std::mem::replace(&mut self.current, self.empty.clone());
        ended.start_s = self.start.as_secs_f64();
        ended.length_s = end.saturating_sub(self.start).as_secs_f64();
        ended.in_flight = in_flight;
        self.start = end;
        self.ended = Some(ended);
    }
}

/// Tells `sender` of every stretch of `load`, for as long as it is polled.
pub(super) async fn tell(load: Arc<Load>, started_at: String, sender: mpsc::Sender<Live>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Room first: what is taken is told, even when this is ended while it waits for a slow listener.
        let Ok(room) = sender.reserve().await else { return };
        let now = load.start.elapsed();
        if let Some(mut stretch) = load.record(|recorder| recorder.take_live(now)) {
            stretch.started_at.clone_from(&started_at);
            room.send(stretch);
        }
    }
}

/// Tells what has not been told when `load` has ended.
pub(super) async fn tell_rest(load: &Load, started_at: &str, sender: &mpsc::Sender<Live>) {
    let now = load.start.elapsed();
    for mut stretch in load.record(|recorder| recorder.rest_live(now)) {
        started_at.clone_into(&mut stretch.started_at);
        if sender.send(stretch).await.is_err() {
            return;
        }
    }
}
