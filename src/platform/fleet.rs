//! The running platform: its services, their revisions and their ports.

mod operate;

use super::allotment::Allotment;
use super::cores::Cores;
use super::ending::Ending;
use super::gate::Gates;
use super::host::Host;
use super::idle::CpuIdle;
use super::ingress::Entry;
use super::journal::Journal;
use super::keyring::{IdentityKeys, Keyring, KeysError};
use super::limiter::{self, Limiter, LimiterChoice, LimiterError, LimiterReport};
use super::owner;
use super::premises::{self, Premises};
use super::revision::{Revision, lock};
use super::spawner::Spawner;
use super::spec::{OperateError, RevisionSpec, ServiceScaling};
use crate::autoscaler::Policy;
use crate::port;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How a platform is run.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// The platform's constants, unscaled.
    pub policy: Policy,
    /// Divides platform times; 1 is real time.
    pub time_factor: f64,
    /// Host cores that one vCPU stands for.
    pub host_cores_per_vcpu: f64,
    /// How instances are limited.
    pub limiter: LimiterChoice,
    /// What becomes of an instance's CPU between requests under request-based billing.
    pub cpu_idle: CpuIdle,
    /// The program whose `launch` subcommand starts instances (`std::env::current_exe()` for tidegate itself). Without
    /// one, programs are executed directly: not limited, and not ended with a platform that is killed.
    pub launcher: Option<PathBuf>,
    /// Where instances write what they print, a file each: `<revision>-<n>.log`. Without one, a directory of the
    /// platform's own that is removed at its end.
    pub logs_dir: Option<PathBuf>,
}

/// What a platform has to do with those outside. By default it is reached from this machine only, and tells nobody.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The address of services; the port is any free one.
    pub listen: IpAddr,
    /// Is told when instances come and go, and who is refused.
    pub journal: Journal,
    /// The keys of those who may make ID tokens: with them a service is private until somebody says otherwise.
    pub identity: Option<IdentityKeys>,
}

impl Default for Outside {
    fn default() -> Self {
        Self { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), journal: Journal::default(), identity: None }
    }
}

/// Why the platform could not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The directory for what instances print.
    #[error("failed to create the log directory {path}: {source}; choose one that can be written to by --logs")]
    Logs {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The platform's own folder.
    #[error(
        "failed to make the platform's folder in {path}: {source}; choose a place that can be written to by TMPDIR"
    )]
    Premises {
        /// The folder for temporary files.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread that starts instances.
    #[error(
        "failed to start the thread that starts instances: {0}; raise the limit of threads (ulimit -u) or end other programs"
    )]
    Spawner(io::Error),
    /// The limiter that was asked for.
    #[error(transparent)]
    Limiter(#[from] LimiterError),
    /// The keys that ID tokens are checked with.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An option that makes no sense.
    #[error("the {what} is {value}, but must be a positive number, such as 1; set it by {option}")]
    Option {
        /// What it sets.
        what: &'static str,
        /// Its name on the command line.
        option: &'static str,
        /// What it was set to.
        value: f64,
    },
}

/// The running platform. A clone is the same platform.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    host: Arc<Host>,
    services: tokio::sync::Mutex<BTreeMap<String, Service>>,
    revisions: Mutex<Vec<Arc<Revision>>>,
    /// Deleted since the last sample: what they did until their end is still to be told.
    gone: Mutex<Vec<Arc<Revision>>>,
    listen: IpAddr,
    gates: Gates,
    limiter_report: LimiterReport,
    leftovers: Leftovers,
}

/// What platforms that were killed had left behind, and this one cleared up when it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Processes that still ran or stood still.
    pub processes: usize,
    /// Cgroups.
    pub groups: usize,
    /// Folders.
    pub folders: usize,
}

impl Leftovers {
    fn clear() -> Self {
        let (processes, folders) = premises::clear_leftovers();
        Self { processes, groups: limiter::remove_leftovers(), folders }
    }
}

#[derive(Default)]
struct Service {
    scaling: ServiceScaling,
    main: Option<Entry>,
    tags: BTreeMap<String, Entry>,
}

impl Fleet {
    /// Starts a platform without services, on the loopback address; must be called within a tokio runtime.
    pub async fn start(options: FleetOptions) -> Result<Self, FleetError> {
        Self::start_for(Outside::default(), options).await
    }

    /// Starts a platform without services; must be called within a tokio runtime.
    pub async fn start_for(outside: Outside, options: FleetOptions) -> Result<Self, FleetError> {
        for (what, option, value) in [
            ("time factor", "--time-factor", options.time_factor),
            ("number of host cores per vCPU", "--host-cores-per-vcpu", options.host_cores_per_vcpu),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(FleetError::Option { what, option, value });
            }
        }
        let keyring = Keyring::read(outside.identity).await?;
        port::raise_file_limit();
        let leftovers = Leftovers::clear();
        // Two platforms of one process must not meet in the same directory or the same cgroup.
        let unique = format!("{:x}", jiff::Timestamp::now().as_nanosecond());
        let premises = Premises::open(owner::name_of_this_process(&unique).trim_start_matches(owner::PREFIX))
            .map_err(|source| FleetError::Premises { path: std::env::temp_dir(), source })?;
        let logs_dir = options.logs_dir.clone().unwrap_or_else(|| premises.dir().to_owned());
        let (spawner, (limiter, limiter_report)) = match means(&options, &logs_dir, &unique).await {
            Ok(means) => means,
            Err(error) => {
                premises.clear();
                return Err(error);
            }
        };
        let host = Host {
            spawner,
            launcher: options.launcher,
            limiter,
            logs_dir,
            premises,
            cores: Cores::of_this_host(),
            cores_per_vcpu: options.host_cores_per_vcpu,
            journal: outside.journal.clone(),
            cpu_idle: options.cpu_idle,
            ports: Mutex::default(),
        };
        let shared = Shared {
            policy: options.policy.scaled(options.time_factor),
            host: Arc::new(host),
            services: tokio::sync::Mutex::default(),
            revisions: Mutex::default(),
            gone: Mutex::default(),
            listen: outside.listen,
            gates: Gates::new(keyring, outside.journal),
            limiter_report,
            leftovers,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the limiter is and what its self-test found.
    #[must_use]
    pub fn limiter_report(&self) -> &LimiterReport {
        &self.shared.limiter_report
    }

    /// What was found of platforms that were killed, and cleared up.
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        self.shared.leftovers
    }

    /// How the instances of each revision have ended so far, by service and revision.
    #[must_use]
    pub fn endings(&self) -> BTreeMap<(String, String), BTreeMap<Ending, u64>> {
        let revisions = lock(&self.shared.revisions).clone();
        let name = |revision: &Revision| (revision.spec.service.clone(), revision.spec.revision.clone());
        revisions.iter().map(|revision| (name(revision), revision.endings())).collect()
    }

    /// Stops everything: afterwards no process and no cgroup of the platform is left.
    pub async fn shutdown(&self) {
        self.shared.services.lock().await.clear();
        let revisions = std::mem::take(&mut *lock(&self.shared.revisions));
        stop(&revisions).await;
        self.shared.host.limiter.close();
        self.shared.host.premises.clear();
    }

    /// Refuses more instances by hand than the host's cores carry.
    fn check_manual(&self, revision: &Revision, part: Allotment) -> Result<(), OperateError> {
        let Some(manual) = part.manual else { return Ok(()) };
        let by_hand = RevisionSpec { max_instances: manual, ..revision.spec.clone() };
        self.shared.host.check_fits(&by_hand, self.quotas_beside(&by_hand.service)).map_err(OperateError::Host)
    }

    /// A new revision without instances; `None` if there is one of this name.
    fn add(&self, spec: RevisionSpec) -> Option<Arc<Revision>> {
        let mut revisions = lock(&self.shared.revisions);
        let taken =
            revisions.iter().any(|other| other.spec.service == spec.service && other.spec.revision == spec.revision);
        if taken {
            return None;
        }
        let revision = Revision::new(spec, self.shared.policy.clone(), Arc::clone(&self.shared.host));
        revisions.push(Arc::clone(&revision));
        Some(revision)
    }

    /// Host cores that the other services' instances may ask for: of each, those of its largest revision with traffic.
    fn quotas_beside(&self, service: &str) -> f64 {
        let mut largest: BTreeMap<String, f64> = BTreeMap::new();
        let revisions = lock(&self.shared.revisions).clone();
        for revision in revisions.iter().filter(|other| other.spec.service != service && other.is_routed()) {
            let of_service = largest.entry(revision.spec.service.clone()).or_default();
            *of_service = of_service.max(self.shared.host.quotas_of(&revision.spec));
        }
        largest.values().sum()
    }

    /// Stops these revisions and forgets them.
    async fn delete(&self, which: impl Fn(&Revision) -> bool) {
        let gone: Vec<_> = lock(&self.shared.revisions).extract_if(.., |revision| which(revision)).collect();
        stop(&gone).await;
        lock(&self.shared.gone).extend(gone);
    }

    fn revision(&self, service: &str, revision: &str) -> Option<Arc<Revision>> {
        let is_it = |other: &&Arc<Revision>| other.spec.service == service && other.spec.revision == revision;
        lock(&self.shared.revisions).iter().find(is_it).cloned()
    }
}

/// What a platform needs of the host besides its folder.
async fn means(
    options: &FleetOptions,
    logs_dir: &Path,
    unique: &str,
) -> Result<(Spawner, (Limiter, LimiterReport)), FleetError> {
    std::fs::create_dir_all(logs_dir).map_err(|source| FleetError::Logs { path: logs_dir.to_owned(), source })?;
    let spawner = Spawner::start().map_err(FleetError::Spawner)?;
    let launcher = (options.launcher.as_deref(), &spawner);
    let limiter = Limiter::probe(options.limiter, launcher, options.host_cores_per_vcpu, unique).await?;
    Ok((spawner, limiter))
}

/// Stops these revisions at the same time.
async fn stop(revisions: &[Arc<Revision>]) {
    let mut stopping = tokio::task::JoinSet::new();
    for revision in revisions {
        let revision = Arc::clone(revision);
        stopping.spawn(async move { revision.delete().await });
    }
    while stopping.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
