//! `tidegate platform`: the local Cloud Run in a process of its own.

use super::error::CommandError;
use super::exit::ExitStatus;
use super::interrupt::Interrupt;
use super::local::Ready;
use crate::platform::{self, FleetOptions, PlatformError, ServeOptions};
use std::path::PathBuf;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// What `platform` is asked.
#[derive(Clone, Debug)]
pub struct PlatformOptions {
    /// Port of the APIs on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// `auto`, `cgroup2`, `cgroup1` or `none`.
    pub limiter: String,
    /// Divides platform times.
    pub time_factor: f64,
    /// Host cores that one vCPU stands for.
    pub host_cores_per_vcpu: f64,
    /// Folder for what instances log.
    pub logs: Option<PathBuf>,
    /// One JSON line when it serves, and the end of standard input ends it.
    pub announce: bool,
}
