//! Why this one and no other: plots of the trade-off, the candidates with their reasons, and the promises.

use crate::report::document::{Block, Cell, Row, Table, Tone};
use crate::report::facts;
use crate::report::number::{bare_milliseconds, milliseconds, money, percent};
use crate::report::plot;
use crate::scenario::SloMetric;
use crate::trial::{Standing, Study};

/// The section.
pub(super) fn section(study: &Study) -> Vec<Block> {
    let mut blocks = vec![Block::section("The trade-off")];
    blocks.extend(plot::figure(study, plot::Kind::TradeOff));
    blocks.extend(plot::figure(study, plot::Kind::Sweep));
    blocks.push(Block::section("The candidates"));
    if facts::standings(study).is_empty() {
        blocks.push(Block::text("No candidate has been judged yet."));
        return blocks;
    }
    blocks.push(Block::Table(candidates(study)));
    if !study.scenario.slos.is_empty() {
        blocks.push(Block::part("The promises"));
        blocks.push(Block::Table(promises(study)));
    }
    blocks
}

fn candidates(study: &Study) -> Table {
    let choice = facts::choice(study);
    let frontier = study.decision.as_ref().map_or(&[][..], |decision| &decision.frontier);
    let month = study.scenario.traffic.is_some();
    let checkouts =
        facts::standings(study).iter().any(|s| facts::mean_cost_per_thousand_checkouts(study, s.candidate).is_some());
    let mut titles = vec!["#max concurrency", "valid trials", "#$ per million"];
    titles.extend(month.then_some("#$ per month"));
    titles.extend(checkouts.then_some("#$ per thousand check-outs"));
    titles.extend(["#p50 ms", "#p95 ms", "#p99 ms", "on the frontier", "why, or why not"]);
    let mut table = Table::new(
        "Each candidate over its valid trials. The frontier holds those that no other beats in both cost and p95.",
        &titles,
    );
    for standing in facts::standings(study) {
        let is_choice = choice.is_some_and(|choice| choice.candidate == standing.candidate);
        let why = if is_choice {
            choice.map_or_else(String::new, |choice| format!("Chosen: {}", choice.reason))
        } else {
            standing.why_not.clone().unwrap_or_default()
        };
        let trusted = standing.trials_valid > 0;
        let time = |ms: f64| if trusted { bare_milliseconds(ms) } else { "–".to_owned() };
        let mut cells: Vec<Cell> = vec![
            facts::with_remark(standing.candidate).into(),
            valid_trials(standing),
            money(standing.cost_per_million_requests).into(),
        ];
        cells.extend(month.then(|| money(study.month_mean(standing.candidate)).into()));
        cells.extend(
            checkouts.then(|| money(facts::mean_cost_per_thousand_checkouts(study, standing.candidate)).into()),
        );
        cells.extend([
            time(standing.response_time_p50_ms).into(),
            time(standing.response_time_p95_ms).into(),
            time(standing.response_time_p99_ms).into(),
            if frontier.contains(&standing.candidate) { "yes".into() } else { Cell::toned("no", Tone::Muted) },
            why.into(),
        ]);
        table.rows.push(Row::of(cells).marked(is_choice));
    }
    table
}

fn valid_trials(standing: &Standing) -> Cell {
    let text = format!("{} of {}", standing.trials_valid, standing.trials);
    if standing.trials_valid == 0 { Cell::toned(text, Tone::Bad) } else { text.into() }
}

fn promises(study: &Study) -> Table {
    let slos = &study.scenario.slos;
    let titles: Vec<String> =
        std::iter::once("#max concurrency".to_owned()).chain(slos.iter().map(|slo| slo.text.clone())).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let chosen = facts::choice(study).map(|choice| choice.candidate);
    let mut table = Table::new("What was measured against each promise, mean over valid trials.", &titles);
    for standing in facts::standings(study) {
        let mut cells = vec![Cell::from(facts::with_remark(standing.candidate))];
        for slo in slos {
            let trials = facts::trials_of(study, standing.candidate);
            let measured = facts::mean(trials.iter().filter_map(|trial| facts::measured(slo, &trial.recording)));
            let text = match (slo.metric, measured) {
                (_, None) => "not measured".to_owned(),
                (SloMetric::ErrorRate { .. }, Some(share)) => percent(share),
                (SloMetric::ResponseTime { .. } | SloMetric::MeanResponseTime { .. }, Some(ms)) => milliseconds(ms),
            };
            let broken = standing.broken.iter().find(|(broken, _)| broken == slo);
            cells.push(match broken {
                _ if standing.trials_valid == 0 => Cell::toned("no valid trial", Tone::Muted),
                Some((_, words)) => Cell::verdict(false, words),
                None => Cell::verdict(true, &text),
            });
        }
        table.rows.push(Row::of(cells).marked(Some(standing.candidate) == chosen));
    }
    table
}
