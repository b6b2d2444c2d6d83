//! A valid scenario: what the file means, once everything that can be wrong with it has been refused.

use super::{
    AbortRule, Conservation, DataSet, Delivery, Field, Group, LoadModel, Observation, Stage, Step, System, Target,
};
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
    /// Rows of files that give variables their values, by name.
    #[serde(default)]
    pub data: BTreeMap<String, DataSet>,
    /// Steps sent once before the load, not measured.
    pub set_up: Vec<Step>,
    /// Steps sent once after the load, not measured.
    #[serde(default)]
    pub tear_down: Vec<Step>,
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
    /// Where `run` sends the load and how it gets there, if the file says so. Its headers and its timeout are the steps'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
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
    /// Several services instead of one, if the file names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// What must become of each report that a step posts, if the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
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
    /// Stretches of `steps` that are sent on a condition or several times, outer ones before the inner ones they hold.
    #[serde(default)]
    pub groups: Vec<Group>,
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
    /// Of a [`Scenario::system`], the services that get the candidate's max concurrency, at least one; empty without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Instances at most of those services in a tuning, if it is not their own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<u32>,
    /// [`Service::host_cores_per_vcpu`] of a tuning, if it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_cores_per_vcpu: Option<f64>,
    /// [`Service::time_factor`] of a tuning, if it has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_factor: Option<f64>,
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
    /// Cost per thousand reports that were acknowledged and delivered to every consumer.
    CostPerThousandDelivered,
}

impl Objective {
    /// What a cost is told per.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::CostPerMillionRequests => "per million requests",
            Self::CostPerThousandDelivered => "per thousand delivered reports",
        }
    }

    /// The same for the head of a column.
    #[must_use]
    pub fn unit_short(self) -> &'static str {
        match self {
            Self::CostPerMillionRequests => "per million",
            Self::CostPerThousandDelivered => "per thousand delivered",
        }
    }
}

impl Scenario {
    /// What a tuning makes least.
    #[must_use]
    pub fn objective(&self) -> Objective {
        self.tune.as_ref().map(|tune| tune.objective).unwrap_or_default()
    }

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

    /// The scenario without what was in the files that it names: as it is saved.
    #[must_use]
    pub fn without_content(&self) -> Self {
        let mut bare = self.clone();
        bare.data.values_mut().for_each(|data| data.rows = Vec::new());
        let journeys = bare.journeys.iter_mut().map(|journey| &mut journey.steps);
        for steps in journeys.chain([&mut bare.set_up, &mut bare.tear_down]) {
            for step in steps {
                step.body.files_mut().into_iter().for_each(|file| file.content = bytes::Bytes::new());
            }
        }
        bare
    }

    /// Mean number of steps (requests) of an arrival, with the journeys' own weights. Repeats count as often as they are
    /// drawn in the mean, steps on a condition as sent, and repeats until one as a single round: how often those are
    /// depends on the answers.
    #[must_use]
    pub fn steps_per_arrival(&self) -> f64 {
        self.steps_per_arrival_of(&[])
    }

    /// Mean number of steps (requests) of an arrival in a stage with this [`Stage::mix`].
    #[must_use]
    pub fn steps_per_arrival_of(&self, mix: &[f64]) -> f64 {
        let weights: Vec<f64> =
            if mix.is_empty() { self.journeys.iter().map(|journey| journey.weight).collect() } else { mix.to_vec() };
        let steps = self.journeys.iter().zip(&weights).map(|(journey, weight)| weight * journey.steps_mean());
        steps.sum::<f64>() / weights.iter().sum::<f64>()
    }
}

impl Journey {
    /// Mean number of steps that are sent, as [`Scenario::steps_per_arrival`] counts them.
    fn steps_mean(&self) -> f64 {
        let rounds = |step: usize| -> f64 {
            self.groups.iter().filter(|group| group.holds(step)).map(Group::rounds_mean).product()
        };
        (0..self.steps.len()).map(rounds).sum()
    }
}
