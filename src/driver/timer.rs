//! Waits until an instant, to the microsecond. tokio's own timer turns a wheel of whole milliseconds, which is late by
//! half of one on average; a timerfd in the same event loop is late by what waking a core costs, some ten microseconds,
//! and costs no thread. That cost is learnt, and the timerfd set earlier by it: what then remains is waited out awake,
//! while the event loop goes on hearing answers.

mod lead;

use tokio::time::Instant;

#[cfg(target_os = "linux")]
pub(super) use precise::Precise;

/// How waiting is done.
#[derive(Clone)]
pub(super) enum Timer {
    /// By a timerfd.
    #[cfg(target_os = "linux")]
    Precise(std::sync::Arc<Precise>),
    /// By tokio's timer: off Linux, and under the paused clock of tests.
    Coarse,
}

impl Timer {
    /// The best timer this system has; call it on the runtime that will wait.
    pub(super) fn precise() -> Self {
        #[cfg(target_os = "linux")]
        if let Ok(precise) = Precise::start() {
            return Self::Precise(precise);
        }
        Self::Coarse
    }

    /// In a word, for the record.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            #[cfg(target_os = "linux")]
            Self::Precise(_) => "timerfd",
            Self::Coarse => "coarse",
        }
    }

    /// Waits until `deadline`; returns at once when it has passed.
    pub(super) async fn sleep_until(&self, deadline: Instant) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Precise(precise) => precise.sleep_until(deadline).await,
            Self::Coarse => {
                if deadline > Instant::now() {
                    tokio::time::sleep_until(deadline).await;
                }
            }
        }
    }
}

/// The driver's timer, for whoever measures what it is capable of.
#[derive(Clone)]
pub struct DriverTimer(Timer);

impl DriverTimer {
    /// The best timer this system has; call it on the runtime that will wait.
    #[must_use]
    pub fn precise() -> Self {
        Self(Timer::precise())
    }

    /// Waits until `deadline`; returns at once when it has passed.
    pub async fn sleep_until(&self, deadline: Instant) {
        self.0.sleep_until(deadline).await;
    }
}

#[cfg(target_os = "linux")]
mod precise {
    use super::lead::Lead;
    use rustix::fd::OwnedFd;
    use rustix::time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
        timerfd_settime,
    };
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;
    use tokio::io::unix::AsyncFd;
    use tokio::time::Instant;

    /// One timerfd for all who wait, armed for the earliest deadline.
    pub(in super::super) struct Precise {
        fd: AsyncFd<OwnedFd>,
        /// The same moment on both clocks.
        origin: (Instant, Duration),
        waiting: Mutex<Waiting>,
    }

    #[derive(Default)]
    struct Waiting {
        next_key: u64,
        wakers: BTreeMap<(Instant, u64), Waker>,
        lead: Lead,
        /// When the timerfd goes off; `None` when it is not set, or was set for a moment that had passed.
        alarm: Option<Instant>,
    }

    impl Precise {
        /// Creates the timerfd and the task that wakes whoever is due.
        pub(super) fn start() -> std::io::Result<Arc<Self>> {
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            let origin = (Instant::now(), Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default());
            #[expect(
                deprecated,
                reason = "its successor is unsafe, which this crate forbids, and asks of the caller what an OwnedFd \
                          that stays inside grants: a valid descriptor that nobody closes or replaces meanwhile"
            )]
            let fd = AsyncFd::new(fd)?;
            let timer = Arc::new(Self { fd, origin, waiting: Mutex::default() });
            let waking = Arc::clone(&timer);
            tokio::spawn(async move { waking.wake_the_due().await });
            Ok(timer)
        }

        pub(super) fn sleep_until(&self, deadline: Instant) -> Sleep<'_> {
            Sleep { timer: self, deadline, key: None }
        }

        async fn wake_the_due(&self) {
            let mut expirations = [0; 8];
            while let Ok(mut ready) = self.fd.readable().await {
                ready.clear_ready();
                // Reading disarms readiness until the next expiry; there is nothing to learn from the count.
                let _ = rustix::io::read(self.fd.get_ref(), &mut expirations);
                self.waiting().went_off(Instant::now());
                while self.wake_or_arm() {
                    // Awake for the last microseconds: each turn asks the sockets too.
                    tokio::task::yield_now().await;
                }
            }
        }

        /// Wakes whoever is due and says whether the next deadline is too near to sleep until then; else arms for it.
        fn wake_or_arm(&self) -> bool {
            let mut waiting = self.waiting();
            let now = Instant::now();
            while let Some(first) = waiting.wakers.first_entry() {
                let deadline = first.key().0;
                if deadline <= now {
                    first.remove().wake();
                } else if waiting.lead.before(deadline) <= now {
                    return true;
                } else {
                    self.arm(&mut waiting, deadline, now);
                    return false;
                }
            }
            false
        }

        /// Arms for shortly before `deadline`, absolute on the monotonic clock: what has passed goes off at once.
        fn arm(&self, waiting: &mut Waiting, deadline: Instant, now: Instant) {
            let alarm = waiting.lead.before(deadline);
            waiting.alarm = (alarm > now).then_some(alarm);
            let (instant, clock) = self.origin;
            let at = clock + alarm.saturating_duration_since(instant);
            let it_value = Timespec::try_from(at).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
            let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
            let set = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec);
            debug_assert!(set.is_ok(), "a valid timespec on a live timerfd: {set:?}");
        }

        fn waiting(&self) -> MutexGuard<'_, Waiting> {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Waiting {
        /// Learns from an alarm that was noticed at `now`. One that was put off meanwhile, or had passed when it was
        /// set, teaches nothing.
        fn went_off(&mut self, now: Instant) {
            if let Some(late) = self.alarm.take().and_then(|alarm| now.checked_duration_since(alarm)) {
                self.lead.learn(late);
            }
        }
    }

    pub(super) struct Sleep<'a> {
        timer: &'a Precise,
        deadline: Instant,
        key: Option<u64>,
    }

    impl Future for Sleep<'_> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(());
            }
            let timer = self.timer;
            let mut waiting = timer.waiting();
            let key = self.key.unwrap_or_else(|| {
                waiting.next_key += 1;
                waiting.next_key
            });
            self.key = Some(key);
            let entry = (self.deadline, key);
            waiting.wakers.insert(entry, context.waker().clone());
            if waiting.wakers.first_key_value().is_some_and(|(first, _)| *first == entry) {
                timer.arm(&mut waiting, self.deadline, now);
            }
            Poll::Pending
        }
    }

    impl Drop for Sleep<'_> {
        fn drop(&mut self) {
            if let Some(key) = self.key {
                self.timer.waiting().wakers.remove(&(self.deadline, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines_and_never_early() {
        for timer in [Timer::precise(), Timer::Coarse] {
            let start = Instant::now();
            let (woken, mut order) = tokio::sync::mpsc::unbounded_channel();
            for ms in [9, 3, 6, 0, 3] {
                let (timer, woken) = (timer.clone(), woken.clone());
                tokio::spawn(async move {
                    let deadline = start + Duration::from_millis(ms);
                    timer.sleep_until(deadline).await;
                    assert!(Instant::now() >= deadline);
                    woken.send(ms).unwrap();
                });
            }
            drop(woken);
            let mut seen = Vec::new();
            while let Some(ms) = order.recv().await {
                seen.push(ms);
            }
            assert_eq!(seen, [0, 3, 3, 6, 9]);
        }
    }

    #[tokio::test]
    async fn a_sleep_given_up_leaves_the_others_asleep_until_their_own_deadline() {
        let timer = Timer::precise();
        let start = Instant::now();
        let later = start + Duration::from_millis(8);
        let given_up = timer.sleep_until(start + Duration::from_millis(2));
        tokio::select! {
            biased;
            () = given_up => panic!("not due yet"),
            () = std::future::ready(()) => {}
        }
        timer.sleep_until(later).await;
        assert!(Instant::now() >= later);
    }
}
