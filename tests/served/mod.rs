//! The local platform in a process of its own.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

/// A served platform whose sample period is a second. Dropping it ends it and its instances.
pub(crate) struct Platform {
    pub(crate) child: Child,
    pub(crate) endpoint: String,
}

impl Platform {
    pub(crate) fn start(dir: &Path, more: &[&str], log: Stdio) -> Self {
        let mut child = crate::tidegate::tidegate(dir)
            .args(["platform", "--announce", "--port", "0", "--limiter", "none", "--time-factor", "60"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, endpoint: announced["endpoint"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
