//! Can it be trusted? The evidence for and against each trial, whatever it says.

use super::assumed;
use crate::report::document::{Block, Cell, Row, Span, Table, Tone};
use crate::report::law;
use crate::report::number::{bare_milliseconds, count, difference, in_milliseconds, percent, plain, seconds};
use crate::report::stage;
use crate::scenario::StageKind;
use crate::stats::Steadiness;
use crate::trial::{Limiter, Place, Scaling, Study, TrialResult, Validity};

/// Client and platform may differ by this share in summed time.
const SUMS_AGREE_WITHIN: f64 = 0.02;
/// A limiter holds when the self-test's spinner got its share within this.
const LIMITER_HOLDS_WITHIN: f64 = 0.10;
/// The same for the limiter that stops and continues processes by signals: those come later than the kernel's own stops.
const SIGNALS_HOLD_WITHIN: f64 = 0.15;

/// The section.
pub(super) fn section(study: &Study) -> Vec<Block> {
    let mut blocks = vec![Block::section("Can it be trusted?")];
    blocks.push(Block::List(verdicts(study)));
    blocks.push(Block::part("Each trial"));
    blocks.push(Block::Table(trials(study)));
    let reasons: Vec<_> = study.trials.iter().filter_map(reasons).collect();
    if !reasons.is_empty() {
        blocks.push(Block::List(reasons));
    }
    blocks.push(Block::part("Steady state"));
    blocks.extend(steady(study));
    blocks.push(Block::part("Two accounts of the same requests"));
    blocks.push(Block::Paragraph(vec![
        "The driver counted what it sent and summed its service times; the platform told ".into(),
        Span::Code("request_count".to_owned()),
        ", ".into(),
        Span::Code("request_latencies".to_owned()),
        " and ".into(),
        Span::Code("request_latency/pending".to_owned()),
        " through Cloud Monitoring. What was sent and never reached an instance was refused, or answered 429, at the door. \
         The driver’s sum also holds the way there and back, so it is a little larger."
            .into(),
    ]));
    blocks.push(Block::Table(accounts(study)));
    blocks.push(Block::part("Limits of the machine"));
    blocks.push(Block::List(limits(study)));
    blocks
}

fn verdicts(study: &Study) -> Vec<Vec<Span>> {
    let valid = study.trials.iter().filter(|trial| trial.is_valid()).count();
    let balanced = study.trials.iter().filter(|trial| balanced(trial)).count();
    let all = study.trials.len();
    let mut lines = vec![
        vec![Span::Strong(format!("{valid} of {all} trials are valid.")), " Only those are evidence.".into()],
        vec![
            Span::Strong(format!("The books balance in {balanced} of {all} trials:")),
            " planned = completed + failed + dropped, for all arrivals, journeys and steps.".into(),
        ],
    ];
    let checks: Vec<_> = study.trials.iter().map(|trial| law::checks(study, trial)).collect();
    for (index, law) in study.scenario.conservation.iter().enumerate() {
        let asked: Vec<_> = checks.iter().filter_map(|checks| checks[index].as_ref()).collect();
        let held = asked.iter().filter(|check| check.holds()).count();
        if asked.is_empty() {
            lines.push(vec![format!("{} was not checked: no trial could be asked.", law::name(law)).into()]);
            continue;
        }
        lines.push(vec![
            Span::Strong(format!("{} holds in {held} of {} trials", law::name(law), asked.len())),
            format!(
                " that could be asked: what the answers say against what the service says.{}",
                law::failure(&asked)
            )
            .into(),
        ]);
    }
    lines
}

fn balanced(trial: &TrialResult) -> bool {
    let recording = &trial.recording;
    recording.arrivals.balance()
        && recording.journeys.iter().all(|journey| journey.books.balance())
        && recording.steps.iter().all(|step| step.books.balance())
}

fn trials(study: &Study) -> Table {
    let laws: Vec<String> = study.scenario.conservation.iter().map(law::name).collect();
    let titles: Vec<&str> = [
        "#trial",
        "#max concurrency",
        "#block",
        "#attempt",
        "valid",
        "#lateness p99 ms",
        "#host CPU",
        "#steal",
        "#blocked",
        "books",
    ]
    .into_iter()
    .chain(laws.iter().map(String::as_str))
    .collect();
    let mut table = Table::new(
        "Trials in the order they ran. Lateness is the driver’s own fault: sent − due − blocked. Steal is what the hypervisor took.",
        &titles,
    );
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    for trial in &study.trials {
        let recording = &trial.recording;
        let mut cells: Vec<Cell> = vec![
            trial.number.to_string().into(),
            trial.candidate.max_concurrency.to_string().into(),
            trial.block.to_string().into(),
            trial.attempt.to_string().into(),
            if trial.is_valid() { Cell::verdict(true, "valid") } else { Cell::verdict(false, "INVALID") },
            bare_milliseconds(in_milliseconds(recording.lateness.quantile(0.99))).into(),
            share(recording.host_cpu_share).into(),
            share(recording.host_steal_share).into(),
            count(recording.blocked.count()).into(),
            if balanced(trial) { Cell::verdict(true, "balance") } else { Cell::verdict(false, "do not balance") },
        ];
        cells.extend(law::checks(study, trial).into_iter().map(|check| match check {
            None => Cell::toned("not asked", Tone::Muted),
            Some(check) => {
                let difference = if check.holds() { String::new() } else { format!(": {}", check.difference()) };
                Cell::verdict(check.holds(), &format!("{} counted, {} gone{difference}", check.sold, check.fall))
            }
        }));
        table.rows.push(Row::of(cells));
    }
    table
}

/// Whether the hold stages were steady, and where that could not be judged at all.
fn steady(study: &Study) -> Vec<Block> {
    let stages = study.scenario.stages.iter().enumerate();
    let holds: Vec<(usize, &str)> = stages
        .filter(|(_, stage)| stage.kind == StageKind::Hold)
        .map(|(index, stage)| (index, stage.name.as_str()))
        .collect();
    if holds.is_empty() {
        return vec![Block::text("It was not judged: the scenario has no hold stage.")];
    }
    let titles: Vec<&str> = std::iter::once("#max concurrency").chain(holds.iter().map(|(_, name)| *name)).collect();
    let mut table = Table::new(
        "Whether the mean response time of each interval still moved at the end of a hold stage, warm-up left out, over \
         all trials of a candidate. A stage that is too short to judge speaks neither for a trial nor against it.",
        &titles,
    );
    for candidate in &study.candidates {
        let trials: Vec<&TrialResult> = study.trials.iter().filter(|trial| trial.candidate == *candidate).collect();
        let cells = holds.iter().map(|(index, _)| {
            steadiness(&trials.iter().map(|trial| stage::steadiness(study, trial, *index)).collect::<Vec<_>>())
        });
        let head = Cell::from(candidate.max_concurrency.to_string());
        table.rows.push(Row::of(std::iter::once(head).chain(cells)));
    }
    vec![Block::Table(table)]
}

/// What the trials of a candidate show of one stage.
fn steadiness(of_trials: &[Steadiness]) -> Cell {
    let all = of_trials.len();
    let of = |words: &str, number: usize| format!("{words} in {number} of {all} trials");
    let moving: Vec<_> = of_trials.iter().filter(|one| matches!(one, Steadiness::Unsteady { .. })).collect();
    let steady = of_trials.iter().filter(|one| matches!(one, Steadiness::Steady { .. })).count();
    let short: Vec<_> = of_trials.iter().filter(|one| matches!(one, Steadiness::TooShort { .. })).collect();
    let mut said = Vec::new();
    if steady > 0 {
        let after = of_trials.iter().filter_map(|one| match one {
            Steadiness::Steady { from } if *from > 0 => Some(*from),
            _ => None,
        });
        let (late, longest) = (after.clone().count(), after.max().unwrap_or_default());
        let warm_up = if late == 0 {
            String::new()
        } else {
            format!(", in {late} of them only after the first {longest} measured intervals, which are in its figures")
        };
        said.push(of("steady", steady) + &warm_up);
    }
    if let Some(first) = moving.first() {
        said.push(format!("{} ({first})", of("not steady", moving.len())));
    }
    if let Some(first) = short.first() {
        said.push(if short.len() == all { first.to_string() } else { format!("{first}, in {} of {all}", short.len()) });
    }
    let said = said.join("; ");
    match all {
        0 => Cell::toned("no trial", Tone::Muted),
        _ if !moving.is_empty() => Cell::verdict(false, &said),
        _ if steady == all => Cell::verdict(true, &said),
        _ => Cell::toned(said, Tone::Muted),
    }
}

/// Why a trial is no evidence; none when it is.
fn reasons(trial: &TrialResult) -> Option<Vec<Span>> {
    let Validity::Invalid(reasons) = &trial.validity else { return None };
    let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    let (number, block) = (trial.number, trial.block);
    let which = format!("Trial {number} ({}, block {block}) is INVALID:", trial.candidate);
    Some(vec![Span::Strong(which), format!(" {}.", reasons.join("; ").trim_end_matches('.')).into()])
}

fn accounts(study: &Study) -> Table {
    let of = study.scenario.system.as_ref().map_or_else(String::new, |system| format!(" Of {}.", system.front));
    let mut table = Table::new(
        format!("Warm-up and set-up included.{of}"),
        &[
            "#trial",
            "#sent by the driver",
            "#reached an instance",
            "#never reached one",
            "#answered 429",
            "#service time, driver",
            "#in instances",
            "#waiting for one",
            "sums",
            "#billable time",
            "#starts",
        ],
    );
    for trial in &study.trials {
        let recording = &trial.recording;
        let sent = recording.requests_sent();
        let refused = recording.answers.get("429").copied().unwrap_or(0);
        let driver_s = recording.service_time_sum_s;
        let mut cells: Vec<Cell> = vec![trial.number.to_string().into(), count(sent).into()];
        if let Some(usage) = &trial.usage {
            let reached = usage.request_count();
            let missing = i128::from(sent) - i128::from(reached);
            let platform_s = usage.request_latencies_sum_s + usage.pending_sum_s;
            let agree = driver_s > 0.0 && (platform_s / driver_s - 1.0).abs() <= SUMS_AGREE_WITHIN;
            let sums = difference(platform_s, driver_s).unwrap_or_else(|| "–".to_owned());
            cells.extend([
                count(reached).into(),
                Cell::toned(missing.to_string(), if missing < 0 { Tone::Bad } else { Tone::Plain }),
                count(refused).into(),
                seconds(driver_s).into(),
                seconds(usage.request_latencies_sum_s).into(),
                seconds(usage.pending_sum_s).into(),
                Cell::verdict(agree, &sums),
                seconds(usage.billable_instance_time_s).into(),
                usage.instance_starts.map_or_else(|| "–".to_owned(), count).into(),
            ]);
        } else {
            let none = || Cell::toned("not told", Tone::Muted);
            cells.extend([none(), none(), count(refused).into(), seconds(driver_s).into()]);
            cells.extend([none(), none(), none(), none(), none()]);
        }
        table.rows.push(Row::of(cells));
    }
    table
}

fn limits(study: &Study) -> Vec<Vec<Span>> {
    let Place::Local(scale) = &study.place else {
        return vec![vec!["Cloud Run itself limited the instances; the driver’s machine is named below.".into()]];
    };
    let cores = plain(scale.host_cores_per_vcpu);
    let factor = scale.time_factor;
    let stands = if scale.limiter.kind == "none" { "was to be" } else { "is" };
    let mut lines = vec![
        vec![
            Span::Strong("A scale model.".to_owned()),
            format!(
                " One vCPU {stands} {cores} of a host core here. Compare candidates with each other; absolute times and costs are \
                 those of so small a vCPU. (Cloud Run itself allows only max concurrency 1 below one vCPU: a share \
                 like this exists only in the model.)"
            )
            .into(),
        ],
        limiter(&scale.limiter),
    ];
    lines.extend(scaling(&scale.scaling));
    lines.extend(assumed::lines(scale.assumed.as_ref()));
    lines.push(if factor > 1.0 {
        let factor = plain(factor);
        vec![
            Span::Strong(format!("A time factor of {factor}.")),
            format!(
                " Platform times (averaging windows, scaling ticks, sampling, idle time) and stage lengths are divided by \
                 {factor}; rates, service, think and start-up times and the 100 ms billing slice are not. So start-ups \
                 weigh {factor} times too much: real bills hold a smaller share of them. And a backlog is {factor} times \
                 too small: it grows by the rate that finds no room for as long as scaling takes to react, and the \
                 windows are divided while rates are not. This flatters a high max concurrency, which grows by the \
                 metrics only; a low one starts instances on demand."
            )
            .into(),
        ]
    } else {
        vec![Span::Strong("Time is not compressed.".to_owned()), " Platform times and stages are as long as written.".into()]
    });
    lines
}

/// What is not as on Cloud Run by choice.
fn scaling(scaling: &Scaling) -> Option<Vec<Span>> {
    if *scaling == Scaling::default() {
        return None;
    }
    let window = if scaling.long_concurrency_window { ", with the 10-minute average of concurrency" } else { "" };
    Some(vec![
        Span::Strong(format!("The autoscaler was {}{window}.", scaling.autoscaler)),
        format!(" Requests were routed {}.", scaling.routing).into(),
    ])
}

fn limiter(limiter: &Limiter) -> Vec<Span> {
    let note =
        if limiter.note.is_empty() { String::new() } else { format!(" Note: {}.", limiter.note.trim_end_matches('.')) };
    if limiter.kind == "none" {
        return vec![
            Span::Strong("The instances were not limited.".to_owned()),
            format!(" They could use whole host cores and any memory: costs and times at high load are too good, and none was \
                 ended for its memory.{note}").into(),
        ];
    }
    let test = match (limiter.self_test_set_cores, limiter.self_test_measured_cores) {
        (Some(set), Some(got)) => {
            let off = if set > 0.0 { (got / set - 1.0).abs() } else { f64::INFINITY };
            let within = if limiter.kind == "sigstop" { SIGNALS_HOLD_WITHIN } else { LIMITER_HOLDS_WITHIN };
            let verdict = if off <= within { "it holds" } else { "it does NOT hold" };
            format!(
                " The self-test asked for {} and its spinner got {} of a core ({}): {verdict}.",
                plain(set),
                plain((got * 1e4).round() / 1e4),
                difference(got, set).unwrap_or_else(|| "no share".to_owned()),
            )
        }
        _ => " It was not tested.".to_owned(),
    };
    vec![Span::Strong(format!("Instances were limited by {}.", limiter.kind)), format!("{test}{note}").into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::scenario::Conservation;
    use crate::trial::Observed;

    fn words(study: &Study) -> String {
        format!("{:?}", section(study))
    }

    /// The cells of max concurrency 1 and 2 under the stage “usual”, whose first measured interval starts at 4 s.
    fn judged(mean_ms: fn(f64) -> f64, length_s: f64) -> [String; 2] {
        let mut study = fixture::study();
        study.scenario.stages[0].duration = std::time::Duration::from_secs_f64(length_s * 12.0);
        for trial in study.trials.iter_mut().filter(|trial| trial.candidate.max_concurrency == 1) {
            for interval in &mut trial.recording.intervals {
                interval.response_time_mean_ms = mean_ms(interval.start_s);
            }
        }
        let blocks = steady(&study);
        let [Block::Table(table)] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!(
            table.columns.iter().map(|column| column.title.as_str()).collect::<Vec<_>>()[1..],
            ["usual", "after"]
        );
        [0, 1].map(|row| table.rows[row].cells[1].text.clone())
    }

    #[test]
    fn a_hold_stage_that_is_too_short_to_judge_is_told() {
        assert_eq!(judged(|_| 100.0, 12.0), ["too short to judge: 8 values of 10 needed"; 2]);
        assert_eq!(judged(|_| 100.0, 13.0)[0], "too short to judge: 9 values of 10 needed");
    }

    #[test]
    fn steady_and_unsteady_stages_are_told() {
        assert_eq!(judged(|_| 100.0, 14.0)[0], "✓ steady in 2 of 2 trials");
        let moving = judged(|start_s| 100.0 + 20.0 * start_s, 16.0);
        assert!(moving[0].starts_with("✗ not steady in 2 of 2 trials (it rose by "), "{moving:?}");
    }

    #[test]
    fn trials_that_differ_are_each_told() {
        let steady = Steadiness::Steady { from: 0 };
        let cell = steadiness(&[steady, Steadiness::TooShort { points: 7, needed: 10 }]);
        assert_eq!(cell.text, "steady in 1 of 2 trials; too short to judge: 7 values of 10 needed, in 1 of 2");
        assert_eq!(cell.tone, Tone::Muted);
        assert_eq!(steadiness(&[]).text, "no trial");
        let warming = steadiness(&[steady, Steadiness::Steady { from: 45 }]);
        assert_eq!(
            warming.text,
            "✓ steady in 2 of 2 trials, in 1 of them only after the first 45 measured intervals, which are in its figures"
        );
    }

    #[test]
    fn a_scenario_without_a_hold_stage_is_told_so() {
        let mut study = fixture::study();
        study.scenario.stages.retain(|stage| stage.kind != StageKind::Hold);
        assert!(words(&study).contains("the scenario has no hold stage"));
    }

    #[test]
    fn every_law_of_conservation_is_shown() {
        let mut study = fixture::study();
        let law = Conservation { counter: "vouchers_used".to_owned(), observation: "vouchers".to_owned() };
        study.scenario.conservation.push(law);
        let (kept, broken) = (Observed { before: 50, after: 43 }, Observed { before: 50, after: 44 });
        for (trial, observed) in study.trials.iter_mut().zip([kept, broken]) {
            trial.recording.counters.insert("vouchers_used".to_owned(), 7);
            trial.recording.observed.insert("vouchers".to_owned(), observed);
        }
        let table = trials(&study);
        assert_eq!(table.columns[10].title, "units_sold = fall of stock");
        assert_eq!(table.columns[11].title, "vouchers_used = fall of vouchers");
        let cells: Vec<_> = table.rows[..3].iter().map(|row| row.cells[11].text.as_str()).collect();
        let lost = "✗ 7 counted, 6 gone: 1 counted and not gone, 14.3 % of what was counted";
        assert_eq!(cells, ["✓ 7 counted, 7 gone", lost, "not asked"]);
        let text = words(&study);
        assert!(text.contains("units_sold = fall of stock holds in 12 of 12 trials"), "{text}");
        assert!(text.contains("vouchers_used = fall of vouchers holds in 1 of 2 trials"), "{text}");
        let sum = "In the others 7 were counted and 6 are gone: 1 counted and not gone, 14.3 % of what was counted.";
        assert!(text.contains(sum), "{text}");
        study.trials.truncate(0);
        assert!(words(&study).contains("vouchers_used = fall of vouchers was not checked"));
    }

    #[test]
    fn without_a_limiter_it_is_told_that_memory_was_not_limited() {
        let mut study = fixture::study();
        let unlimited = "They could use whole host cores and any memory";
        assert!(!words(&study).contains(unlimited));
        let Place::Local(scale) = &mut study.place else { panic!("the fixture is local") };
        scale.limiter = Limiter { kind: "none".into(), note: "as asked for".into(), ..scale.limiter.clone() };
        let text = words(&study);
        for part in ["The instances were not limited.", unlimited, "none was ended for its memory. Note: as asked for."]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_time_factor_tells_what_it_does_to_start_ups_and_to_a_backlog() {
        let mut study = fixture::study();
        assert!(words(&study).contains("a backlog is 12 times too small") && words(&study).contains("flatters a high"));
        let Place::Local(scale) = &mut study.place else { panic!("the fixture is local") };
        scale.time_factor = 1.0;
        assert!(!words(&study).contains("backlog"));
    }
}
