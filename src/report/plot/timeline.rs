//! The trials of one candidate over time: offered and achieved rate, response time, instances; of a system what was delivered
//! too, and the instances of every service.

mod deliveries;

use super::axis::{self, Axis, Panel};
use super::label::trail;
use super::picture::{Anchor, Face, Ink, Picture, Point, Shape, width_of};
use crate::report::facts;
use crate::trial::{Interval, Study, TrialResult, Usage, UsageSample};
use std::collections::BTreeSet;

const LEFT: f64 = 64.0;
const RIGHT: f64 = 936.0;
const RATES: Panel = Panel { left: LEFT, top: 88.0, right: RIGHT, bottom: 232.0 };
const TIMES: Panel = Panel { left: LEFT, top: 276.0, right: RIGHT, bottom: 420.0 };
/// From a panel's bottom to the next one's top.
const GAP: f64 = 44.0;
/// From the last panel's bottom to the picture's: numbers and the axis's title.
const FOOT: f64 = 52.0;
/// Of the panels of instances where there is one, and where there are several.
const INSTANCES_HEIGHTS: [f64; 2] = [124.0, 92.0];
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
    let services = services(study, &trials);
    let deliveries = deliveries::panels(&trials, TIMES);
    let instances = instance_panels(deliveries.last().copied().unwrap_or(TIMES), services.len());
    let panels: Vec<Panel> = [RATES, TIMES].into_iter().chain(deliveries).chain(instances.iter().copied()).collect();
    let bottom = panels.last().map_or(TIMES.bottom, |panel| panel.bottom);
    let x = Axis::spanning(0.0, end, LEFT, RIGHT);
    let mut picture = Picture::new(960.0, bottom + FOOT);
    let title = format!("Max concurrency {} over time", candidate.max_concurrency);
    picture.words((20.0, 22.0), title, Face::bold(16.0, Ink::Main, Anchor::Start));
    stages(&mut picture, study, (&x, end), &panels);
    rates(&mut picture, &trials, &x);
    times(&mut picture, study, &trials, &x);
    deliveries::draw(&mut picture, &trials, &x, &panels[2..]);
    for (panel, (service, title)) in instances.iter().zip(&services) {
        Instances { panel, x: &x, end, service: *service }.draw(&mut picture, &trials, title);
    }
    if let Some(last) = instances.last() {
        axis::draw_horizontal(&mut picture, last, &x, "seconds since the load started", "");
    }
    Some(picture)
}

/// A panel of this height below another.
fn below(panel: Panel, height: f64) -> Panel {
    let top = panel.bottom + GAP;
    Panel { top, bottom: top + height, ..panel }
}

fn instance_panels(above: Panel, services: usize) -> Vec<Panel> {
    let height = INSTANCES_HEIGHTS[usize::from(services > 1)];
    let panels = std::iter::successors(Some(below(above, height)), |panel| Some(below(*panel, height)));
    panels.take(services).collect()
}

/// Whose instances are shown, and under which title: `None` is the service that the journeys are sent to, then those behind it, by
/// name.
fn services<'a>(study: &Study, trials: &[&'a TrialResult]) -> Vec<(Option<&'a str>, String)> {
    let front = study.scenario.system.as_ref().map_or_else(String::new, |system| format!(" of {}", system.front));
    let behind: BTreeSet<&str> = trials.iter().flat_map(|trial| trial.others.keys()).map(String::as_str).collect();
    let behind = behind.into_iter().map(|name| (Some(name), format!("instances of {name}")));
    std::iter::once((None, format!("instances{front}"))).chain(behind).collect()
}

/// The stages' names and borders, and grey ground under their warm-up.
fn stages(picture: &mut Picture, study: &Study, (x, end): (&Axis, f64), panels: &[Panel]) {
    let factor = study.stage_divisor();
    let mut start = 0.0;
    for (index, stage) in study.scenario.stages.iter().enumerate() {
        if start >= end {
            break;
        }
        let stop = (start + stage.duration.as_secs_f64() / factor).min(end);
        let warm = (start + stage.warm_up.as_secs_f64() / factor).min(stop);
        for panel in panels {
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

/// The instances of one service.
struct Instances<'a> {
    panel: &'a Panel,
    x: &'a Axis,
    end: f64,
    /// `None` for the one that the journeys are sent to.
    service: Option<&'a str>,
}

impl Instances<'_> {
    /// The samples that lie under the load, cut to it.
    fn samples<'t>(&self, trial: &'t TrialResult) -> Vec<(f64, f64, &'t UsageSample)> {
        let usage: Option<&Usage> = match self.service {
            None => trial.usage.as_ref(),
            Some(service) => trial.others.get(service).and_then(|other| other.usage.as_ref()),
        };
        let samples = usage.map_or(&[][..], |usage| &usage.samples);
        samples
            .iter()
            .map(|sample| ((sample.end_s - sample.period_s).max(0.0), sample.end_s.min(self.end), sample))
            .filter(|(from, to, _)| to > from)
            .collect()
    }

    fn draw(&self, picture: &mut Picture, trials: &[&TrialResult], title: &str) {
        let Self { panel, x, .. } = self;
        let all = trials.iter().flat_map(|trial| self.samples(trial));
        let all = all.map(|(.., sample)| (sample.instances_active + sample.instances_idle) as f64);
        let y = Axis::counting(all, panel.bottom, panel.top);
        axis::draw_vertical(picture, panel, &y, title);
        legend(picture, panel, &[("active", Ink::Choice), ("active and idle", Ink::Muted)]);
        let levels = |trial: &TrialResult, value: fn(&UsageSample) -> u64| -> Vec<Point> {
            self.samples(trial)
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
                    let mut area = vec![(first.0, panel.bottom)];
                    area.extend(curve);
                    area.push((last.0, panel.bottom));
                    picture.shapes.push(Shape::Area { points: area, ink, alpha });
                }
            }
            picture.line(total, Ink::Muted, 1.5, strength(index));
            picture.line(active, Ink::Choice, 2.0, strength(index));
        }
        picture.line(vec![(panel.left, panel.bottom), (panel.right, panel.bottom)], Ink::Muted, 1.0, 1.0);
    }
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

    #[test]
    fn every_service_of_a_system_has_its_instances_and_every_consumer_its_deliveries() {
        let picture = picture(&fixture::system_study()).unwrap();
        let texts = texts(&picture);
        let titles = [
            "delivery time p95, seconds",
            "backlog: reports acknowledged, not yet delivered",
            "instances of lab-report-service",
            "instances of email-service",
            "instances of sms-service",
        ];
        for title in titles {
            assert!(texts.contains(&title), "{title} in {texts:?}");
        }
        assert!(texts.iter().filter(|text| **text == "sms-service").count() == 2, "in both legends: {texts:?}");
        // Filled: the first trial's, active ones over all, for each of three services.
        let areas = picture.shapes.iter().filter(|shape| matches!(shape, Shape::Area { .. })).count();
        assert_eq!(areas, 3 * 2);
        assert!(picture.height > 900.0, "{}", picture.height);
    }
}
