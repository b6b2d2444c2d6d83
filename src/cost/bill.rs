//! What a consumption costs at list price, item by item.

use super::Billing;
use super::Prices;
use crate::units::{Gib, Usd, Vcpu};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is priced.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Consumption {
    /// Seconds for which instances were charged at the active rate, summed over instances; already rounded.
    pub billable_instance_time_s: f64,
    /// Seconds for which idle *min instances* were charged (request-based billing), summed over instances.
    pub idle_min_instance_time_s: f64,
    /// Requests that reached an instance.
    pub requests: u64,
}

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceShape {
    /// vCPUs.
    pub vcpu: Vcpu,
    /// Memory.
    pub memory: Gib,
    /// What is billed.
    pub billing: Billing,
}

/// An itemised cost before the free tier.
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

/// Dollars of each item; counts as real numbers, because a month's stages are shares of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Items {
    pub(super) cpu: Usd,
    pub(super) memory: Usd,
    pub(super) idle: Usd,
    pub(super) requests: Usd,
}

impl Prices {
    /// What `consumption` of instances of `shape` costs: rates × seconds × size, plus the request fee, less the
    /// committed-use discount. The formula is that of <https://cloud.google.com/run/pricing>.
    #[must_use]
    pub fn cost(&self, shape: &InstanceShape, consumption: &Consumption) -> Cost {
        let items = self.items(
            shape,
            consumption.billable_instance_time_s,
            consumption.idle_min_instance_time_s,
            consumption.requests as f64,
        );
        Cost {
            cpu: items.cpu,
            memory: items.memory,
            idle: items.idle,
            requests: items.requests,
            request_count: consumption.requests,
        }
    }

    pub(super) fn items(&self, shape: &InstanceShape, active_s: f64, idle_s: f64, requests: f64) -> Items {
        let mode = self.mode(shape.billing);
        let paid = 1.0 - self.committed_use_discount;
        let (Vcpu(vcpu), Gib(gib)) = (shape.vcpu, shape.memory);
        Items {
            cpu: mode.vcpu_second * (active_s * vcpu * paid),
            memory: mode.gib_second * (active_s * gib * paid),
            idle: (mode.idle_vcpu_second * vcpu + mode.idle_gib_second * gib) * (idle_s * paid),
            requests: mode.million_requests * (requests * 1e-6 * paid),
        }
    }
}

impl Cost {
    /// The sum of all items.
    #[must_use]
    pub fn total(&self) -> Usd {
        self.cpu + self.memory + self.idle + self.requests
    }

    /// This and another, item by item.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            idle: self.idle + other.idle,
            requests: self.requests + other.requests,
            request_count: self.request_count + other.request_count,
        }
    }

    /// Total for a million requests like these; `None` when there was none.
    #[must_use]
    pub fn per_million_requests(&self) -> Option<Usd> {
        (self.request_count > 0).then(|| self.total() * (1e6 / self.request_count as f64))
    }

    /// Total for a thousand of whatever `count` counts, such as successful check-outs; `None` when there was none.
    #[must_use]
    pub fn per_thousand(&self, count: u64) -> Option<Usd> {
        (count > 0).then(|| self.total() * (1e3 / count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::PriceBook;
    use super::*;
    use proptest::prelude::*;

    fn shape(vcpu: f64, gib: f64, billing: Billing) -> InstanceShape {
        InstanceShape { vcpu: Vcpu(vcpu), memory: Gib(gib), billing }
    }

    fn tier1() -> Prices {
        PriceBook::embedded().prices("us-central1").unwrap()
    }

    fn used(active_s: f64, requests: u64) -> Consumption {
        Consumption { billable_instance_time_s: active_s, idle_min_instance_time_s: 0.0, requests }
    }

    #[track_caller]
    fn about(told: Usd, expected: f64) {
        assert!((told.0 - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{} is not {expected}", told.0);
    }

    #[test]
    fn the_pages_example_comes_to_its_three_items() {
        let cost = tier1().cost(&shape(1.0, 0.5, Billing::Request), &used(4e6, 10_000_000));
        about(cost.cpu, 96.0);
        about(cost.memory, 5.0);
        about(cost.requests, 4.0); // The page prints 3.20, having taken off the two million free requests.
        about(cost.total(), 105.0);
        about(cost.per_million_requests().unwrap(), 10.5);
        about(cost.per_thousand(1_000_000).unwrap(), 0.105);
    }

    #[test]
    fn a_busy_hour_costs_what_the_break_even_table_says() {
        let hour = used(3600.0, 0);
        let request = tier1().cost(&shape(1.0, 0.5, Billing::Request), &hour).total();
        let instance = tier1().cost(&shape(1.0, 0.5, Billing::Instance), &hour).total();
        assert_eq!((format!("{:.4}", request.0), format!("{:.4}", instance.0)), ("0.0909".into(), "0.0684".into()));
        for (gib, break_even) in [(0.5, 0.752), (1.0, 0.755), (2.0, 0.759)] {
            let share = tier1().cost(&shape(1.0, gib, Billing::Instance), &hour).total().0
                / tier1().cost(&shape(1.0, gib, Billing::Request), &hour).total().0;
            assert!((share - break_even).abs() < 5e-4, "{gib} GiB: {share}");
        }
    }

    #[test]
    fn beyond_47_5_requests_per_second_instance_based_billing_always_wins() {
        // Request-based billing of an instance that is (next to) never busy: only its request fee.
        let second_of_fees = |rate: f64| tier1().items(&shape(1.0, 0.5, Billing::Request), 0.0, 0.0, rate).requests.0;
        let instance = tier1().cost(&shape(1.0, 0.5, Billing::Instance), &used(1.0, 0)).total().0;
        assert!(second_of_fees(47.4) < instance && instance < second_of_fees(47.6));
        // 100 000 requests per second cost 144 dollars an hour in request fees alone.
        about(Usd(second_of_fees(100_000.0) * 3600.0), 144.0);
    }

    #[test]
    fn idle_min_instances_pay_the_idle_rate_and_only_under_request_based_billing() {
        let idle = Consumption { billable_instance_time_s: 0.0, idle_min_instance_time_s: 1e6, requests: 0 };
        about(tier1().cost(&shape(2.0, 1.0, Billing::Request), &idle).idle, 7.5);
        about(tier1().cost(&shape(2.0, 1.0, Billing::Instance), &idle).total(), 0.0);
        let tier2 = PriceBook::embedded().prices("europe-west3").unwrap();
        about(tier2.cost(&shape(2.0, 1.0, Billing::Request), &idle).idle, 10.5);
    }

    #[test]
    fn nothing_done_has_no_cost_per_request() {
        let cost = tier1().cost(&shape(1.0, 0.5, Billing::Request), &used(10.0, 0));
        assert_eq!((cost.per_million_requests(), cost.per_thousand(0)), (None, None));
    }

    proptest! {
        #[test]
        fn cost_is_additive(a in 0.0..1e7, b in 0.0..1e7, n in 0u64..10_000_000, m in 0u64..10_000_000) {
            let of = |active_s, requests| tier1().cost(&shape(2.0, 0.5, Billing::Request), &used(active_s, requests));
            let apart = of(a, n).total() + of(b, m).total();
            prop_assert!((of(a + b, n + m).total().0 - apart.0).abs() <= 1e-9 * apart.0.max(1.0));
        }
    }
}
