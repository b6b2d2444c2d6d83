//! What a month of such traffic costs, from what a trial's stages took per request.

use super::Billing;
use super::Prices;
use super::bill::InstanceShape;
use crate::units::Usd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Seconds of a month: 730 hours, as Google's own price pages count it.
pub const MONTH_S: f64 = 730.0 * 3600.0;

/// A month to be priced.
#[derive(Clone, Debug, PartialEq)]
pub struct MonthUse {
    /// Requests that reach the service in a month.
    pub requests: f64,
    /// Instances kept warm, through the hours without traffic too.
    pub min_instances: u32,
    /// What requests take under the conditions of each stage; the shares sum to 1.
    pub stages: Vec<StageUse>,
    /// Where the stages come from.
    pub basis: MonthBasis,
}

/// What one stage of a trial took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageUse {
    /// Share (0 to 1) of the month's requests that come under this stage's conditions; the shares sum to 1.
    pub share: f64,
    /// Length of the stage as it ran, in seconds.
    pub duration_s: f64,
    /// Requests of the stage that reached an instance.
    pub requests: f64,
    /// Billable seconds of the stage.
    pub billable_instance_time_s: f64,
    /// Seconds of idle min instances in the stage.
    pub idle_min_instance_time_s: f64,
}

/// What a month's cost was derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MonthBasis {
    /// Each stage's own billable time per request.
    Stages,
    /// The mean of the whole trial, because the usage samples could not tell its stages apart.
    TrialMean,
}

/// A month, itemised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonthCost {
    /// vCPU-seconds while active.
    pub cpu: Usd,
    /// GiB-seconds while active.
    pub memory: Usd,
    /// Idle min instances.
    pub idle: Usd,
    /// Request fee of all requests.
    pub requests: Usd,
    /// What the free tier takes off the CPU.
    pub free_cpu: Usd,
    /// What the free tier takes off the memory.
    pub free_memory: Usd,
    /// What the free tier takes off the request fee.
    pub free_requests: Usd,
    /// What it was derived from.
    pub basis: MonthBasis,
}

impl Prices {
    /// What a month costs whose requests come as the shares of its stages say.
    ///
    /// Each stage's requests take as many billable seconds as a request of that stage took in the trial. The hours that
    /// the stages' requests do not fill are without traffic: only min instances cost anything in them. The free tier is
    /// applied once, to the whole month: CPU and memory as a discount in dollars, requests by number. `None` when a
    /// stage that has a share answered no request, or no stage has a share.
    #[must_use]
    pub fn month(&self, shape: &InstanceShape, month: &MonthUse) -> Option<MonthCost> {
        let (mut active_s, mut idle_s, mut requests, mut busy_hours_s) = (0.0, 0.0, 0.0, 0.0);
        for stage in month.stages.iter().filter(|stage| stage.share > 0.0) {
            if stage.requests <= 0.0 {
                return None;
            }
            let times = month.requests * stage.share / stage.requests;
            active_s += times * stage.billable_instance_time_s;
            idle_s += times * stage.idle_min_instance_time_s;
            busy_hours_s += times * stage.duration_s;
            requests += times * stage.requests;
        }
        if requests <= 0.0 {
            return None;
        }
        // More requests than a month has room for at the trial's rate come at a higher one: more instances are busy then, and
        // those that are kept warm are idle for no more than the month.
        idle_s *= (MONTH_S / busy_hours_s.max(1.0)).min(1.0);
        let quiet_s = (MONTH_S - busy_hours_s).max(0.0) * f64::from(month.min_instances);
        match shape.billing {
            Billing::Request => idle_s += quiet_s,
            Billing::Instance => active_s += quiet_s,
        }
        let mode = self.mode(shape.billing);
        let items = self.items(shape, active_s, idle_s, requests);
        let free = self.items(shape, 0.0, 0.0, requests.min(mode.free_requests));
        Some(MonthCost {
            cpu: items.cpu,
            memory: items.memory,
            idle: items.idle,
            requests: items.requests,
            free_cpu: mode.free_cpu.min(items.cpu),
            free_memory: mode.free_memory.min(items.memory),
            free_requests: free.requests,
            basis: month.basis,
        })
    }
}

impl MonthCost {
    /// The sum of all items, before the free tier.
    #[must_use]
    pub fn list(&self) -> Usd {
        self.cpu + self.memory + self.idle + self.requests
    }

    /// What the free tier takes off, if nothing else of the billing account uses it.
    #[must_use]
    pub fn free(&self) -> Usd {
        self.free_cpu + self.free_memory + self.free_requests
    }

    /// What is charged.
    #[must_use]
    pub fn total(&self) -> Usd {
        self.list() - self.free()
    }
}

#[cfg(test)]
mod tests {
    use super::super::PriceBook;
    use super::*;
    use crate::units::{Gib, Vcpu};
    use proptest::prelude::*;

    fn shape(vcpu: f64, gib: f64) -> InstanceShape {
        InstanceShape { vcpu: Vcpu(vcpu), memory: Gib(gib), billing: Billing::Request }
    }

    fn stage(share: f64, requests: f64, billable_instance_time_s: f64) -> StageUse {
        StageUse { share, requests, billable_instance_time_s, ..StageUse::default() }
    }

    fn of(requests: f64, stages: &[StageUse]) -> MonthUse {
        MonthUse { requests, min_instances: 0, stages: stages.to_vec(), basis: MonthBasis::Stages }
    }

    /// A month of ten million requests, each of which takes `request_s` billable seconds.
    fn month(prices: &Prices, shape: &InstanceShape, request_s: f64) -> MonthCost {
        prices.month(shape, &of(1e7, &[stage(1.0, 1000.0, 1000.0 * request_s)])).unwrap()
    }

    #[test]
    fn the_pages_first_example_gives_the_pages_figures() {
        let mut prices = PriceBook::embedded().prices("us-central1").unwrap();
        let list = month(&prices, &shape(1.0, 0.5), 0.4);
        assert_eq!([list.cpu, list.memory].map(|item| item.to_string()), ["$96.00", "$5.00"]);
        assert_eq!((list.requests - list.free_requests).to_string(), "$3.20");
        // The page calls this the list price: the free requests are off, free CPU and memory are not.
        assert_eq!((list.list() - list.free_requests).to_string(), "$104.20");
        assert_eq!((list.free_cpu + list.free_memory).to_string(), "$5.22");
        assert_eq!(list.total().to_string(), "$98.98");
        prices.committed_use_discount = 0.17;
        let committed = month(&prices, &shape(1.0, 0.5), 0.4);
        assert_eq!((committed.list() - committed.free_requests).to_string(), "$86.49");
        assert_eq!(committed.total().to_string(), "$81.27"); // The page prints 81.72, with its digits transposed.
    }

    #[test]
    fn the_pages_second_example_gives_the_pages_figures() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        let month = month(&prices, &shape(0.167, 0.25), 0.2);
        assert_eq!((month.list() - month.free_requests).to_string(), "$12.47");
        assert_eq!(month.total().to_string(), "$7.25");
    }

    #[test]
    fn instances_that_are_kept_warm_are_idle_for_no_more_than_the_month() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        // A hundred requests in ten seconds, of which each of two instances is idle for five.
        let stage = StageUse { duration_s: 10.0, idle_min_instance_time_s: 10.0, ..stage(1.0, 100.0, 10.0) };
        let idle = |requests: f64| {
            let month = MonthUse { min_instances: 2, ..of(requests, &[stage]) };
            prices.month(&shape(1.0, 0.5), &month).unwrap().idle.0
        };
        // At ten times the trial's rate the month is over before its requests are.
        let all_month = prices.items(&shape(1.0, 0.5), 0.0, MONTH_S, 0.0).idle.0;
        assert!((idle(MONTH_S * 10.0) - all_month).abs() < 1e-6 * all_month, "half of two, all month");
        assert!((idle(MONTH_S * 100.0) - all_month).abs() < 1e-6 * all_month);
    }

    #[test]
    fn a_stage_weighs_by_its_share_of_requests_and_not_of_time() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        // Nine tenths of the requests take 0.1 s, one tenth takes 0.5 s: 0.14 s on the whole.
        let stages = [stage(0.9, 50.0, 5.0), stage(0.1, 2000.0, 1000.0)];
        let told = prices.month(&shape(1.0, 0.5), &of(1e7, &stages)).unwrap();
        assert!((told.cpu.0 - month(&prices, &shape(1.0, 0.5), 0.14).cpu.0).abs() < 1e-9);
    }

    #[test]
    fn a_small_month_is_free_and_never_pays_back() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        let month = prices.month(&shape(1.0, 0.5), &of(1000.0, &[stage(1.0, 10.0, 1.0)])).unwrap();
        assert!(month.list().0 > 0.0);
        assert_eq!(month.total(), Usd(0.0));
    }

    #[test]
    fn a_stage_without_requests_matters_only_if_it_has_a_share() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        let month_of = |stages: &[StageUse]| prices.month(&shape(1.0, 0.5), &of(1e6, stages));
        assert!(month_of(&[stage(1.0, 10.0, 1.0), stage(0.0, 0.0, 3.0)]).is_some());
        assert_eq!(month_of(&[stage(0.5, 10.0, 1.0), stage(0.5, 0.0, 3.0)]), None);
        assert_eq!(month_of(&[]), None);
    }

    #[test]
    fn min_instances_cost_through_the_quiet_hours_too() {
        let prices = PriceBook::embedded().prices("us-central1").unwrap();
        // A tenth of the month is busy at ten requests per second, on one of two instances.
        let busy = StageUse { duration_s: 100.0, idle_min_instance_time_s: 100.0, ..stage(1.0, 1000.0, 100.0) };
        let month = MonthUse { min_instances: 2, ..of(MONTH_S, &[busy]) };
        let request = prices.month(&shape(1.0, 0.5), &month).unwrap();
        assert!((request.cpu.0 - 0.1 * MONTH_S * 24e-6).abs() < 1e-9);
        assert!((request.idle.0 - (0.1 + 0.9 * 2.0) * MONTH_S * 1.5 * 2.5e-6).abs() < 1e-9);
        let instance_based = InstanceShape { billing: Billing::Instance, ..shape(1.0, 0.5) };
        // Here the trial's billable time holds both instances.
        let busy = StageUse { billable_instance_time_s: 200.0, ..busy };
        let instance = prices.month(&instance_based, &MonthUse { min_instances: 2, ..of(MONTH_S, &[busy]) }).unwrap();
        assert!((instance.cpu.0 - 2.0 * MONTH_S * 18e-6).abs() < 1e-9);
        assert_eq!((instance.idle, instance.requests), (Usd(0.0), Usd(0.0)));
    }

    proptest! {
        #[test]
        fn a_month_mixed_like_the_trial_costs_per_request_what_the_trial_cost(
            uses in prop::collection::vec((1.0..1e5, 0.0..1e5), 1..6),
        ) {
            let prices = PriceBook::embedded().prices("europe-west3").unwrap();
            let requests: f64 = uses.iter().map(|(requests, _)| requests).sum();
            let billable: f64 = uses.iter().map(|(_, billable)| billable).sum();
            let stages: Vec<_> = uses.iter().map(|(n, billable)| stage(n / requests, *n, *billable)).collect();
            let month = prices.month(&shape(2.0, 1.0), &of(requests, &stages)).unwrap();
            let trial = prices.items(&shape(2.0, 1.0), billable, 0.0, requests);
            let trial = trial.cpu + trial.memory + trial.requests;
            prop_assert!((month.list().0 - trial.0).abs() <= 1e-9 * trial.0.max(1.0));
        }
    }
}
