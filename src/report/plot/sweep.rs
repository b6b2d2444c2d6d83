//! Response time and billable time against max concurrency, in two panels over one axis. Candidates stand side by side
//! at equal distances: they usually double, so the axis is nearly logarithmic, and no two ever touch.

use super::axis::{self, Axis, Panel};
use super::label::{spread, trail};
use super::picture::{Anchor, Face, Ink, Picture, Point, Shape};
use crate::report::facts;
use crate::report::number::in_milliseconds;
use crate::scenario::Candidate;
use crate::trial::{Study, TrialResult};

const TIMES: Panel = Panel { left: 64.0, top: 72.0, right: 880.0, bottom: 352.0 };
const BILLED: Panel = Panel { left: 64.0, top: 392.0, right: 880.0, bottom: 548.0 };
/// (name, quantile, colour, width of its line).
const CURVES: [(&str, f64, Ink, f64); 3] =
    [("p50", 0.50, Ink::Median, 1.5), ("p95", 0.95, Ink::Choice, 3.0), ("p99", 0.99, Ink::Tail, 1.5)];

/// The valid trials of one candidate.
struct Place<'a> {
    candidate: Candidate,
    x: f64,
    trials: Vec<&'a TrialResult>,
}

/// The picture; none when there is no valid trial.
pub(super) fn picture(study: &Study) -> Option<Picture> {
    let mut candidates: Vec<Candidate> =
        study.trials.iter().filter(|trial| trial.is_valid()).map(|trial| trial.candidate).collect();
    candidates.sort_unstable();
    candidates.dedup();
    if candidates.is_empty() {
        return None;
    }
    let x = Axis::spanning(-0.5, candidates.len() as f64 - 0.5, TIMES.left, TIMES.right);
    let places: Vec<Place<'_>> = candidates
        .iter()
        .enumerate()
        .map(|(index, candidate)| Place {
            candidate: *candidate,
            x: x.at(index as f64),
            trials: study.trials.iter().filter(|t| t.candidate == *candidate && t.is_valid()).collect(),
        })
        .collect();
    let mut picture = Picture::new(960.0, 600.0);
    let title = "Response time and billable time against max concurrency";
    picture.words((20.0, 22.0), title, Face::bold(16.0, Ink::Main, Anchor::Start));
    let half = (x.at(1.0) - x.at(0.0)) / 2.0;
    highlight(&mut picture, study, &places, half.min(60.0));
    response_times(&mut picture, study, &places);
    billable_time(&mut picture, study, &places, (half * 0.7).min(36.0));
    Some(picture)
}

fn highlight(picture: &mut Picture, study: &Study, places: &[Place<'_>], half: f64) {
    let Some(choice) = facts::choice(study) else { return };
    for place in places.iter().filter(|place| place.candidate == choice.candidate) {
        let from = (place.x - half, TIMES.top);
        let to = (place.x + half, BILLED.bottom);
        picture.shapes.push(Shape::Bar { from, to, ink: Ink::Choice, alpha: 0.08 });
        picture.words((place.x, TIMES.top - 12.0), "the choice", Face::plain(12.0, Ink::Choice, Anchor::Middle));
    }
}

fn quantile(trial: &TrialResult, q: f64) -> f64 {
    in_milliseconds(trial.recording.overall.response_time.quantile(q))
}

fn response_times(picture: &mut Picture, study: &Study, places: &[Place<'_>]) {
    let limits = facts::overall_limits(study);
    let values = places
        .iter()
        .flat_map(|place| &place.trials)
        .flat_map(|trial| CURVES.map(|(_, q, ..)| quantile(trial, q)))
        .chain(limits.iter().map(|limit| limit.2));
    let y = Axis::around(values, axis::FACTORS_OF_TIME, (TIMES.bottom, TIMES.top));
    axis::draw_vertical(picture, &TIMES, &y, "response time, ms");
    picture.line(vec![(TIMES.left, TIMES.bottom), (TIMES.right, TIMES.bottom)], Ink::Muted, 1.0, 1.0);
    let mut ends = Vec::new();
    let mut taken = Vec::new();
    for (_, q, ink, width) in CURVES {
        let means: Vec<Point> = places
            .iter()
            .filter_map(|place| {
                let mean = facts::mean(place.trials.iter().map(|trial| quantile(trial, q)))?;
                Some((place.x, y.at(mean)))
            })
            .collect();
        ends.push(means.last().map_or(TIMES.bottom, |end| end.1));
        for place in places {
            for trial in &place.trials {
                let at = (place.x, y.at(quantile(trial, q)));
                picture.shapes.push(Shape::Dot { at, radius: 3.0, ink, alpha: 0.55 });
            }
        }
        taken.extend(trail(&means));
        if means.len() > 1 {
            picture.line(means.clone(), ink, width, 1.0);
        }
        for at in means {
            picture.shapes.push(Shape::Dot { at, radius: 1.0 + width, ink, alpha: 1.0 });
        }
    }
    axis::draw_limits(picture, &TIMES, &y, &limits, &mut taken);
    let last = places.last().map_or(TIMES.right, |place| place.x);
    for ((name, _, ink, _), y) in CURVES.iter().zip(spread(&ends, 16.0, TIMES.top, TIMES.bottom)) {
        picture.words((last + 14.0, y), *name, Face::bold(13.0, *ink, Anchor::Start));
    }
}

fn billed(trial: &TrialResult) -> Option<f64> {
    trial.billable_instance_time_s()
}

fn billable_time(picture: &mut Picture, study: &Study, places: &[Place<'_>], half: f64) {
    let all = places.iter().flat_map(|place| &place.trials).filter_map(|trial| billed(trial));
    let y = Axis::from_zero(all, BILLED.bottom, BILLED.top);
    let title = match study.scenario.system {
        None => "billable instance time of a trial, s",
        Some(_) => "billable time of all services, s",
    };
    axis::draw_vertical(picture, &BILLED, &y, title);
    let chosen = facts::choice(study).map(|choice| choice.candidate);
    for place in places {
        let is_choice = chosen == Some(place.candidate);
        let ink = if is_choice { Ink::Choice } else { Ink::Muted };
        let seconds: Vec<f64> = place.trials.iter().filter_map(|trial| billed(trial)).collect();
        if let Some(mean) = facts::mean(seconds.iter().copied()) {
            let top = y.at(mean);
            let (from, to) = ((place.x - half, top), (place.x + half, BILLED.bottom));
            picture.shapes.push(Shape::Bar { from, to, ink, alpha: 0.75 });
            let label = if mean < 99.95 { format!("{mean:.1}") } else { format!("{mean:.0}") };
            let highest = seconds.iter().copied().fold(mean, f64::max);
            picture.words((place.x, y.at(highest) - 11.0), label, Face::plain(12.0, Ink::Main, Anchor::Middle));
        }
        for s in seconds {
            picture.shapes.push(Shape::Dot { at: (place.x, y.at(s)), radius: 3.0, ink: Ink::Main, alpha: 0.7 });
        }
        let label = place.candidate.max_concurrency.to_string();
        let at = (place.x, BILLED.bottom + 14.0);
        if is_choice {
            picture.words(at, label, Face::bold(13.0, Ink::Choice, Anchor::Middle));
        } else {
            picture.words(at, label, Face::plain(13.0, Ink::Main, Anchor::Middle));
        }
    }
    axis::baseline(picture, &BILLED, "max concurrency");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_candidate_with_a_valid_trial_has_a_bar_and_invalid_trials_have_none() {
        let study = fixture::study();
        let bars = |picture: &Picture| {
            picture.shapes.iter().filter(|shape| matches!(shape, Shape::Bar { alpha, .. } if *alpha == 0.75)).count()
        };
        assert_eq!(bars(&picture(&study).unwrap()), study.candidates.len());
        assert_eq!(picture(&fixture::untrusted_study()).map(|p| bars(&p)), Some(study.candidates.len() - 1));
    }
}
