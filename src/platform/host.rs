//! What starts instances: chooses a port, opens the log, launches the program with nothing of the platform's
//! environment but the basics, and waits until it listens.

use super::idle::{CpuIdle, Idle};
use super::instance::{Gauge, Instance, Process, describe_exit, terminate};
use super::journal::Journal;
use super::limiter::{Limiter, Limits};
use super::premises::Premises;
use super::revision::lock;
use super::spawner::Spawner;
use super::spec::RevisionSpec;
use super::wire::Wire;
use super::world::InstanceId;
use crate::autoscaler::Policy;
use crate::scenario::Billing;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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
    /// What one vCPU stands for.
    pub(super) cores_per_vcpu: f64,
    /// Is told when instances come and go.
    pub(super) journal: Journal,
    /// What becomes of an instance's CPU between requests.
    pub(super) cpu_idle: CpuIdle,
    /// Ports given to instances that may still use them.
    pub(super) ports: Mutex<BTreeSet<u16>>,
}

/// Why an instance never listened.
pub(super) enum StartError {
    /// It was told to stop before.
    Stopped,
    /// It exited, could not be started, or took too long.
    Failed(String),
}

/// Between two looks at whether an instance listens. Each costs some ten microseconds of CPU.
const PROBE_EVERY: Duration = Duration::from_millis(4);
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
        (id, stop): (InstanceId, &Notify),
    ) -> Result<Process, StartError> {
        let name = format!("{}-{id}", spec.revision);
        let log = self.logs_dir.join(format!("{name}.log"));
        let mut attempt = 1;
        loop {
            let port = self.choose_port().await.map_err(failed("no free port"))?;
            let started = self.start_on(port, spec, policy, (&name, &log, stop)).await;
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

    async fn start_on(
        &self,
        port: u16,
        spec: &RevisionSpec,
        policy: &Policy,
        (name, log, stop): (&str, &Path, &Notify),
    ) -> Result<Process, StartError> {
        let cores = spec.vcpu.0 * self.cores_per_vcpu;
        let limits = self.limiter.limits(name, cores, spec.memory);
        let limits = Arc::new(limits.map_err(|error| StartError::Failed(error.to_string()))?);
        let started = self.start_under(&limits, port, spec, (policy, log, stop)).await;
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
        (policy, log, stop): (&Policy, &Path, &Notify),
    ) -> Result<Process, StartError> {
        let command = self.command(port, spec, (log, limits)).map_err(failed("its log could not be opened"))?;
        let mut child = self.spawner.spawn(command).await.map_err(failed("its program could not be started"))?;
        let pid = child.id().unwrap_or_default();
        limits.attach(pid);
        self.premises.note(pid, port);
        let outcome = tokio::select! {
            biased;
            status = child.wait() => Err(StartError::Failed(describe_exit(status, log))),
            () = stop.notified() => Err(StartError::Stopped),
            stream = listening(port) => Ok(stream),
            () = tokio::time::sleep(policy.startup_limit) => Err(StartError::Failed(format!(
                "it did not listen on port {port} within {} s; it must take the port from PORT",
                policy.startup_limit.as_secs()
            ))),
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
        let instance = Instance::new((Ipv4Addr::LOCALHOST, port).into(), idle);
        if let Ok(wire) = Wire::over(stream).await {
            instance.keep(wire);
        }
        let gauge = Gauge::new(Arc::clone(limits));
        Ok(Process { child, pid, port, instance: Arc::new(instance), gauge: Arc::new(gauge) })
    }

    /// Removes what a process that has ended leaves behind.
    pub(super) async fn bury(&self, process: Process) {
        lock(&self.ports).remove(&process.port);
        process.gauge.limits().remove().await;
    }

    /// Refuses a revision whose instances together could ask for more CPU than the host has beside what the platform,
    /// the driver and the system need: their quotas would promise what nobody can keep.
    pub(super) fn check_fits(&self, spec: &RevisionSpec) -> Result<(), String> {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        if self.limiter.is_limiting() { fits(spec, self.cores_per_vcpu, cores) } else { Ok(()) }
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

/// Host cores that stay free of instances' quotas.
const RESERVED_CORES: f64 = 0.5;

fn fits(spec: &RevisionSpec, host_cores_per_vcpu: f64, cores: f64) -> Result<(), String> {
    let share = spec.vcpu.0 * host_cores_per_vcpu;
    let (sum, room) = (f64::from(spec.max_instances) * share, cores - RESERVED_CORES);
    // 30 × 0.05 is 1.5 on paper and a little more in binary.
    if sum <= room + 1e-9 {
        return Ok(());
    }
    Err(format!(
        "{} instances of {share} host cores would need {sum:.2} cores, but this host has {cores} of which {RESERVED_CORES} stay \
         free: at most {} max instances fit, or at most {:.3} host cores per vCPU",
        spec.max_instances,
        ((room + 1e-9) / share).floor().max(0.0),
        (room / f64::from(spec.max_instances) / spec.vcpu.0).max(0.0),
    ))
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::Failed(format!("{what}: {error}"))
}

/// Returns as soon as something listens on the port.
async fn listening(port: u16) -> TcpStream {
    loop {
        if let Ok(stream) = probe(port).await {
            return stream;
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

/// A connection from 127.0.0.1 to a port of the ephemeral range on which nobody listens may be given that very port as
/// its own, and then connects to itself. It cannot from another address.
async fn probe(port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if cfg!(target_os = "linux") {
        socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into())?;
    }
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::other("connected to itself"));
    }
    Ok(stream)
}

fn is_port_taken(cause: &str) -> bool {
    let cause = cause.to_ascii_lowercase();
    cause.contains("address already in use") || cause.contains("eaddrinuse") || cause.contains("address in use")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Gib, Vcpu};
    use std::collections::BTreeMap;

    #[test]
    fn quotas_must_leave_half_a_core_and_the_refusal_says_what_fits() {
        let spec = |max_instances| RevisionSpec {
            service: String::new(),
            revision: String::new(),
            max_concurrency: 1,
            vcpu: Vcpu(1.0),
            memory: Gib(0.5),
            min_instances: 0,
            max_instances,
            billing: Billing::Request,
            command: Vec::new(),
            env: BTreeMap::new(),
            request_timeout: Duration::ZERO,
        };
        assert_eq!(fits(&spec(30), 0.05, 2.0), Ok(()));
        let refusal = fits(&spec(31), 0.05, 2.0).unwrap_err();
        assert!(refusal.contains("at most 30 max instances fit"), "{refusal}");
        assert!(refusal.contains("0.048 host cores per vCPU"), "{refusal}");
    }

    #[test]
    fn a_taken_port_is_recognised_in_the_last_words() {
        assert!(is_port_taken("it exited: Error: listen EADDRINUSE: address already in use :::8080"));
        assert!(!is_port_taken("it exited: no database"));
    }
}
