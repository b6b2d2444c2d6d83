//! What a system delivered under each candidate, what was promised of that, and which service it was paid for.

use crate::cost::Cost;
use crate::report::delivery::refusals::{COLUMNS, Column};
use crate::report::document::{Block, Cell, Row, Table, Tone};
use crate::report::facts;
use crate::report::number::{bare_milliseconds, count, in_milliseconds, milliseconds, money, seconds};
use crate::scenario::{Delivery, DeliveryMetric, DeliveryPromise, System};
use crate::stats::Histogram;
use crate::trial::{ConsumerRecording, DeliveryBooks, Standing, Study, SubscriptionRecording, TrialResult};
use crate::units::Usd;

/// The parts of the section on candidates; none for a study of a single service.
pub(super) fn section(study: &Study) -> Vec<Block> {
    let (Some(system), Some(delivery)) = (&study.scenario.system, &study.scenario.delivery) else { return Vec::new() };
    let mut blocks = vec![Block::part("The deliveries"), Block::Table(deliveries(study, delivery))];
    if !delivery.promises.is_empty() {
        blocks.push(Block::Table(promises(study, delivery)));
    }
    blocks.push(Block::part("Where the money goes"));
    blocks.push(Block::Table(services(study, system)));
    blocks
}

/// A row for each candidate, with its number and these cells.
fn rows<'a>(study: &'a Study, table: &mut Table, cells: impl Fn(&'a Standing, &[&'a TrialResult]) -> Vec<Cell>) {
    let chosen = facts::choice(study).map(|choice| choice.candidate);
    for standing in facts::standings(study) {
        let trials = facts::trials_of(study, standing.candidate);
        let head = Cell::from(facts::with_remark(standing.candidate));
        let row = Row::of(std::iter::once(head).chain(cells(standing, &trials)));
        table.rows.push(row.marked(Some(standing.candidate) == chosen));
    }
}

fn consumers<'a>(trials: &[&'a TrialResult], name: &str) -> Vec<&'a ConsumerRecording> {
    let all = trials.iter().filter_map(|trial| trial.recording.delivery.as_ref());
    all.flat_map(|delivery| &delivery.consumers).filter(|consumer| consumer.name == name).collect()
}

/// Mean over trials of what a consumer's delivery times say.
fn mean_ms(consumers: &[&ConsumerRecording], of: impl Fn(&Histogram) -> f64) -> Option<f64> {
    let told = consumers.iter().map(|consumer| &consumer.delivery_time).filter(|times| times.count() > 0);
    facts::mean(told.map(of))
}

fn subscriptions<'a>(trials: &[&'a TrialResult]) -> impl Iterator<Item = &'a SubscriptionRecording> {
    let told = trials.iter().filter_map(|trial| trial.recording.delivery.as_ref());
    told.flat_map(|delivery| &delivery.subscriptions)
}

/// What went wrong on the way in any trial that is evidence: nothing else has a column.
fn went_wrong(study: &Study) -> Vec<Column> {
    let trials: Vec<&TrialResult> =
        facts::standings(study).iter().flat_map(|standing| facts::trials_of(study, standing.candidate)).collect();
    COLUMNS.into_iter().filter(|column| subscriptions(&trials).any(|it| (column.of)(it) > 0)).collect()
}

fn deliveries(study: &Study, delivery: &Delivery) -> Table {
    let times: Vec<String> =
        delivery.consumers.iter().flat_map(|name| ["p50", "p95"].map(|q| format!("#{name} {q} ms"))).collect();
    let went_wrong = went_wrong(study);
    let wrong: Vec<String> = went_wrong.iter().map(|column| format!("#{}", column.title)).collect();
    let titles: Vec<&str> =
        ["#max concurrency", "#acknowledged", "#delivered to all", "#lost", "#late", "#duplicates", "#redeliveries"]
            .into_iter()
            .chain(times.iter().map(String::as_str))
            .chain(wrong.iter().map(String::as_str))
            .collect();
    let mut table = Table::new(
        "Sums over valid trials, warm-up included; lost over all trials. Delivery time counts from when the post was due to \
         the first delivery, mean over trials, warm-up left out. Redeliveries are pushes after a message’s first; what was \
         refused, late or given up on the way, by the broker’s count, has a column where there was any.",
        &titles,
    );
    rows(study, &mut table, |standing, trials| {
        let told = || trials.iter().filter_map(|trial| trial.recording.delivery.as_ref());
        let books = |of: fn(&DeliveryBooks) -> u64| -> u64 {
            told().flat_map(|delivery| &delivery.consumers).map(|consumer| of(&consumer.books)).sum()
        };
        let redeliveries: Option<u64> =
            told().flat_map(|delivery| &delivery.consumers).map(|consumer| consumer.redeliveries).sum();
        let mut cells: Vec<Cell> = vec![
            count(told().map(|delivery| delivery.posts.acknowledged).sum()).into(),
            count(told().filter_map(|delivery| delivery.delivered_to_all).sum()).into(),
            Cell::verdict(standing.lost == 0, &count(standing.lost)),
            count(books(|books| books.late)).into(),
            count(books(|books| books.duplicates)).into(),
            redeliveries.map_or_else(|| "–".to_owned(), count).into(),
        ];
        for name in &delivery.consumers {
            let consumers = consumers(trials, name);
            for q in [0.5, 0.95] {
                let ms = mean_ms(&consumers, |times| in_milliseconds(times.quantile(q)));
                cells.push(ms.map_or_else(|| "–".to_owned(), bare_milliseconds).into());
            }
        }
        cells.extend(went_wrong.iter().map(|column| count(subscriptions(trials).map(column.of).sum()).into()));
        cells
    });
    table
}

fn promises(study: &Study, delivery: &Delivery) -> Table {
    let titles: Vec<&str> = std::iter::once("#max concurrency")
        .chain(delivery.promises.iter().map(|promise| promise.text.as_str()))
        .collect();
    let mut table = Table::new(
        "What was measured against each promise of deliveries, mean over valid trials. Without a fault nothing heals.",
        &titles,
    );
    rows(study, &mut table, |standing, trials| {
        let cell = |promise: &DeliveryPromise| {
            let broken = standing.broken_deliveries.iter().find(|broken| broken.text == promise.text);
            match broken {
                _ if standing.trials_valid == 0 => Cell::toned("no valid trial", Tone::Muted),
                Some(broken) => Cell::verdict(false, &broken.measured),
                None => Cell::verdict(true, &measured(promise, delivery, trials)),
            }
        };
        delivery.promises.iter().map(cell).collect()
    });
    table
}

/// What a promise that was kept measured: of several consumers the slowest.
fn measured(promise: &DeliveryPromise, delivery: &Delivery, trials: &[&TrialResult]) -> String {
    let names = delivery.consumers.iter().filter(|name| promise.consumer.as_ref().is_none_or(|of| of == *name));
    let of = |of: &dyn Fn(&Histogram) -> f64| {
        let slowest = names.filter_map(|name| mean_ms(&consumers(trials, name), of)).reduce(f64::max);
        slowest.map_or_else(|| "not measured".to_owned(), milliseconds)
    };
    match promise.metric {
        DeliveryMetric::Time { quantile, .. } => of(&|times| in_milliseconds(times.quantile(quantile))),
        DeliveryMetric::MeanTime { .. } => of(&|times| in_milliseconds(times.mean())),
        DeliveryMetric::Heal { .. } => "no fault".to_owned(),
        DeliveryMetric::NoneLost => "0 lost".to_owned(),
    }
}

/// What each service was billed and what that costs, the front first.
fn services(study: &Study, system: &System) -> Table {
    let behind = system.services.keys().filter(|name| **name != system.front);
    let names: Vec<&String> = std::iter::once(&system.front).chain(behind).collect();
    let of_each = |name: &&String| [format!("#{name}, billed"), "#$".to_owned(), "#most instances".to_owned()];
    let titles: Vec<String> = names.iter().flat_map(of_each).collect();
    let titles: Vec<&str> =
        std::iter::once("#max concurrency").chain(titles.iter().map(String::as_str)).chain(["#$ of a trial"]).collect();
    let mut table = Table::new(
        "Billable instance time of each service and what it costs, mean over valid trials: every revision of a trial is its \
         own, and all that they were billed is the trial’s. Most instances: in any sample of any of them.",
        &titles,
    );
    rows(study, &mut table, |_, trials| {
        let mut cells = Vec::new();
        for name in &names {
            let of_trials: Vec<(f64, f64)> =
                trials.iter().filter_map(|trial| share(trial, name, &system.front)).collect();
            let billed = facts::mean(of_trials.iter().map(|(billed, _)| *billed));
            let cost = facts::mean(of_trials.iter().map(|(_, cost)| *cost)).map(Usd);
            cells.push(billed.map_or_else(|| "–".to_owned(), seconds).into());
            cells.push(money(cost).into());
            let most = trials.iter().filter_map(|trial| instances_max(trial, name, &system.front)).max();
            cells.push(most.map_or_else(|| "–".to_owned(), count).into());
        }
        let whole = facts::mean(trials.iter().filter_map(|trial| trial.cost).map(|cost| cost.total().0));
        cells.push(money(whole.map(Usd)).into());
        cells
    });
    table
}

/// The most instances of one service that a sample of a trial shows, if there are samples.
fn instances_max(trial: &TrialResult, name: &str, front: &str) -> Option<u64> {
    let usage = if name == front { trial.usage.as_ref() } else { trial.others.get(name)?.usage.as_ref() };
    facts::instances_in(usage?)
}

/// What one service of a trial was billed, in seconds, and what that costs, in dollars. The front has what the others leave.
fn share(trial: &TrialResult, name: &str, front: &str) -> Option<(f64, f64)> {
    if name != front {
        let other = trial.others.get(name)?;
        return Some((other.usage.as_ref()?.billable_instance_time_s, other.cost?.total().0));
    }
    let others: f64 = trial.others.values().filter_map(|other| other.cost).map(|cost: Cost| cost.total().0).sum();
    Some((trial.usage.as_ref()?.billable_instance_time_s, trial.cost?.total().0 - others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn titles(table: &Table) -> Vec<&str> {
        table.columns.iter().map(|column| column.title.as_str()).collect()
    }

    #[test]
    fn what_went_wrong_on_the_way_has_a_column_where_there_was_any() {
        let mut study = fixture::system_study();
        let table = deliveries(&study, study.scenario.delivery.as_ref().unwrap());
        assert_eq!(titles(&table).last(), Some(&"refused, other 4xx"));
        assert_eq!(table.rows[0].cells.last().unwrap().text, "10", "five in each of two trials");
        for trial in &mut study.trials {
            trial.recording.delivery.as_mut().unwrap().subscriptions.clear();
        }
        let table = deliveries(&study, study.scenario.delivery.as_ref().unwrap());
        assert!(!titles(&table).iter().any(|title| title.starts_with("refused")), "{:?}", titles(&table));
    }

    #[test]
    fn every_service_says_how_many_instances_it_had() {
        let study = fixture::system_study();
        let table = services(&study, study.scenario.system.as_ref().unwrap());
        let most = |row: &Row| [3, 6, 9].map(|column| row.cells[column].text.clone());
        assert_eq!(titles(&table)[3], "most instances");
        assert!(
            table.rows.iter().map(most).all(|of_each| of_each.iter().all(|most| *most != "–" && most == &of_each[0]))
        );
    }
}
