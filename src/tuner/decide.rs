//! The decision: the cheapest candidate that keeps every promise, and why not each other one.

use super::aims::Aims;
use super::doubt::doubts;
use super::promise::percent_short;
use super::standing::{Judged, judge};
use crate::scenario::Candidate;
use crate::trial::{Choice, Decision, Outcome, Recording, TrialResult};
use std::cmp::Ordering;

/// Costs that differ by no more than this share are a tie: trial and billing noise is of that order.
const TIE_SHARE: f64 = 0.05;

/// Decides over what was measured.
///
/// A candidate is feasible when the mean over its valid trials keeps every promise, and none of its trials, valid or not,
/// lost a report. The reason for the chosen one tells which of its promises are kept by less than chance makes, or were judged
/// by too few requests. Of the feasible ones, those that
/// cost at most 5 % more than the cheapest are tied with it, and of these the one with the lowest mean p95 is chosen
/// (then the cheaper, then the lower max concurrency). The frontier is taken over all candidates with valid trials,
/// feasible or not: it shows what more money would buy. There is no verdict when a candidate has no valid trial, or a
/// valid one without a cost; one that lost a report needs neither. The order of `trials` does not matter.
#[must_use]
pub fn decide(candidates: &[Candidate], aims: Aims<'_>, trials: &[TrialResult]) -> Decision {
    let mut candidates = candidates.to_vec();
    candidates.sort_unstable();
    candidates.dedup();
    // Sums of floating-point numbers depend on their order: trials are added as they ran.
    let mut trials: Vec<&TrialResult> = trials.iter().collect();
    trials.sort_by_key(|trial| (trial.number, trial.block, trial.attempt));
    let mut judged: Vec<Judged> = candidates.iter().map(|candidate| judge(*candidate, aims, &trials)).collect();

    // What a cost is told per.
    let unit = aims.objective.unit();
    let mut outcome = outcome(&judged, unit);
    if let Outcome::Chosen(choice) = &mut outcome {
        choice.reason.push_str(&reservations(choice.candidate, aims, &candidates, &trials));
    }
    let reasons: Vec<Option<String>> = judged.iter().map(|one| why_not(one, &judged, &outcome, unit)).collect();
    for (one, reason) in judged.iter_mut().zip(reasons) {
        one.standing.why_not = reason;
    }
    let frontier = frontier(&judged);
    Decision { outcome, standings: judged.into_iter().map(|one| one.standing).collect(), frontier }
}

/// What speaks against relying on the promises that `chosen` keeps, as the end of a sentence; empty when nothing does.
fn reservations(chosen: Candidate, aims: Aims<'_>, candidates: &[Candidate], trials: &[&TrialResult]) -> String {
    let of = |candidate: Candidate| -> Vec<&Recording> {
        let valid = trials.iter().filter(|trial| trial.candidate == candidate && trial.is_valid());
        valid.map(|trial| &trial.recording).collect()
    };
    let groups: Vec<Vec<&Recording>> = candidates.iter().map(|candidate| of(*candidate)).collect();
    let doubts = doubts(aims.slos, &of(chosen), &groups);
    doubts.iter().flat_map(|doubt| [". But ", doubt]).collect()
}

fn outcome(judged: &[Judged], unit: &str) -> Outcome {
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
    let reason = chosen_because((chosen, cheapest), feasible.len(), tied.len(), unit);
    Outcome::Chosen(Choice { candidate: chosen.standing.candidate, reason })
}

/// Why a candidate's trials allow no verdict, if they do not.
fn no_verdict(one: &Judged) -> Option<String> {
    let candidate = one.standing.candidate;
    match &one.distrust {
        // What lost a report is out, whatever it costs and however little else of it can be trusted.
        _ if one.standing.lost > 0 => None,
        Some(reason) => Some(format!("{candidate} has no valid trial: {reason}")),
        None if one.cost.is_none() => Some(format!("{candidate} has a valid trial without a cost")),
        None => None,
    }
}

fn chosen_because((chosen, cheapest): (&Judged, &Judged), feasible: usize, tied: usize, unit: &str) -> String {
    let (p95, money) = (chosen.standing.response_time_p95_ms, money(chosen));
    if feasible == 1 {
        return format!("it alone keeps every promise, at {money} {unit} and a p95 of {p95:.1} ms");
    }
    let of = format!("of the {feasible} candidates that keep every promise");
    if tied == 1 {
        return format!("{of}, it costs least: {money} {unit}, at a p95 of {p95:.1} ms");
    }
    let tie = format!("{tied} cost within 5 % of the least");
    let low = format!("it has the lowest p95: {p95:.1} ms, at {money} {unit}");
    if chosen.standing.candidate == cheapest.standing.candidate {
        return format!("{of}, {tie}; of these {low}, the least of all");
    }
    format!("{of}, {tie}; of these {low}")
}

fn infeasible(judged: &[Judged]) -> String {
    let closest = judged.iter().min_by(|a, b| a.excess.total_cmp(&b.excess).then_with(|| by_cost(a, b)));
    let Some(closest) = closest else { return "there is no candidate".to_owned() };
    let promises = broken(closest);
    let lost = (closest.standing.lost > 0).then(|| losses(closest));
    let breaks = (!promises.is_empty()).then(|| format!("breaks {promises}"));
    let faults: Vec<String> = lost.into_iter().chain(breaks).collect();
    format!("{} comes closest but {}", closest.standing.candidate, faults.join(" and "))
}

fn broken(one: &Judged) -> String {
    let promises = one.standing.broken_promises().map(|(text, measured)| format!("{text:?} ({measured})"));
    promises.collect::<Vec<_>>().join(" and ")
}

/// What was lost or came too late to be counted, in words.
fn losses(one: &Judged) -> String {
    let reports = if one.standing.lost == 1 { "report that was" } else { "reports that were" };
    if one.standing.lags() {
        let were = format!("{} {reports} acknowledged", one.standing.lost);
        return format!(
            "did not deliver {were} within the drain limit, while subscriptions still held as many messages"
        );
    }
    format!("lost {} {reports} acknowledged", one.standing.lost)
}

fn why_not(one: &Judged, judged: &[Judged], outcome: &Outcome, unit: &str) -> Option<String> {
    // What was lost is lost, however little else can be trusted.
    if one.standing.lost > 0 {
        return Some(losses(one));
    }
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
    Some(beaten_by(one, chosen, cheapest, unit))
}

/// Why a feasible candidate lost against the chosen one: on p95 if their costs are tied, else on cost.
fn beaten_by(one: &Judged, chosen: &Judged, cheapest: &Judged, unit: &str) -> String {
    let (p95, against) = (one.standing.response_time_p95_ms, chosen.standing.candidate);
    if !tied(one, cheapest) {
        // The chosen one may itself cost a little more than the cheapest: then the gap that counts is the one to the
        // cheapest, because it decides what is a tie.
        let (than, called) =
            if tied(one, chosen) { (cheapest, ", the cheapest that keeps every promise") } else { (chosen, "") };
        let more = percent_short(cost(one) / cost(than) - 1.0);
        let compared = format!("{} against {} {unit}", money(one), money(than));
        return format!("costs {more} more than {}{called} ({compared})", than.standing.candidate);
    }
    let ratio = cost(one) / cost(chosen) - 1.0;
    let near = if ratio.abs() < 0.0005 {
        format!("costs as much as {against}")
    } else if ratio > 0.0 {
        format!("costs {} more than {against}", percent_short(ratio))
    } else {
        format!("costs only {} less than {against}", percent_short(-ratio))
    };
    let compared = format!("{} against {} {unit}", money(one), money(chosen));
    let faster = chosen.standing.response_time_p95_ms;
    if p95 > faster {
        format!("{near} ({compared}), a tie, but its p95 is higher: {p95:.1} against {faster:.1} ms")
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
    let mut points: Vec<&Judged> = judged.iter().filter(|one| one.cost.is_some()).collect();
    points.sort_by(|a, b| by_cost(a, b));
    let beats = |a: &Judged, b: &Judged| {
        let (p95_a, p95_b) = (a.standing.response_time_p95_ms, b.standing.response_time_p95_ms);
        cost(a) <= cost(b) && p95_a <= p95_b && (cost(a) < cost(b) || p95_a < p95_b)
    };
    let unbeaten = points.iter().filter(|one| !points.iter().any(|other| beats(other, one)));
    unbeaten.map(|one| one.standing.candidate).collect()
}

/// Dollars in the objective's unit; infinite when unknown, so that the unknown is never the cheapest.
fn cost(one: &Judged) -> f64 {
    one.cost.map_or(f64::INFINITY, |cost| cost.0)
}

fn money(one: &Judged) -> String {
    one.cost.map_or_else(|| "an unknown cost".to_owned(), |cost| cost.to_string())
}

fn by_cost(a: &Judged, b: &Judged) -> Ordering {
    let p95 = |one: &Judged| one.standing.response_time_p95_ms;
    cost(a).total_cmp(&cost(b)).then(p95(a).total_cmp(&p95(b))).then(a.standing.candidate.cmp(&b.standing.candidate))
}

fn by_p95(a: &Judged, b: &Judged) -> Ordering {
    let p95 = |one: &Judged| one.standing.response_time_p95_ms;
    p95(a).total_cmp(&p95(b)).then_with(|| by_cost(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{DeliveryMetric, DeliveryPromise, Objective, Slo, SloMetric};
    use crate::trial::fixtures::{deliveries, trial};
    use crate::trial::{Invalid, Validity};
    use proptest::prelude::*;
    use std::time::Duration;

    fn p95_below(limit_ms: u64) -> Vec<Slo> {
        let metric = SloMetric::ResponseTime { quantile: 0.95, limit: Duration::from_millis(limit_ms) };
        vec![Slo { text: format!("p95 < {limit_ms}ms"), step: None, metric }]
    }

    /// One valid trial for each (max concurrency, dollars per million, response time in ms).
    fn trials(points: &[(u32, f64, f64)]) -> Vec<TrialResult> {
        let of = |(number, (k, cost, ms)): (u32, &(u32, f64, f64))| trial(number, *k, *cost, *ms);
        (1..).zip(points).map(of).collect()
    }

    fn decide_on(slos: &[Slo], trials: &[TrialResult]) -> Decision {
        let candidates: Vec<Candidate> = trials.iter().map(|trial| trial.candidate).collect();
        decide(&candidates, Aims { slos, ..Aims::default() }, trials)
    }

    fn chosen(decision: &Decision) -> (u32, &str) {
        match &decision.outcome {
            Outcome::Chosen(choice) => (choice.candidate.max_concurrency, &choice.reason),
            other => panic!("{other:?}"),
        }
    }

    fn why_not(decision: &Decision) -> Vec<&str> {
        decision.standings.iter().map(|standing| standing.why_not.as_deref().unwrap_or("chosen")).collect()
    }

    #[test]
    fn the_cheapest_that_keeps_every_promise_is_chosen_and_the_others_hear_why_not() {
        let decision = decide_on(&p95_below(170), &trials(&[(80, 8.0, 300.0), (8, 10.0, 120.0), (1, 40.0, 100.0)]));
        let reason = "of the 2 candidates that keep every promise, it costs least: $10.00 per million requests, at a p95 of 120.1 ms";
        assert_eq!(chosen(&decision), (8, reason));
        assert_eq!(
            why_not(&decision),
            [
                "costs 300 % more than max concurrency 8 ($40.00 against $10.00 per million requests)",
                "chosen",
                "breaks \"p95 < 170ms\" (p95 was 300.0 ms, 76 % over)",
            ]
        );
        assert_eq!(decision.frontier.iter().map(|one| one.max_concurrency).collect::<Vec<_>>(), [80, 8, 1]);
    }

    #[test]
    fn the_reason_tells_a_promise_that_is_kept_by_less_than_chance_makes() {
        let decision = decide_on(&p95_below(170), &trials(&[(8, 10.0, 160.0), (1, 40.0, 100.0)]));
        let (candidate, reason) = chosen(&decision);
        assert_eq!(candidate, 8);
        assert!(
            reason.contains("at a p95 of 160.1 ms. But \"p95 < 170ms\" was kept by 5.8 % only (160.1 ms), and"),
            "{reason}"
        );
    }

    #[test]
    fn within_five_per_cent_of_the_least_the_lower_p95_wins() {
        let decision = decide_on(&p95_below(170), &trials(&[(4, 10.6, 90.0), (8, 10.4, 100.0), (16, 10.0, 120.0)]));
        let reason = "of the 3 candidates that keep every promise, 2 cost within 5 % of the least; of these it has the \
                      lowest p95: 100.0 ms, at $10.40 per million requests";
        assert_eq!(chosen(&decision), (8, reason));
        assert_eq!(
            why_not(&decision),
            [
                "costs 6.0 % more than max concurrency 16, the cheapest that keeps every promise ($10.60 against $10.00 per \
                 million requests)",
                "chosen",
                "costs only 3.8 % less than max concurrency 8 ($10.00 against $10.40 per million requests), a tie, but its \
                 p95 is higher: 120.1 against 100.0 ms",
            ]
        );
    }

    #[test]
    fn equal_candidates_are_settled_by_the_lower_max_concurrency() {
        let decision = decide_on(&[], &trials(&[(16, 10.0, 100.0), (8, 10.0, 100.0)]));
        assert_eq!(chosen(&decision).0, 8);
        assert_eq!(
            why_not(&decision)[1],
            "costs as much as max concurrency 8 ($10.00 against $10.00 per million requests), a tie with the same p95"
        );
        assert_eq!(decision.frontier.len(), 2, "neither beats the other");
    }

    #[test]
    fn when_none_keeps_the_promises_the_closest_is_told() {
        let decision = decide_on(&p95_below(90), &trials(&[(1, 40.0, 100.0), (8, 10.0, 120.0)]));
        let Outcome::Infeasible { reason } = &decision.outcome else { panic!("{decision:?}") };
        assert_eq!(reason, "max concurrency 1 comes closest but breaks \"p95 < 90ms\" (p95 was 100.0 ms, 11 % over)");
    }

    #[test]
    fn a_candidate_without_a_valid_trial_leaves_no_verdict() {
        let mut trials = trials(&[(1, 40.0, 100.0), (8, 10.0, 120.0), (8, 10.0, 120.0)]);
        for trial in &mut trials[1..] {
            trial.validity = Validity::Invalid(vec![Invalid::Interrupted]);
        }
        let decision = decide_on(&p95_below(170), &trials);
        let reason = "max concurrency 8 has no valid trial: interrupted before its end".to_owned();
        assert_eq!(decision.outcome, Outcome::Untrusted { reason });
        assert_eq!(
            why_not(&decision),
            [
                "keeps every promise, but there is no verdict over all candidates",
                "has no valid trial: interrupted before its end"
            ]
        );
        assert_eq!((decision.standings[1].trials, decision.standings[1].trials_valid), (2, 0));
        // One valid trial beside an invalid one is enough.
        trials[2].validity = Validity::Valid;
        assert_eq!(chosen(&decide_on(&p95_below(170), &trials)).0, 8);
        // A candidate that was never tried is no evidence either.
        let candidates = [1, 2].map(|max_concurrency| Candidate { max_concurrency });
        let decision = decide(&candidates, Aims::default(), &trials[..1]);
        assert_eq!(
            decision.outcome,
            Outcome::Untrusted { reason: "max concurrency 2 has no valid trial: it was not tried".into() }
        );
    }

    #[test]
    fn without_a_cost_there_is_no_verdict() {
        let mut trials = trials(&[(1, 40.0, 100.0), (8, 10.0, 120.0)]);
        trials[0].cost = None;
        let reason = "max concurrency 1 has a valid trial without a cost".to_owned();
        assert_eq!(decide_on(&[], &trials).outcome, Outcome::Untrusted { reason });
    }

    /// Two candidates that deliver a hundred reports a trial: 2 costs less than 1.
    fn delivering() -> Vec<TrialResult> {
        let mut trials = trials(&[(1, 40.0, 100.0), (2, 10.0, 120.0)]);
        for trial in &mut trials {
            trial.recording.delivery = Some(deliveries(100, 0));
        }
        trials
    }

    fn decide_deliveries(trials: &[TrialResult]) -> Decision {
        let candidates: Vec<Candidate> = trials.iter().map(|trial| trial.candidate).collect();
        let aims = Aims { objective: Objective::CostPerThousandDelivered, ..Aims::default() };
        decide(&candidates, aims, trials)
    }

    #[test]
    fn costs_are_told_in_the_unit_of_what_is_made_least() {
        let mut trials = delivering();
        // Half of the reports of 2 reached only one consumer: each that reached both costs twice as much.
        trials[1].recording.delivery.as_mut().unwrap().delivered_to_all = Some(20);
        let decision = decide_deliveries(&trials);
        let reason = "of the 2 candidates that keep every promise, it costs least: $400.00 per thousand delivered reports, at a \
                      p95 of 100.0 ms";
        assert_eq!(chosen(&decision), (1, reason));
        assert!(why_not(&decision)[1].ends_with("($500.00 against $400.00 per thousand delivered reports)"));
        let standing = &decision.standings[0];
        assert_eq!(standing.cost_per_million_requests.map(|cost| cost.0), Some(40.0), "the other unit is kept too");
        trials[0].recording.delivery = None;
        let reason = "max concurrency 1 has a valid trial without a cost".to_owned();
        assert_eq!(decide_deliveries(&trials).outcome, Outcome::Untrusted { reason });
    }

    #[test]
    fn a_candidate_that_lost_a_report_is_never_chosen_however_cheap_and_whatever_was_promised() {
        let mut trials = delivering();
        assert_eq!(chosen(&decide_deliveries(&trials)).0, 2);
        let mut losing = trial(3, 2, 10.0, 100.0);
        losing.recording.delivery = Some(deliveries(100, 1));
        trials.push(losing);
        let decision = decide_deliveries(&trials);
        assert_eq!(chosen(&decision).0, 1);
        assert_eq!(why_not(&decision)[1], "lost 1 report that was acknowledged");
        // A driver that was late does not make a lost report a delivered one.
        let cause = "nobody counted".to_owned();
        trials[2].validity = Validity::Invalid(vec![Invalid::UsageMissing { cause }]);
        assert_eq!(chosen(&decide_deliveries(&trials)).0, 1);
        // What was cut short, or what nobody told of, may have arrived.
        trials[2].recording.interrupted = true;
        assert_eq!(chosen(&decide_deliveries(&trials)).0, 2);
        trials[2].recording.interrupted = false;
        trials[2].recording.delivery.as_mut().unwrap().unobserved = Some("sms did not tell".to_owned());
        assert_eq!(chosen(&decide_deliveries(&trials)).0, 2);
        // One that delivers nothing costs nothing per delivered report: no price is no reason to have no verdict.
        trials[2].recording.delivery = Some(deliveries(100, 100));
        trials[2].validity = Validity::Valid;
        let decision = decide_deliveries(&trials);
        assert_eq!((chosen(&decision).0, decision.standings[1].cost_per_thousand_delivered), (1, None));
        // When all lose, the one that comes closest is said to have lost.
        for trial in &mut trials[..2] {
            trial.recording.delivery = Some(deliveries(100, 2));
        }
        let Outcome::Infeasible { reason } = decide_deliveries(&trials).outcome else { panic!("none is feasible") };
        assert!(reason.ends_with("comes closest but lost 2 reports that were acknowledged"), "{reason}");
    }

    #[test]
    fn a_candidate_that_only_lags_is_not_chosen_either_and_is_not_said_to_have_lost() {
        let mut trials = delivering();
        let mut told = deliveries(100, 3);
        told.consumers.iter_mut().for_each(|consumer| consumer.queued = Some(3));
        trials[1].recording.delivery = Some(told);
        let decision = decide_deliveries(&trials);
        assert_eq!(chosen(&decision).0, 1);
        let standing = &decision.standings[1];
        assert!(standing.lags() && standing.lost == standing.queued && standing.lost > 0, "{standing:?}");
        assert!(why_not(&decision)[1].starts_with("did not deliver "), "{decision:?}");
        // One more is missing than is held: that one is gone.
        let told = trials[1].recording.delivery.as_mut().unwrap();
        told.consumers.iter_mut().for_each(|consumer| consumer.queued = Some(2));
        let decision = decide_deliveries(&trials);
        assert!(!decision.standings[1].lags() && why_not(&decision)[1].starts_with("lost "), "{decision:?}");
    }

    #[test]
    fn a_broken_promise_of_deliveries_is_a_broken_promise() {
        let metric = DeliveryMetric::Time { quantile: 0.95, limit: Duration::from_millis(150) };
        let promise = DeliveryPromise { text: "sms.delivery.p95 < 150ms".into(), consumer: Some("sms".into()), metric };
        let trials = delivering();
        let candidates: Vec<Candidate> = trials.iter().map(|trial| trial.candidate).collect();
        let aims = Aims { deliveries: std::slice::from_ref(&promise), ..Aims::default() };
        let decision = decide(&candidates, aims, &trials);
        let Outcome::Infeasible { reason } = &decision.outcome else { panic!("{decision:?}") };
        assert_eq!(
            reason,
            "max concurrency 2 comes closest but breaks \"sms.delivery.p95 < 150ms\" (200 ms, 33 % over)"
        );
        assert_eq!(decision.standings[0].broken_promises().count(), 1);
    }

    #[test]
    fn figures_are_means_over_valid_trials() {
        let mut trials = trials(&[(8, 10.0, 100.0), (8, 14.0, 200.0), (8, 90.0, 900.0)]);
        trials[2].validity = Validity::Invalid(vec![Invalid::Interrupted]);
        let standing = &decide_on(&[], &trials).standings[0];
        assert_eq!(standing.cost_per_million_requests.map(|cost| cost.to_string()), Some("$12.00".into()));
        assert!((standing.response_time_p95_ms - 150.0).abs() < 0.15, "{}", standing.response_time_p95_ms);
    }

    /// Up to eight candidates with up to three trials each, costs and times from a coarse grid, so that ties happen.
    fn studies() -> impl Strategy<Value = Vec<TrialResult>> {
        let trial = (1u32..9, 10u32..16, 5u32..12, prop::bool::weighted(0.9));
        prop::collection::vec(trial, 1..24).prop_map(|points| {
            let one = |(number, (k, cost, ms, valid)): (u32, (u32, u32, u32, bool))| {
                let mut trial = trial_of(number, k, cost, ms);
                if !valid {
                    trial.validity = Validity::Invalid(vec![Invalid::Interrupted]);
                }
                trial
            };
            (1..).zip(points).map(one).collect()
        })
    }

    fn trial_of(number: u32, k: u32, cost: u32, tens_of_ms: u32) -> TrialResult {
        trial(number, k, f64::from(cost), f64::from(tens_of_ms) * 10.0)
    }

    proptest! {
        // A histogram is large enough that more cases would take seconds without a release build.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_choice_keeps_every_promise_and_no_feasible_one_is_much_cheaper(trials in studies(), limit_ms in 50u64..120) {
            let decision = decide_on(&p95_below(limit_ms), &trials);
            let feasible: Vec<_> = decision.standings.iter().filter(|standing| standing.feasible()).collect();
            let all_valid = decision.standings.iter().all(|standing| standing.trials_valid > 0);
            match &decision.outcome {
                Outcome::Untrusted { .. } => prop_assert!(!all_valid),
                Outcome::Infeasible { .. } => prop_assert!(all_valid && feasible.is_empty()),
                Outcome::Chosen(choice) => {
                    prop_assert!(all_valid);
                    let chosen = *feasible.iter().find(|standing| standing.candidate == choice.candidate).unwrap();
                    prop_assert!(chosen.response_time_p95_ms < limit_ms as f64);
                    let cost = |standing: &crate::trial::Standing| standing.cost_per_million_requests.unwrap().0;
                    for other in &feasible {
                        prop_assert!(cost(chosen) <= cost(other) * 1.05);
                        let beats = cost(other) < cost(chosen) && other.response_time_p95_ms <= chosen.response_time_p95_ms;
                        prop_assert!(!beats, "a feasible candidate beats the choice");
                    }
                }
            }
            for standing in &decision.standings {
                let is_choice = matches!(&decision.outcome, Outcome::Chosen(choice) if choice.candidate == standing.candidate);
                prop_assert_eq!(standing.why_not.is_none(), is_choice);
            }
        }

        #[test]
        fn the_frontier_is_exactly_what_no_other_beats(trials in studies()) {
            let decision = decide_on(&[], &trials);
            let points: Vec<(Candidate, f64, f64)> = decision
                .standings
                .iter()
                .filter_map(|s| Some((s.candidate, s.cost_per_million_requests?.0, s.response_time_p95_ms)))
                .collect();
            for (candidate, cost, p95) in &points {
                let beaten = points.iter().any(|(_, c, p)| c <= cost && p <= p95 && (c < cost || p < p95));
                prop_assert_eq!(decision.frontier.contains(candidate), !beaten);
            }
            let costs: Vec<f64> = decision
                .frontier
                .iter()
                .map(|candidate| points.iter().find(|point| point.0 == *candidate).unwrap().1)
                .collect();
            prop_assert!(costs.is_sorted());
        }

        #[test]
        fn the_order_of_trials_changes_nothing(
            (trials, shuffled) in studies().prop_flat_map(|trials| (Just(trials.clone()), Just(trials).prop_shuffle())),
        ) {
            let candidates: Vec<Candidate> = trials.iter().map(|trial| trial.candidate).collect();
            let slos = p95_below(80);
            let aims = Aims { slos: &slos, ..Aims::default() };
            prop_assert_eq!(decide(&candidates, aims, &trials), decide(&candidates, aims, &shuffled));
        }
    }
}
