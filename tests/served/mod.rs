//! The local platform in a process of its own.

use crate::announced;
use std::path::Path;
use std::process::{Child, Stdio};

/// A served platform whose sample period is a second. Dropping it ends it and its instances.
pub(crate) struct Platform {
    pub(crate) child: Child,
    pub(crate) endpoint: String,
}

impl Platform {
    pub(crate) fn start(dir: &Path, more: &[&str], log: Stdio) -> Self {
        let mut command = crate::tidegate::tidegate(dir);
        command.args(["platform", "--announce", "--port", "0", "--limiter", "none", "--time-factor", "60"]).args(more);
        let (child, endpoint) = announced::start(command.stderr(log));
        Self { child, endpoint }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
