//! A recording as a table: a row for all requests, for each step, each class of its answers, each of its phases, each stage,
//! each journey and each class of the answers that journeys ended with. Times are milliseconds, warm-up left out; books hold the warm-up too.

use super::super::number::in_milliseconds;
use super::super::spreadsheet::{Spreadsheet, number};
use crate::stats::Histogram;
use crate::trial::{Books, JourneyTimes, Recording, Times};

const COLUMNS: [&str; 27] = [
    "kind",
    "name",
    "part",
    "planned",
    "completed",
    "failed",
    "dropped",
    "measured",
    "measured_failed",
    "measured_dropped",
    "error_rate",
    "response_time_mean_ms",
    "response_time_p50_ms",
    "response_time_p75_ms",
    "response_time_p90_ms",
    "response_time_p95_ms",
    "response_time_p99_ms",
    "response_time_p99_9_ms",
    "response_time_max_ms",
    "service_time_mean_ms",
    "service_time_p50_ms",
    "service_time_p75_ms",
    "service_time_p90_ms",
    "service_time_p95_ms",
    "service_time_p99_ms",
    "service_time_p99_9_ms",
    "service_time_max_ms",
];

/// The table with its head. What a row does not have is an empty field: the duration of a journey and the phases of a step
/// stand in the columns of response time and of service time.
///
/// # Errors
/// None that memory can give.
pub fn csv(recording: &Recording) -> Result<Vec<u8>, csv::Error> {
    let mut table = Spreadsheet::new(COLUMNS)?;
    let mut row =
        |what: [&str; 3], books: Option<Books>, times: Option<&Times>, [response, service]: [Option<&Histogram>; 2]| {
            let count = |of: fn(&Books) -> u64| books.as_ref().map_or_else(String::new, |books| of(books).to_string());
            let measured = response.or(service).map_or(0, Histogram::count);
            let mut fields: Vec<String> = what.map(str::to_owned).to_vec();
            fields.extend([count(|b| b.planned), count(|b| b.completed), count(|b| b.failed), count(|b| b.dropped)]);
            fields.push(measured.to_string());
            fields.extend(times.map_or_else(
                || [const { String::new() }; 3],
                |times| [times.failed.to_string(), times.dropped.to_string(), number(times.error_rate())],
            ));
            fields.extend(figures(response));
            fields.extend(figures(service));
            table.row(fields)
        };
    row(["all", "", ""], None, Some(&recording.overall), of(&recording.overall))?;
    for step in &recording.steps {
        row(["step", &step.name, ""], Some(step.books), Some(&step.times), of(&step.times))?;
        for (class, times) in step.by_class() {
            row(["class", &step.name, class.name()], None, Some(times), of(times))?;
        }
        for (phase, times) in step.phases.each() {
            row(["phase", &step.name, phase], None, None, [None, Some(times)])?;
        }
    }
    for stage in &recording.stages {
        row(["stage", &stage.name, ""], None, Some(&stage.times), of(&stage.times))?;
    }
    for journey in &recording.journeys {
        row(["journey", &journey.name, ""], Some(journey.books), None, [Some(&journey.duration), None])?;
        for (class, JourneyTimes { duration, failed }) in journey.by_class() {
            // Only what ended is in a class: none of it was dropped.
            let times = Times { response_time: duration, failed, ..Times::default() };
            let what = ["journey_class", &journey.name, class.name()];
            row(what, None, Some(&times), [Some(&times.response_time), None])?;
        }
    }
    table.finish()
}

fn of(times: &Times) -> [Option<&Histogram>; 2] {
    [Some(&times.response_time), Some(&times.service_time)]
}

fn figures(times: Option<&Histogram>) -> [String; 8] {
    let Some(times) = times.filter(|times| times.count() > 0) else { return [const { String::new() }; 8] };
    let quantile = |q: f64| number(in_milliseconds(times.quantile(q)));
    [
        number(in_milliseconds(times.mean())),
        quantile(0.5),
        quantile(0.75),
        quantile(0.9),
        quantile(0.95),
        quantile(0.99),
        quantile(0.999),
        number(in_milliseconds(times.max())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::trial::{PhaseTimes, StatusClass};
    use std::collections::BTreeMap;

    #[test]
    fn every_step_class_phase_stage_and_journey_has_a_row() {
        let mut recording = fixture::study().trials[0].recording.clone();
        let times = recording.steps[0].times.clone();
        recording.steps[0].set_classes(BTreeMap::from([
            (StatusClass::Success, times.clone()),
            (StatusClass::NoAnswer, Times { failed: 2, ..times.clone() }),
        ]));
        recording.steps[0].phases =
            PhaseTimes { first_byte: Some(Box::new(times.service_time.clone())), ..PhaseTimes::default() };
        let duration = recording.journeys[0].duration.clone();
        let failed = duration.count();
        recording.journeys[0]
            .set_classes(BTreeMap::from([(StatusClass::ServerError, JourneyTimes { duration, failed })]));
        let bytes = csv(&recording).unwrap();
        let mut reader = ::csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(reader.headers().unwrap().len(), COLUMNS.len());
        let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let kinds: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
        let of = |kind: &str| kinds.iter().filter(|k| **k == kind).count();
        assert_eq!((of("all"), of("step"), of("phase")), (1, recording.steps.len(), 1));
        assert_eq!((of("stage"), of("journey")), (recording.stages.len(), recording.journeys.len()));
        let none = rows.iter().find(|row| &row[2] == "none").unwrap();
        assert_eq!((&none[0], &none[8]), ("class", "2"));
        let all = &rows[0];
        assert_eq!(all[7].parse::<u64>().unwrap(), recording.overall.response_time.count());
        assert_eq!(all[16].parse::<f64>().unwrap(), recording.overall.response_time.quantile(0.99).as_secs_f64() * 1e3);
        let class = rows.iter().find(|row| &row[0] == "journey_class").unwrap();
        assert_eq!((&class[1], &class[2], &class[7], &class[8], &class[10]), ("buy", "5xx", "400", "400", "1"));
        let phase = rows.iter().find(|row| &row[0] == "phase").unwrap();
        assert_eq!((&phase[11], phase[19].is_empty()), ("", false));
    }
}
