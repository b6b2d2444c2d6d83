//! What a system delivered while a candidate was tried: how long it took, and what waited.

use super::super::axis::{self, Axis, Panel};
use super::super::picture::{Ink, Picture, Point};
use super::{LEFT, RIGHT, below, legend, strength};
use crate::trial::{DeliveryInterval, TrialResult};

const HEIGHT: f64 = 92.0;
/// Consumers beyond these share their colours.
const INKS: [Ink; 4] = [Ink::Choice, Ink::Median, Ink::Tail, Ink::Main];

/// Consumers by name, in the order of the scenario; none where nothing is delivered.
fn consumers<'a>(trials: &[&'a TrialResult]) -> Vec<(&'a str, Ink)> {
    let told = trials.iter().find_map(|trial| trial.recording.delivery.as_ref());
    let names = told.into_iter().flat_map(|delivery| &delivery.consumers).map(|consumer| consumer.name.as_str());
    names.zip(INKS.into_iter().cycle()).collect()
}

/// Where it is shown below `above`; nowhere where nothing is delivered.
pub(super) fn panels(trials: &[&TrialResult], above: Panel) -> Vec<Panel> {
    if consumers(trials).is_empty() {
        return Vec::new();
    }
    let times = below(above, HEIGHT);
    vec![times, below(times, HEIGHT)]
}

/// Draws it in these panels, if there are any.
pub(super) fn draw(picture: &mut Picture, trials: &[&TrialResult], x: &Axis, panels: &[Panel]) {
    let consumers = consumers(trials);
    let [times, backlog, ..] = panels else { return };
    if consumers.is_empty() {
        return;
    }
    let time = |it: &DeliveryInterval| (it.delivery_time_p95_ms > 0.0).then_some(it.delivery_time_p95_ms / 1e3);
    let all = values(trials, time);
    let y = Axis::around(all, axis::FACTORS_OF_TIME, (times.bottom, times.top));
    let plot = Plot { panel: times, x, consumers: &consumers };
    plot.draw(picture, trials, (&y, "delivery time p95, seconds"), time);
    let waiting = |it: &DeliveryInterval| Some(it.backlog as f64);
    let y = Axis::counting(values(trials, waiting), backlog.bottom, backlog.top);
    let plot = Plot { panel: backlog, ..plot };
    plot.draw(picture, trials, (&y, "backlog: reports acknowledged, not yet delivered"), waiting);
}

fn values(trials: &[&TrialResult], of: impl Fn(&DeliveryInterval) -> Option<f64>) -> Vec<f64> {
    let told = trials.iter().filter_map(|trial| trial.recording.delivery.as_ref());
    told.flat_map(|delivery| &delivery.consumers).flat_map(|consumer| &consumer.series).filter_map(of).collect()
}

struct Plot<'a> {
    panel: &'a Panel,
    x: &'a Axis,
    consumers: &'a [(&'a str, Ink)],
}

impl Plot<'_> {
    /// A curve for each consumer in each trial, level over each interval, from left to right as far as the load goes.
    fn draw(
        &self,
        picture: &mut Picture,
        trials: &[&TrialResult],
        (y, title): (&Axis, &str),
        of: impl Fn(&DeliveryInterval) -> Option<f64>,
    ) {
        axis::draw_vertical(picture, self.panel, y, title);
        legend(picture, self.panel, self.consumers);
        for (index, trial) in trials.iter().enumerate().rev() {
            let told = trial.recording.delivery.iter().flat_map(|delivery| &delivery.consumers);
            for consumer in told {
                let ink =
                    self.consumers.iter().find(|(name, _)| *name == consumer.name).map_or(Ink::Main, |(_, ink)| *ink);
                let levels = consumer.series.iter().filter_map(|it| Some((it, y.at(of(it)?))));
                let points = levels.flat_map(|(it, level)| {
                    [(self.x.at(it.start_s), level), (self.x.at(it.start_s + it.length_s), level)]
                });
                let points: Vec<Point> = points.filter(|(x, _)| (LEFT..=RIGHT).contains(x)).collect();
                picture.line(points, ink, 1.5, strength(index));
            }
        }
        let ends = vec![(self.panel.left, self.panel.bottom), (self.panel.right, self.panel.bottom)];
        picture.line(ends, Ink::Muted, 1.0, 1.0);
    }
}
