//! The trials of one candidate over time: offered and achieved rate, response time, instances.

use super::axis::{self, Axis, Panel};
use super::label::trail;
use super::picture::{Anchor, Face, Ink, Picture, Point, Shape, width_of};
use crate::report::facts;
use crate::trial::{Interval, Study, TrialResult, UsageSample};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 936.0;
const RATES: Panel = Panel { left: LEFT, top: 88.0, right: RIGHT, bottom: 232.0 };
const TIMES: Panel = Panel { left: LEFT, top: 276.0, right: RIGHT, bottom: 420.0 };
const INSTANCES: Panel = Panel { left: LEFT, top: 464.0, right: RIGHT, bottom: 588.0 };
/// Trials but the first are drawn as faint as this.
const FAINT: f64 = 0.28;

/// The picture; none when no trial has a series.
pub(super) fn picture(study: &Study) -> Option<Picture> {
    let candidate = facts::close_up(study)?;
    let trials: Vec<&TrialResult> =
        facts::trials_of(study, candidate).into_iter().filter(|trial| !trial.recording.intervals.is_empty()).collect();
    let end = trials
        .iter()
        .filter_map(|trial| trial.recording.intervals.last())
        .map(|interval| interval.start_s + interval.length_s)
        .fold(0.0, f64::max);
    if trials.is_empty() || end <= 0.0 {
        return None;
    }
    let x = Axis::spanning(0.0, end, LEFT, RIGHT);
    let mut picture = Picture::new(960.0, 640.0);
    let title = format!("Max concurrency {} over time", candidate.max_concurrency);
    picture.words((20.0, 22.0), title, Face::bold(16.0, Ink::Main, Anchor::Start));
    stages(&mut picture, study, &x, end);
    rates(&mut picture, &trials, &x);
    times(&mut picture, study, &trials, &x);
    instances(&mut picture, &trials, &x, end);
    Some(picture)
}

/// The stages' names and borders, and grey ground under their warm-up.
fn stages(picture: &mut Picture, study: &Study, x: &Axis, end: f64) {
    let factor = study.stage_divisor();
    let mut start = 0.0;
    for (index, stage) in study.scenario.stages.iter().enumerate() {
        if start >= end {
            break;
        }
        let stop = (start + stage.duration.as_secs_f64() / factor).min(end);
        let warm = (start + stage.warm_up.as_secs_f64() / factor).min(stop);
        for panel in [RATES, TIMES, INSTANCES] {
            if warm > start {
                let (from, to) = ((x.at(start), panel.top), (x.at(warm), panel.bottom));
                picture.shapes.push(Shape::Bar { from, to, ink: Ink::Grid, alpha: 0.55 });
            }
            if index > 0 {
                picture.line(vec![(x.at(start), panel.top), (x.at(start), panel.bottom)], Ink::Muted, 1.0, 0.5);
            }
        }
        let middle = f64::midpoint(x.at(start), x.at(stop));
        if width_of(&stage.name, 12.0, false) + 6.0 < x.at(stop) - x.at(start) {
            picture.words((middle, 52.0), stage.name.as_str(), Face::plain(12.0, Ink::Muted, Anchor::Middle));
        }
        start = stop;
    }
}

/// What the curves of a panel mean, from the right end of its title line.
fn legend(picture: &mut Picture, panel: &Panel, entries: &[(&str, Ink)]) {
    let mut x = panel.right;
    for (text, ink) in entries.iter().rev() {
        let y = panel.top - 12.0;
        picture.words((x, y), *text, Face::plain(12.0, Ink::Muted, Anchor::End));
        x -= width_of(text, 12.0, false) + 6.0;
        picture.line(vec![(x - 18.0, y), (x, y)], *ink, 3.0, 1.0);
        x -= 36.0;
    }
}

/// A curve that stays level over each interval.
fn steps(intervals: &[Interval], x: &Axis, y: &Axis, value: impl Fn(&Interval) -> f64) -> Vec<Point> {
    intervals
        .iter()
        .flat_map(|interval| {
            let level = y.at(value(interval));
            [(x.at(interval.start_s), level), (x.at(interval.start_s + interval.length_s), level)]
        })
        .collect()
}

fn strength(index: usize) -> f64 {
    if index == 0 { 1.0 } else { FAINT }
}

fn per_second(number: u64, interval: &Interval) -> f64 {
    if interval.length_s > 0.0 { number as f64 / interval.length_s } else { 0.0 }
}

fn rates(picture: &mut Picture, trials: &[&TrialResult], x: &Axis) {
    let offered = |interval: &Interval| per_second(interval.requests_due, interval);
    let achieved = |interval: &Interval| per_second(interval.completed, interval);
    let all = trials.iter().flat_map(|trial| &trial.recording.intervals).flat_map(|i| [offered(i), achieved(i)]);
    let y = Axis::from_zero(all, RATES.bottom, RATES.top);
    axis::draw_vertical(picture, &RATES, &y, "requests per second");
    legend(picture, &RATES, &[("offered rate", Ink::Main), ("achieved rate", Ink::Choice)]);
    for (index, trial) in trials.iter().enumerate().rev() {
        let intervals = &trial.recording.intervals;
        picture.line(steps(intervals, x, &y, offered), Ink::Main, 1.5, strength(index));
        picture.line(steps(intervals, x, &y, achieved), Ink::Choice, 2.0, strength(index));
    }
    picture.line(vec![(LEFT, RATES.bottom), (RIGHT, RATES.bottom)], Ink::Muted, 1.0, 1.0);
}

fn times(picture: &mut Picture, study: &Study, trials: &[&TrialResult], x: &Axis) {
    let p50 = |interval: &Interval| interval.response_time_p50_ms;
    let p95 = |interval: &Interval| interval.response_time_p95_ms;
    let limits: Vec<_> = facts::overall_limits(study).into_iter().filter(|(_, q, _)| *q == 0.95).collect();
    let answered = |interval: &&Interval| interval.requests_due > 0 && interval.response_time_p95_ms > 0.0;
    let series: Vec<Vec<Interval>> =
        trials.iter().map(|trial| trial.recording.intervals.iter().filter(answered).cloned().collect()).collect();
    let all = series.iter().flatten().flat_map(|i| [p50(i), p95(i)]).chain(limits.iter().map(|limit| limit.2));
    let y = Axis::around(all, axis::FACTORS_OF_TIME, (TIMES.bottom, TIMES.top));
    axis::draw_vertical(picture, &TIMES, &y, "response time, ms");
    legend(picture, &TIMES, &[("p95", Ink::Choice), ("p50", Ink::Median)]);
    let mut taken = Vec::new();
    for (index, intervals) in series.iter().enumerate().rev() {
        picture.line(steps(intervals, x, &y, p50), Ink::Median, 1.5, strength(index));
        let curve = steps(intervals, x, &y, p95);
        taken.extend(trail(&curve));
        picture.line(curve, Ink::Choice, 2.0, strength(index));
    }
    axis::draw_limits(picture, &TIMES, &y, &limits, &mut taken);
    picture.line(vec![(LEFT, TIMES.bottom), (RIGHT, TIMES.bottom)], Ink::Muted, 1.0, 1.0);
}

/// The samples that lie under the load, cut to it.
fn samples(trial: &TrialResult, end: f64) -> Vec<(f64, f64, &UsageSample)> {
    let samples = trial.usage.as_ref().map_or(&[][..], |usage| &usage.samples);
    samples
        .iter()
        .map(|sample| ((sample.end_s - sample.period_s).max(0.0), sample.end_s.min(end), sample))
        .filter(|(from, to, _)| to > from)
        .collect()
}

fn instances(picture: &mut Picture, trials: &[&TrialResult], x: &Axis, end: f64) {
    let all = trials.iter().flat_map(|trial| samples(trial, end));
    let y = Axis::from_zero(
        all.map(|(.., sample)| (sample.instances_active + sample.instances_idle) as f64),
        INSTANCES.bottom,
        INSTANCES.top,
    );
    axis::draw_vertical(picture, &INSTANCES, &y, "instances");
    legend(picture, &INSTANCES, &[("active", Ink::Choice), ("active and idle", Ink::Muted)]);
    let levels = |trial: &TrialResult, value: fn(&UsageSample) -> u64| -> Vec<Point> {
        samples(trial, end)
            .iter()
            .flat_map(|(from, to, sample)| {
                let level = y.at(value(sample) as f64);
                [(x.at(*from), level), (x.at(*to), level)]
            })
            .collect()
    };
    for (index, trial) in trials.iter().enumerate().rev() {
        let total = levels(trial, |sample| sample.instances_active + sample.instances_idle);
        let active = levels(trial, |sample| sample.instances_active);
        let Some((first, last)) = active.first().copied().zip(active.last().copied()) else { continue };
        if index == 0 {
            for (curve, ink, alpha) in [(&total, Ink::Muted, 0.22), (&active, Ink::Choice, 0.22)] {
                let mut area = vec![(first.0, INSTANCES.bottom)];
                area.extend(curve);
                area.push((last.0, INSTANCES.bottom));
                picture.shapes.push(Shape::Area { points: area, ink, alpha });
            }
        }
        picture.line(total, Ink::Muted, 1.5, strength(index));
        picture.line(active, Ink::Choice, 2.0, strength(index));
    }
    axis::draw_horizontal(picture, &INSTANCES, x, "seconds since the load started", "");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn texts(picture: &Picture) -> Vec<&str> {
        picture
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Words { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_timeline_names_its_stages_and_its_promise() {
        let picture = picture(&fixture::study()).unwrap();
        let texts = texts(&picture);
        for name in ["usual", "sale", "after", "promise: p95 < 170ms", "Max concurrency 16 over time"] {
            assert!(texts.contains(&name), "{name} in {texts:?}");
        }
    }

    #[test]
    fn samples_outside_the_load_are_cut_off() {
        let study = fixture::study();
        let picture = picture(&study).unwrap();
        for shape in &picture.shapes {
            if let Shape::Area { points, .. } = shape {
                assert!(points.iter().all(|point| (LEFT..=RIGHT).contains(&point.0)));
            }
        }
    }
}
