//! What several tests of the platform begin with.

use super::probe::Probe;
use super::spec::RevisionSpec;
use crate::autoscaler::Targets;
use crate::scenario::Billing;
use crate::units::{Gib, Vcpu};
use std::collections::BTreeMap;
use std::time::Duration;

/// A revision of one vCPU, billed by request, that runs nothing.
pub(super) fn spec() -> RevisionSpec {
    RevisionSpec {
        service: "shop".to_owned(),
        revision: "shop-1".to_owned(),
        max_concurrency: 1,
        vcpu: Vcpu(1.0),
        memory: Gib(0.5),
        min_instances: 0,
        max_instances: 1,
        billing: Billing::Request,
        command: Vec::new(),
        env: BTreeMap::new(),
        request_timeout: Duration::from_secs(20),
        startup_cpu_boost: false,
        startup_probe: Probe::default_startup(),
        liveness_probe: None,
        scaling_targets: Targets::default(),
        session_affinity: false,
    }
}
