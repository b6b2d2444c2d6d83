//! The local platform as a child process of a study: it can be reached only through its endpoints.

use super::error::CommandError;
use super::platform::LimitOptions;
use super::scaling::ScalingOptions;
use crate::trial::{Assumed, Limiter};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What the platform announces on its standard output once it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ready {
    /// Base address of the Admin and Monitoring APIs.
    pub(super) endpoint: String,
    /// How instances are limited.
    pub(super) limiter: Limiter,
    /// What it takes for granted.
    pub(super) assumed: Assumed,
}

impl Ready {
    /// How instances are limited, in a line.
    pub(super) fn describe(&self) -> String {
        let Limiter { kind, note, self_test_set_cores, self_test_measured_cores, cpu_idle } = &self.limiter;
        let mut text = format!("platform at {}, limiter {kind}", self.endpoint);
        if let (Some(set), Some(measured)) = (self_test_set_cores, self_test_measured_cores) {
            text = format!("{text}, self-test: set to {set:.3} cores, measured {measured:.3}");
        }
        if let Some(cpu_idle) = cpu_idle {
            text = format!("{text}, CPU between requests: {cpu_idle}");
        }
        if !note.is_empty() {
            text = format!("{text} ({note})");
        }
        text
    }
}

/// What the platform is started with.
#[derive(Clone, Debug)]
pub(super) struct LocalOptions<'a> {
    pub(super) limits: LimitOptions,
    pub(super) time_factor: f64,
    pub(super) host_cores_per_vcpu: f64,
    pub(super) scaling: ScalingOptions,
    /// Where the keys are that ID tokens are checked with; nobody is asked for one without.
    pub(super) identity_keys: Option<&'a str>,
    /// Where instances write what they log.
    pub(super) logs: &'a Path,
}

/// A running platform. Dropping it closes its standard input, which ends it.
#[derive(Debug)]
pub(super) struct LocalPlatform {
    child: Child,
    pub(super) ready: Ready,
}

/// How long the platform may take to serve: its self-test takes 0.3 s.
const START_MAX: Duration = Duration::from_secs(30);
/// How long it may take to stop its instances: they have 10 s after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(15);

impl LocalPlatform {
    /// Starts it and waits until it serves.
    pub(super) async fn start(tidegate: &Path, options: &LocalOptions<'_>) -> Result<Self, CommandError> {
        let mut child = Command::new(tidegate)
            .args(["platform", "--announce", "--port", "0", "--limiter", options.limits.limiter.name()])
            .args(["--cpu-idle", options.limits.cpu_idle.name()])
            .args(["--time-factor", &options.time_factor.to_string()])
            .args(["--host-cores-per-vcpu", &options.host_cores_per_vcpu.to_string()])
            .args(options.scaling.arguments())
            .args(options.identity_keys.iter().flat_map(|keys| ["--identity-keys", keys]))
            .arg("--logs")
            .arg(options.logs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A group of its own: Ctrl-C reaches tidegate alone, which then ends its platform in order.
            .process_group(0)
            .spawn()
            .map_err(|error| CommandError::Platform(format!("could not be started: {error}")))?;
        let announced = tokio::time::timeout(START_MAX, announcement(&mut child)).await;
        match announced {
            Ok(Some(ready)) => Ok(Self { child, ready }),
            // It has said why on standard error, which is ours too.
            Ok(None) => Err(CommandError::Platform("ended before it served; its own message is above".to_owned())),
            Err(_) => Err(CommandError::Platform(format!("did not serve within {} s", START_MAX.as_secs()))),
        }
    }

    /// Ends it in order: instances first, then itself.
    pub(super) async fn stop(mut self) -> Result<(), CommandError> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CommandError::Platform(format!(
                "ended with {status}; what was measured is saved: go on with --resume"
            ))),
            Ok(Err(error)) => Err(CommandError::Platform(format!("could not be awaited: {error}"))),
            Err(_) => {
                Err(CommandError::Platform(format!("did not stop within {} s and was killed", STOP_MAX.as_secs())))
            }
        }
    }
}

async fn announcement(child: &mut Child) -> Option<Ready> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(ready) = serde_json::from_str(&line) {
            return Some(ready);
        }
    }
    None
}
