//! What starts instances: chooses a port, opens the log, launches the program with nothing of the platform's
//! environment but the basics, and waits until it listens.

use super::cores::Cores;
use super::ending;
use super::idle::{CpuIdle, Idle};
use super::instance::{Gauge, Instance, Process, describe_exit, out_of_memory, terminate};
use super::journal::Journal;
use super::limiter::{Limiter, Limits};
use super::premises::Premises;
use super::probe_book::ProbeBook;
use super::revision::lock;
use super::spawner::Spawner;
use super::spec::RevisionSpec;
use super::traffic::Traffic;
use super::world::InstanceId;
use crate::autoscaler::Policy;
use crate::scenario::Billing;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;

/// What all instances of a platform share.
pub(super) struct Host {
    /// The thread that forks.
    pub(super) spawner: Spawner,
    /// The program that launches, or none: then the instance's program is executed directly and not limited.
    pub(super) launcher: Option<PathBuf>,
    /// Limits CPU and memory.
    pub(super) limiter: Limiter,
    /// Where instances write what they print.
    pub(super) logs_dir: PathBuf,
    /// The platform's folder, where the processes are noted.
    pub(super) premises: Premises,
    /// The host's cores.
    pub(super) cores: Arc<Cores>,
    /// What one vCPU stands for.
    pub(super) cores_per_vcpu: f64,
    /// Is told when instances come and go.
    pub(super) journal: Journal,
    /// What becomes of an instance's CPU between requests.
    pub(super) cpu_idle: CpuIdle,
    /// Ports given to instances that may still use them.
    pub(super) ports: Mutex<BTreeSet<u16>>,
}

/// What is counted of the instances of a revision where it happens.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) probes: ProbeBook,
    pub(super) traffic: Arc<Traffic>,
}

/// Why an instance never listened.
pub(super) enum StartError {
    /// It was told to stop before.
    Stopped,
    /// It exited, could not be started, or took too long.
    Failed(String),
}

/// How often a start is repeated on another port when somebody took the port meanwhile.
const PORT_ATTEMPTS: usize = 4;
/// What an instance inherits from the platform's environment.
const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH"];

impl Host {
    /// Starts an instance and waits until it listens, exits or takes too long.
    pub(super) async fn start(
        &self,
        spec: &RevisionSpec,
        policy: &Policy,
        (id, stop, counts): (InstanceId, &Notify, &Counts),
    ) -> Result<Process, StartError> {
        let name = format!("{}-{id}", spec.revision);
        let log = self.log_of(spec, id);
        let mut attempt = 1;
        loop {
            let port = self.choose_port().await.map_err(failed("no free port"))?;
            let started = self.start_on(port, spec, policy, (&name, &log, (stop, counts))).await;
            let error = match started {
                Ok(process) => return Ok(process),
                Err(error) => error,
            };
            lock(&self.ports).remove(&port);
            let taken = matches!(&error, StartError::Failed(cause) if is_port_taken(cause));
            if !taken || attempt == PORT_ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
        }
    }

    /// Writes into an instance's log why it never became ready.
    pub(super) fn report(&self, spec: &RevisionSpec, id: InstanceId, cause: &str) {
        ending::report(&self.log_of(spec, id), &format!("The instance did not start: {cause}"));
    }

    /// An instance has ended as it was told to. Who wants to read its log has named a folder for it.
    pub(super) fn forget_log(&self, log: &Path) {
        if self.logs_dir == self.premises.dir() {
            // What cannot be removed goes with the folder.
            let _ = std::fs::remove_file(log);
        }
    }

    fn log_of(&self, spec: &RevisionSpec, id: InstanceId) -> PathBuf {
        self.logs_dir.join(format!("{}-{id}.log", spec.revision))
    }

    async fn start_on(
        &self,
        port: u16,
        spec: &RevisionSpec,
        policy: &Policy,
        (name, log, watch): (&str, &Path, (&Notify, &Counts)),
    ) -> Result<Process, StartError> {
        let cores = spec.vcpu.0 * self.cores_per_vcpu;
        let limits = self.limiter.limits(name, cores, spec.memory);
        let limits = Arc::new(limits.map_err(|error| StartError::Failed(error.to_string()))?);
        let started = self.start_under(&limits, port, spec, (policy, log, watch)).await;
        if started.is_err() {
            limits.remove().await;
        }
        started
    }

    async fn start_under(
        &self,
        limits: &Arc<Limits>,
        port: u16,
        spec: &RevisionSpec,
        (policy, log, (stop, counts)): (&Policy, &Path, (&Notify, &Counts)),
    ) -> Result<Process, StartError> {
        let unopened = |error| StartError::Failed(format!("its log {} could not be opened: {error}", log.display()));
        let command = self.command(port, spec, (log, limits)).map_err(unopened)?;
        let cores = self.cores.hold(spec.vcpu.0 * self.cores_per_vcpu);
        let scale = (spec.vcpu.0, self.cores_per_vcpu);
        let boost = spec.startup_cpu_boost.then(|| self.cores.boost(limits, scale, policy.startup_boost_tail));
        let mut child = self.spawner.spawn(command).await.map_err(failed("its program could not be started"))?;
        let pid = child.id().unwrap_or_default();
        limits.attach(pid);
        self.premises.note(pid, port);
        let failed = |cause| Err(StartError::Failed(cause));
        let outcome = tokio::select! {
            biased;
            status = child.wait() => match limits.memory_kills() {
                0 => failed(describe_exit(status, log)),
                _ => failed(out_of_memory(spec)),
            },
            () = stop.notified() => Err(StartError::Stopped),
            probed = spec.startup_probe.until_success(port, &counts.probes) => probed.map_err(|cause| {
                StartError::Failed(format!("its startup probe failed on port {port}, which it must take from PORT: {cause}"))
            }),
            () = tokio::time::sleep(policy.startup_limit) => failed(format!(
                "it did not listen on port {port} within {} s; it must take the port from PORT",
                policy.startup_limit.as_secs()
            )),
        };
        let stream = match outcome {
            Ok(stream) => stream,
            Err(error) => {
                terminate(&mut child, policy.shutdown_grace).await;
                return Err(error);
            }
        };
        let is_frozen = spec.billing == Billing::Request && self.cpu_idle == CpuIdle::Frozen;
        let idle = is_frozen.then(|| Idle::new(Arc::clone(limits)));
        let instance = Arc::new(Instance::new((Ipv4Addr::LOCALHOST, port).into(), idle, Arc::clone(&counts.traffic)));
        if let Some(stream) = stream {
            instance.adopt(stream).await;
        }
        let gauge = Arc::new(Gauge::new(Arc::clone(limits)));
        Ok(Process { child, pid, port, log: log.to_owned(), instance, gauge, boost, cores })
    }

    /// Removes what a process that has ended leaves behind.
    pub(super) async fn bury(&self, process: Process) {
        lock(&self.ports).remove(&process.port);
        process.gauge.limits().remove().await;
    }

    /// Refuses a revision whose quotas this host cannot keep beside those of the `others`, in host cores.
    pub(super) fn check_fits(&self, spec: &RevisionSpec, others: f64) -> Result<(), String> {
        if self.limiter.is_limiting() { self.cores.check_fits(spec, self.cores_per_vcpu, others) } else { Ok(()) }
    }

    /// Host cores that all instances of a revision may ask for.
    pub(super) fn quotas_of(&self, spec: &RevisionSpec) -> f64 {
        f64::from(spec.max_instances) * spec.vcpu.0 * self.cores_per_vcpu
    }

    /// A port that nobody listens on and that no other instance was given. Somebody may take it before the instance
    /// does: then the start is repeated.
    async fn choose_port(&self) -> io::Result<u16> {
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port();
            if lock(&self.ports).insert(port) {
                return Ok(port);
            }
        }
    }

    fn command(&self, port: u16, spec: &RevisionSpec, (log, limits): (&Path, &Limits)) -> io::Result<Command> {
        let (program, args) = spec.command.split_first().ok_or_else(|| io::Error::other("its command is empty"))?;
        let mut command = match &self.launcher {
            Some(launcher) => {
                let mut command = limits.launch(launcher);
                command.arg("--").arg(program);
                command
            }
            None => Command::new(program),
        };
        // A file never blocks its writer, as a pipe that nobody reads would.
        let out = std::fs::File::options().create(true).append(true).open(log)?;
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .args(args)
            .env_clear()
            .envs(inherited)
            .envs(limits.environment())
            .envs(&spec.env)
            .env("PORT", port.to_string())
            .env("HOST", "127.0.0.1")
            .env("K_SERVICE", &spec.service)
            .env("K_REVISION", &spec.revision)
            .env("K_CONFIGURATION", &spec.service)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        // A group of its own: Ctrl-C at the terminal is for tidegate, which then stops its instances in order.
        #[cfg(unix)]
        command.process_group(0);
        Ok(command)
    }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::Failed(format!("{what}: {error}"))
}

fn is_port_taken(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    cause.contains("address already in use") || cause.contains("eaddrinuse") || cause.contains("address in use")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_taken_port_is_recognised_in_the_last_words() {
        assert!(is_port_taken("it exited: Error: listen EADDRINUSE: address already in use :::8080"));
        assert!(!is_port_taken("it exited: no database"));
    }
}
