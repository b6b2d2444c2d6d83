//! What became of a run in each of its seconds, for those who watch it. Nothing of it is recorded unless somebody does.

use super::load::Load;
use super::posts::Posts;
use super::recorder::{Flight, Recorder};
use super::shape::Shape;
use crate::trial::{Live, LiveStep, StatusClass};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// What a drive keeps or tells beside what every recording holds.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Keep the histogram of every interval, so that the recording can be merged with those of other shards.
    pub interval_histograms: bool,
    /// Tell what became of every second as it ends.
    pub live: Option<mpsc::Sender<Live>>,
    /// Tell a ledger of the posts whose reports must be delivered.
    pub posts: Option<Posts>,
}

impl Extras {
    /// Has `recorder`, which has been told of nothing yet, keep and tell it.
    pub(super) fn prepare(&self, recorder: &mut Recorder) {
        if self.interval_histograms {
            recorder.keep_interval_histograms();
        }
        if self.live.is_some() {
            recorder.watch();
        }
    }
}

/// How often is looked whether one has ended.
const EVERY: Duration = Duration::from_millis(250);

/// Stretches of a second, if whoever takes them is in time: the stretch under way, and the one before it until it is taken. When it is not taken in time the stretch under way
/// grows longer: so memory is bounded however slow the taker is.
#[derive(Debug)]
pub(super) struct Stretches {
    names: Vec<String>,
    current: Live,
    start: Duration,
    /// The last that the stretch under way was told of.
    latest: Duration,
    ended: Option<Live>,
}

impl Stretches {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            current: empty(&shape.steps),
            names: shape.steps.clone(),
            start: Duration::ZERO,
            latest: Duration::ZERO,
            ended: None,
        }
    }

    pub(super) fn send(&mut self, flight: &Flight, in_flight: u64) {
        // What is in flight before this sending was so when the stretch ended.
        self.advance(flight.sent, in_flight.saturating_sub(1));
        self.latest = flight.sent;
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
        self.latest = done;
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
        let nothing = empty(&self.names).steps;
        let tells = |last: &Live| last.length_s > 0.0 || last.sent > 0 || last.steps != nothing;
        before.into_iter().chain(self.ended.take().filter(tells)).collect()
    }

    /// Ends the stretch under way at the last full second before `now`, if there is one and the stretch before is taken.
    /// One that has been told of what came after that second lasts until `now`.
    fn advance(&mut self, now: Duration, in_flight: u64) {
        let second = Duration::from_secs(now.as_secs());
        if self.ended.is_none() && second > self.start {
            self.end(if self.latest < second { second } else { now }, in_flight);
        }
    }

    fn end(&mut self, end: Duration, in_flight: u64) {
        let mut ended = std::mem::replace(&mut self.current, empty(&self.names));
        ended.start_s = self.start.as_secs_f64();
        ended.length_s = end.saturating_sub(self.start).as_secs_f64();
        ended.in_flight = in_flight;
        self.start = end;
        self.ended = Some(ended);
    }
}

/// Made anew each time: memory that is zeroed as it is used costs the sending thread less than a copy of an empty one.
fn empty(names: &[String]) -> Live {
    let steps = names.iter().map(|name| LiveStep { name: name.clone(), ..LiveStep::default() }).collect();
    Live { steps, ..Live::default() }
}

/// Tells a listener of every stretch of a load.
#[derive(Debug)]
pub(super) struct Telling {
    started_at: String,
    listener: mpsc::Sender<Live>,
    task: JoinHandle<()>,
}

impl Telling {
    pub(super) fn begin(load: &Arc<Load>, started_at: String, listener: mpsc::Sender<Live>) -> Self {
        let task = tokio::spawn(tell(Arc::clone(load), started_at.clone(), listener.clone()));
        Self { started_at, listener, task }
    }

    /// Tells what has not been told when the load has ended.
    pub(super) async fn end(self, load: &Load) {
        self.task.abort();
        let now = load.start.elapsed();
        for mut stretch in load.record(|recorder| recorder.rest_live(now)) {
            stretch.started_at.clone_from(&self.started_at);
            if self.listener.send(stretch).await.is_err() {
                // Nobody listens any more.
                return;
            }
        }
    }
}

async fn tell(load: Arc<Load>, started_at: String, listener: mpsc::Sender<Live>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Room first: what is taken is told, even when this is ended while it waits for a slow listener.
        let Ok(room) = listener.reserve().await else { return };
        let now = load.start.elapsed();
        if let Some(mut stretch) = load.record(|recorder| recorder.take_live(now)) {
            stretch.started_at.clone_from(&started_at);
            room.send(stretch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn stretches() -> Stretches {
        let steps = ["list", "pay"].map(str::to_owned).to_vec();
        Stretches::new(&Shape { steps, counters: Vec::new(), journeys: Vec::new(), stages: Vec::new() })
    }

    /// A request that is sent at `sent_ms` and fails after `ms`, beside `others` that stay in flight.
    fn request(stretches: &mut Stretches, step: usize, (sent_ms, ms): (u32, u32), others: u64) {
        let sent = sent_ms * MS;
        let flight = Flight { step, due: sent, sent, blocked: Duration::ZERO };
        stretches.send(&flight, others + 1);
        stretches.settle(&flight, sent + ms * MS, (StatusClass::ServerError, true), others);
    }

    #[test]
    fn a_stretch_ends_with_its_second_and_holds_what_ended_in_it() {
        let mut stretches = stretches();
        request(&mut stretches, 0, (100, 300), 2);
        assert_eq!(stretches.take(999 * MS, 2), None, "the second is not over");
        // It is answered after the second was over: it was in flight at its end, and is not among its answers.
        request(&mut stretches, 1, (900, 300), 3);
        stretches.drop_step(1);
        let first = stretches.take(1300 * MS, 3).unwrap();
        assert_eq!((first.start_s, first.length_s, first.sent, first.in_flight), (0.0, 1.0, 2, 4));
        assert_eq!((first.steps[0].failed, first.steps[1].failed), (1, 0));
        assert_eq!(stretches.take(1300 * MS, 3), None, "it is told once");

        let rest = stretches.rest(1500 * MS, 3);
        assert_eq!(rest.len(), 1);
        assert_eq!(
            (rest[0].start_s, rest[0].length_s, rest[0].steps[1].failed, rest[0].steps[1].dropped),
            (1.0, 0.5, 1, 1)
        );
        let class = &rest[0].steps[1].classes[&StatusClass::ServerError];
        assert_eq!((class.failed, class.response_time.count()), (1, 1));
        assert_eq!(stretches.rest(1500 * MS, 3), Vec::new(), "nothing is left");
    }

    #[test]
    fn a_taker_who_is_late_gets_longer_stretches_and_every_request() {
        let mut stretches = stretches();
        for second in 0..100 {
            request(&mut stretches, 0, (second * 1000 + 10, 5), 0);
        }
        let mut all = Live::default();
        let first = stretches.take(99_900 * MS, 0).unwrap();
        assert_eq!((first.length_s, first.sent), (1.0, 1));
        all.absorb(&first);
        let second = stretches.take(99_900 * MS, 0).unwrap();
        assert_eq!((second.start_s, second.length_s, second.sent), (1.0, 98.9, 99));
        all.absorb(&second);
        stretches.rest(99_900 * MS, 0).iter().for_each(|rest| all.absorb(rest));
        assert_eq!((all.sent, all.steps[0].failed, all.times().failed), (100, 100, 100));
        assert!((all.length_s - 99.9).abs() < 1e-9);
    }
}
