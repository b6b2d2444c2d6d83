//! Why this one and no other: plots of the trade-off, the candidates with their reasons, and the promises.

use super::deliveries;
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
    blocks.extend(deliveries::section(study));
    blocks
}

fn candidates(study: &Study) -> Table {
    let choice = facts::choice(study);
    let frontier = study.decision.as_ref().map_or(&[][..], |decision| &decision.frontier);
    let month = study.scenario.traffic.is_some();
    let checkouts =
        facts::standings(study).iter().any(|s| facts::mean_cost_per_thousand_checkouts(study, s.candidate).is_some());
    let lock_waits =
        facts::standings(study).iter().any(|s| facts::mean_lock_wait_ms_per_request(study, s.candidate).is_some());
    let unit = format!("#$ {}", study.scenario.objective().unit_short());
    let mut titles = vec!["#max concurrency", "valid trials", unit.as_str()];
    titles.extend(month.then_some("#$ per month"));
    titles.extend(checkouts.then_some("#$ per thousand check-outs"));
    titles.extend(["#p50 ms", "#p95 ms", "#p99 ms"]);
    titles.extend(lock_waits.then_some("#lock wait per request, ms"));
    titles.extend(["on the frontier", "why, or why not"]);
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
            money(facts::cost(study, standing)).into(),
        ];
        cells.extend(month.then(|| money(study.month_mean(standing.candidate)).into()));
        cells.extend(
            checkouts.then(|| money(facts::mean_cost_per_thousand_checkouts(study, standing.candidate)).into()),
        );
        cells.extend([
            time(standing.response_time_p50_ms).into(),
            time(standing.response_time_p95_ms).into(),
            time(standing.response_time_p99_ms).into(),
        ]);
        cells.extend(lock_waits.then(|| lock_wait(study, standing)));
        cells.extend([
            if frontier.contains(&standing.candidate) { "yes".into() } else { Cell::toned("no", Tone::Muted) },
            why.into(),
        ]);
        table.rows.push(Row::of(cells).marked(is_choice));
    }
    table
}

/// How long a request waited for database locks, as the service's own logs tell.
fn lock_wait(study: &Study, standing: &Standing) -> Cell {
    let wait = facts::mean_lock_wait_ms_per_request(study, standing.candidate);
    wait.map_or_else(|| Cell::toned("not told", Tone::Muted), |ms| bare_milliseconds(ms).into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_wait_for_locks_is_shown_when_the_service_tells_it() {
        let mut study = fixture::study();
        let title = |table: &Table| table.columns.iter().position(|column| column.title == "lock wait per request, ms");
        assert_eq!(title(&candidates(&study)), None);
        for trial in study.trials.iter_mut().filter(|trial| trial.candidate.max_concurrency == 80) {
            trial.lock_wait_s = Some(trial.usage.as_ref().unwrap().request_count() as f64 * 0.012_5);
        }
        let table = candidates(&study);
        let column = title(&table).unwrap();
        assert_eq!(table.rows[5].cells[column].text, "12.5");
        assert_eq!(table.rows[4].cells[column].text, "not told");
    }
}
