//! An instance: a process with a port, watched until its end.

use super::family::{Family, Word};
use super::idle::Idle;
use super::limiter::Limits;
use super::revision::lock;
use super::usage::{self, Counter};
use super::wire::Wire;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Notify;

/// How a request reaches an instance.
pub(super) struct Instance {
    address: SocketAddr,
    #[expect(clippy::vec_box, reason = "a connection is large, and moves at every request")]
    wires: Mutex<Vec<Box<Wire>>>,
    /// Takes its CPU between requests; none if it keeps it.
    idle: Option<Idle>,
}

/// Many servers close a connection on which nothing came for some seconds. One that stood still longer than this does so
/// as soon as it is thawed, under the request that comes on it: such connections are not used again.
const WIRES_KEPT: Duration = Duration::from_secs(1);

/// What an instance uses.
pub(super) struct Gauge {
    limits: Arc<Limits>,
    bucket: Counter,
    sample: Counter,
}

/// A process that listens.
pub(super) struct Process {
    pub(super) child: Child,
    /// Of the process, and of the group it leads.
    pub(super) pid: u32,
    pub(super) port: u16,
    /// How requests reach it.
    pub(super) instance: Arc<Instance>,
    /// What it uses.
    pub(super) gauge: Arc<Gauge>,
}

impl Process {
    /// Returns when the process has ended: by itself, or because it was told to.
    pub(super) async fn run_until(&mut self, stop: &Notify, grace: Duration) {
        let instance = Arc::clone(&self.instance);
        tokio::select! {
            biased;
            _ = self.child.wait() => {}
            () = instance.freeze_between_requests() => {}
            () = stop.notified() => {
                // Servers that drain wait for their idle connections to be closed.
                lock(&self.instance.wires).clear();
                self.instance.wake();
                terminate(&mut self.child, grace).await;
            }
        }
        lock(&self.instance.wires).clear();
        self.instance.wake();
        // Children that the program left behind.
        Family::of(self.pid).tell(Word::Kill);
    }
}

impl Instance {
    /// Reached at this address.
    pub(super) fn new(address: SocketAddr, idle: Option<Idle>) -> Self {
        Self { address, wires: Mutex::default(), idle }
    }

    /// Somebody holds it from now on: it has its CPU.
    pub(super) fn enter(&self) {
        if let Some(idle) = &self.idle
            && idle.enter() > WIRES_KEPT
        {
            lock(&self.wires).clear();
        }
    }

    /// Somebody holds it no more.
    pub(super) fn leave(&self) {
        if let Some(idle) = &self.idle {
            idle.leave();
        }
    }

    /// It has its CPU from now on, whoever holds it.
    fn wake(&self) {
        if let Some(idle) = &self.idle {
            idle.end();
        }
    }

    /// Never returns.
    async fn freeze_between_requests(&self) {
        match &self.idle {
            Some(idle) => idle.watch().await,
            None => std::future::pending().await,
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An idle connection that is alive, as far as can be known without writing to it.
    pub(super) async fn idle_wire(&self) -> Option<Box<Wire>> {
        loop {
            let mut wire = lock(&self.wires).pop()?;
            if std::future::poll_fn(|cx| Poll::Ready(wire.poll_idle(cx))).await {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, wire: Box<Wire>) {
        lock(&self.wires).push(wire);
    }
}

impl Gauge {
    /// Measures this process. The CPU of its start-up is not counted: it is no load that more instances would share.
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        let gauge = Self { limits, bucket: Counter::default(), sample: Counter::default() };
        gauge.cpu_since_bucket();
        gauge.cpu_since_sample();
        gauge
    }

    /// The limits it runs under.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// CPU time used since the last call from the bucket's observer.
    pub(super) fn cpu_since_bucket(&self) -> Option<Duration> {
        self.cpu().map(|total| self.bucket.advance(total))
    }

    /// CPU time used since the last sample.
    pub(super) fn cpu_since_sample(&self) -> Option<Duration> {
        self.cpu().map(|total| self.sample.advance(total))
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> Option<u64> {
        self.limits.memory_used()
    }

    fn cpu(&self) -> Option<Duration> {
        self.limits.cpu_used()
    }
}

/// How a process ended before it listened, with its last words.
pub(super) fn describe_exit(status: io::Result<ExitStatus>, log: &Path) -> String {
    let how = status
        .map_or_else(|error| format!("it could not be waited for: {error}"), |status| format!("it exited ({status})"));
    let words = last_words(log);
    if words.is_empty() {
        format!("{how} before it listened on PORT, without a word")
    } else {
        format!("{how} before it listened on PORT; its last words: {words}")
    }
}

/// The end of what an instance printed.
fn last_words(log: &Path) -> String {
    const LINES: usize = 3;
    let text = usage::tail(log, 2048).unwrap_or_default();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join(" | ")
}

/// SIGTERM, and SIGKILL when the grace is over.
pub(super) async fn terminate(child: &mut Child, grace: Duration) {
    let Some(pid) = child.id() else { return };
    #[cfg(unix)]
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended already; then there is nothing to signal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    Family::of(pid).tell(Word::Kill);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::write(&log, "one\ntwo\n\nthree\nfour\n").unwrap();
        assert_eq!(last_words(&log), "two | three | four");
        assert_eq!(last_words(Path::new("/nowhere")), "");
    }
}
