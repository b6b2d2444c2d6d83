//! What the endpoints ask of the running platform: services, revisions and routes in the platform's own words.

use super::glance::RevisionGlance;
use super::probe::Probe;
use super::sample::RevisionSample;
use crate::autoscaler::Targets;
use crate::scenario::Billing;
use crate::units::{Gib, Vcpu};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

/// An immutable version of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionSpec {
    /// Service it belongs to.
    pub service: String,
    /// Short name, unique in the service.
    pub revision: String,
    /// Requests an instance may hold at once, 1 to 1000.
    pub max_concurrency: u32,
    /// vCPUs of an instance; the platform knows what share of a host core one stands for.
    pub vcpu: Vcpu,
    /// Memory of an instance.
    pub memory: Gib,
    /// Instances kept warm while the revision has traffic.
    pub min_instances: u32,
    /// Instances at most.
    pub max_instances: u32,
    /// What is billed.
    pub billing: Billing,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Environment besides `PORT`, `HOST`, `K_SERVICE`, `K_REVISION` and `K_CONFIGURATION`, which the platform sets.
    pub env: BTreeMap<String, String>,
    /// A request that takes longer ends in 504. Never divided by the time factor.
    pub request_timeout: Duration,
    /// Whether an instance has more CPU while it starts.
    pub startup_cpu_boost: bool,
    /// Tells when an instance has started.
    pub startup_probe: Probe,
    /// Tells whether it still lives.
    pub liveness_probe: Option<Probe>,
    /// What the autoscaler's drivers aim at.
    pub scaling_targets: Targets,
    /// Whether the requests of a client go to the same instance, as far as that has room.
    pub session_affinity: bool,
}

/// The instance counts of a service as a whole, divided among its revisions by their shares of the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceScaling {
    /// Instances kept warm, besides what each revision keeps by itself.
    pub min_instances: u32,
    /// Instances at most, besides each revision's own maximum.
    pub max_instances: Option<u32>,
    /// So many instances whatever the load: nothing scales.
    pub manual_instances: Option<u32>,
}

/// Where a service's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Short name of the revision.
    pub revision: String,
    /// Share of the service's own address, 0 to 100.
    pub percent: u32,
    /// Tag: an address of its own.
    pub tag: Option<String>,
}

/// The addresses of a service after routing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The service's own address, `http://127.0.0.1:PORT`.
    pub service: String,
    /// Each tag's address, by tag.
    pub tags: BTreeMap<String, String>,
}

/// Who may call a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Everyone,
    /// Only these, with a token.
    Only(Invokers),
}

/// Who may call a service with a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invokers {
    /// As an IAM policy names them: `serviceAccount:EMAIL`, `user:EMAIL`, `allAuthenticatedUsers`.
    pub members: BTreeSet<String>,
    /// Whom a token may be for, besides the service's own address.
    pub custom_audiences: Vec<String>,
}

/// Why the platform could not do it.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The first instance of a revision never became ready.
    #[error("revision {revision:?} did not become ready: {cause}")]
    NotReady {
        /// The revision.
        revision: String,
        /// What its instance did: exited with a code and its last words, never listened, could not be started.
        cause: String,
    },
    /// A route names a revision that is not there.
    #[error("there is no revision {0:?}")]
    NoRevision(String),
    /// The host cannot do it.
    #[error("{0}")]
    Host(String),
}

/// The running platform, as its endpoints see it. The real one is `Fleet`; tests of the endpoints use a fake.
pub trait Operate: Send + Sync + 'static {
    /// Starts one instance of a new revision and waits until it listens: only then is the revision ready. The instance
    /// stays, idle, as on Cloud Run.
    fn create_revision(&self, spec: RevisionSpec) -> impl Future<Output = Result<(), OperateError>> + Send;

    /// Sets where the service's requests go; opens a port for the service at its first call and one for each new tag,
    /// closes the ports of tags that are gone. Instances of a revision without any route finish their requests and stop.
    fn route(&self, service: &str, routes: &[Route]) -> impl Future<Output = Result<Addresses, OperateError>> + Send;

    /// Sets the instance counts of a service; they are in force with its next `route`.
    fn scale(&self, service: &str, scaling: ServiceScaling) -> impl Future<Output = ()> + Send;

    /// Whether it can tell who calls a service. Where it cannot, a service of which nobody said who may call it is open.
    fn knows_callers(&self) -> bool {
        false
    }

    /// Sets who may call a service, at once; called before its first `route`.
    fn admit(&self, _service: &str, _access: Access) {}

    /// Stops every instance of the service and closes its ports.
    fn delete_service(&self, service: &str) -> impl Future<Output = ()> + Send;

    /// Stops every instance of a revision without routes, requests under way with it, and forgets it: its name is free.
    /// Revisions are forgotten in no other way, however many there are: which are too many, the Admin API decides.
    fn delete_revision(&self, service: &str, revision: &str) -> impl Future<Output = ()> + Send;

    /// What every revision did since the last call, for all revisions that have instances or did anything.
    fn sample(&self) -> impl Future<Output = Vec<RevisionSample>> + Send;

    /// What the instances of every revision that has any, or has requests waiting for one, are doing now.
    fn glance(&self) -> Vec<RevisionGlance> {
        Vec::new()
    }
}
