//! An instance: a process with a port, watched until its end.

use super::cores::{Boost, Hold};
use super::ending::{self, Ending};
use super::family::{Family, Word};
use super::idle::Idle;
use super::limiter::Limits;
use super::probe::Probe;
use super::probe_book::ProbeBook;
use super::revision::lock;
use super::sample::{Distribution, RevisionSample};
use super::spec::RevisionSpec;
use super::traffic::Traffic;
use super::usage::{self, Counter};
use super::wire::Wire;
use crate::autoscaler::Micros;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::Notify;

/// How a request reaches an instance.
pub(super) struct Instance {
    address: SocketAddr,
    #[expect(clippy::vec_box, reason = "a connection is large, and moves at every request")]
    wires: Mutex<Vec<Box<Wire>>>,
    /// Takes its CPU between requests; none if it keeps it.
    idle: Option<Idle>,
    /// It is killed because its liveness probe failed.
    condemned: AtomicBool,
    /// Counts what goes over its connections.
    traffic: Arc<Traffic>,
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
    /// What it prints goes here.
    pub(super) log: PathBuf,
    /// How requests reach it.
    pub(super) instance: Arc<Instance>,
    /// What it uses.
    pub(super) gauge: Arc<Gauge>,
    /// What it may use more while it starts.
    pub(super) boost: Option<Boost>,
    /// What it is entitled to.
    #[expect(dead_code, reason = "held until the process is gone")]
    pub(super) cores: Hold,
}

/// How often it is looked whether the kernel ended a part of an instance for want of memory.
const MEMORY_EVERY: Duration = Duration::from_secs(1);

impl Process {
    /// Returns how the process has ended, in a word and a sentence: by itself, because it was told to, or because it had to be killed. `attend` is
    /// told when a liveness probe begins (true) and ends (false).
    pub(super) async fn run_until(
        &mut self,
        stop: &Notify,
        (spec, grace): (&RevisionSpec, Duration),
        (book, attend): (&ProbeBook, impl Fn(bool)),
    ) -> (Ending, String) {
        let (instance, gauge) = (Arc::clone(&self.instance), Arc::clone(&self.gauge));
        let boost = self.boost.take();
        let tend = async { tokio::join!(instance.freeze_between_requests(), run_out(boost)).0 };
        let (ending, message) = tokio::select! {
            biased;
            status = self.child.wait() => gauge.explain(status, spec),
            never = tend => match never {},
            cause = instance.fails(spec.liveness_probe.as_ref(), book, attend) => {
                instance.condemned.store(true, Ordering::Relaxed);
                self.kill().await;
                (Ending::Unhealthy, format!("The liveness probe failed, and the instance was killed: {cause}."))
            }
            () = gauge.out_of_memory() => {
                self.kill().await;
                (Ending::OutOfMemory, out_of_memory(spec))
            }
            () = stop.notified() => {
                // Servers that drain wait for their idle connections to be closed.
                lock(&instance.wires).clear();
                instance.wake();
                let ended = terminate(&mut self.child, grace).await;
                let late = format!("The instance did not end within {} s after SIGTERM and was killed.", grace.as_secs_f64());
                (if ended { Ending::Stopped } else { Ending::Killed }, late)
            }
        };
        if ending != Ending::Stopped {
            ending::report(&self.log, &message);
        }
        lock(&self.instance.wires).clear();
        self.instance.wake();
        // Children that the program left behind.
        Family::of(self.pid).tell(Word::Kill);
        (ending, message)
    }

    async fn kill(&mut self) {
        Family::of(self.pid).tell(Word::Kill);
        // It cannot be waited for only if that was done already.
        let _ = self.child.kill().await;
    }
}

async fn run_out(boost: Option<Boost>) {
    if let Some(boost) = boost {
        boost.run_out().await;
    }
}

/// What Cloud Run says, and what can be done.
pub(super) fn out_of_memory(spec: &RevisionSpec) -> String {
    format!(
        "Memory limit of {:.0} MiB exceeded: the instance was killed (exit 137), and its requests end in 500. Give it more \
         memory, or fewer requests at once.",
        spec.memory.0 * 1024.0
    )
}

impl Instance {
    /// Reached at this address.
    pub(super) fn new(address: SocketAddr, idle: Option<Idle>, traffic: Arc<Traffic>) -> Self {
        Self { address, wires: Mutex::default(), idle, condemned: AtomicBool::new(false), traffic }
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

    /// Whether it is killed because its liveness probe failed.
    pub(super) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Relaxed)
    }

    /// Returns, with the cause, when its liveness probe has failed; never without one.
    async fn fails(&self, probe: Option<&Probe>, book: &ProbeBook, attend: impl Fn(bool)) -> String {
        let Some(probe) = probe else { return std::future::pending().await };
        let hold = |begins: bool| {
            if begins {
                self.enter();
            } else {
                self.leave();
            }
            attend(begins);
        };
        probe.until_failure(self.address.port(), book, hold).await
    }

    async fn freeze_between_requests(&self) -> Infallible {
        match &self.idle {
            Some(idle) => idle.watch().await,
            None => std::future::pending().await,
        }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> io::Result<Box<Wire>> {
        Wire::connect(self.address, &self.traffic).await
    }

    /// Keeps a connection that is there already.
    pub(super) async fn adopt(&self, stream: TcpStream) {
        // If it is of no use any more, the first request opens another.
        if let Ok(wire) = Wire::over(stream, &self.traffic).await {
            self.keep(wire);
        }
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

    /// Returns when the kernel, or the watch on the memory, has ended a process of it for want of memory.
    async fn out_of_memory(&self) {
        while self.limits.memory_kills() == 0 {
            tokio::time::sleep(MEMORY_EVERY).await;
        }
    }

    /// How a process ended that nobody had told to.
    fn explain(&self, status: io::Result<ExitStatus>, spec: &RevisionSpec) -> (Ending, String) {
        if self.limits.memory_kills() > 0 {
            return (Ending::OutOfMemory, out_of_memory(spec));
        }
        let code = status.map_or(-1, ending::exit_code);
        (Ending::Exited, format!("The instance ended by itself (exit {code}); requests that it had end in 500."))
    }

    fn cpu(&self) -> Option<Duration> {
        self.limits.cpu_used()
    }
}

/// Adds to a sample what each instance used in the period that is over; a vCPU stands for so many host cores.
pub(super) fn measure(
    sample: &mut RevisionSample,
    gauges: &[Arc<Gauge>],
    (spec, cores_per_vcpu, period): (&RevisionSpec, f64, Micros),
) {
    let memory = spec.memory.0 * f64::from(1_u32 << 30);
    sample.memory_usage_bytes = Distribution::from_scale(Distribution::SCALE_OF_BYTES);
    for gauge in gauges {
        if let Some(used) = gauge.cpu_since_sample() {
            let vcpus = used.as_secs_f64() / period.seconds().max(1e-6) / cores_per_vcpu;
            sample.cpu_usage_vcpu.record(vcpus);
            sample.cpu_utilizations.record(vcpus / spec.vcpu.0);
        }
        if let Some(used) = gauge.memory() {
            sample.memory_usage_bytes.record(used as f64);
            sample.memory_utilizations.record(used as f64 / memory);
        }
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

/// SIGTERM, and SIGKILL when the grace is over; whether it ended before that.
pub(super) async fn terminate(child: &mut Child, grace: Duration) -> bool {
    let Some(pid) = child.id() else { return true };
    #[cfg(unix)]
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended already; then there is nothing to signal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let ended = tokio::time::timeout(grace, child.wait()).await.is_ok();
    Family::of(pid).tell(Word::Kill);
    if !ended {
        let _ = child.kill().await;
    }
    ended
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
