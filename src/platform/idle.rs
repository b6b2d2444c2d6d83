//! Takes the CPU away from an instance between its requests, as Cloud Run does under request-based billing: an instance
//! that holds no request for a moment is frozen, and thawed before the next one is forwarded to it. Starting, stopping
//! and being probed it always has its CPU.

use super::limiter::Limits;
use super::revision::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What becomes of an instance's CPU while it holds no request, under request-based billing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CpuIdle {
    /// It has none. Cloud Run says "disabled or severely limited" (Billing settings, 2026-11-22).
    #[default]
    Frozen,
    /// It keeps all of it, as under instance-based billing: work in the background goes on, and is not billed.
    Full,
}

/// Tells who holds an instance, and takes its CPU when nobody does.
pub(super) struct Idle {
    limits: Arc<Limits>,
    holders: Mutex<Holders>,
    thawed: Notify,
}

#[derive(Default)]
struct Holders {
    /// Requests and probes that the instance has.
    now: u32,
    /// How many it ever had.
    ever: u64,
    frozen_since: Option<Instant>,
    /// It is to be frozen no more.
    ended: bool,
}

/// An instance that has held nothing for one to two of these is frozen: soon enough that work in the background does not
/// get far, late enough that an instance under load is left alone. Not public: an assumption.
pub(super) const IDLE_AFTER: Duration = Duration::from_millis(100);

impl CpuIdle {
    /// Its names on the command line.
    pub const NAMES: [&str; 2] = ["frozen", "full"];

    /// The choice of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "frozen" => Some(Self::Frozen),
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    /// As the command line writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::Full => "full",
        }
    }
}

impl Idle {
    /// Of an instance under these limits, which nobody holds yet.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self { limits, holders: Mutex::default(), thawed: Notify::new() }
    }

    /// Somebody holds the instance from now on; thaws it. Returns for how long it had stood still.
    pub(super) fn enter(&self) -> Duration {
        let mut holders = lock(&self.holders);
        holders.now += 1;
        holders.ever += 1;
        self.thaw(&mut holders)
    }

    /// Somebody holds it no more.
    pub(super) fn leave(&self) {
        let mut holders = lock(&self.holders);
        holders.now = holders.now.saturating_sub(1);
    }

    /// Freezes it whenever nobody holds it; never returns.
    pub(super) async fn watch(&self) {
        let mut seen = lock(&self.holders).ever;
        loop {
            tokio::time::sleep(IDLE_AFTER).await;
            let thawed = self.thawed.notified();
            {
                let mut holders = lock(&self.holders);
                if std::mem::replace(&mut seen, holders.ever) != holders.ever || holders.now > 0 || holders.ended {
                    continue;
                }
                // Under the lock: who enters now waits for these microseconds, and then thaws it.
                self.limits.freeze();
                holders.frozen_since = Some(Instant::now());
            }
            thawed.await;
        }
    }

    /// It is told to stop, or its process has ended: it has its CPU from now on.
    pub(super) fn end(&self) {
        let mut holders = lock(&self.holders);
        holders.ended = true;
        self.thaw(&mut holders);
    }

    fn thaw(&self, holders: &mut Holders) -> Duration {
        let Some(since) = holders.frozen_since.take() else { return Duration::ZERO };
        self.limits.thaw();
        self.thawed.notify_one();
        since.elapsed()
    }
}
