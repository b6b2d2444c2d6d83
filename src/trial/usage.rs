//! What the platform says a revision used, as read through Cloud Monitoring.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that one revision was billed and answered, from its first sample to its last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The revision, by its short name.
    pub revision: String,
    /// Sum of `container/billable_instance_time` in seconds, already rounded to 100 ms slices by the platform.
    pub billable_instance_time_s: f64,
    /// Under instance-based billing, the part billed after the last request ended; else 0.
    pub idle_tail_s: f64,
    /// Requests that reached an instance, by status code (`request_count`).
    pub requests: BTreeMap<String, u64>,
    /// Sum of `request_latencies` in seconds: in an instance, without start-up and queue.
    pub request_latencies_sum_s: f64,
    /// Sum of `request_latency/pending` in seconds: waiting for an instance.
    pub pending_sum_s: f64,
    /// Instances started (count of `container/startup_latencies`), if the platform tells.
    pub instance_starts: Option<u64>,
    /// Mean start-up time in seconds, if the platform tells and any instance started.
    pub startup_mean_s: Option<f64>,
    /// The series, oldest first.
    pub samples: Vec<UsageSample>,
}

/// One sampling period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageSample {
    /// End of the period, seconds since the start of the load (negative before it).
    pub end_s: f64,
    /// Length in seconds.
    pub period_s: f64,
    /// Billable seconds.
    pub billable_s: f64,
    /// Active instances at its end.
    pub instances_active: u64,
    /// Idle instances at its end.
    pub instances_idle: u64,
    /// Requests that ended.
    pub requests: u64,
    /// Mean over instances of their CPU utilisation (0 to 1), if any instance was there.
    pub cpu_utilization_mean: Option<f64>,
    /// Mean over instances of their memory utilisation (0 to 1), if any instance was there.
    pub memory_utilization_mean: Option<f64>,
}

impl Usage {
    /// Requests that reached an instance.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.requests.values().sum()
    }
}
