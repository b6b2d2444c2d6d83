//! The decision: the cheapest candidate that keeps every promise, and why not each other one.

use super::promise::percent_short;
use super::standing::{Judged, judge};
use crate::scenario::{Candidate, Slo};
use crate::trial::{Choice, Decision, Outcome, TrialResult};
use std::cmp::Ordering;

/// Costs that differ by no more than this share are a tie: trial and billing noise is of that order.
const TIE_SHARE: f64 = 0.05;

/// Decides over what was measured.
///
/// A candidate is feasible when the mean over its valid trials keeps every promise. Of the feasible ones, those that
/// cost at most 5 % more than the cheapest are tied with it, and of these the one with the lowest mean p95 is chosen
/// (then the cheaper, then the lower max concurrency). The frontier is taken over all candidates with valid trials,
/// feasible or not: it shows what more money would buy. There is no verdict when a candidate has no valid trial, or a
/// valid one without a cost. The order of `trials` does not matter.
#[must_use]
pub fn decide(candidates: &[Candidate], slos: &[Slo], trials: &[TrialResult]) -> Decision {
    let mut candidates = candidates.to_vec();
    candidates.sort_unstable();
    candidates.dedup();
    // Sums of floating-point numbers depend on their order: trials are added as they ran.
    let mut trials: Vec<&TrialResult> = trials.iter().collect();
    trials.sort_by_key(|trial| (trial.number, trial.block, trial.attempt));
    let mut judged: Vec<Judged> = candidates.iter().map(|candidate| judge(*candidate, slos, &trials)).collect();

    let outcome = outcome(&judged);
    let reasons: Vec<Option<String>> = judged.iter().map(|one| why_not(one, &judged, &outcome)).collect();
    for (one, reason) in judged.iter_mut().zip(reasons) {
        one.standing.why_not = reason;
    }
    let frontier = frontier(&judged);
    Decision { outcome, standings: judged.into_iter().map(|one| one.standing).collect(), frontier }
}

fn outcome(judged: &[Judged]) -> Outcome {
    let untrusted: Vec<String> = judged.iter().filter_map(no_verdict).collect();
    if !untrusted.is_empty() || judged.is_empty() {
        let which = if judged.is_empty() { "nothing was tried".to_owned() } else { untrusted.join("; ") };
        return Outcome::Untrusted { reason: which };
    }
    let feasible: Vec<&Judged> = judged.iter().filter(|one| one.standing.feasible()).collect();
    let Some(cheapest) = feasible.iter().copied().min_by(|a, b| by_cost(a, b)) else {
        return Outcome::Infeasible { reason: infeasible(judged) };
    };
    let tied: Vec<&Judged> =
        feasible.iter().copied().filter(|one| cost(one) <= cost(cheapest) * (1.0 + TIE_SHARE)).collect();
    let chosen = tied.iter().copied().min_by(|a, b| by_p95(a, b)).unwrap_or(cheapest);
    let reason = chosen_because(chosen, cheapest, feasible.len(), tied.len());
    Outcome::Chosen(Choice { candidate: chosen.standing.candidate, reason })
}

/// Why a candidate's trials allow no verdict, if they do not.
fn no_verdict(one: &Judged) -> Option<String> {
    let candidate = one.standing.candidate;
    match &one.distrust {
        Some(reason) => Some(format!("{candidate} has no valid trial: {reason}")),
        None if one.standing.cost_per_million_requests.is_none() => {
            Some(format!("{candidate} has a valid trial without a cost"))
        }
        None => None,
    }
}

fn chosen_because(chosen: &Judged, cheapest: &Judged, feasible: usize, tied: usize) -> String {
    let (p95, money) = (chosen.standing.response_time_p95_ms, money(chosen));
    if feasible == 1 {
        return format!("it alone keeps every promise, at {money} per million requests and a p95 of {p95:.1} ms");
    }
    let of = format!("of the {feasible} candidates that keep every promise");
    if tied == 1 {
        return format!("{of}, it costs least: {money} per million requests, at a p95 of {p95:.1} ms");
    }
    let tie = format!("{tied} cost within 5 % of the least");
    let low = format!("it has the lowest p95: {p95:.1} ms, at {money} per million requests");
    if chosen.standing.candidate == cheapest.standing.candidate {
        return format!("{of}, {tie}; of these {low}, the least of all");
    }
    format!("{of}, {tie}; of these {low}")
}

fn infeasible(judged: &[Judged]) -> String {
    let closest = judged.iter().min_by(|a, b| a.excess.total_cmp(&b.excess).then_with(|| by_cost(a, b)));
    let Some(closest) = closest else { return "there is no candidate".to_owned() };
    format!(
        "no candidate keeps every promise; {} comes closest but breaks {}",
        closest.standing.candidate,
        broken(closest)
    )
}

fn broken(one: &Judged) -> String {
    let promises = one.standing.broken.iter().map(|(slo, measured)| format!("{:?} ({measured})", slo.text));
    promises.collect::<Vec<_>>().join(" and ")
}

fn why_not(one: &Judged, judged: &[Judged], outcome: &Outcome) -> Option<String> {
    if let Some(reason) = &one.distrust {
        return Some(format!("has no valid trial: {reason}"));
    }
    if !one.standing.feasible() {
        return Some(format!("breaks {}", broken(one)));
    }
    let Outcome::Chosen(choice) = outcome else {
        return Some("keeps every promise, but there is no verdict over all candidates".to_owned());
    };
    if choice.candidate == one.standing.candidate {
        return None;
    }
    let chosen = judged.iter().find(|other| other.standing.candidate == choice.candidate)?;
    let cheapest = judged.iter().filter(|other| other.standing.feasible()).min_by(|a, b| by_cost(a, b))?;
    Some(beaten_by(one, chosen, cheapest))
}

/// Why a feasible candidate lost against the chosen one: on p95 if their costs are tied, else on cost.
fn beaten_by(one: &Judged, chosen: &Judged, cheapest: &Judged) -> String {
    let (p95, against) = (one.standing.response_time_p95_ms, chosen.standing.candidate);
    if !tied(one, cheapest) {
        // The chosen one may itself cost a little more than the cheapest: then the gap that counts is the one to the
        // cheapest, because it decides what is a tie.
        let (than, called) =
            if tied(one, chosen) { (cheapest, ", the cheapest that keeps every promise") } else { (chosen, "") };
        let more = percent_short(cost(one) / cost(than) - 1.0);
        let compared = format!("{} against {} per million requests", money(one), money(than));
        return format!("costs {more} more than {}{called} ({compared})", than.standing.candidate);
    }
    let ratio = cost(one) / cost(chosen) - 1.0;
    let near = match ratio.partial_cmp(&0.0) {
        Some(Ordering::Greater) => format!("costs {} more than {against}", percent_short(ratio)),
        Some(Ordering::Less) => format!("costs only {} less than {against}", percent_short(-ratio)),
        _ => format!("costs as much as {against}"),
    };
    let compared = format!("{} against {} per million requests", money(one), money(chosen));
    let faster = chosen.standing.response_time_p95_ms;
    if p95 > faster {
        let gap = p95 - faster;
        format!("{near} ({compared}), a tie, but its p95 is {gap:.1} ms higher ({p95:.1} against {faster:.1} ms)")
    } else {
        format!("{near} ({compared}), a tie with the same p95")
    }
}

/// True when `one` costs at most 5 % more than `than`.
fn tied(one: &Judged, than: &Judged) -> bool {
    cost(one) <= cost(than) * (1.0 + TIE_SHARE)
}

/// Candidates with a cost that no other beats: none costs no more and is no slower, and is better in one of the two.
fn frontier(judged: &[Judged]) -> Vec<Candidate> {
    let mut points: Vec<&Judged> =
        judged.iter().filter(|one| one.standing.cost_per_million_requests.is_some()).collect();
    points.sort_by(|a, b| by_cost(a, b));
    let beats = |a: &Judged, b: &Judged| {
        let (p95_a, p95_b) = (a.standing.response_time_p95_ms, b.standing.response_time_p95_ms);
        cost(a) <= cost(b) && p95_a <= p95_b && (cost(a) < cost(b) || p95_a < p95_b)
    };
    let unbeaten = points.iter().filter(|one| !points.iter().any(|other| beats(other, one)));
    unbeaten.map(|one| one.standing.candidate).collect()
}

/// Dollars per million requests; infinite when unknown, so that the unknown is never the cheapest.
fn cost(one: &Judged) -> f64 {
    one.standing.cost_per_million_requests.map_or(f64::INFINITY, |cost| cost.0)
}

fn money(one: &Judged) -> String {
    one.standing.cost_per_million_requests.map_or_else(|| "an unknown cost".to_owned(), |cost| cost.to_string())
}

fn by_cost(a: &Judged, b: &Judged) -> Ordering {
    let p95 = |one: &Judged| one.standing.response_time_p95_ms;
    cost(a).total_cmp(&cost(b)).then(p95(a).total_cmp(&p95(b))).then(a.standing.candidate.cmp(&b.standing.candidate))
}

fn by_p95(a: &Judged, b: &Judged) -> Ordering {
    let p95 = |one: &Judged| one.standing.response_time_p95_ms;
    p95(a).total_cmp(&p95(b)).then_with(|| by_cost(a, b))
}
