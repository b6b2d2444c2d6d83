//! The few lines for a terminal.

use super::detail;
use super::facts;
use super::headline::Headline;
use super::law;
use super::number::{bare_milliseconds, count, in_milliseconds, milliseconds, per_second, percent};
use crate::scenario::{Conservation, Scenario, Slo, SloMetric};
use crate::trial::{Books, DriverHealth, PromiseRecording, Recording, StockCheck, Study, Times};
use crate::tuner::{broken_slos, too_few};
use std::fmt::Write as _;
use std::path::Path;

/// What a study concluded, in a few lines: the choice, why, its figures, the line that applies it, and where the report
/// is (`page`). Ends with a line break; without colours.
#[must_use]
pub fn summary(study: &Study, page: &Path) -> String {
    let headline = Headline::of(study);
    let mut text = format!("{}\n  {}\n", headline.title, headline.reason);
    if !headline.figures.is_empty() {
        text.push('\n');
        let width = headline.figures.iter().map(|figure| figure.value.chars().count()).max().unwrap_or(0);
        for figure in &headline.figures {
            let note = if figure.note.is_empty() { String::new() } else { format!("  ({})", figure.note) };
            let _ = writeln!(text, "  {:>width$}  {}{note}", figure.value, figure.label);
        }
    }
    if !headline.commands.is_empty() {
        let _ = write!(text, "\n  {}\n", headline.commands.join("\n  "));
    }
    for law in law::broken(study) {
        let _ = write!(text, "\n{law}\n");
    }
    let _ = write!(text, "\n{}\n\nreport: {}\n", headline.advice, page.display());
    text
}

/// What one load test gave, in a table: a line per step and one for all, the books, the failures and the promises. Of a
/// run that ended early most requests were never sent, which says nothing about a promise. Ends with a line break; without
/// colours.
#[must_use]
pub fn run_summary(recording: &Recording, scenario: &Scenario) -> String {
    let mut text = run_table(recording);
    let judged = judge_responses(recording, scenario);
    for (place, slo) in scenario.slos.iter().enumerate() {
        let verdict = match judged.get(place) {
            None => "not judged: the run ended early".to_owned(),
            Some(PromiseRecording { kept: false, measured, .. }) => format!("NOT met: {measured}"),
            Some(PromiseRecording { measured, .. }) if facts::measured(slo, recording).is_none() => measured.clone(),
            Some(PromiseRecording { measured, .. }) => format!("kept, {measured}"),
        };
        let _ = writeln!(text, "promise {}: {verdict}", slo.text);
    }
    for law in &scenario.conservation {
        text.push_str(&law_line(law, recording));
    }
    if let Some(aborted) = &recording.aborted {
        let _ = writeln!(text, "aborted after {:.1} s by the rule {}: {}", aborted.at_s, aborted.rule, aborted.cause);
    }
    if recording.interrupted {
        text.push_str("interrupted: this is what was measured until then\n");
    }
    text
}

/// Whether a counter gained what an observation lost; nothing when the service did not tell.
fn law_line(law: &Conservation, recording: &Recording) -> String {
    let told = recording.counters.get(&law.counter).zip(recording.observed.get(&law.observation));
    let Some((gained, observed)) = told else { return String::new() };
    let check = StockCheck { sold: *gained, fall: observed.before.saturating_sub(observed.after) };
    let (verdict, by) =
        if check.holds() { ("kept", String::new()) } else { ("NOT kept", format!(" ({})", check.difference())) };
    format!("law {}: {verdict}, {} counted and {} gone{by}\n", law::name(law), check.sold, check.fall)
}

/// What [`run_summary`] tells, without the promises.
#[must_use]
pub fn run_table(recording: &Recording) -> String {
    let mut rows: Vec<[String; 11]> = vec![
        ["step", "measured", "failed", "dropped", "p50", "p95", "p99", "max", "service p50", "p95", "p99"]
            .map(str::to_owned),
    ];
    for step in &recording.steps {
        rows.push(row(&step.name, &step.times));
        // A class that stands alone is the step itself.
        for (class, times) in &step.classes {
            rows.push(row(&format!("  {}", detail::class_name(*class)), times));
        }
    }
    rows.push(row("all", &recording.overall));
    let mut text = String::from(
        "Response time counts from the due time, service time from the sending; milliseconds, warm-up left out.\n\n",
    );
    text.push_str(&aligned(&rows));
    let _ = write!(text, "\narrivals: {}\n", books(recording.arrivals));
    if recording.duration_s > 0.0 {
        let completed: u64 = recording.steps.iter().map(|step| step.books.completed).sum();
        let _ = writeln!(
            text,
            "throughput: {} over {:.1} s",
            per_second(completed as f64 / recording.duration_s),
            recording.duration_s
        );
    }
    let _ = writeln!(
        text,
        "lateness: p99 {}, longest {} (the driver’s own fault)",
        milliseconds(in_milliseconds(recording.lateness.quantile(0.99))),
        milliseconds(in_milliseconds(recording.lateness.max()))
    );
    if recording.blocked.count() > 0 {
        let longest = milliseconds(in_milliseconds(recording.blocked.max()));
        let _ =
            writeln!(text, "blocked: {} sendings waited for room, longest {longest}", count(recording.blocked.count()));
    }
    for driver in &recording.drivers {
        text.push_str(&own_health(driver));
    }
    for step in recording.steps.iter().filter(|step| step.skipped > 0) {
        let _ = writeln!(text, "skipped: {} × {}: its condition did not hold", count(step.skipped), step.name);
    }
    for failure in &recording.failures {
        let _ = writeln!(text, "failed: {} × {}: {}", count(failure.count), failure.step, failure.cause);
    }
    text.push_str(&detail::journeys(recording));
    text.push_str(&detail::phases(recording));
    text.push_str(&detail::slowest(recording));
    text
}

/// What a driver tells of itself, in a line; nothing when it could tell nothing.
fn own_health(driver: &DriverHealth) -> String {
    let told = [
        driver.thread_busy_share_max.map(|share| format!("busy {} of its busiest five seconds", percent(share))),
        driver
            .open_files_max
            .zip(driver.open_files_limit)
            .map(|(most, limit)| format!("{} of {} open files", count(most), count(limit))),
        driver.tcp_sockets_max.map(|most| format!("{} TCP sockets on the host", count(most))),
        driver
            .time_wait_max
            .zip(driver.local_ports)
            .map(|(held, ports)| format!("{} of {} local ports held by closed connections", count(held), count(ports))),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if told.is_empty() { String::new() } else { format!("driver: {}\n", told.join(", ")) }
}

/// Every promise on response times and errors with what came of it; none of a run that ended early.
#[must_use]
pub fn judge_responses(recording: &Recording, scenario: &Scenario) -> Vec<PromiseRecording> {
    if recording.interrupted || recording.aborted.is_some() {
        return Vec::new();
    }
    let broken = broken_slos(&scenario.slos, recording);
    let judge = |slo: &Slo| {
        let broken = broken.iter().find(|(other, _)| other.text == slo.text);
        let few = || too_few(slo, &[recording]).map_or_else(String::new, |few| format!("; {few}"));
        let measured = || told(slo.metric, facts::measured(slo, recording)) + &few();
        PromiseRecording {
            text: slo.text.clone(),
            kept: broken.is_none(),
            measured: broken.map_or_else(measured, |(_, measured)| measured.clone()),
            ..PromiseRecording::default()
        }
    };
    scenario.slos.iter().map(judge).collect()
}

/// What was measured of what a promise speaks of.
fn told(metric: SloMetric, measured: Option<f64>) -> String {
    let Some(measured) = measured else { return "not measured: its step never ran".to_owned() };
    match metric {
        SloMetric::ResponseTime { .. } | SloMetric::MeanResponseTime { .. } => milliseconds(measured),
        SloMetric::ErrorRate { .. } => percent(measured),
    }
}

fn books(books: Books) -> String {
    let [planned, completed, failed, dropped] =
        [books.planned, books.completed, books.failed, books.dropped].map(count);
    let verdict = if books.balance() { "" } else { " (the books do not balance)" };
    format!("{planned} planned = {completed} completed + {failed} failed + {dropped} dropped{verdict}")
}

fn row(name: &str, times: &Times) -> [String; 11] {
    let response = |q: f64| bare_milliseconds(in_milliseconds(times.response_time.quantile(q)));
    let service = |q: f64| bare_milliseconds(in_milliseconds(times.service_time.quantile(q)));
    [
        name.to_owned(),
        count(times.response_time.count()),
        count(times.failed),
        count(times.dropped),
        response(0.50),
        response(0.95),
        response(0.99),
        bare_milliseconds(in_milliseconds(times.response_time.max())),
        service(0.50),
        service(0.95),
        service(0.99),
    ]
}

/// Columns side by side: the first to the left, numbers to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::trial::Aborted;

    const PAGE: &str = "reports/shopping-example/index.html";

    #[test]
    fn the_summary_of_a_study_is_this() {
        insta::assert_snapshot!(summary(&fixture::study(), Path::new(PAGE)));
    }

    #[test]
    fn the_summary_without_a_choice_says_what_to_do_instead() {
        insta::assert_snapshot!(summary(&fixture::infeasible_study(), Path::new(PAGE)));
        let text = summary(&fixture::untrusted_study(), Path::new(PAGE));
        assert!(text.starts_with("No verdict: the measurement cannot be trusted\n"));
        assert!(!text.contains("gcloud"));
    }

    #[test]
    fn the_summary_of_a_run_is_this() {
        let study = fixture::study();
        insta::assert_snapshot!(run_summary(&study.trials[0].recording, &study.scenario));
    }

    #[test]
    fn a_law_that_is_broken_tells_by_how_much() {
        let study = fixture::study();
        let mut recording = study.trials[0].recording.clone();
        recording.counters.insert("units_sold".to_owned(), 434);
        let text = run_summary(&recording, &study.scenario);
        let line = "law units_sold = fall of stock: NOT kept, 434 counted and 411 gone (23 counted and not gone, 5.3 % of what was counted)\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_study_tells_which_law_was_broken_and_by_how_much() {
        let mut study = fixture::study();
        study.trials.iter_mut().for_each(|trial| trial.stock = Some(StockCheck { sold: 411, fall: 411 }));
        assert!(!summary(&study, Path::new("x")).contains("law "), "where every law holds nothing is said of it");
        study.trials[0].stock = Some(StockCheck { sold: 411, fall: 380 });
        let text = summary(&study, Path::new("x"));
        let line = format!(
            "\nlaw units_sold = fall of stock: kept in {} of {} trials. In the others 411 were counted and 380 are gone: 31 \
             counted and not gone, 7.5 % of what was counted.\n",
            study.trials.len() - 1,
            study.trials.len()
        );
        assert!(text.contains(&line), "{line:?} is not in: {text}");
    }

    #[test]
    fn a_run_tells_how_its_driver_fared_and_which_rule_ended_it() {
        let driver = DriverHealth {
            thread_busy_share_max: Some(0.43),
            open_files_max: Some(75),
            open_files_limit: Some(1024),
            time_wait_max: Some(12),
            local_ports: Some(28_232),
            ..DriverHealth::default()
        };
        let aborted =
            Aborted { at_s: 41.5, rule: "p90 < 500ms".into(), cause: "it was slow".into(), ..Aborted::default() };
        let recording = Recording { aborted: Some(aborted), drivers: vec![driver], ..Recording::default() };
        let text = run_summary(&recording, &fixture::study().scenario);
        assert!(
            text.contains("driver: busy 43 % of its busiest five seconds, 75 of 1,024 open files, 12 of 28,232"),
            "{text}"
        );
        assert!(text.contains("aborted after 41.5 s by the rule p90 < 500ms: it was slow\n"), "{text}");
        let silent = Recording { drivers: vec![DriverHealth::default()], ..Recording::default() };
        assert!(!run_summary(&silent, &fixture::study().scenario).contains("driver: "));
    }

    #[test]
    fn a_promise_that_was_judged_by_too_few_requests_is_told_so() {
        let mut study = fixture::study();
        let slo = &mut study.scenario.slos[0];
        let SloMetric::ResponseTime { quantile, limit } = &mut slo.metric else { panic!("{slo:?}") };
        (*quantile, *limit) = (1.0 - 1e-6, std::time::Duration::from_mins(5));
        let recording = &mut study.trials[0].recording;
        (recording.overall.failed, recording.overall.dropped) = (0, 0);
        let judged = judge_responses(recording, &study.scenario);
        let told = &judged[0];
        assert!(told.kept && told.measured.ends_with("too few to judge it: 1000000 are needed"), "{told:?}");
    }

    #[test]
    fn what_was_skipped_is_told() {
        let study = fixture::study();
        let mut recording = study.trials[0].recording.clone();
        recording.steps[1].skipped = 7;
        let text = run_summary(&recording, &study.scenario);
        let told = format!("\nskipped: 7 × {}: its condition did not hold\n", recording.steps[1].name);
        assert!(text.contains(&told), "{text}");
    }

    #[test]
    fn a_run_that_answered_nothing_says_so_in_its_books() {
        let mut recording = Recording { interrupted: true, ..Recording::default() };
        recording.arrivals = Books { planned: 5, completed: 0, failed: 3, dropped: 1 };
        let text = run_summary(&recording, &fixture::study().scenario);
        assert!(text.contains("do not balance"));
        assert!(text.contains("interrupted"));
    }
}
