//! Usage × dated price list → itemised cost. Prices, rounding and free tiers live only here, with source and date.

use crate::scenario::Billing;
use crate::units::{Gib, Usd, Vcpu};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dated price list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceBook {
    /// Day on which the prices were read, `YYYY-MM-DD`.
    pub dated: String,
}

/// What is priced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consumption {
    /// Seconds for which instances were charged at the active rate, summed over instances; already rounded.
    pub billable_instance_time_s: f64,
    /// Seconds for which idle *min instances* were charged (request-based billing), summed over instances.
    pub idle_min_instance_time_s: f64,
    /// Requests that reached an instance.
    pub requests: u64,
}

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceShape {
    /// vCPUs.
    pub vcpu: Vcpu,
    /// Memory.
    pub memory: Gib,
    /// What is billed.
    pub billing: Billing,
}

/// An itemised cost, list price, before the free tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// vCPU-seconds while active.
    pub cpu: Usd,
    /// GiB-seconds while active.
    pub memory: Usd,
    /// Idle min instances, CPU and memory.
    pub idle: Usd,
    /// Request fee.
    pub requests: Usd,
    /// How many requests this is the cost of.
    pub request_count: u64,
}
