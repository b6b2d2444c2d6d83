//! What the driver tells of itself: how busy its thread was, what it used of the host's files and ports. Sampled from
//! another thread while the load runs, so that nothing of it is on the measured path.

use super::limits;
use crate::trial::DriverHealth;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// The stretch whose busy share is told: long enough that a burst is not called saturation, short enough that one
/// overloaded stage does not hide behind quiet ones.
const STRETCH: Duration = Duration::from_secs(5);

/// Watches one load.
#[derive(Debug)]
pub(super) struct Monitor {
    thread: Option<i32>,
    busy: Busy,
    health: DriverHealth,
}

impl Monitor {
    /// Watches the load that the thread with this id drives, by a timer of this kind.
    pub(super) fn new(thread: Option<i32>, timer: &'static str) -> Self {
        let health = DriverHealth {
            timer: timer.to_owned(),
            open_files_limit: limits::open_files().soft,
            local_ports: limits::local_ports(),
            ..DriverHealth::default()
        };
        Self { thread, busy: Busy::default(), health }
    }

    /// Samples for as long as it is polled.
    pub(super) async fn watch(&mut self) -> Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sample();
        }
    }

    /// What was seen.
    pub(super) fn conclude(self) -> DriverHealth {
        DriverHealth { thread_busy_share_max: self.busy.share_max(), ..self.health }
    }

    fn sample(&mut self) {
        let health = &mut self.health;
        health.open_files_max = health.open_files_max.max(open_files());
        if let Some(sockets) = std::fs::read_to_string("/proc/net/sockstat").ok().as_deref().and_then(parse_sockets) {
            health.tcp_sockets_max = health.tcp_sockets_max.max(Some(sockets.in_use));
            health.time_wait_max = health.time_wait_max.max(Some(sockets.time_wait));
        }
        let schedule = self.thread.and_then(|thread| {
            parse_schedule(&std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?)
        });
        if let Some((running, waiting)) = schedule {
            health.thread_cpu_s = Some(running.as_secs_f64());
            self.busy.note(Instant::now(), running + waiting);
        }
    }
}

/// Awaits `answer`, and watches meanwhile with the monitor that `beginning` gives.
pub(super) async fn watched<T>(
    mut answer: oneshot::Receiver<T>,
    beginning: oneshot::Receiver<Monitor>,
) -> (Result<T, oneshot::error::RecvError>, Option<DriverHealth>) {
    let Ok(mut monitor) = beginning.await else { return (answer.await, None) };
    let answered = tokio::select! {
        answered = &mut answer => answered,
        never = monitor.watch() => match never {},
    };
    monitor.sample();
    (answered, Some(monitor.conclude()))
}

/// The id of the calling thread, where others can look at it.
pub(super) fn this_thread() -> Option<i32> {
    #[cfg(target_os = "linux")]
    let id = Some(rustix::thread::gettid().as_raw_nonzero().get());
    #[cfg(not(target_os = "linux"))]
    let id = None;
    id
}

/// The share of time that a thread was busy, over the busiest stretch.
#[derive(Debug, Default)]
struct Busy {
    readings: VecDeque<(Instant, Duration)>,
    /// Over the stretches so far.
    max: Option<f64>,
}

impl Busy {
    /// The thread had been `busy` for so long at `now`.
    fn note(&mut self, now: Instant, busy: Duration) {
        self.readings.push_back((now, busy));
        // The oldest reading that is kept is the youngest at least a stretch ago.
        while self.readings.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= STRETCH) {
            self.readings.pop_front();
        }
        if let Some((at, before)) = self.readings.front()
            && now.duration_since(*at) >= STRETCH
        {
            let share = busy.saturating_sub(*before).as_secs_f64() / now.duration_since(*at).as_secs_f64();
            self.max = Some(self.max.map_or(share, |max: f64| max.max(share)));
        }
    }

    /// `None` before there was a whole stretch.
    fn share_max(&self) -> Option<f64> {
        // Accounting by the kernel's clock and timing by ours may differ by a reading's own length.
        self.max.map(|share| share.min(1.0))
    }
}

/// TCP sockets of the host.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sockets {
    in_use: u64,
    time_wait: u64,
}

/// The line `TCP: inuse 5 orphan 0 tw 12 alloc 8 mem 1` of `/proc/net/sockstat`.
fn parse_sockets(text: &str) -> Option<Sockets> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |name: &str| words.chunks_exact(2).find(|pair| pair[0] == name)?[1].parse().ok();
    Some(Sockets { in_use: value("inuse")?, time_wait: value("tw")? })
}

/// Time on a core and time waiting for one, from a thread's `schedstat` (Documentation/scheduler/sched-stats.rst).
/// `None` on a kernel that does not keep these statistics.
fn parse_schedule(text: &str) -> Option<(Duration, Duration)> {
    let mut fields = text.split_whitespace().map(str::parse);
    let (running, waiting) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (running > 0).then(|| (Duration::from_nanos(running), Duration::from_nanos(waiting)))
}

/// How many files this process has open. Since Linux 6.2 the size of the folder tells it without a walk through it.
fn open_files() -> Option<u64> {
    match std::fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_by_their_names() {
        let text = "sockets: used 290\nTCP: inuse 5 orphan 0 tw 12 alloc 8 mem 1\nUDP: inuse 4 mem 0\n";
        assert_eq!(parse_sockets(text), Some(Sockets { in_use: 5, time_wait: 12 }));
        assert_eq!(parse_sockets("TCP: inuse 5"), None);
        assert_eq!(parse_sockets(""), None);
    }

    #[test]
    fn a_thread_is_busy_while_it_runs_or_waits_for_a_core() {
        let (running, waiting) = parse_schedule("378124022 104645 29\n").unwrap();
        assert_eq!((running.as_nanos(), waiting.as_nanos()), (378_124_022, 104_645));
        assert_eq!(parse_schedule("0 0 1"), None, "a kernel without these statistics tells nothing");
        assert_eq!(parse_schedule("x"), None);
    }

    /// A busy stretch is told though the run as a whole was quiet.
    #[tokio::test(start_paused = true)]
    async fn the_busiest_stretch_counts() {
        let start = Instant::now();
        let mut busy = Busy::default();
        let mut used = Duration::ZERO;
        for half_second in 0..120 {
            let now = start + half_second * EVERY;
            busy.note(now, used);
            // From 20 s to 25 s without a pause, a tenth else.
            used += if (40..50).contains(&half_second) { EVERY } else { EVERY / 10 };
        }
        assert_eq!(busy.share_max(), Some(1.0));
        assert!(busy.readings.len() <= 12, "{}", busy.readings.len());
        let mut short = Busy::default();
        short.note(start, Duration::ZERO);
        short.note(start + STRETCH / 2, STRETCH / 2);
        assert_eq!(short.share_max(), None, "half a stretch is no evidence");
    }

    #[tokio::test]
    async fn a_sample_of_this_process_holds_what_linux_tells() {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let mut monitor = Monitor::new(Some(thread), "timerfd");
        monitor.sample();
        let health = monitor.conclude();
        assert!(health.open_files_max.is_some_and(|files| files >= 3), "{health:?}");
        assert!(health.open_files_limit >= health.open_files_max, "{health:?}");
    }
}
