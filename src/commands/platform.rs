//! `tidegate platform`: the local Cloud Run in a process of its own.

use super::error::CommandError;
use super::exit::ExitStatus;
use super::interrupt::Interrupt;
use super::local::Ready;
use crate::autoscaler::Policy;
use crate::platform::{Clock, CpuIdle, Fleet, FleetOptions, LimiterChoice, Leftovers, LimiterReport, ServeOptions, serve};
use crate::trial::Limiter;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// What `platform` is asked.
#[derive(Clone, Debug)]
pub struct PlatformOptions {
    /// Port of the APIs on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// How instances are limited.
    pub limits: LimitOptions,
    /// Divides platform times.
    pub time_factor: f64,
    /// Host cores that one vCPU stands for.
    pub host_cores_per_vcpu: f64,
    /// Folder for what instances log.
    pub logs: Option<PathBuf>,
    /// One JSON line when it serves, and the end of standard input ends it.
    pub announce: bool,
}

/// How instances of the local platform are limited.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitOptions {
    /// By what.
    pub limiter: LimiterChoice,
    /// What CPU they have between requests under request-based billing.
    pub cpu_idle: CpuIdle,
}

/// Serves the platform until Ctrl-C, SIGTERM or, when it was started by a study, the end of standard input. Leaves no
/// process and no cgroup behind.
///
/// # Errors
/// When the port is taken, instances cannot be limited as asked, or the endpoints fail.
pub async fn platform(options: PlatformOptions) -> Result<ExitStatus, CommandError> {
    let listener = listen(options.port).await?;
    let interrupt =
        Interrupt::listen(|_| {}).map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    let launcher = std::env::current_exe()
        .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
    let fleet = Fleet::start(FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: options.time_factor,
        host_cores_per_vcpu: options.host_cores_per_vcpu,
        launcher: Some(launcher),
        limiter: options.limits.limiter,
        cpu_idle: options.limits.cpu_idle,
        logs_dir: options.logs.clone(),
    })
    .await?;
    let served = serve_until_told(listener, &fleet, &options, &interrupt).await;
    fleet.shutdown().await;
    served?;
    Ok(interrupt.status().unwrap_or(ExitStatus::Success))
}

async fn serve_until_told(
    listener: TcpListener,
    fleet: &Fleet,
    options: &PlatformOptions,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let address = listener.local_addr().map_err(|cause| CommandError::System { action: "read the port", cause })?;
    let ready = Ready { endpoint: format!("http://{address}"), limiter: record_of(fleet.limiter_report()) };
    if options.announce {
        let line = serde_json::to_string(&ready).expect("an address and a few texts are always JSON");
        super::print(&format!("{line}\n"))?;
    } else {
        super::print(&format!("{}{}\n{}", cleared(fleet.leftovers()), ready.describe(), hint(&ready.endpoint)))?;
    }
    let told = {
        let (interrupt, announce) = (interrupt.clone(), options.announce);
        async move {
            if announce {
                tokio::select! {
                    () = interrupt.wait() => {}
                    () = end_of_input() => {}
                }
            } else {
                interrupt.wait().await;
            }
        }
    };
    let serve_options = ServeOptions { time_factor: options.time_factor, clock: Clock::system() };
    serve(listener, Arc::new(fleet.clone()), serve_options, told).await.map_err(CommandError::from)
}

async fn listen(port: u16) -> Result<TcpListener, CommandError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        CommandError::Platform(format!(
            "cannot listen on {address}: {error}\n\nhint: another program has the port; choose another by --port, or --port 0 for any free one"
        ))
    })
}

/// The limiter as a study records it.
fn record_of(report: &LimiterReport) -> Limiter {
    Limiter {
        kind: report.kind.to_string(),
        note: report.note.clone(),
        self_test_set_cores: report.measured_cores.map(|_| report.set_cores),
        self_test_measured_cores: report.measured_cores,
    }
}

/// What was found of platforms that were killed; nothing if there was nothing.
fn cleared(Leftovers { processes, groups, folders }: Leftovers) -> String {
    if processes + groups + folders == 0 {
        return String::new();
    }
    format!(
        "cleared up after a platform that was killed: {processes} processes ended, {groups} cgroups and {folders} folders \
         removed\n"
    )
}

fn hint(endpoint: &str) -> String {
    format!(
        "Cloud Run Admin v2 and Cloud Monitoring v3 are served there, on loopback only, for any project and region; for example:\n  \
         curl {endpoint}/v2/projects/local/locations/us-central1/services\nCtrl-C ends it and every instance.\n"
    )
}

/// Comes back when whoever started this process is gone.
async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while matches!(input.read(&mut bytes).await, Ok(read) if read > 0) {}
}
