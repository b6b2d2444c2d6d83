//! What the probes of a revision's instances came to, for its metrics: each attempt, and each probe, which is over with
//! the first attempt that succeeds or with as many failures in a row as it allows.

use super::revision::lock;
use super::sample::Distribution;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeType {
    /// Tells when an instance has started.
    Startup,
    /// Tells whether it still lives.
    Liveness,
}

/// What a probe tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeAction {
    /// To connect.
    Tcp,
    /// To get an answer over HTTP.
    Http,
    /// To be told over gRPC.
    Grpc,
}

/// One kind of probe and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeOutcome {
    /// What it is for.
    pub probe_type: ProbeType,
    /// What it tries.
    pub action: ProbeAction,
    /// Whether it is the startup probe of a service that asks for none.
    pub is_default: bool,
    /// Whether it succeeded.
    pub is_healthy: bool,
}

/// How long they took, in milliseconds; their counts are those of the distributions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeTimes {
    /// Single attempts.
    pub attempts_ms: Distribution,
    /// Whole probes, from the beginning of their first attempt.
    pub probes_ms: Distribution,
}

/// The book of a revision.
#[derive(Debug, Default)]
pub(super) struct ProbeBook(Mutex<BTreeMap<ProbeOutcome, ProbeTimes>>);

impl ProbeBook {
    /// Notes an attempt that is over.
    pub(super) fn attempted(&self, outcome: ProbeOutcome, took: Duration) {
        lock(&self.0).entry(outcome).or_default().attempts_ms.record(took.as_secs_f64() * 1e3);
    }

    /// Notes a probe that is over.
    pub(super) fn completed(&self, outcome: ProbeOutcome, took: Duration) {
        lock(&self.0).entry(outcome).or_default().probes_ms.record(took.as_secs_f64() * 1e3);
    }

    /// What was noted since the last call.
    pub(super) fn take(&self) -> BTreeMap<ProbeOutcome, ProbeTimes> {
        std::mem::take(&mut *lock(&self.0))
    }
}
