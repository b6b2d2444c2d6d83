//! The platform with one service, whose only instance is the server of canned answers.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::time::Duration;
use tidegate::autoscaler::{Policy, Targets};
use tidegate::platform::{
    CpuIdle, Fleet, FleetOptions, LimiterChoice, LimiterKind, Operate, Probe, RevisionSpec, Route,
};
use tidegate::scenario::Billing;
use tidegate::units::{Gib, Vcpu};
use tokio::io::AsyncReadExt as _;

/// Serves until the end of standard input; tells its address first.
pub(super) fn run() -> Result<(), Box<dyn Error>> {
    // As many threads as it has cores, as `tidegate platform` has: pinned to a core, one.
    tokio::runtime::Runtime::new()?.block_on(async {
        let options = FleetOptions {
            policy: Policy::cloud_run(),
            time_factor: 1.0,
            host_cores_per_vcpu: 1.0,
            limiter: LimiterChoice::Only(LimiterKind::None),
            cpu_idle: CpuIdle::Frozen,
            launcher: None,
            logs_dir: None,
        };
        let fleet = Fleet::start(options).await?;
        fleet.create_revision(spec()?).await?;
        let route = Route { revision: "bench-1".to_owned(), percent: 100, tag: None };
        let addresses = fleet.route("bench", &[route]).await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", addresses.service)?;
        out.flush()?;
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        fleet.shutdown().await;
        Ok(())
    })
}

fn spec() -> Result<RevisionSpec, Box<dyn Error>> {
    let exe = std::env::current_exe()?.to_string_lossy().into_owned();
    let on_its_core = ["taskset", "-c", super::way::SERVER_CORE, &exe, "serve"];
    Ok(RevisionSpec {
        service: "bench".to_owned(),
        revision: "bench-1".to_owned(),
        max_concurrency: 1000,
        vcpu: Vcpu(1.0),
        memory: Gib(0.5),
        min_instances: 1,
        max_instances: 1,
        billing: Billing::Request,
        command: on_its_core.map(str::to_owned).into(),
        env: BTreeMap::new(),
        request_timeout: Duration::from_mins(5),
        startup_cpu_boost: false,
        startup_probe: Probe::default_startup(),
        liveness_probe: None,
        scaling_targets: Targets::default(),
        session_affinity: false,
    })
}
