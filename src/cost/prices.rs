//! The prices that apply to one region: what a study keeps, so that an old one can be priced and shown again.

use super::Billing;
use crate::units::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The prices of one region, taken from a price book.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Day on which the prices were read, `YYYY-MM-DD`.
    pub dated: String,
    /// The price file they come from; `built in` for tidegate's own.
    pub file: String,
    /// Addresses the file gives as its sources.
    pub sources: Vec<String>,
    /// The region.
    pub region: String,
    /// The tier the region belongs to.
    pub tier: String,
    /// Share (0 to 1) taken off every rate under a commitment; 0 for list prices.
    pub committed_use_discount: f64,
    /// Request-based billing.
    pub request: ModePrices,
    /// Instance-based billing.
    pub instance: ModePrices,
}

/// List prices of one billing mode, and what is free of it in a month.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModePrices {
    /// One vCPU for one billable second.
    pub vcpu_second: Usd,
    /// One GiB for one billable second.
    pub gib_second: Usd,
    /// One vCPU of an idle min instance for one second; 0 under instance-based billing, which knows no idle rate.
    pub idle_vcpu_second: Usd,
    /// One GiB of an idle min instance for one second; 0 under instance-based billing.
    pub idle_gib_second: Usd,
    /// A million requests; 0 under instance-based billing.
    pub million_requests: Usd,
    /// Taken off a month's CPU cost: the free vCPU-seconds at the prices of the tier that values the free tier.
    pub free_cpu: Usd,
    /// Taken off a month's memory cost, valued likewise.
    pub free_memory: Usd,
    /// Requests of a month that cost nothing.
    pub free_requests: f64,
}

impl Prices {
    /// The prices of one billing mode.
    #[must_use]
    pub fn mode(&self, billing: Billing) -> &ModePrices {
        match billing {
            Billing::Request => &self.request,
            Billing::Instance => &self.instance,
        }
    }
}
