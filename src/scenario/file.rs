//! The scenario file as it is typed: one type for each thing that can be written, nothing checked but its shape. The
//! docstrings here are what the JSON Schema tells an editor.

use super::located::{Json, Located};
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
    /// Steps sent once before the load, in order, not measured. They may use constants, `${base_url}` and what
    /// earlier set-up steps extracted.
    #[serde(default)]
    pub(super) set_up: Vec<Located<StepFile>>,
    /// The ways through the service, mixed by weight.
    pub(super) journeys: Located<Vec<Located<JourneyFile>>>,
    /// How the load comes.
    pub(super) load: LoadFile,
    /// The stages of the load, one after the other.
    pub(super) stages: Located<Vec<Located<StageFile>>>,
    /// The promises, such as `p95 < 170ms`, `checkout.p95 < 300ms`, `mean < 100ms`, `error_rate < 0.5%`.
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
    /// The service under test; not needed when a target is given on the command line.
    pub(super) service: Option<Located<ServiceFile>>,
    /// What `tune` tries.
    pub(super) tune: Option<Located<TuneFile>>,
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

/// Where a variable's value comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum VariableFile {
    /// Always this value.
    Constant(serde_json::Value),
    /// One of these, each as likely as the others.
    Choice(Vec<serde_json::Value>),
    /// One of these, by weight.
    Weighted(Vec<WeightedFile>),
    /// A whole number between the two, both included.
    Integer(IntegerFile),
    /// An e-mail address of the form `user-<8 hex digits>@example.com`.
    Email,
    /// A random (version 4) UUID.
    Uuid,
}

/// A value and its weight.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WeightedFile {
    /// The value.
    pub(super) value: serde_json::Value,
    /// Its relative frequency.
    pub(super) weight: Located<f64>,
}

/// A range of whole numbers, both ends included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IntegerFile {
    /// Smallest.
    pub(super) from: i64,
    /// Largest.
    pub(super) to: i64,
}

/// One way through the service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JourneyFile {
    /// Unique among the journeys.
    pub(super) name: Located<String>,
    /// Relative frequency, above 0; 1 if left out.
    pub(super) weight: Option<Located<f64>>,
    /// The requests in order.
    pub(super) steps: Located<Vec<Located<StepFile>>>,
}

/// One request and what is expected of its answer. Exactly one of `get`, `post`, `put`, `patch`, `delete`, `head`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFile {
    /// Unique in its journey; steps of the same name in several journeys are reported together.
    pub(super) name: Located<String>,
    /// Path and query of a GET request; a template.
    pub(super) get: Option<Located<String>>,
    /// Path and query of a POST request; a template.
    pub(super) post: Option<Located<String>>,
    /// Path and query of a PUT request; a template.
    pub(super) put: Option<Located<String>>,
    /// Path and query of a PATCH request; a template.
    pub(super) patch: Option<Located<String>>,
    /// Path and query of a DELETE request; a template.
    pub(super) delete: Option<Located<String>>,
    /// Path and query of a HEAD request; a template.
    pub(super) head: Option<Located<String>>,
    /// Headers; values are templates. Cookies are kept and sent without being asked for.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Located<String>>,
    /// A JSON body whose strings are templates; `"${name}"` alone keeps the type of the value.
    pub(super) json: Option<Located<Json>>,
    /// What the answer must be; without it any status below 400.
    pub(super) expect: Option<ExpectFile>,
    /// What is kept of the answer, by variable name, for later steps of the journey.
    #[serde(default)]
    pub(super) extract: BTreeMap<String, Located<ExtractFile>>,
    /// What the answer adds to which counter.
    #[serde(default)]
    pub(super) count: BTreeMap<String, Located<CountFile>>,
    /// Pause after the answer: `200ms`, `100ms to 300ms` (uniform) or `exponential 200ms`; none if left out.
    pub(super) think: Option<Located<String>>,
    /// How long the whole answer may take; `30s` if left out.
    pub(super) timeout: Option<Located<String>>,
}

/// What an answer must be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectFile {
    /// The accepted statuses.
    pub(super) status: Located<Vec<Located<u16>>>,
}

/// Where a variable's value is found in an answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum ExtractFile {
    /// The first node of this JSONPath (RFC 9535) in the body.
    Json(Located<String>),
    /// The value of this header.
    Header(Located<String>),
}

/// What an answer adds to a counter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CountFile {
    /// A whole number, or a JSONPath (RFC 9535) whose selected numbers are summed.
    #[schemars(schema_with = "text_or_integer")]
    pub(super) add: Located<String>,
    /// Statuses of the answers that add; without it the statuses that the step expects.
    pub(super) when_status: Option<Located<Vec<Located<u16>>>>,
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

/// How the load comes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum LoadFile {
    /// Arrivals come whatever the service does.
    Open(OpenFile),
    /// Virtual users wait for answers; the levels of the stages are numbers of virtual users.
    Closed,
}

/// An open load model.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenFile {
    /// How arrivals are spaced.
    pub(super) arrivals: ArrivalsFile,
    /// What the levels of the stages count; an arrival starts one journey, which is several requests.
    pub(super) unit: UnitFile,
    /// Journeys that may be under way at once; an arrival beyond it waits, and its response time with it. 1000 if left out.
    pub(super) max_in_flight: Option<Located<u32>>,
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArrivalsFile {
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Evenly spaced.
    Constant,
}

/// What the levels of the stages count.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnitFile {
    /// Requests: divided by the mean number of steps of a journey they are arrivals.
    RequestsPerSecond,
    /// Arrivals, each of which starts a journey.
    ArrivalsPerSecond,
}

/// A stretch of time. Exactly one of `hold`, `ramp`, `spike`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StageFile {
    /// Unique among the stages.
    pub(super) name: Located<String>,
    /// The level stays here; steady state is judged.
    pub(super) hold: Option<Located<f64>>,
    /// The level moves on a line; steady state is not judged.
    pub(super) ramp: Option<Located<RampFile>>,
    /// The level jumps here for a short time; steady state is not judged.
    pub(super) spike: Option<Located<f64>>,
    /// How long; a local platform's time factor divides it.
    pub(super) duration: Located<String>,
    /// How much of the start is not measured; none if left out.
    pub(super) warm_up: Option<Located<String>>,
}

/// The two ends of a ramp.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RampFile {
    /// Level at the start.
    pub(super) from: f64,
    /// Level at the end.
    pub(super) to: f64,
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
    pub(super) objective: Option<ObjectiveFile>,
}

/// What is made least.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ObjectiveFile {
    /// Cost per million requests.
    CostPerMillionRequests,
}

fn text_or_integer(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["string", "integer"] })
}

fn environment(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": ["string", "number", "boolean"] }
    })
}
