//! What the close-up says of journeys, and of the classes of answers: how long journeys took, which answers they ended
//! with, and which classes the answers to each step had.

use super::close_up::{TIMES, measured, times};
use crate::report::detail::class_name;
use crate::report::document::{Block, Cell, Row, Table, Tone};
use crate::report::facts;
use crate::report::number::{bare_milliseconds, count, in_milliseconds, seconds};
use crate::stats::Histogram;
use crate::trial::{JourneyTimes, StatusClass, StepRecording, Times, TrialResult};

/// Journeys over a candidate's trials; those that failed or ended with several classes have a row for each class.
pub(super) fn by_journey(trials: &[&TrialResult]) -> Table {
    let mut table = Table::new(
        "Journeys over the candidate’s trials, from the due time of the first step to the last answer, think times \
         included, warm-up left out. A class is that of the answer a journey ended with; one that failed is in no figure \
         but its class’s.",
        &["journey", "#ended", "#failed", "#p50 ms", "#p95 ms", "#p99 ms", "#longest ms"],
    );
    let names = trials.first().map_or(&[][..], |trial| &trial.recording.journeys);
    for (index, journey) in names.iter().enumerate() {
        let of_trials: Vec<_> = trials.iter().filter_map(|trial| trial.recording.journeys.get(index)).collect();
        let classes: Vec<Vec<(StatusClass, JourneyTimes)>> =
            of_trials.iter().map(|journey| journey.by_class()).collect();
        let of_class = |class: StatusClass| -> Vec<&JourneyTimes> {
            classes.iter().flatten().filter(|(other, _)| *other == class).map(|(_, times)| times).collect()
        };
        let durations: Vec<&Histogram> = of_trials.iter().map(|journey| &journey.duration).collect();
        let failed: u64 = classes.iter().flatten().map(|(_, times)| times.failed).sum();
        let completed: u64 = durations.iter().map(|duration| duration.count()).sum();
        table.rows.push(journey_row(&journey.name, (completed + failed, failed), &durations));
        if of_trials.iter().all(|journey| journey.classes.is_empty()) {
            continue;
        }
        for class in StatusClass::ALL.into_iter().filter(|class| !of_class(*class).is_empty()) {
            let times = of_class(class);
            let failed = times.iter().map(|times| times.failed).sum();
            let durations: Vec<&Histogram> = times.iter().map(|times| &times.duration).collect();
            let ended = durations.iter().map(|duration| duration.count()).sum();
            table.rows.push(journey_row(&within(&journey.name, class), (ended, failed), &durations));
        }
    }
    table
}

/// The classes of the answers to those steps that had more than one.
pub(super) fn by_class(trials: &[&TrialResult]) -> Option<Table> {
    let titles: Vec<&str> = ["step and class", "#measured requests", "#errors"].into_iter().chain(TIMES).collect();
    let mut table = Table::new(
        "Steps whose answers had more than one class, warm-up left out: whether quick failures pull a percentile down.",
        &titles,
    );
    let names = trials.first().map_or(&[][..], |trial| &trial.recording.steps);
    for (index, step) in names.iter().enumerate() {
        let of_trials: Vec<&StepRecording> =
            trials.iter().filter_map(|trial| trial.recording.steps.get(index)).collect();
        let classes: Vec<(StatusClass, &Times)> = of_trials.iter().flat_map(|step| step.by_class()).collect();
        let of_class = |class: StatusClass| -> Vec<&Times> {
            classes.iter().filter(|(other, _)| *other == class).map(|(_, times)| *times).collect()
        };
        let present: Vec<StatusClass> =
            StatusClass::ALL.into_iter().filter(|class| !of_class(*class).is_empty()).collect();
        for class in present.iter().filter(|_| present.len() > 1) {
            // What was dropped has no class; a step of one class alone holds it all the same.
            let of_trials: Vec<Times> =
                of_class(*class).into_iter().map(|times| Times { dropped: 0, ..times.clone() }).collect();
            let of_trials: Vec<&Times> = of_trials.iter().collect();
            let [requests, errors] = measured(&of_trials);
            let head = [within(&step.name, *class).into(), requests, errors];
            table.rows.push(Row::of(head.into_iter().chain(times(&of_trials))));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

/// The trials that did not run to the end of their plan, and why.
pub(super) fn ended_early(trials: &[&TrialResult]) -> Vec<Block> {
    let told = |trial: &&TrialResult| {
        let recording = &trial.recording;
        let why = match &recording.aborted {
            Some(aborted) => {
                format!("aborted after {} by the rule {}: {}", seconds(aborted.at_s), aborted.rule, aborted.cause)
            }
            None if recording.interrupted => format!("interrupted after {}", seconds(recording.duration_s)),
            None => return None,
        };
        Some(Block::text(format!(
            "Trial {} ended early: {why}. What follows holds what was sent until then.",
            trial.number
        )))
    };
    trials.iter().filter_map(told).collect()
}

fn within(name: &str, class: StatusClass) -> String {
    format!("{name}: {}", class_name(class))
}

/// Quantiles as means over trials, the longest as the longest of all.
fn journey_row(name: &str, (ended, failed): (u64, u64), durations: &[&Histogram]) -> Row {
    let durations: Vec<&&Histogram> = durations.iter().filter(|duration| duration.count() > 0).collect();
    let shown = |ms: Option<f64>| Cell::from(ms.map_or_else(|| "–".to_owned(), bare_milliseconds));
    let quantile = |q: f64| facts::mean(durations.iter().map(|duration| in_milliseconds(duration.quantile(q))));
    let longest = durations.iter().map(|duration| in_milliseconds(duration.max())).reduce(f64::max);
    let failed = Cell::toned(count(failed), if failed > 0 { Tone::Bad } else { Tone::Plain });
    let head = [name.into(), count(ended).into(), failed];
    Row::of(head.into_iter().chain([quantile(0.5), quantile(0.95), quantile(0.99), longest].map(shown)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{content, fixture};
    use crate::trial::Aborted;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn texts(table: &Table) -> Vec<Vec<String>> {
        let row = |row: &Row| row.cells.iter().map(|cell| cell.text.clone()).collect();
        table.rows.iter().map(row).collect()
    }

    #[test]
    fn a_journey_that_failed_and_a_step_that_was_refused_are_told_by_class() {
        let mut study = fixture::study();
        let candidate = facts::close_up(&study).unwrap();
        for trial in study.trials.iter_mut().filter(|trial| trial.candidate == candidate) {
            let journey = &mut trial.recording.journeys[0];
            let mut quick = Histogram::default();
            (0..5).for_each(|_| quick.record(Duration::from_millis(2)));
            journey.set_classes(BTreeMap::from([
                (StatusClass::Success, JourneyTimes { duration: journey.duration.clone(), failed: 0 }),
                (StatusClass::ServerError, JourneyTimes { duration: quick.clone(), failed: 5 }),
            ]));
            let step = &mut trial.recording.steps[1];
            let refused = Times { response_time: quick.clone(), service_time: quick, failed: 5, dropped: 0 };
            step.set_classes(BTreeMap::from([
                (StatusClass::Success, step.times.clone()),
                (StatusClass::ServerError, refused),
            ]));
            step.skipped = 7;
        }
        let trials = facts::trials_of(&study, candidate);
        let n = trials.len() as u64;
        let journeys = texts(&by_journey(&trials));
        assert_eq!(journeys[0][..3], ["buy".to_owned(), count(405 * n), count(5 * n)]);
        assert_eq!(journeys[1][..3], ["buy: 2xx".to_owned(), count(400 * n), "0".to_owned()]);
        assert_eq!(journeys[2][..4], ["buy: 5xx".to_owned(), count(5 * n), count(5 * n), "2.00".to_owned()]);
        assert_eq!(journeys[0][3..], journeys[1][3..], "what failed is in its class only");
        let steps = texts(&by_class(&trials).unwrap());
        assert_eq!(steps.iter().map(|row| row[0].rsplit(": ").next().unwrap()).collect::<Vec<_>>(), ["2xx", "5xx"]);
        assert_eq!(steps[1][1..3], [count(5 * n), "100 %".to_owned()]);

        let all = format!("{:?}", content::sections(&study));
        assert!(all.contains("By journey") && all.contains(&format!("\"{}\"", count(7 * n))), "{all}");
        assert!(!all.contains("ended early"));
        let number = {
            let trial = study.trials.iter_mut().find(|trial| trial.candidate == candidate).unwrap();
            let aborted = Aborted { at_s: 3.0, rule: "p90 < 1s".into(), cause: "slow".into(), ..Aborted::default() };
            trial.recording.aborted = Some(aborted);
            trial.number
        };
        let all = format!("{:?}", content::sections(&study));
        assert!(all.contains(&format!("Trial {number} ended early: aborted after 3")), "{all}");
    }
}
