//! The load of a scenario file as it is typed: load models, stages and replays, nothing checked but their shape. The
//! docstrings here are what the JSON Schema tells an editor.

use super::file::ExpectFile;
use super::located::Located;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How the load comes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum LoadFile {
    /// Arrivals come whatever the service does.
    Open(OpenFile),
    /// Virtual users wait for answers; the levels of the stages are numbers of virtual users.
    Closed,
    /// Virtual users who begin a session at a fixed pace; the levels of the stages are their numbers.
    Paced(PacedFile),
    /// Exactly as many requests in flight as the levels of the stages say, without think times: for calibration.
    InFlight,
    /// Arrivals come as they were recorded.
    Replay(Box<ReplayFile>),
}

/// A closed load model at a fixed pace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PacedFile {
    /// From the due time of a virtual user's session to that of the next, such as `10s`.
    pub(super) every: Located<String>,
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

/// A stretch of time. Exactly one of `hold`, `ramp`, `spike`, `sine`.
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
    /// The level swings around a mean, as over a day; steady state is not judged.
    pub(super) sine: Option<Located<SineFile>>,
    /// How long; a local platform's time factor divides it.
    pub(super) duration: Located<String>,
    /// How much of the start is not measured; none if left out.
    pub(super) warm_up: Option<Located<String>>,
    /// Weights of the journeys during this stage, by name, instead of their own; one that is left out does not come.
    pub(super) mix: Option<Located<BTreeMap<String, Located<f64>>>>,
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

/// A level that swings: mean + amplitude · sin(2π · (t + phase) / period).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SineFile {
    /// The level it swings around.
    pub(super) mean: f64,
    /// How far it swings, at most the mean.
    pub(super) amplitude: f64,
    /// Length of a whole swing, such as `24h`; a local platform's time factor divides it.
    pub(super) period: Located<String>,
    /// How far into a swing the stage begins; none if left out: at the mean, going up.
    pub(super) phase: Option<Located<String>>,
}

/// Recorded arrivals that are sent again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayFile {
    /// The log; its path is relative to the scenario file.
    pub(super) file: Located<String>,
    /// What the log is.
    pub(super) format: LogFormatFile,
    /// How many times as fast as it was recorded; 1 if left out.
    pub(super) speed: Option<Located<f64>>,
    /// How many arrivals for each recorded one; 1 if left out, and below 1 leaves some out.
    pub(super) multiply: Option<Located<f64>>,
    /// Journeys that may be under way at once; an arrival beyond it waits, and its response time with it. 1000 if left out.
    pub(super) max_in_flight: Option<Located<u32>>,
    /// What becomes of a log with lines that cannot be used; `refuse` if left out.
    pub(super) on_bad_line: Option<OnBadLineFile>,
    /// How much of the start of the replay is not measured; none if left out.
    pub(super) warm_up: Option<Located<String>>,
    /// Arrivals written with the same time came within this long after it, and are spread over it. `1s` if left out for
    /// `common` and `combined`, which write whole seconds; none for the others.
    pub(super) spread: Option<Located<String>>,
    /// `csv` only: the column of the times, its name in the first line or its number from 1; the first if left out.
    #[schemars(schema_with = "super::file::text_or_integer")]
    #[serde(default)]
    pub(super) column: Option<Located<String>>,
    /// `csv` only: what a time that is a plain number counts; `s` if left out.
    pub(super) unit: Option<Located<TimeUnitFile>>,
    /// What is sent; `journeys` if left out.
    pub(super) send: Option<Located<SendFile>>,
    /// With `send: requests`: the methods that are sent; `[GET, HEAD]` if left out. Logs have no bodies, so none is sent.
    pub(super) methods: Option<Located<Vec<Located<String>>>>,
    /// With `send: requests`: how many groups of paths are reported each for itself, the most frequent ones; 50 if left out.
    pub(super) groups: Option<Located<u32>>,
    /// With `send: requests`: what the answers must be; without it any status below 400.
    pub(super) expect: Option<Located<ExpectFile>>,
    /// With `send: requests` of `csv`: the column of paths with their queries, or of whole addresses.
    #[schemars(schema_with = "super::file::text_or_integer")]
    #[serde(default)]
    pub(super) path_column: Option<Located<String>>,
    /// With `send: requests` of `csv`: the column of methods; all are GET if left out.
    #[schemars(schema_with = "super::file::text_or_integer")]
    #[serde(default)]
    pub(super) method_column: Option<Located<String>>,
    /// With `send: requests` of `csv`: the column of user agents; none is sent if left out.
    #[schemars(schema_with = "super::file::text_or_integer")]
    #[serde(default)]
    pub(super) agent_column: Option<Located<String>>,
}

/// What a replay sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SendFile {
    /// Only the times are used: the scenario's journeys, drawn by weight.
    Journeys,
    /// The recorded requests: method, path, query and user agent. The scenario has no journeys then.
    Requests,
}

/// What a log is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogFormatFile {
    /// Comma-separated values with a column of times: RFC 3339, or plain numbers.
    Csv,
    /// Entries of Cloud Logging as JSON, one on each line or in an array; those with `httpRequest` are arrivals.
    CloudLogging,
    /// Common Log Format.
    Common,
    /// Combined Log Format.
    Combined,
}

/// What becomes of a log with lines that cannot be used.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnBadLineFile {
    /// It is refused as a whole.
    Refuse,
    /// They are left out, and counted.
    Skip,
}

/// What a plain number counts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimeUnitFile {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}
