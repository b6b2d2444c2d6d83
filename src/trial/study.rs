//! All trials of one tuning, with everything that a report of them needs.

use super::{Assumed, Decision, TrialResult};
use crate::cost::{InstanceShape, Prices};
use crate::scenario::{Candidate, Scenario};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Version of the saved form; a reader refuses any other. Version 2 has the classes, phases and exemplars of steps, the classes of
/// journeys, and scenarios with scripted journeys.
pub const SCHEMA_VERSION: u32 = 2;
/// What stands in a saved study for a value that may be a secret.
const NOT_SAVED: &str = "(not saved)";
/// The knobs of the bundled shop: what they are set to is part of the question and never a secret.
const SAVED_VARIABLES: [&str; 16] = [
    "BACKGROUND_WORK_MS",
    "CPU_WORK_US",
    "CRASH_AFTER_REQUESTS",
    "CRASH_PROBABILITY",
    "CRASH_SEED",
    "DATABASE_POOL_SIZE",
    "EXECUTOR_THREADS",
    "FIRST_REQUEST_WORK_MS",
    "LOG_REQUESTS",
    "MEMORY_PER_REQUEST_KIB",
    "MUTEX_HOLD_MS",
    "STARTUP_DELAY_MS",
    "STOCK_UPDATES",
    "TEMP_FILE_KIB",
    "WAIT_MS",
    "WORKERS",
];

/// A study: what was asked, where, and all that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Version of this form.
    pub schema_version: u32,
    /// Name of the study: its folder's name.
    pub name: String,
    /// Version of tidegate, and its commit when known.
    pub tidegate_version: String,
    /// The command line that made it.
    pub command: String,
    /// Working directory's commit when the study was made, if known.
    pub commit: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// When it was finished, RFC 3339.
    pub finished_at: Option<String>,
    /// The scenario, whole; saved as [`redacted_scenario`] leaves it.
    #[serde(serialize_with = "without_secrets")]
    pub scenario: Scenario,
    /// The candidates that are tried, in ascending order (fewer than the scenario's under `--quick`).
    pub candidates: Vec<Candidate>,
    /// Blocks.
    pub blocks: u32,
    /// What was left of the length of every stage, besides the time factor: 1, or less for a quick look.
    #[serde(default = "whole")]
    pub stage_share: f64,
    /// Seed of the study.
    pub seed: u64,
    /// Where it ran.
    pub place: Place,
    /// The machine that drove it.
    pub host: Host,
    /// Prices that applied.
    pub prices: Prices,
    /// What an instance was, and how it is billed.
    pub shape: InstanceShape,
    /// Trials in the order they ran.
    pub trials: Vec<TrialResult>,
    /// The decision, once every trial is there.
    pub decision: Option<Decision>,
}

fn whole() -> f64 {
    1.0
}

/// Whether the value of this environment variable of a service may be saved and shown. Only the bundled shop's own
/// knobs may: any other variable can hold a password, and a study is made to be passed on.
#[must_use]
pub fn value_is_saved(variable: &str) -> bool {
    SAVED_VARIABLES.contains(&variable)
}

/// The scenario as a study is saved with it: of the services' environment all names, but only the values that
/// [`value_is_saved`] allows; `(not saved)` stands for the others. Of files that it names, rows of data and bodies, only
/// what tells whether they are still the same. A scenario read from its file equals the saved one when both are
/// redacted.
#[must_use]
pub fn redacted_scenario(scenario: &Scenario) -> Scenario {
    let mut redacted = scenario.without_content();
    let members = redacted.system.iter_mut().flat_map(|system| system.services.values_mut());
    let services = members.map(|member| &mut member.service).chain(&mut redacted.service);
    let variables = services.flat_map(|service| &mut service.env);
    for (_, value) in variables.filter(|(name, _)| !value_is_saved(name)) {
        NOT_SAVED.clone_into(value);
    }
    redacted
}

/// Redacting where the scenario is written leaves no way to save a study with its secrets, and copies no histogram.
fn without_secrets<S: Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    redacted_scenario(scenario).serialize(serializer)
}

impl Study {
    /// What the lengths of stages, as the scenario writes them, were divided by.
    #[must_use]
    pub fn stage_divisor(&self) -> f64 {
        let time_factor = match &self.place {
            Place::Local(scale) => scale.time_factor,
            Place::CloudRun { .. } => 1.0,
        };
        time_factor / self.stage_share
    }
}

/// Where a study ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    /// The local platform.
    Local(Scale),
    /// Cloud Run.
    CloudRun {
        /// Project.
        project: String,
        /// Region.
        region: String,
        /// Service.
        service: String,
    },
}

/// In what a local study differs from Cloud Run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// How instances were limited.
    pub limiter: Limiter,
    /// Host cores that one vCPU stood for.
    pub host_cores_per_vcpu: f64,
    /// What platform times and stage lengths were divided by.
    pub time_factor: f64,
    /// How the platform scaled and routed.
    #[serde(default)]
    pub scaling: Scaling,
    /// `HOST:PORT` of the Pub/Sub that a system's messages went through, where that was not the local broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubsub: Option<String>,
    /// What the platform took for granted. Records of before this was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assumed: Option<Assumed>,
}

/// How the local platform scaled and routed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Whose autoscaler: `cloud-run` or `knative`.
    pub autoscaler: String,
    /// Which instance got a request.
    pub routing: String,
    /// Whether the concurrency driver heeded its 10-minute average too.
    pub long_concurrency_window: bool,
}

impl Default for Scaling {
    /// What every study had before it could be chosen.
    fn default() -> Self {
        Self { autoscaler: "cloud-run".to_owned(), routing: "least-loaded".to_owned(), long_concurrency_window: false }
    }
}

/// How instances were limited, and whether it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limiter {
    /// `cgroup2`, `cgroup1`, `systemd`, `sigstop` or `none`.
    pub kind: String,
    /// Why no better one, or what is not limited; empty when nothing is to be said.
    pub note: String,
    /// CPU share (cores) that the self-test asked for.
    pub self_test_set_cores: Option<f64>,
    /// CPU share (cores) that the self-test's spinner got.
    pub self_test_measured_cores: Option<f64>,
    /// What became of the CPU of instances billed by request between their requests: `frozen` or `full`. Records of before
    /// there was a choice have none: it was `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_idle: Option<String>,
}

/// The machine that drove a study.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Operating system and kernel.
    pub system: String,
    /// CPU model.
    pub cpu: String,
    /// Logical cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}
