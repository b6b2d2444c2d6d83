//! A valid scenario: what the file means, once everything that can be wrong with it has been refused.

use super::{AbortRule, Conservation, Counter, Observation};
use crate::units::{Billing, Gib, Vcpu};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A scenario whose every name resolves and whose every number is in range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name of the scenario, a DNS label: it becomes part of revision and folder names.
    pub name: String,
    /// What the scenario stands for, for the report.
    pub description: String,
    /// Variables drawn anew for each journey, by name.
    pub variables: BTreeMap<String, Field>,
    /// Steps sent once before the load, not measured.
    pub set_up: Vec<Step>,
    /// The journeys, at least one, mixed by weight.
    pub journeys: Vec<Journey>,
    /// How the load comes.
    pub load: LoadModel,
    /// The stages in order, at least one.
    pub stages: Vec<Stage>,
    /// The promises.
    pub slos: Vec<Slo>,
    /// What a month looks like, if the file says so.
    pub traffic: Option<Traffic>,
    /// The service under test, if the file names one.
    pub service: Option<Service>,
    /// What to try, if the file says so.
    pub tune: Option<Tune>,
    /// What the service is asked before the load and after it, not measured.
    #[serde(default)]
    pub observations: Vec<Observation>,
    /// What must agree between counters and observations.
    #[serde(default)]
    pub conservation: Vec<Conservation>,
    /// What ends a run before its plan does.
    #[serde(default)]
    pub abort: Vec<AbortRule>,
}

/// One way through the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// Name, unique in the scenario.
    pub name: String,
    /// Relative frequency, above 0.
    pub weight: f64,
    /// Indices into [`Scenario::step_names`] follow the order journeys and steps are written in; at least one step.
    pub steps: Vec<Step>,
}

/// One request and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Name; steps of the same name in several journeys are reported together.
    pub name: String,
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query as a template; absolute, starts with `/`.
    pub path: String,
    /// Headers as (name in lower case, template).
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
    /// What must come back.
    pub expect: Expectation,
    /// What is kept of the answer, by variable name.
    pub extract: BTreeMap<String, Extraction>,
    /// What its answers add to which counter, by the counter's name.
    #[serde(default)]
    pub counts: BTreeMap<String, Counter>,
    /// Pause between this step's answer and the next step's due time.
    pub think: ThinkTime,
    /// The answer must be complete this long after the sending, else the outcome is "timed out".
    pub timeout: Duration,
}

/// The body of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// JSON whose strings are templates. A string that is one whole template keeps the value's type:
    /// `"${product}"` with the variable 4 becomes the number 4.
    Json(serde_json::Value),
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Accepted status codes; empty means any below 400.
    pub statuses: Vec<u16>,
}

/// Where a variable's value is found in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Extraction {
    /// The first node of this `JSONPath` (RFC 9535) in the body.
    Json(String),
    /// The value of this header.
    Header(String),
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Field {
    /// Always this value.
    Constant(serde_json::Value),
    /// One of these, by weight.
    Choice {
        /// The values, at least one.
        values: Vec<serde_json::Value>,
        /// Their weights, as many as values, each at least 0 and their sum above 0.
        weights: Vec<f64>,
    },
    /// A whole number, both ends included.
    Integer {
        /// Smallest.
        from: i64,
        /// Largest.
        to: i64,
    },
    /// An e-mail address of the form `user-<8 hex digits>@example.com`.
    Email,
    /// A random (version 4) UUID.
    Uuid,
}

/// A pause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ThinkTime {
    /// Always this long; zero for none.
    Constant(Duration),
    /// Uniform between the two.
    Uniform {
        /// Shortest.
        from: Duration,
        /// Longest.
        to: Duration,
    },
    /// Exponential with this mean.
    Exponential(Duration),
}

/// How the load comes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum LoadModel {
    /// Arrivals come whatever the service does. Stage levels are arrivals (journeys) per second.
    Open {
        /// How arrivals are spaced.
        arrivals: Arrivals,
        /// How many journeys may be under way at once; beyond it an arrival waits, and the wait is blocked time.
        max_in_flight: u32,
    },
    /// Virtual users wait for answers. Stage levels are numbers of virtual users.
    Closed,
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent of each other: exponential gaps.
    Poisson,
    /// Evenly spaced.
    Constant,
}

/// A stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Name, unique in the scenario.
    pub name: String,
    /// What the level does.
    pub kind: StageKind,
    /// Level at the start: arrivals per second (open) or virtual users (closed).
    pub from: f64,
    /// Level at the end; equals `from` unless it ramps.
    pub to: f64,
    /// How long, as written: a platform's time factor divides it.
    pub duration: Duration,
    /// How much of its start is warm-up, as written; at most `duration`.
    pub warm_up: Duration,
}

/// What the level does during a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Stays; steady state is judged.
    Hold,
    /// Moves on a line; steady state is not judged.
    Ramp,
    /// Jumps, stays for a short time; steady state is not judged.
    Spike,
}

/// A promise: `metric < bound`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// The promise as written, for messages.
    pub text: String,
    /// Which steps it speaks of; `None` for all measured requests.
    pub step: Option<String>,
    /// What is bounded.
    pub metric: SloMetric,
}

/// What a promise bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SloMetric {
    /// Response time at this quantile (0 to 1) stays below the limit.
    ResponseTime {
        /// Share of requests, 0.95 for p95.
        quantile: f64,
        /// The bound.
        limit: Duration,
    },
    /// Mean response time stays below the limit.
    MeanResponseTime {
        /// The bound.
        limit: Duration,
    },
    /// The share of requests (0 to 1) that failed or were dropped stays below the limit.
    ErrorRate {
        /// The bound, 0.005 for 0.5 %.
        limit: f64,
    },
}

/// What a month looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Requests that reach the service in a month.
    pub requests_per_month: f64,
    /// Share of those requests that come under the conditions of each stage, by stage name; the shares sum to 1.
    pub shares: BTreeMap<String, f64>,
}

/// The service under test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What runs in an instance.
    pub source: ServiceSource,
    /// Environment of an instance, as (name, value).
    pub env: BTreeMap<String, String>,
    /// vCPUs of an instance.
    pub vcpu: Vcpu,
    /// Memory of an instance.
    pub memory: Gib,
    /// Instances kept warm.
    pub min_instances: u32,
    /// Instances at most.
    pub max_instances: u32,
    /// What is billed.
    pub billing: Billing,
    /// Share of a host core that one vCPU stands for on the local platform (the scale model); 1.0 = a whole core.
    pub host_cores_per_vcpu: f64,
    /// Divides platform times and stage lengths on the local platform, never rates or service times; at least 1.
    pub time_factor: f64,
    /// Region whose prices apply.
    pub region: String,
}

/// What runs in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ServiceSource {
    /// A service that tidegate carries: `shop`.
    Bundled(String),
    /// A program with its arguments that listens on `PORT`.
    Command(Vec<String>),
}

/// What to try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tune {
    /// The candidates in ascending order, at least one, no two equal.
    pub candidates: Vec<Candidate>,
    /// How often each candidate is tried, at least once; a block is one trial of each, in random order.
    pub blocks: u32,
    /// The candidates of `--quick`, one block; a subset of `candidates`.
    pub quick: Vec<Candidate>,
    /// What is made least among the candidates that keep every promise.
    pub objective: Objective,
}

/// One point of the search space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Requests an instance may hold at once, 1 to 1000.
    pub max_concurrency: u32,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max concurrency {}", self.max_concurrency)
    }
}

/// What is made least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cost per million requests.
    #[default]
    CostPerMillionRequests,
}

impl Scenario {
    /// The names of all steps, each once, in the order they first appear in the journeys.
    #[must_use]
    pub fn step_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for step in self.journeys.iter().flat_map(|journey| &journey.steps) {
            if !names.contains(&step.name.as_str()) {
                names.push(step.name.as_str());
            }
        }
        names
    }

    /// The names of all counters that steps of journeys add to, in alphabetical order.
    #[must_use]
    pub fn counter_names(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self
            .journeys
            .iter()
            .flat_map(|journey| &journey.steps)
            .flat_map(|step| step.counts.keys())
            .map(String::as_str)
            .collect();
        names.into_iter().collect()
    }

    /// Mean number of steps (requests) of an arrival.
    #[must_use]
    pub fn steps_per_arrival(&self) -> f64 {
        let weight: f64 = self.journeys.iter().map(|journey| journey.weight).sum();
        self.journeys.iter().map(|journey| journey.weight * journey.steps.len() as f64).sum::<f64>() / weight
    }
}
