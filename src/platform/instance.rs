//! An instance: a process with a port, watched until its end.

use super::limiter::Group;
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
    idle: Mutex<Vec<Box<Wire>>>,
}

/// What an instance uses.
pub(super) struct Gauge {
    pid: u32,
    group: Option<Arc<Group>>,
    bucket: Counter,
    sample: Counter,
}

/// A process that listens.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) port: u16,
    /// How requests reach it.
    pub(super) instance: Arc<Instance>,
    /// What it uses.
    pub(super) gauge: Arc<Gauge>,
}

impl Process {
    /// Returns when the process has ended: by itself, or because it was told to.
    pub(super) async fn run_until(&mut self, stop: &Notify, grace: Duration) {
        tokio::select! {
            biased;
            _ = self.child.wait() => {}
            () = stop.notified() => {
                // Servers that drain wait for their idle connections to be closed.
                lock(&self.instance.idle).clear();
                terminate(&mut self.child, grace).await;
            }
        }
        lock(&self.instance.idle).clear();
        self.end_group();
    }

    /// Children that the program left behind.
    fn end_group(&self) {
        #[cfg(unix)]
        end_group_of(self.gauge.pid);
    }
}

impl Instance {
    /// Reached at this address.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An idle connection that is alive, as far as can be known without writing to it.
    pub(super) async fn idle_wire(&self) -> Option<Box<Wire>> {
        loop {
            let mut wire = lock(&self.idle).pop()?;
            if std::future::poll_fn(|cx| Poll::Ready(wire.poll_idle(cx))).await {
                return Some(wire);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(&self, wire: Box<Wire>) {
        lock(&self.idle).push(wire);
    }
}

impl Gauge {
    /// Measures this process. The CPU of its start-up is not counted: it is no load that more instances would share.
    pub(super) fn new(pid: u32, group: Option<Arc<Group>>) -> Self {
        let gauge = Self { pid, group, bucket: Counter::default(), sample: Counter::default() };
        gauge.cpu_since_bucket();
        gauge.cpu_since_sample();
        gauge
    }

    /// The limits it runs under.
    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_deref()
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
        self.group.as_ref().and_then(|group| group.memory_used()).or_else(|| usage::memory_of(self.pid))
    }

    fn cpu(&self) -> Option<Duration> {
        self.group.as_ref().and_then(|group| group.cpu_used()).or_else(|| usage::cpu_of(self.pid))
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
    #[cfg(unix)]
    end_group_of(pid);
}

/// Ends what is left of a process group whose leader has ended.
#[cfg(unix)]
fn end_group_of(leader: u32) {
    if let Some(group) = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
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
