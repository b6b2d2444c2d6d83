//! `tidegate platform`: the local Cloud Run in a process of its own.

use super::announced;
use super::error::CommandError;
use super::exit::ExitStatus;
use super::interrupt::Interrupt;
use super::local::Ready;
use super::platform_log::{Log, LogFormat, OutsideOptions};
use super::scaling::ScalingOptions;
use crate::platform::{
    Clock, CpuIdle, Event, Fleet, FleetOptions, Journal, Leftovers, LimiterChoice, LimiterReport, Outside,
    ServeOptions, Severity, serve,
};
use crate::trial::Limiter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What `platform` is asked.
#[derive(Clone, Debug)]
pub struct PlatformOptions {
    /// Port of the APIs; 0 for any free one.
    pub port: u16,
    /// How instances are limited.
    pub limits: LimitOptions,
    /// Divides platform times.
    pub time_factor: f64,
    /// Host cores that one vCPU stands for.
    pub host_cores_per_vcpu: f64,
    /// How it scales and routes.
    pub scaling: ScalingOptions,
    /// Folder for what instances log.
    pub logs: Option<PathBuf>,
    /// One JSON line when it serves, and the end of standard input ends it.
    pub announce: bool,
    /// Where it listens, and what it logs.
    pub outside: OutsideOptions,
}

/// How instances of the local platform are limited; what is left out is the platform's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitOptions {
    /// By what.
    pub limiter: Option<LimiterChoice>,
    /// What CPU they have between requests under request-based billing.
    pub cpu_idle: Option<CpuIdle>,
}

impl LimitOptions {
    /// An option for instances is a mistake where none is started here; `mend` says what else there is than to leave it out.
    ///
    /// # Errors
    /// When one was given.
    pub(super) fn refuse(self, mend: &str) -> Result<(), CommandError> {
        let limiter = self.limiter.map(|limiter| format!("--limiter {}", limiter.name()));
        let given = limiter.or_else(|| self.cpu_idle.map(|cpu_idle| format!("--cpu-idle {}", cpu_idle.name())));
        given.map_or(Ok(()), |given| {
            Err(CommandError::Usage(format!(
                "{given}: it is for instances that are started here, and none is\n\nhint: leave it out, or {mend}"
            )))
        })
    }
}

/// Serves the platform until Ctrl-C, SIGTERM or, when it was started by a study, the end of standard input. Leaves no
/// process and no cgroup behind.
///
/// # Errors
/// When the port is taken, instances cannot be limited as asked, or the endpoints fail.
pub async fn platform(options: PlatformOptions) -> Result<ExitStatus, CommandError> {
    let format = options.outside.log_format.or((!options.announce).then_some(LogFormat::Text));
    let log = format.map(Log::start).transpose();
    let log = log.map_err(|cause| CommandError::System { action: "start the thread that logs", cause })?;
    let journal = log.as_ref().map(Log::journal).unwrap_or_default();
    let outcome = platform_with(options, journal).await;
    if let Some(log) = log {
        log.end().await;
    }
    outcome
}

async fn platform_with(options: PlatformOptions, journal: Journal) -> Result<ExitStatus, CommandError> {
    let outside = options.outside.clone();
    let address = SocketAddr::from((outside.listen, options.port));
    let listener = announced::listen(address).await.map_err(CommandError::Platform)?;
    let interrupt =
        Interrupt::listen(|_| {}).map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    let launcher = std::env::current_exe()
        .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
    let outside = Outside { listen: outside.listen, journal: journal.clone(), identity: outside.identity };
    let fleet = Fleet::start_for(
        outside,
        FleetOptions {
            policy: options.scaling.policy()?,
            time_factor: options.time_factor,
            host_cores_per_vcpu: options.host_cores_per_vcpu,
            launcher: Some(launcher),
            limiter: options.limits.limiter.unwrap_or_default(),
            cpu_idle: options.limits.cpu_idle.unwrap_or_default(),
            logs_dir: options.logs.clone(),
        },
    )
    .await?;
    let served = serve_until_told(listener, &fleet, (&options, &journal), &interrupt).await;
    fleet.shutdown().await;
    served?;
    Ok(interrupt.status().unwrap_or(ExitStatus::Success))
}

async fn serve_until_told(
    listener: TcpListener,
    fleet: &Fleet,
    (options, journal): (&PlatformOptions, &Journal),
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let address = listener.local_addr().map_err(|cause| CommandError::System { action: "read the port", cause })?;
    let ready = Ready {
        endpoint: format!("http://{address}"),
        limiter: record_of(fleet.limiter_report(), options.limits.cpu_idle.unwrap_or_default()),
        assumed: options.scaling.assumed()?,
    };
    if let Some(warning) = exposure(address) {
        journal.tell(|| Event::new(Severity::Warning, warning));
    }
    if options.announce {
        let line = serde_json::to_string(&ready).expect("an address and a few texts are always JSON");
        super::print(&format!("{line}\n"))?;
    } else {
        super::print(&format!("{}{}\n{}", cleared(fleet.leftovers()), ready.describe(), hint(&ready.endpoint)))?;
    }
    let told = announced::told_to_end(interrupt.clone(), options.announce);
    let serve_options =
        ServeOptions { journal: journal.clone(), ..ServeOptions::new(options.time_factor, Clock::system()) };
    journal.tell(|| Event::new(Severity::Info, format!("the platform serves at http://{address}")));
    let served = serve(listener, Arc::new(fleet.clone()), serve_options, told).await;
    journal.tell(|| Event::new(Severity::Info, "the platform stops its instances"));
    served.map_err(CommandError::from)
}

/// What whoever chose such an address should know.
fn exposure(address: SocketAddr) -> Option<String> {
    (!address.ip().is_loopback()).then(|| {
        format!(
            "{address} can be reached from other machines, and whoever reaches it can run programs on this one; \
             without --listen only this machine can"
        )
    })
}

/// The limiter as a study records it.
fn record_of(report: &LimiterReport, cpu_idle: CpuIdle) -> Limiter {
    Limiter {
        kind: report.kind.to_string(),
        note: report.note.clone(),
        self_test_set_cores: report.measured_cores.map(|_| report.set_cores),
        self_test_measured_cores: report.measured_cores,
        cpu_idle: Some(cpu_idle.name().to_owned()),
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
        "Cloud Run Admin v1 and v2 and Cloud Monitoring v3 (REST and gRPC) are served there, for any project and region; for example:\n  \
         curl {endpoint}/v2/projects/local/locations/us-central1/services\nWhat runs is shown at {endpoint}/. Ctrl-C ends it and every instance.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_warned_of() {
        for loopback in ["127.0.0.1:8900", "127.0.0.2:1", "[::1]:8900"] {
            assert_eq!(exposure(loopback.parse().unwrap()), None, "{loopback}");
        }
        for open in ["0.0.0.0:8900", "192.168.0.7:8900", "[::]:8900"] {
            let warning = exposure(open.parse().unwrap()).unwrap();
            assert!(warning.starts_with(open) && warning.contains("--listen"), "{warning}");
        }
    }
}
