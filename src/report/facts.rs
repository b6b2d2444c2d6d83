//! Figures that follow from a saved study and that every format shows: which candidate is spoken of, what its trials
//! cost, what a promise measured. Means run over valid trials: the unit of statistics is the trial.

use crate::scenario::{Candidate, Slo, SloMetric};
use crate::trial::{Choice, Outcome, Place, Recording, Standing, Study, TrialResult, Usage};
use crate::units::Usd;

use super::number::in_milliseconds;

/// Google's default max concurrency (a service with at least 1 vCPU, Admin API; read 2026-11-22).
const GOOGLES_DEFAULT: Candidate = Candidate { max_concurrency: 80 };

/// The counter that scenarios keep of successful check-outs.
const CHECKOUTS: &str = "checkouts";

/// What the trial cost for each thousand of successful check-outs, as the scenario's counter `checkouts` has them; none
/// when it has none.
pub(super) fn cost_per_thousand_checkouts(trial: &TrialResult) -> Option<Usd> {
    trial.cost_per_thousand(CHECKOUTS)
}

/// Mean over the candidate's valid trials of what a thousand successful check-outs cost.
pub(super) fn mean_cost_per_thousand_checkouts(study: &Study, candidate: Candidate) -> Option<Usd> {
    let costs: Option<Vec<f64>> = trials_of(study, candidate)
        .into_iter()
        .map(|trial| cost_per_thousand_checkouts(trial).map(|usd| usd.0))
        .collect();
    mean(costs?).map(Usd)
}

/// What the candidate costs in the unit of what the study makes least.
pub(super) fn cost(study: &Study, standing: &Standing) -> Option<Usd> {
    standing.cost(study.scenario.objective())
}

/// What is tuned, in words: empty for a single service.
pub(super) fn tuned(study: &Study) -> String {
    let services = study.scenario.tune.as_ref().map_or(&[][..], |tune| &tune.services);
    let all = study.scenario.system.as_ref().map_or(0, |system| system.services.len());
    match services {
        [] => String::new(),
        [one] => format!(" of {one}"),
        several if several.len() == all => format!(" of all {all} services"),
        several => format!(" of {}", several.join(" and ")),
    }
}

/// The chosen candidate with its reason.
pub(super) fn choice(study: &Study) -> Option<&Choice> {
    match &study.decision.as_ref()?.outcome {
        Outcome::Chosen(choice) => Some(choice),
        Outcome::Infeasible { .. } | Outcome::Untrusted { .. } => None,
    }
}

/// How the candidates stand; empty before there is a decision.
pub(super) fn standings(study: &Study) -> &[Standing] {
    study.decision.as_ref().map_or(&[], |decision| &decision.standings)
}

/// How this candidate stands.
pub(super) fn standing(study: &Study, candidate: Candidate) -> Option<&Standing> {
    standings(study).iter().find(|standing| standing.candidate == candidate)
}

/// The candidate that the report looks at closely: the chosen one, else the one with the shortest p95 among those with
/// a valid trial, else the first that was tried.
pub(super) fn close_up(study: &Study) -> Option<Candidate> {
    choice(study)
        .map(|choice| choice.candidate)
        .or_else(|| {
            standings(study)
                .iter()
                .filter(|standing| standing.trials_valid > 0)
                .min_by(|a, b| a.response_time_p95_ms.total_cmp(&b.response_time_p95_ms))
                .map(|standing| standing.candidate)
        })
        .or_else(|| study.trials.first().map(|trial| trial.candidate))
}

/// What the choice is compared with: Google's default if it was tried and not chosen, else the cheapest other candidate
/// that keeps every promise, else the other candidate with the shortest p95.
pub(super) fn reference(study: &Study) -> Option<&Standing> {
    let chosen = choice(study)?.candidate;
    let others =
        || standings(study).iter().filter(|standing| standing.candidate != chosen && standing.trials_valid > 0);
    let cost = |standing: &Standing| cost(study, standing).map_or(f64::INFINITY, |usd| usd.0);
    others()
        .find(|standing| standing.candidate == GOOGLES_DEFAULT)
        .or_else(|| others().filter(|s| s.feasible()).min_by(|a, b| cost(a).total_cmp(&cost(b))))
        .or_else(|| others().min_by(|a, b| a.response_time_p95_ms.total_cmp(&b.response_time_p95_ms)))
}

/// The candidate in words, with a remark when it is Google's default.
pub(super) fn with_remark(candidate: Candidate) -> String {
    let remark = if candidate == GOOGLES_DEFAULT { " (Google’s default)" } else { "" };
    format!("{}{remark}", candidate.max_concurrency)
}

/// The trials of a candidate that are evidence; all its trials when none is.
pub(super) fn trials_of(study: &Study, candidate: Candidate) -> Vec<&TrialResult> {
    let all: Vec<_> = study.trials.iter().filter(|trial| trial.candidate == candidate).collect();
    let valid: Vec<_> = all.iter().copied().filter(|trial| trial.is_valid()).collect();
    if valid.is_empty() { all } else { valid }
}

/// The mean of what there is; none when there is nothing.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// What a promise is about, in one trial: milliseconds, or a share for the error rate. None when its step never ran.
pub(super) fn measured(slo: &Slo, recording: &Recording) -> Option<f64> {
    let times = recording.scope(slo.step.as_deref())?;
    Some(match slo.metric {
        // Of all that was due, as it is judged; where too much failed or was dropped for that, of the answers.
        SloMetric::ResponseTime { quantile, .. } => {
            let of_due = recording.quantile_of_due(slo.step.as_deref(), quantile);
            in_milliseconds(of_due.unwrap_or_else(|| times.response_time.quantile(quantile)))
        }
        SloMetric::MeanResponseTime { .. } => in_milliseconds(times.response_time.mean()),
        SloMetric::ErrorRate { .. } => times.error_rate(),
    })
}

/// The limits on response time that hold for all requests (those on the only step do), as (promise as written, quantile, milliseconds).
pub(super) fn overall_limits(study: &Study) -> Vec<(String, f64, f64)> {
    study
        .scenario
        .slos
        .iter()
        .filter(|slo| slo.step.is_none() || study.scenario.step_names().len() == 1)
        .filter_map(|slo| match slo.metric {
            SloMetric::ResponseTime { quantile, limit } => Some((slo.text.clone(), quantile, in_milliseconds(limit))),
            SloMetric::MeanResponseTime { .. } | SloMetric::ErrorRate { .. } => None,
        })
        .collect()
}

/// The most instances that the samples of a trial show at once, if there are samples.
pub(super) fn instances_max(trial: &TrialResult) -> Option<u64> {
    instances_in(trial.usage.as_ref()?)
}

/// The same of one service's usage.
pub(super) fn instances_in(usage: &Usage) -> Option<u64> {
    usage.samples.iter().map(|sample| sample.instances_active + sample.instances_idle).max()
}

/// Mean over samples of the instances' CPU utilisation (0 to 1), if the platform told.
pub(super) fn instance_cpu(trial: &TrialResult) -> Option<f64> {
    mean(trial.usage.as_ref()?.samples.iter().filter_map(|sample| sample.cpu_utilization_mean))
}

/// Milliseconds that a request waited for database locks, mean over the requests that reached an instance, if the
/// service's logs and the platform told.
pub(super) fn lock_wait_ms_per_request(trial: &TrialResult) -> Option<f64> {
    let reached = trial.usage.as_ref()?.request_count();
    (reached > 0).then_some(trial.lock_wait_s? * 1e3 / reached as f64)
}

/// Mean over the candidate's valid trials of [`lock_wait_ms_per_request`]; none when one of them cannot say.
pub(super) fn mean_lock_wait_ms_per_request(study: &Study, candidate: Candidate) -> Option<f64> {
    let waits: Option<Vec<f64>> = trials_of(study, candidate).into_iter().map(lock_wait_ms_per_request).collect();
    mean(waits?)
}

/// The lines that apply a candidate, one for each service that is tuned.
pub(super) fn gcloud_lines(study: &Study, candidate: Candidate) -> Vec<String> {
    let concurrency = candidate.max_concurrency;
    match &study.place {
        Place::CloudRun { project, region, service } => {
            vec![format!(
                "gcloud run services update {service} --region {region} --concurrency {concurrency} --project {project}"
            )]
        }
        Place::Local(_) => {
            let line = |name: &str, region: &str| {
                format!("gcloud run services update {name} --region {region} --concurrency {concurrency}")
            };
            let tuned = study.scenario.tune.iter().flat_map(|tune| &tune.services);
            let member = |name: &String| {
                let member = study.scenario.system.as_ref()?.services.get(name)?;
                Some(line(name, &member.service.region))
            };
            let lines: Vec<String> = tuned.filter_map(member).collect();
            if !lines.is_empty() {
                return lines;
            }
            vec![line("SERVICE", study.scenario.service.as_ref().map_or("REGION", |service| &service.region))]
        }
    }
}
