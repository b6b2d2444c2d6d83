//! How instances end, and what is said of it.

use super::revision::lock;
use super::world::InstanceId;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Mutex;

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It was told to stop, and did within the grace.
    Stopped,
    /// It was told to stop, did not within the grace, and was killed.
    Killed,
    /// It exited by itself.
    Exited,
    /// It held more memory than its limit and was killed: exit 137.
    OutOfMemory,
    /// Its liveness probe failed too often, and it was killed.
    Unhealthy,
    /// It never listened, or its startup probe never succeeded.
    NeverReady,
}

impl Ending {
    /// Whether nobody had asked for it: what comes after such an ending is a restart.
    #[must_use]
    pub fn is_unasked(self) -> bool {
        !matches!(self, Self::Stopped | Self::Killed)
    }

    /// As JSON names it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Exited => "exited",
            Self::OutOfMemory => "out_of_memory",
            Self::Unhealthy => "unhealthy",
            Self::NeverReady => "never_ready",
        }
    }
}

/// How the instances of a revision have ended: since the last sample, and ever.
#[derive(Debug, Default)]
pub(super) struct Endings(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    unsampled: BTreeMap<Ending, u64>,
    ever: BTreeMap<Ending, u64>,
    last: Option<LastEnding>,
}

/// The last ending that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEnding {
    /// Number of the instance.
    pub instance: u64,
    /// What was said of it, with the exit code if it has one.
    pub message: String,
}

impl Endings {
    /// Notes one.
    pub(super) fn note(&self, instance: InstanceId, ending: Ending, message: String) {
        let mut counted = lock(&self.0);
        *counted.unsampled.entry(ending).or_default() += 1;
        *counted.ever.entry(ending).or_default() += 1;
        if ending != Ending::Stopped {
            counted.last = Some(LastEnding { instance, message });
        }
    }

    /// What was noted since the last call.
    pub(super) fn sample(&self) -> BTreeMap<Ending, u64> {
        std::mem::take(&mut lock(&self.0).unsampled)
    }

    /// All of them.
    pub(super) fn ever(&self) -> BTreeMap<Ending, u64> {
        lock(&self.0).ever.clone()
    }

    /// The last that was not as it should be.
    pub(super) fn last(&self) -> Option<LastEnding> {
        lock(&self.0).last.clone()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::Killed => "killed after the grace",
            Self::Exited => "exited by itself",
            Self::OutOfMemory => "out of memory",
            Self::Unhealthy => "unhealthy",
            Self::NeverReady => "never ready",
        })
    }
}

/// The exit code that a shell would tell: 128 and the signal for who was ended by one.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap_or(-1)
}

/// Writes the platform's word about an instance below what the instance itself has printed, as Cloud Run does in its
/// logs.
pub(super) fn report(log: &Path, message: &str) {
    let line = json!({
        "severity": "ERROR",
        "time": jiff::Timestamp::now().to_string(),
        "logger": "tidegate platform",
        "message": message,
    });
    // Who could not write what it printed either misses the last line as well.
    if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(log) {
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_signal_is_told_as_a_shell_tells_it() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
    }

    #[test]
    fn the_report_is_a_line_of_its_own_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        std::fs::write(&log, "ready\n").unwrap();
        report(&log, "it is gone");
        let text = std::fs::read_to_string(&log).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((&last["severity"], &last["message"]), (&json!("ERROR"), &json!("it is gone")));
        assert!(text.starts_with("ready\n"));
    }
}
