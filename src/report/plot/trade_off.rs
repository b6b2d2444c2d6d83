//! Response time against cost: the picture that a decision can be read from.

use super::axis::{self, Axis, Panel};
use super::label::{Around, Extent, place};
use super::picture::{Anchor, Face, Ink, Picture, Point, Shape, width_of};
use crate::report::facts;
use crate::report::number::in_milliseconds;
use crate::scenario::Candidate;
use crate::trial::{Standing, Study};

const PANEL: Panel = Panel { left: 64.0, top: 88.0, right: 936.0, bottom: 488.0 };
const MARK: f64 = 6.0;

/// A candidate's mark.
struct Mark<'a> {
    standing: &'a Standing,
    cost: f64,
    is_choice: bool,
}

/// A trial's dot: cost and p95.
type Dot = (Candidate, f64, f64);

/// The picture; none when no candidate has a cost.
pub(super) fn picture(study: &Study) -> Option<Picture> {
    let chosen = facts::choice(study).map(|choice| choice.candidate);
    let marks: Vec<Mark<'_>> = facts::standings(study)
        .iter()
        .filter(|standing| standing.trials_valid > 0)
        .filter_map(|standing| {
            let cost = facts::cost(study, standing)?.0;
            Some(Mark { standing, cost, is_choice: Some(standing.candidate) == chosen })
        })
        .collect();
    if marks.is_empty() {
        return None;
    }
    let dots = dots(study);
    let limits = facts::overall_limits(study);
    let x = Axis::around(
        marks.iter().map(|mark| mark.cost).chain(dots.iter().map(|dot| dot.1)),
        axis::FACTORS_OF_COST,
        (PANEL.left + 16.0, PANEL.right - 16.0),
    );
    let times = |mark: &Mark<'_>| {
        let standing = mark.standing;
        [standing.response_time_p50_ms, standing.response_time_p95_ms, standing.response_time_p99_ms]
    };
    let values =
        marks.iter().flat_map(times).chain(dots.iter().map(|dot| dot.2)).chain(limits.iter().map(|limit| limit.2));
    let y = Axis::around(values, axis::FACTORS_OF_TIME, (PANEL.bottom, PANEL.top));

    let mut picture = Picture::new(960.0, 540.0);
    picture.words(
        (20.0, 22.0),
        "Response time against cost, by max concurrency",
        Face::bold(16.0, Ink::Main, Anchor::Start),
    );
    legend(&mut picture);
    axis::draw_vertical(&mut picture, &PANEL, &y, "response time, ms");
    let cost = format!("cost {}, US dollars", study.scenario.objective().unit());
    axis::draw_horizontal(&mut picture, &PANEL, &x, &cost, "$");
    let mut taken = marks_and_whiskers(&marks, (&x, &y));
    frontier(&mut picture, study, &marks, (&x, &y));
    for (_, cost, p95) in &dots {
        let at = (x.at(*cost), y.at(*p95));
        picture.shapes.push(Shape::Dot { at, radius: 2.5, ink: Ink::Muted, alpha: 0.55 });
        taken.push(Extent::around(at, 3.0, 3.0));
    }
    axis::draw_limits(&mut picture, &PANEL, &y, &limits, &mut taken);
    draw_marks(&mut picture, &marks, (&x, &y), &mut taken);
    Some(picture)
}

/// The places that marks and whiskers take.
fn marks_and_whiskers(marks: &[Mark<'_>], (x, y): (&Axis, &Axis)) -> Vec<Extent> {
    marks
        .iter()
        .flat_map(|mark| {
            let standing = mark.standing;
            let at = (x.at(mark.cost), y.at(standing.response_time_p95_ms));
            let (low, high) = (y.at(standing.response_time_p50_ms), y.at(standing.response_time_p99_ms));
            let whisker = Extent { left: at.0 - 4.0, top: high - 2.0, right: at.0 + 4.0, bottom: low + 2.0 };
            [whisker, Extent::around(at, MARK + 4.0, MARK + 4.0)]
        })
        .collect()
}

fn dots(study: &Study) -> Vec<Dot> {
    study
        .trials
        .iter()
        .filter(|trial| trial.is_valid())
        .filter_map(|trial| {
            let cost = trial.cost_per_unit(study.scenario.objective())?.0;
            Some((trial.candidate, cost, in_milliseconds(trial.recording.overall.response_time.quantile(0.95))))
        })
        .collect()
}

fn legend(picture: &mut Picture) {
    let y = 48.0;
    let mut x = 24.0;
    let entries = ["the choice", "keeps every promise", "breaks one", "p50 to p99", "p95 of one trial", "frontier"];
    for (index, text) in entries.into_iter().enumerate() {
        match index {
            0 => choice_mark(picture, (x + 6.0, y)),
            1 => picture.shapes.push(Shape::Dot { at: (x + 6.0, y), radius: MARK, ink: Ink::Main, alpha: 1.0 }),
            2 => picture.shapes.push(Shape::Ring { at: (x + 6.0, y), radius: MARK, ink: Ink::Limit, width: 2.0 }),
            3 => whisker(picture, x + 6.0, y - 8.0, y + 8.0),
            4 => picture.shapes.push(Shape::Dot { at: (x + 6.0, y), radius: 2.5, ink: Ink::Muted, alpha: 0.55 }),
            _ => picture.line(vec![(x - 4.0, y), (x + 14.0, y)], Ink::Choice, 3.0, 0.35),
        }
        picture.words((x + 19.0, y), text, Face::plain(12.0, Ink::Muted, Anchor::Start));
        x += 19.0 + width_of(text, 12.0, false) + 24.0;
    }
}

fn frontier(picture: &mut Picture, study: &Study, marks: &[Mark<'_>], (x, y): (&Axis, &Axis)) {
    let Some(decision) = &study.decision else { return };
    let mut points: Vec<Point> = decision
        .frontier
        .iter()
        .filter_map(|candidate| marks.iter().find(|mark| mark.standing.candidate == *candidate))
        .map(|mark| (x.at(mark.cost), y.at(mark.standing.response_time_p95_ms)))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if points.len() > 1 {
        picture.line(points, Ink::Choice, 3.0, 0.35);
    }
}

fn whisker(picture: &mut Picture, x: f64, from: f64, to: f64) {
    picture.line(vec![(x, from), (x, to)], Ink::Muted, 1.5, 0.55);
    for y in [from, to] {
        picture.line(vec![(x - 4.0, y), (x + 4.0, y)], Ink::Muted, 1.5, 0.55);
    }
}

fn choice_mark(picture: &mut Picture, at: Point) {
    picture.shapes.push(Shape::Ring { at, radius: MARK + 4.0, ink: Ink::Choice, width: 2.0 });
    picture.shapes.push(Shape::Dot { at, radius: MARK, ink: Ink::Choice, alpha: 1.0 });
}

fn draw_marks(picture: &mut Picture, marks: &[Mark<'_>], (x, y): (&Axis, &Axis), taken: &mut Vec<Extent>) {
    let places: Vec<Point> =
        marks.iter().map(|mark| (x.at(mark.cost), y.at(mark.standing.response_time_p95_ms))).collect();
    for (mark, at) in marks.iter().zip(&places) {
        let (low, high) = (y.at(mark.standing.response_time_p50_ms), y.at(mark.standing.response_time_p99_ms));
        whisker(picture, at.0, high, low);
    }
    for (mark, at) in marks.iter().zip(&places) {
        if mark.is_choice {
            choice_mark(picture, *at);
        } else if mark.standing.feasible() {
            picture.shapes.push(Shape::Dot { at: *at, radius: MARK, ink: Ink::Main, alpha: 1.0 });
        } else {
            picture.shapes.push(Shape::Ring { at: *at, radius: MARK, ink: Ink::Limit, width: 2.0 });
        }
    }
    // The choice finds its place first: its label must not be pushed aside by the others.
    let mut order: Vec<_> = marks.iter().zip(&places).collect();
    order.sort_by_key(|(mark, _)| !mark.is_choice);
    for (mark, at) in order {
        let text = mark.standing.candidate.max_concurrency.to_string();
        let size = if mark.is_choice { 17.0 } else { 13.0 };
        let extent = (width_of(&text, size, true) + 4.0, size + 3.0);
        let label = place(*at, extent, &Around { marks: &places, taken, panel: &PANEL });
        if (label.0 - at.0).hypot(label.1 - at.1) > 24.0 + extent.0 / 2.0 {
            picture.line(vec![*at, label], Ink::Muted, 1.0, 0.5);
        }
        let ink = if mark.is_choice { Ink::Choice } else { Ink::Main };
        picture.words(label, text, Face::bold(size, ink, Anchor::Middle));
        taken.push(Extent::around(label, extent.0 / 2.0, extent.1 / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn bold_labels(picture: &Picture) -> Vec<Extent> {
        picture
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Words { at, text, face } if face.bold && face.anchor == Anchor::Middle => {
                    Some(Extent::around(*at, width_of(text, face.size, true) / 2.0, face.size / 2.0))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn one_to_twelve_candidates_have_labels_that_do_not_cover_each_other() {
        for number in [1, 2, 6, 12] {
            let picture = picture(&fixture::study_of(number)).unwrap();
            let labels = bold_labels(&picture);
            assert_eq!(labels.len(), number);
            for (index, label) in labels.iter().enumerate() {
                assert!(label.left >= 0.0 && label.right <= picture.width && label.top >= 0.0);
                for other in labels.iter().skip(index + 1) {
                    assert_eq!(label.overlap(other), 0.0, "of {number} candidates");
                }
            }
        }
    }

    #[test]
    fn without_costs_there_is_nothing_to_plot_against() {
        let mut study = fixture::study();
        for standing in &mut study.decision.as_mut().unwrap().standings {
            standing.cost_per_million_requests = None;
        }
        assert_eq!(picture(&study), None);
    }
}
