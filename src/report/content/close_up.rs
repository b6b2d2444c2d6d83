//! The chosen candidate at close range: its timeline, its stages and steps, and what failed.

use super::journeys;
use crate::report::document::{Block, Cell, Row, Table, Tone};
use crate::report::facts;
use crate::report::number::{bare_milliseconds, count, in_milliseconds, per_second, percent};
use crate::report::plot;
use crate::report::stage;
use crate::stats::Histogram;
use crate::trial::{Books, Study, Times, TrialResult};
use std::collections::BTreeMap;

/// The section; empty before the first trial.
pub(super) fn section(study: &Study) -> Vec<Block> {
    let Some(candidate) = facts::close_up(study) else { return Vec::new() };
    let trials = facts::trials_of(study, candidate);
    let role = if facts::choice(study).is_some() { "The choice" } else { "The nearest candidate" };
    let mut blocks =
        vec![Block::section(&format!("{role} at close range: max concurrency {}", candidate.max_concurrency))];
    if trials.iter().any(|trial| !trial.is_valid()) {
        blocks.push(Block::text("None of its trials is valid: what follows is not evidence."));
    }
    blocks.extend(journeys::ended_early(&trials));
    blocks.extend(plot::figure(study, plot::Kind::Timeline));
    blocks.push(Block::part("By stage"));
    blocks.push(Block::Table(by_stage(study, &trials)));
    blocks.push(Block::part("By step"));
    blocks.push(Block::Table(by_step(&trials)));
    blocks.extend(journeys::by_class(&trials).map(Block::Table));
    blocks.push(Block::part("By journey"));
    blocks.push(Block::Table(journeys::by_journey(&trials)));
    blocks.push(Block::part("The books"));
    blocks.push(Block::Table(books(&trials)));
    blocks.push(Block::part("What failed, and what was expected to"));
    blocks.extend(failures(&trials));
    blocks
}

pub(in crate::report) const TIMES: [&str; 8] = [
    "#response p50 ms",
    "#response p95 ms",
    "#response p99 ms",
    "#response longest ms",
    "#service p50 ms",
    "#service p95 ms",
    "#service p99 ms",
    "#service longest ms",
];

/// Quantiles as means over trials, the longest as the longest of all.
pub(in crate::report) fn times(of_trials: &[&Times]) -> Vec<Cell> {
    let of = |histogram: fn(&Times) -> &Histogram| {
        let quantile = |q: f64| {
            facts::mean(
                of_trials
                    .iter()
                    .map(|times| histogram(times))
                    .filter(|histogram| histogram.count() > 0)
                    .map(|histogram| in_milliseconds(histogram.quantile(q))),
            )
        };
        let longest = of_trials.iter().map(|times| in_milliseconds(histogram(times).max())).fold(0.0, f64::max);
        [quantile(0.5), quantile(0.95), quantile(0.99), quantile(0.5).map(|_| longest)]
            .map(|ms| Cell::from(ms.map_or_else(|| "–".to_owned(), bare_milliseconds)))
    };
    of(|times| &times.response_time).into_iter().chain(of(|times| &times.service_time)).collect()
}

/// How many were measured and what share of them failed or was dropped.
pub(in crate::report) fn measured(of_trials: &[&Times]) -> [Cell; 2] {
    let all: u64 = of_trials.iter().map(|times| times.response_time.count() + times.dropped).sum();
    let bad: u64 = of_trials.iter().map(|times| times.failed + times.dropped).sum();
    let rate = if all == 0 { 0.0 } else { bad as f64 / all as f64 };
    [count(all).into(), Cell::toned(percent(rate), if bad > 0 { Tone::Bad } else { Tone::Plain })]
}

fn by_stage(study: &Study, trials: &[&TrialResult]) -> Table {
    let titles: Vec<&str> = ["stage", "#offered per second", "#measured requests", "#measured per second", "#errors"]
        .into_iter()
        .chain(TIMES)
        .collect();
    let mut table = Table::new(
        "Requests due in the stage, warm-up left out. Offered are all that became due, in whole intervals of the series. \
         Response time counts from when a request was due, service time from when it was sent.",
        &titles,
    );
    let overall: Vec<&Times> = trials.iter().map(|trial| &trial.recording.overall).collect();
    let names = trials.first().map_or(&[][..], |trial| &trial.recording.stages);
    for (index, stage) in names.iter().enumerate() {
        let stages: Vec<_> = trials.iter().filter_map(|trial| trial.recording.stages.get(index)).collect();
        let of_trials: Vec<&Times> = stages.iter().map(|stage| &stage.times).collect();
        let rate = facts::mean(
            stages
                .iter()
                .filter(|stage| stage.measured_s > 0.0)
                .map(|stage| stage.times.response_time.count() as f64 / stage.measured_s),
        );
        let offered = facts::mean(trials.iter().filter_map(|trial| stage::offered_per_second(study, trial, index)));
        let [offered, rate] = [offered, rate].map(|rate| rate.map_or_else(|| "–".to_owned(), per_second));
        let [requests, errors] = measured(&of_trials);
        let head = [stage.name.as_str().into(), offered.into(), requests, rate.into(), errors];
        table.rows.push(Row::of(head.into_iter().chain(times(&of_trials))));
    }
    let [requests, errors] = measured(&overall);
    let head = ["all".into(), "".into(), requests, "".into(), errors];
    table.rows.push(Row::of(head.into_iter().chain(times(&overall))).marked(true));
    table
}

fn by_step(trials: &[&TrialResult]) -> Table {
    let titles: Vec<&str> = ["step", "#measured requests", "#errors"].into_iter().chain(TIMES).collect();
    let mut table = Table::new("Each step over the candidate’s trials, warm-up left out.", &titles);
    let names = trials.first().map_or(&[][..], |trial| &trial.recording.steps);
    for (index, step) in names.iter().enumerate() {
        let of_trials: Vec<&Times> =
            trials.iter().filter_map(|trial| trial.recording.steps.get(index)).map(|step| &step.times).collect();
        let [requests, errors] = measured(&of_trials);
        let head = [step.name.as_str().into(), requests, errors];
        table.rows.push(Row::of(head.into_iter().chain(times(&of_trials))));
    }
    table
}

fn books(trials: &[&TrialResult]) -> Table {
    let mut table = Table::new(
        "Warm-up included. Nothing is hidden: planned = completed + failed + dropped. A step whose condition did not hold is \
         skipped: it left the plan.",
        &["what", "#planned", "#completed", "#failed", "#dropped", "#skipped", "balance"],
    );
    // What is not a step has nothing that could be skipped.
    let mut totals: Vec<(String, Books, Option<u64>)> = Vec::new();
    let entries = |trial: &TrialResult| -> Vec<(String, Books, Option<u64>)> {
        let recording = &trial.recording;
        let arrivals = ("arrivals".to_owned(), recording.arrivals, None);
        let journeys =
            recording.journeys.iter().map(|journey| (format!("journey {}", journey.name), journey.books, None));
        let steps = recording.steps.iter().map(|step| (format!("step {}", step.name), step.books, Some(step.skipped)));
        std::iter::once(arrivals).chain(journeys).chain(steps).collect()
    };
    for trial in trials {
        for (name, books, skipped) in entries(trial) {
            match totals.iter_mut().find(|(known, ..)| *known == name) {
                Some((_, total, all)) => {
                    *all = all.zip(skipped).map(|(all, skipped)| all + skipped);
                    total.planned += books.planned;
                    total.completed += books.completed;
                    total.failed += books.failed;
                    total.dropped += books.dropped;
                }
                None => totals.push((name, books, skipped)),
            }
        }
    }
    for (name, total, skipped) in totals {
        let verdict = if total.balance() { Cell::verdict(true, "yes") } else { Cell::verdict(false, "no") };
        let numbers = [total.planned, total.completed, total.failed, total.dropped].map(|n| Cell::from(count(n)));
        let skipped = Cell::from(skipped.map_or_else(String::new, count));
        table.rows.push(Row::of(std::iter::once(name.into()).chain(numbers).chain([skipped, verdict])));
    }
    table
}

fn failures(trials: &[&TrialResult]) -> Vec<Block> {
    let mut failed: BTreeMap<(&str, Option<u16>, &str), u64> = BTreeMap::new();
    for failure in trials.iter().flat_map(|trial| &trial.recording.failures) {
        *failed.entry((&failure.step, failure.status, &failure.cause)).or_default() += failure.count;
    }
    let mut answers: BTreeMap<(usize, &str, &str), u64> = BTreeMap::new();
    for trial in trials {
        for (index, step) in trial.recording.steps.iter().enumerate() {
            for (answer, number) in &step.answers {
                *answers.entry((index, &step.name, answer)).or_default() += number;
            }
        }
    }
    let mut by_answer = Table::new("Every answer by step, warm-up included.", &["step", "answer", "#requests"]);
    for ((_, step, answer), number) in answers {
        by_answer.rows.push(Row::of([step.into(), answer.into(), count(number).into()]));
    }
    let mut rows: Vec<_> = failed.into_iter().collect();
    rows.sort_by_key(|(key, number)| (std::cmp::Reverse(*number), *key));
    let first = if rows.is_empty() {
        Block::text("No request failed.")
    } else {
        let mut table = Table::new("Failures by step and cause.", &["step", "status", "cause", "#requests"]);
        for ((step, status, cause), number) in rows {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            table.rows.push(Row::of([step.into(), status.into(), cause.into(), count(number).into()]));
        }
        Block::Table(table)
    };
    vec![first, Block::Table(by_answer)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn each_stage_tells_what_was_offered_beside_what_was_measured() {
        let mut study = fixture::study();
        let offered = |study: &Study| -> Vec<String> {
            let trials = facts::trials_of(study, facts::close_up(study).unwrap());
            let table = by_stage(study, &trials);
            assert_eq!(table.columns[1].title, "offered per second");
            table.rows.iter().map(|row| row.cells[1].text.clone()).collect()
        };
        for trial in &mut study.trials {
            for interval in &mut trial.recording.intervals {
                let sale = (12.0..18.0).contains(&interval.start_s);
                interval.requests_due = if sale { 120 + u64::from(trial.block) * 4 } else { 60 };
            }
        }
        assert_eq!(offered(&study), ["60.0/s", "126.0/s", "60.0/s", ""]);
        for trial in &mut study.trials {
            trial.recording.intervals.clear();
        }
        assert_eq!(offered(&study), ["–", "–", "–", ""]);
    }
}
