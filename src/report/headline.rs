//! The first screen: which setting, why, what it costs and does to response times next to the alternatives, and the line
//! that applies it.

use crate::cost::MonthBasis;
use crate::scenario::{Candidate, Objective};
use crate::trial::{Outcome, Place, Standing, Study};

use super::document::{Cell, Row, Table, Tone};
use super::facts;
use super::number::{difference, milliseconds, money, percent};

/// What kind of news it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A setting was chosen.
    Chosen,
    /// None keeps every promise.
    Infeasible,
    /// The measurement cannot be trusted.
    Untrusted,
    /// Not decided yet.
    Unfinished,
}

/// One figure with what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// What it is.
    pub(super) label: String,
    /// The number with its unit.
    pub(super) value: String,
    /// What it is next to the alternative or the promise; may be empty.
    pub(super) note: String,
}

/// The first screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Headline {
    /// What kind of news it is.
    pub(super) news: News,
    /// The news in a few words.
    pub(super) title: String,
    /// Why, in a sentence.
    pub(super) reason: String,
    /// Costs and response times of the chosen candidate; empty when none was chosen.
    pub(super) figures: Vec<Figure>,
    /// The lines that apply it; empty when there is nothing to apply.
    pub(super) commands: Vec<String>,
    /// What to know before it is applied, or what to do instead.
    pub(super) advice: String,
    /// Every candidate on a line.
    pub(super) alternatives: Table,
    /// Where it was measured, in a few words.
    pub(super) place: String,
}

impl Headline {
    /// The first screen of a study.
    pub(super) fn of(study: &Study) -> Self {
        let (news, mut title, reason) = match study.decision.as_ref().map(|decision| &decision.outcome) {
            Some(Outcome::Chosen(choice)) => {
                let (to, of) = (choice.candidate.max_concurrency, facts::tuned(study));
                (News::Chosen, format!("Set max concurrency{of} to {to}"), &choice.reason)
            }
            Some(Outcome::Infeasible { reason }) => {
                (News::Infeasible, "No candidate keeps every promise".to_owned(), reason)
            }
            Some(Outcome::Untrusted { reason }) => {
                (News::Untrusted, "No verdict: the measurement cannot be trusted".to_owned(), reason)
            }
            None => (News::Unfinished, "Not decided yet".to_owned(), &String::new()),
        };
        let mut reason = if news == News::Unfinished { unfinished(study) } else { sentence(reason) };
        reason.push_str(caution(study));
        if is_look(study) {
            title.push_str(" (a look, not a measurement)");
        }
        reason.push_str(&mix(study));
        let chosen = facts::choice(study).map(|choice| choice.candidate);
        Self {
            news,
            title,
            reason,
            figures: chosen
                .and_then(|candidate| facts::standing(study, candidate))
                .map_or_else(Vec::new, |standing| figures(study, standing)),
            commands: chosen.map_or_else(Vec::new, |candidate| facts::gcloud_lines(study, candidate)),
            advice: advice(study, news),
            alternatives: alternatives(study),
            place: place(study),
        }
    }
}

/// A reason as a sentence: with a capital and a full stop.
fn sentence(reason: &str) -> String {
    let mut characters = reason.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    let end = if reason.is_empty() || reason.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// Whether a verdict rests on one trial of each candidate, as with `--quick`: nothing then tells how much their figures vary.
/// One that rests on no valid trial, because every candidate lost reports, is not about figures.
fn is_look(study: &Study) -> bool {
    let outcome = study.decision.as_ref().map(|decision| &decision.outcome);
    let is_verdict = matches!(outcome, Some(Outcome::Chosen(_) | Outcome::Infeasible { .. }));
    let most = facts::standings(study).iter().map(|standing| standing.trials_valid).max();
    is_verdict && most == Some(1)
}

/// A warning when the figures of the chosen candidate rest on a single trial.
fn caution(study: &Study) -> &'static str {
    if is_look(study) {
        return " One trial each: how much they vary is not known.";
    }
    let chosen = facts::choice(study).and_then(|choice| facts::standing(study, choice.candidate));
    if chosen.is_some_and(|standing| standing.trials_valid == 1) {
        " Its figures rest on one trial: a look, not a measurement."
    } else {
        ""
    }
}

/// How the mix of the trials that promises and cost are of differs from the month's, by the stage that differs most.
fn mix(study: &Study) -> String {
    /// A stage whose shares differ by less is the same mix to a reader.
    const SHARE_APART: f64 = 0.1;
    let (Some(traffic), Some(choice)) = (&study.scenario.traffic, facts::choice(study)) else { return String::new() };
    let trials = facts::trials_of(study, choice.candidate);
    let recordings = trials.iter().filter(|trial| trial.is_valid()).map(|trial| &trial.recording);
    let stages = recordings.flat_map(|recording| &recording.stages);
    let requests = |name: Option<&str>| -> f64 {
        let of = stages.clone().filter(|stage| name.is_none_or(|name| stage.name == name));
        of.map(|stage| stage.times.response_time.count() as f64).sum()
    };
    let all = requests(None);
    let shares = study.scenario.stages.iter().map(|stage| {
        let month = traffic.shares.get(&stage.name).copied().unwrap_or(0.0);
        (stage.name.as_str(), requests(Some(&stage.name)) / all.max(1.0), month)
    });
    let over = |(_, measured, month): &(&str, f64, f64)| measured - month;
    let most = shares.max_by(|a, b| over(a).total_cmp(&over(b))).filter(|stage| over(stage) > SHARE_APART);
    most.map_or_else(String::new, |(name, measured, month)| {
        let [measured, month] = [measured, month].map(|share| percent((share * 100.0).round() / 100.0));
        format!(
            " Promises and this cost are of the trials’ mix, {measured} of it stage “{name}”, which is {month} of the month."
        )
    })
}

fn unfinished(study: &Study) -> String {
    let wanted = study.candidates.len() * study.blocks as usize;
    format!("{} of {wanted} trials were run; the study can be resumed.", study.trials.len().min(wanted))
}

fn place(study: &Study) -> String {
    match &study.place {
        Place::Local(_) => "measured on a local scale model of Cloud Run".to_owned(),
        Place::CloudRun { region, service, .. } => format!("measured on Cloud Run, service {service} in {region}"),
    }
}

fn advice(study: &Study, news: News) -> String {
    let local = matches!(study.place, Place::Local(_));
    match news {
        News::Chosen if local && study.scenario.system.is_some() => {
            "This was a scale model on one machine, without the scenario’s faults: before you rely on it, watch the services \
             themselves under the new setting."
                .to_owned()
        }
        News::Chosen if local => "SERVICE stands for your service’s name. This was a scale model on one machine: before you rely on it, \
             tune your Cloud Run service itself with the same scenario."
            .to_owned(),
        News::Chosen => "The study put the service back as it was: this line applies the choice.".to_owned(),
        News::Infeasible => "Nothing should be changed on the strength of this study. Raise the most instances or the \
             vCPUs, make the service faster, try other candidates, or loosen the promise that breaks: the table names it."
            .to_owned(),
        News::Untrusted => "Nothing should be concluded from these numbers. The section “Can it be trusted?” names what \
             was wrong with each trial and how to mend it."
            .to_owned(),
        News::Unfinished => "The numbers below are what was measured so far; no candidate has been judged.".to_owned(),
    }
}

/// A figure of a candidate.
type Of = fn(&Standing) -> f64;

fn figures(study: &Study, standing: &Standing) -> Vec<Figure> {
    let other = facts::reference(study);
    let against = |value: f64, of: Of| {
        let name = other.map(|other| facts::with_remark(other.candidate));
        let text = other.and_then(|other| difference(value, of(other)));
        text.zip(name).map_or_else(String::new, |(text, name)| format!("{text} against {name}"))
    };
    let mut figures = Vec::new();
    let objective = study.scenario.objective();
    let cost = facts::cost(study, standing);
    let of_cost: Of = match objective {
        Objective::CostPerMillionRequests => |s| s.cost_per_million_requests.map_or(0.0, |usd| usd.0),
        Objective::CostPerThousandDelivered => |s| s.cost_per_thousand_delivered.map_or(0.0, |usd| usd.0),
    };
    figures.push(Figure {
        label: objective.unit().to_owned(),
        value: money(cost),
        note: against(cost.map_or(f64::NAN, |usd| usd.0), of_cost),
    });
    if let (Some(month), Some(traffic)) = (study.month_mean(standing.candidate), &study.scenario.traffic) {
        figures.push(Figure {
            label: "per month".to_owned(),
            value: money(Some(month)),
            note: format!(
                "{} million requests, free tier taken off{}",
                super::number::plain(traffic.requests_per_month / 1e6),
                month_basis(study, standing.candidate)
            ),
        });
    }
    if let Some(cost) = facts::mean_cost_per_thousand_checkouts(study, standing.candidate) {
        figures.push(Figure {
            label: "per 1,000 check-outs".to_owned(),
            value: money(Some(cost)),
            note: "successful ones, all steps paid".to_owned(),
        });
    }
    let limits = facts::overall_limits(study);
    let times: [(&str, f64, Of); 3] = [
        ("p50", 0.50, |s| s.response_time_p50_ms),
        ("p95", 0.95, |s| s.response_time_p95_ms),
        ("p99", 0.99, |s| s.response_time_p99_ms),
    ];
    for (name, quantile, of) in times {
        let ms = of(standing);
        let promise = limits.iter().find(|(_, promised, _)| *promised == quantile);
        let note = promise.map_or_else(|| against(ms, of), |(text, ..)| format!("promise: {text}"));
        figures.push(Figure { label: format!("{name} response time"), value: milliseconds(ms), note });
    }
    figures
}

/// What the month was priced from, when its stages were too short to be told apart by Monitoring's samples.
fn month_basis(study: &Study, candidate: Candidate) -> &'static str {
    let first = study.trials.iter().find(|trial| trial.candidate == candidate && trial.is_valid());
    match first.and_then(|trial| study.month(trial)).map(|month| month.basis) {
        Some(MonthBasis::TrialMean) => ", at the mean of all stages: they are too short to be priced apart",
        _ => "",
    }
}

fn alternatives(study: &Study) -> Table {
    let chosen = facts::choice(study).map(|choice| choice.candidate);
    let cost = |standing: &Standing| facts::cost(study, standing);
    let base = chosen.and_then(|candidate| cost(facts::standing(study, candidate)?));
    let unit = format!("#$ {}", study.scenario.objective().unit_short());
    let mut titles = vec!["#max concurrency", unit.as_str()];
    titles.extend(chosen.map(|_| "#against the choice"));
    titles.extend(["#p50", "#p95", "#p99", "#errors", "promises"]);
    let mut table = Table::new("Means over valid trials; response time counts from when a request was due.", &titles);
    for standing in facts::standings(study) {
        let is_choice = Some(standing.candidate) == chosen;
        let trusted = standing.trials_valid > 0;
        let shown = |text: String| Cell::from(if trusted { text } else { "–".to_owned() });
        let relative = match (base, cost(standing)) {
            _ if is_choice => "choice".to_owned(),
            (Some(base), Some(cost)) => difference(cost.0, base.0).unwrap_or_else(|| "–".to_owned()),
            _ => "–".to_owned(),
        };
        let mut cells: Vec<Cell> = vec![facts::with_remark(standing.candidate).into(), money(cost(standing)).into()];
        cells.extend(chosen.map(|_| relative.into()));
        cells.extend([
            shown(milliseconds(standing.response_time_p50_ms)),
            shown(milliseconds(standing.response_time_p95_ms)),
            shown(milliseconds(standing.response_time_p99_ms)),
            shown(percent(standing.error_rate)),
            promises(standing),
        ]);
        table.rows.push(Row::of(cells).marked(is_choice));
    }
    table
}

fn promises(standing: &Standing) -> Cell {
    if standing.trials_valid == 0 && standing.lost == 0 {
        return Cell::toned("no valid trial", Tone::Bad);
    }
    if standing.lags() {
        return Cell::verdict(false, &format!("{} reports not delivered in time", standing.lost));
    }
    if standing.lost > 0 {
        return Cell::verdict(false, &format!("lost {} reports", standing.lost));
    }
    let broken: Vec<&str> = standing.broken_promises().map(|(text, _)| text).collect();
    match broken.as_slice() {
        [] => Cell::verdict(true, "kept"),
        [text] => Cell::verdict(false, &format!("breaks {text}")),
        several => Cell::verdict(false, &format!("breaks {}", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::trial::StageRecording;
    use std::collections::BTreeMap;

    #[test]
    fn a_mix_that_is_not_the_months_is_told_by_the_stage_that_differs_most() {
        let mut study = fixture::study();
        let names: Vec<String> = study.scenario.stages.iter().map(|stage| stage.name.clone()).collect();
        let measured = |name: &String, requests: u32| {
            let mut stage = StageRecording { name: name.clone(), ..StageRecording::default() };
            (0..requests).for_each(|_| stage.times.response_time.record(std::time::Duration::from_millis(9)));
            stage
        };
        for trial in &mut study.trials {
            trial.recording.stages = vec![measured(&names[0], 33), measured(&names[1], 67)];
        }
        let shares = |first: f64| BTreeMap::from([(names[0].clone(), first), (names[1].clone(), 1.0 - first)]);
        study.scenario.traffic.as_mut().unwrap().shares = shares(0.9);
        let reason = Headline::of(&study).reason;
        let told = format!("of the trials’ mix, 67 % of it stage “{}”, which is 10 % of the month.", names[1]);
        assert!(reason.ends_with(&told), "{reason}");
        study.scenario.traffic.as_mut().unwrap().shares = shares(0.4);
        assert_eq!(Headline::of(&study).reason, "It is the cheapest candidate that keeps every promise.");
    }

    #[test]
    fn the_first_screen_names_the_setting_the_reason_the_cost_and_the_line() {
        let headline = Headline::of(&fixture::study());
        assert_eq!(headline.title, "Set max concurrency to 16");
        assert!(headline.reason.starts_with("It is the cheapest candidate that keeps every promise."));
        let labels: Vec<_> = headline.figures.iter().map(|figure| figure.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "per million requests",
                "per month",
                "per 1,000 check-outs",
                "p50 response time",
                "p95 response time",
                "p99 response time"
            ]
        );
        assert_eq!(headline.commands, ["gcloud run services update SERVICE --region us-central1 --concurrency 16"]);
        assert!(headline.advice.contains("SERVICE stands for"));
    }

    #[test]
    fn on_cloud_run_the_line_names_the_service_that_was_measured() {
        let headline = Headline::of(&fixture::cloud_study());
        assert_eq!(
            headline.commands,
            ["gcloud run services update shop --region europe-west1 --concurrency 16 --project acme-prod"]
        );
    }

    #[test]
    fn without_a_choice_no_line_is_offered_and_the_news_says_so() {
        for (study, news) in [
            (fixture::infeasible_study(), News::Infeasible),
            (fixture::untrusted_study(), News::Untrusted),
            (fixture::unfinished_study(), News::Unfinished),
        ] {
            let headline = Headline::of(&study);
            assert_eq!(headline.news, news);
            assert!(headline.commands.is_empty());
            assert!(headline.figures.is_empty());
            assert!(!headline.reason.is_empty());
        }
    }

    #[test]
    fn the_choice_is_compared_with_googles_default_when_it_was_tried() {
        let headline = Headline::of(&fixture::study());
        assert!(headline.figures[0].note.ends_with("against 80 (Google’s default)"), "{}", headline.figures[0].note);
    }

    #[test]
    fn what_rests_on_one_trial_is_called_a_look() {
        let said = |headline: &Headline| format!("{} {}", headline.title, headline.reason);
        let mut study = fixture::study();
        study.scenario.traffic = None;
        assert!(!said(&Headline::of(&study)).contains("a look"));
        let standings = &mut study.decision.as_mut().unwrap().standings;
        standings.iter_mut().find(|standing| standing.candidate.max_concurrency == 16).unwrap().trials_valid = 1;
        let Headline { title, reason, .. } = Headline::of(&study);
        assert_eq!(title, "Set max concurrency to 16");
        assert!(reason.ends_with("promise. Its figures rest on one trial: a look, not a measurement."), "{reason}");
        for standing in &mut study.decision.as_mut().unwrap().standings {
            standing.trials_valid = 1;
        }
        let Headline { title, reason, .. } = Headline::of(&study);
        assert_eq!(title, "Set max concurrency to 16 (a look, not a measurement)");
        assert!(reason.ends_with("promise. One trial each: how much they vary is not known."), "{reason}");
        let mut study = fixture::infeasible_study();
        let whole = said(&Headline::of(&study));
        study.decision.as_mut().unwrap().standings.iter_mut().for_each(|standing| standing.trials_valid = 1);
        assert_eq!(Headline::of(&study).title, "No candidate keeps every promise (a look, not a measurement)");
        for standing in &mut study.decision.as_mut().unwrap().standings {
            (standing.trials_valid, standing.lost) = (0, 3);
        }
        assert_eq!(said(&Headline::of(&study)), whole, "no figure of it is valid, and none is told");
        for study in [fixture::untrusted_study(), fixture::unfinished_study()] {
            let said = said(&Headline::of(&study));
            assert!(
                ![said, whole.clone()].iter().any(|said| said.contains("a look") || said.contains("One trial each"))
            );
        }
    }
}
