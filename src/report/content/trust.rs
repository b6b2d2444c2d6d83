//! Can it be trusted? The evidence for and against each trial, whatever it says.

use crate::report::document::{Block, Cell, Row, Span, Table, Tone};
use crate::report::number::{bare_milliseconds, count, difference, in_milliseconds, percent, plain, seconds};
use crate::trial::{Limiter, Place, Study, TrialResult, Validity};

/// Client and platform may differ by this share in summed time.
const SUMS_AGREE_WITHIN: f64 = 0.02;
/// A limiter holds when the self-test's spinner got its share within this.
const LIMITER_HOLDS_WITHIN: f64 = 0.10;

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
    let checked: Vec<_> = study.trials.iter().filter_map(|trial| trial.stock.as_ref()).collect();
    if !checked.is_empty() {
        let equal = checked.iter().filter(|stock| stock.sold == stock.fall).count();
        lines.push(vec![
            Span::Strong(format!("Units sold equal the fall in stock in {equal} of {} trials", checked.len())),
            " that could be asked.".into(),
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
    let mut table = Table::new(
        "Trials in the order they ran. Lateness is the driver’s own fault: sent − due − blocked. Steal is what the hypervisor took.",
        &[
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
            "stock",
        ],
    );
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    for trial in &study.trials {
        let recording = &trial.recording;
        let stock = trial.stock.as_ref().map_or_else(
            || Cell::toned("not asked", Tone::Muted),
            |stock| Cell::verdict(stock.sold == stock.fall, &format!("{} sold, {} gone", stock.sold, stock.fall)),
        );
        table.rows.push(Row::of([
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
            stock,
        ]));
    }
    table
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
    let mut table = Table::new(
        "Warm-up and set-up included.",
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
    lines.push(if factor > 1.0 {
        let factor = plain(factor);
        vec![
            Span::Strong(format!("A time factor of {factor}.")),
            format!(
                " Platform times (averaging windows, scaling ticks, sampling, idle time) and stage lengths are divided by \
                 {factor}; rates, service, think and start-up times and the 100 ms billing slice are not. So start-ups \
                 weigh {factor} times too much: real bills hold a smaller share of them."
            )
            .into(),
        ]
    } else {
        vec![Span::Strong("Time is not compressed.".to_owned()), " Platform times and stages are as long as written.".into()]
    });
    lines
}

fn limiter(limiter: &Limiter) -> Vec<Span> {
    let note =
        if limiter.note.is_empty() { String::new() } else { format!(" Note: {}.", limiter.note.trim_end_matches('.')) };
    if limiter.kind == "none" {
        return vec![
            Span::Strong("The instances were not limited.".to_owned()),
            format!(" They could use whole host cores, so costs and times at high load are too good.{note}").into(),
        ];
    }
    let test = match (limiter.self_test_set_cores, limiter.self_test_measured_cores) {
        (Some(set), Some(got)) => {
            let off = if set > 0.0 { (got / set - 1.0).abs() } else { f64::INFINITY };
            let verdict = if off <= LIMITER_HOLDS_WITHIN { "it holds" } else { "it does NOT hold" };
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
