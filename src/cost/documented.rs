//! Holds `docs/cost-model.md` to the code: every figure of its worked example is computed again.

use super::Billing;
use super::{Consumption, Cost, InstanceShape, MonthBasis, MonthUse, PriceBook, StageUse};
use crate::units::{Gib, Usd, Vcpu};
use std::collections::BTreeMap;

const DOCUMENT: &str = include_str!("../../docs/cost-model.md");

/// The lines of the worked example, as name and value.
fn example() -> BTreeMap<&'static str, &'static str> {
    let block = DOCUMENT.split("```").nth(1).unwrap();
    block.lines().filter_map(|line| line.split_once(' ')).map(|(name, value)| (name, value.trim())).collect()
}

#[test]
fn every_figure_of_the_worked_example_comes_out() {
    let told = example();
    let number = |name: &str| told[name].parse::<f64>().unwrap();
    let book = PriceBook::embedded();
    let prices = book.prices(told["region"]).unwrap();
    let request =
        InstanceShape { vcpu: Vcpu(number("vcpu")), memory: Gib(number("memory_gib")), billing: Billing::Request };
    let consumption = Consumption {
        billable_instance_time_s: number("billable_s"),
        idle_min_instance_time_s: 0.0,
        requests: told["requests"].parse().unwrap(),
    };
    let cost: Cost = prices.cost(&request, &consumption);
    let stage = StageUse {
        share: 1.0,
        requests: number("requests"),
        billable_instance_time_s: number("billable_s"),
        ..StageUse::default()
    };
    let month =
        MonthUse { requests: number("requests"), min_instances: 0, stages: vec![stage], basis: MonthBasis::TrialMean };
    let month = prices.month(&request, &month).unwrap();
    let tier_2 = book.prices("europe-west3").unwrap();
    let instance_based = InstanceShape { billing: Billing::Instance, ..request };
    let computed = [
        ("cpu", cost.cpu),
        ("memory", cost.memory),
        ("request_fee", cost.requests),
        ("trial_total", cost.total()),
        ("per_million_requests", cost.per_million_requests().unwrap()),
        ("free_cpu", month.free_cpu),
        ("free_memory", month.free_memory),
        ("free_requests", month.free_requests),
        ("month_total", month.total()),
        ("tier_2_trial_total", tier_2.cost(&request, &consumption).total()),
        ("instance_based_total", prices.cost(&instance_based, &consumption).total()),
    ];
    for (name, usd) in computed {
        assert_eq!(told[name], usd.to_string(), "{name}");
    }
    let inputs = ["region", "vcpu", "memory_gib", "requests", "billable_s"].len();
    assert_eq!(told.len(), computed.len() + inputs, "every line of the example is checked");
}

#[test]
fn the_table_of_rates_is_that_of_the_built_in_prices() {
    let book = PriceBook::embedded();
    let [tier_1, tier_2] = ["us-central1", "europe-west3"].map(|region| book.prices(region).unwrap());
    let modes = [tier_1.request, tier_2.request, tier_1.instance, tier_2.instance];
    let rows = [
        ("| vCPU-second |", modes.map(|mode| mode.vcpu_second)),
        ("| GiB-second |", modes.map(|mode| mode.gib_second)),
        ("| vCPU-second, idle min instance |", modes.map(|mode| mode.idle_vcpu_second)),
        ("| GiB-second, idle min instance |", modes.map(|mode| mode.idle_gib_second)),
        ("| million requests |", modes.map(|mode| mode.million_requests)),
    ];
    for (start, rates) in rows {
        let row = DOCUMENT.lines().find_map(|line| line.strip_prefix(start)).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).take(rates.len()).collect();
        let told = cells.iter().map(|cell| match cell.strip_prefix('$') {
            Some(amount) => Usd(amount.parse().unwrap()),
            None => Usd(0.0),
        });
        assert_eq!(told.collect::<Vec<_>>(), rates, "{start}");
    }
}
