//! The scenario file as it is typed: one type for each thing that can be written, nothing checked but its shape. The
//! docstrings here are what the JSON Schema tells an editor.

mod steps;
mod target;
mod values;

pub(super) use steps::{
    CountFile, ExpectFile, ExtractFile, FormPartFile, JsonExpectFile, RepeatFile, RepeatRangeFile, StepFile,
    TextExpectFile,
};
pub(super) use target::TargetFile;
pub(super) use values::{DataFile, DataOrderFile, DecimalFile, TimestampFile, VariableFile};

use super::load_file::{LoadFile, StageFile};
use super::located::Located;
use super::system_file::{DeliverFile, MemberFile, SubscriptionFile};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A tidegate scenario: which load, which journeys, within which promises, and what to try.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "tidegate scenario", rename = "ScenarioFile")]
pub(super) struct ScenarioFile {
    /// Lower-case letters, digits and hyphens; becomes part of report folders and revision names.
    pub(super) name: Located<String>,
    /// What the scenario stands for, for the report.
    #[serde(default)]
    pub(super) description: String,
    /// Values for templates, drawn anew for each journey; `${name}` puts one into a path, a header or a body.
    #[serde(default)]
    pub(super) variables: BTreeMap<String, Located<VariableFile>>,
    /// Rows of CSV files by name; `${name.column}` puts a value of the journey's row into a path, a header or a body.
    #[serde(default)]
    pub(super) data: BTreeMap<String, Located<DataFile>>,
    /// Steps sent once before the load, in order, not measured. They may use constants, `${base_url}` and what
    /// earlier set-up steps extracted.
    #[serde(default)]
    pub(super) set_up: Vec<Located<StepFile>>,
    /// Steps sent once after the load, in order, not measured, even when it was stopped. They know what the set-up
    /// steps do, and what those extracted. One that fails is a warning.
    #[serde(default)]
    pub(super) tear_down: Vec<Located<StepFile>>,
    /// The ways through the service, mixed by weight; a replay that sends the recorded requests has none.
    pub(super) journeys: Option<Located<Vec<Located<JourneyFile>>>>,
    /// How the load comes.
    pub(super) load: Located<LoadFile>,
    /// The stages of the load, one after the other; a replay has none of its own.
    pub(super) stages: Option<Located<Vec<Located<StageFile>>>>,
    /// The promises, such as `p95 < 170ms`, `checkout.p95 < 300ms`, `mean < 100ms`, `error_rate < 0.5%`; of deliveries
    /// `delivery.p95 < 60s`, `sms-service.delivery.p95 < 1s`, `heal < 120s`, `lost == 0`.
    #[serde(default)]
    pub(super) slos: Vec<Located<String>>,
    /// What ends a run early, each rule for itself; a study lets every trial run to its end.
    #[serde(default)]
    pub(super) abort: Vec<Located<AbortFile>>,
    /// Numbers the service is asked for before the load and after the last answer, not measured.
    #[serde(default)]
    pub(super) observe: Vec<Located<ObservationFile>>,
    /// What must agree: a counter gains what an observation loses.
    #[serde(default)]
    pub(super) conserve: Vec<Located<ConservationFile>>,
    /// What a month of this traffic looks like: prices "per month".
    pub(super) traffic: Option<Located<TrafficFile>>,
    /// Where `run` sends the load, and how it gets there; an option of the command line wins. Headers and timeout are for
    /// `tune` too.
    pub(super) target: Option<Located<TargetFile>>,
    /// The service under test; not needed when a target is given on the command line.
    pub(super) service: Option<Located<ServiceFile>>,
    /// What `tune` tries.
    pub(super) tune: Option<Located<TuneFile>>,
    /// Several services instead of one, by name: an asynchronous system, which `run` starts on the local platform.
    #[serde(default)]
    pub(super) services: BTreeMap<String, Located<MemberFile>>,
    /// The one of `services` that the journeys are sent to.
    pub(super) front: Option<Located<String>>,
    /// What applies to `services` on the local platform only.
    pub(super) local: Option<LocalFile>,
    /// The Pub/Sub topics of `services`.
    #[serde(default)]
    pub(super) topics: Vec<Located<String>>,
    /// Their push subscriptions, by name.
    #[serde(default)]
    pub(super) subscriptions: BTreeMap<String, Located<SubscriptionFile>>,
    /// What goes wrong while the load runs, such as `email-service down from 20s for 30s`: a broken revision of the service is
    /// deployed, then a good one again. `down`, `crashing`, `hanging`, `slow 2s` or `failing 20%`. A time factor divides both times.
    #[serde(default)]
    pub(super) faults: Vec<Located<String>>,
    /// What must become of each report that a step posts.
    pub(super) deliver: Option<Located<DeliverFile>>,
}

/// A rule that ends a run early. Exactly one of `slo`, `rate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortFile {
    /// A promise, such as `p95 < 500ms` or `checkout.error_rate < 5%`. With `over` it is judged over the last requests;
    /// without, the run ends once the promise can no longer be kept, whatever is still to come (open load only).
    pub(super) slo: Option<Located<String>>,
    /// `achieved < 90% of offered`: the run ends when the requests completed fall this far behind those that were due.
    pub(super) rate: Option<Located<String>>,
    /// How far back is looked, such as `30s`. Requests that still wait for an answer count from when they break the
    /// promise. A time factor divides it.
    pub(super) over: Option<Located<String>>,
    /// From when on is judged; once the window is full (`over`) if left out. A time factor divides it.
    pub(super) after: Option<Located<String>>,
}

/// One way through the service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JourneyFile {
    /// Unique among the journeys.
    pub(super) name: Located<String>,
    /// Relative frequency, above 0; 1 if left out.
    pub(super) weight: Option<Located<f64>>,
    /// The requests in order, and groups of them.
    pub(super) steps: Located<Vec<Located<StepFile>>>,
}

/// A number the service is asked for before and after the load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservationFile {
    /// Unique among the observations.
    pub(super) name: Located<String>,
    /// Path and query of a GET request; it may use constants and `${base_url}`.
    pub(super) get: Located<String>,
    /// Headers; values are templates.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Located<String>>,
    /// A JSONPath (RFC 9535) into the answer; the numbers it selects are summed.
    pub(super) sum: Located<String>,
}

/// A law of conservation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConservationFile {
    /// A counter of the steps.
    pub(super) counter: Located<String>,
    /// The observation that falls by what the counter gained.
    pub(super) falls: Located<String>,
}

/// What a month looks like.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrafficFile {
    /// Requests that reach the service in a month.
    pub(super) requests_per_month: Located<f64>,
    /// Share (0 to 1) of those requests that come under the conditions of each stage; together 1.
    pub(super) shares: Located<BTreeMap<String, Located<f64>>>,
}

/// The service under test. Exactly one of `bundled`, `command`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFile {
    /// A service that tidegate carries: `shop`.
    pub(super) bundled: Option<Located<String>>,
    /// A program with its arguments; it must listen on the port in `PORT`.
    pub(super) command: Option<Located<Vec<String>>>,
    /// Environment of each instance.
    #[serde(default)]
    #[schemars(schema_with = "environment")]
    pub(super) env: BTreeMap<String, Located<String>>,
    /// vCPUs of an instance; 1 if left out.
    pub(super) vcpu: Option<Located<f64>>,
    /// Memory of an instance, such as `512MiB` or `2GiB`; `512MiB` if left out.
    pub(super) memory: Option<Located<String>>,
    /// Instances kept warm; 0 if left out.
    pub(super) min_instances: Option<Located<u32>>,
    /// Instances at most; 100 if left out, as on Cloud Run.
    pub(super) max_instances: Option<Located<u32>>,
    /// What is billed; `request` if left out.
    pub(super) billing: Option<BillingFile>,
    /// Region whose prices apply; `us-central1` if left out.
    pub(super) region: Option<Located<String>>,
    /// What applies on the local platform only.
    pub(super) local: Option<LocalFile>,
}

/// What is billed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BillingFile {
    /// Request-based billing: CPU only while an instance has requests.
    Request,
    /// Instance-based billing: the whole life of an instance.
    Instance,
}

/// The scale model of the local platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalFile {
    /// Share of a host core that one vCPU stands for; 1 if left out.
    pub(super) host_cores_per_vcpu: Option<Located<f64>>,
    /// Divides platform times and the lengths of the stages, never rates, think times or service times; 1 if left out.
    pub(super) time_factor: Option<Located<f64>>,
}

/// What `tune` tries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TuneFile {
    /// The max-concurrency settings to try, 1 to 1000.
    pub(super) candidates: Located<Vec<Located<u32>>>,
    /// How often each candidate is tried; 2 if left out.
    pub(super) blocks: Option<Located<u32>>,
    /// The candidates of `--quick`, in one block; all if left out.
    pub(super) quick: Option<Located<Vec<Located<u32>>>>,
    /// What is made least among the candidates that keep every promise.
    pub(super) objective: Option<Located<ObjectiveFile>>,
    /// Beside `services`: those that get the candidate's max concurrency; the one named by `front` if left out. The others
    /// keep their own.
    pub(super) services: Option<Located<Vec<Located<String>>>>,
    /// Beside `services`: how many instances those that are tuned may have meanwhile, instead of their own `max_instances`.
    pub(super) max_instances: Option<Located<u32>>,
    /// The scale model of a tuning on the local platform; what it leaves out is as elsewhere.
    pub(super) local: Option<LocalFile>,
}

/// What is made least.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ObjectiveFile {
    /// Cost per million requests; what is made least if nothing else is said.
    CostPerMillionRequests,
    /// Cost of all `services` per thousand reports that reached everybody in `deliver`; what is made least beside `services`
    /// and `deliver` if nothing else is said.
    CostPerThousandDelivered,
}

pub(super) fn text_or_integer(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["string", "integer"] })
}

pub(super) fn environment(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": ["string", "number", "boolean"] }
    })
}
