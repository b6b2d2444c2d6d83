//! What a recording holds of its steps beside their times: phases, and the slowest requests with their traces.

use super::number::{bare_milliseconds, count, in_milliseconds, milliseconds, seconds};
use crate::stats::Histogram;
use crate::trial::{Recording, StatusClass};
use std::fmt::Write as _;

/// A class in the words of a table.
pub(super) fn class_name(class: StatusClass) -> &'static str {
    if class == StatusClass::NoAnswer { "no answer" } else { class.name() }
}

/// A line for each step that has phases.
pub(super) fn phases(recording: &Recording) -> String {
    let mut text = String::new();
    for step in recording.steps.iter().filter(|step| !step.phases.is_empty()) {
        let told: Vec<String> = step
            .phases
            .each()
            .map(|(name, times)| {
                let quantile = |q: f64| bare_milliseconds(in_milliseconds(times.quantile(q)));
                let of = if times.count() == step.times.response_time.count() {
                    String::new()
                } else {
                    format!(" ({} times)", count(times.count()))
                };
                format!("{name}{of} p50 {} p99 {}", quantile(0.5), quantile(0.99))
            })
            .collect();
        let _ = writeln!(text, "phases of {}: {} ms", step.name, told.join(", "));
    }
    text
}

/// A line for each journey, and for each class of the answers that it ended with, when there was more than one.
pub(super) fn journeys(recording: &Recording) -> String {
    let mut text = String::new();
    let times = |duration: &Histogram| {
        let quantile = |q: f64| bare_milliseconds(in_milliseconds(duration.quantile(q)));
        format!("p50 {} p95 {} p99 {} ms", quantile(0.5), quantile(0.95), quantile(0.99))
    };
    for journey in &recording.journeys {
        if journey.duration.count() > 0 {
            let completed = count(journey.duration.count());
            let _ = writeln!(text, "journey {}: {completed} completed, {}", journey.name, times(&journey.duration));
        }
        for (class, of_class) in &journey.classes {
            let failed = match of_class.failed {
                0 => String::new(),
                failed => format!(", {} of them failed", count(failed)),
            };
            let (ended, class) = (count(of_class.duration.count()), class_name(*class));
            let times = times(&of_class.duration);
            let _ = writeln!(text, "journey {}, ended with {class}: {ended}{failed}, {times}", journey.name);
        }
    }
    text
}

/// A line for each step whose slowest request can be found in the service's traces.
pub(super) fn slowest(recording: &Recording) -> String {
    let mut text = String::new();
    for step in &recording.steps {
        if let Some(slowest) = step.exemplars.first() {
            let _ = writeln!(
                text,
                "slowest of {}: {}, due at {}, trace {}",
                step.name,
                milliseconds(slowest.response_time_ms),
                seconds(slowest.due_s),
                slowest.trace_id
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::terminal::run_table;
    use crate::report::fixture;
    use crate::trial::{Exemplar, JourneyTimes, PhaseTimes, StatusClass, Times};
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[test]
    fn classes_phases_and_the_slowest_request_are_told_compactly() {
        let mut recording = fixture::study().trials[0].recording.clone();
        let step = &mut recording.steps[0];
        let mut quick = Times { failed: 3, ..Times::default() };
        (0..3).for_each(|_| quick.response_time.record(Duration::from_millis(1)));
        (0..3).for_each(|_| quick.service_time.record(Duration::from_millis(1)));
        step.set_classes(BTreeMap::from([
            (StatusClass::Success, step.times.clone()),
            (StatusClass::NoAnswer, quick.clone()),
        ]));
        step.phases = PhaseTimes {
            connect: Some(Box::new(quick.service_time.clone())),
            first_byte: Some(Box::new(step.times.service_time.clone())),
            ..PhaseTimes::default()
        };
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        step.exemplars = vec![Exemplar { due_s: 12.5, response_time_ms: 1204.2, trace_id }];
        let journey = &mut recording.journeys[0];
        let (completed, timed_out) = (journey.duration.clone(), quick.response_time.clone());
        journey.set_classes(BTreeMap::from([
            (StatusClass::Success, JourneyTimes { duration: completed, failed: 0 }),
            (StatusClass::NoAnswer, JourneyTimes { duration: timed_out, failed: 3 }),
        ]));
        insta::assert_snapshot!(run_table(&recording));
    }
}
