//! The local platform as a child process of a study: it can be reached only through its endpoints.

use super::announced::Announced;
use super::error::CommandError;
use super::platform::LimitOptions;
use super::scaling::ScalingOptions;
use crate::trial::{Assumed, Limiter};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::process::Command;

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
    child: Announced,
    pub(super) ready: Ready,
}

impl LocalPlatform {
    /// Starts it and waits until it serves.
    pub(super) async fn start(tidegate: &Path, options: &LocalOptions<'_>) -> Result<Self, CommandError> {
        let mut command = Command::new(tidegate);
        command
            .args(["platform", "--announce", "--port", "0"])
            .args(["--limiter", options.limits.limiter.unwrap_or_default().name()])
            .args(["--cpu-idle", options.limits.cpu_idle.unwrap_or_default().name()])
            .args(["--time-factor", &options.time_factor.to_string()])
            .args(["--host-cores-per-vcpu", &options.host_cores_per_vcpu.to_string()])
            .args(options.scaling.arguments())
            .args(options.identity_keys.iter().flat_map(|keys| ["--identity-keys", keys]))
            .arg("--logs")
            .arg(options.logs);
        let (child, ready) = Announced::start(&mut command, CommandError::Platform).await?;
        Ok(Self { child, ready })
    }

    /// Ends it in order: instances first, then itself.
    pub(super) async fn stop(self) -> Result<(), CommandError> {
        self.child.stop("; what was measured is saved: go on with --resume").await
    }
}
