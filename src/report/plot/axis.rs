//! Axes: from values to places in a picture, and the round numbers beside them.

use super::label::{Extent, along};
use super::picture::{Anchor, Face, Ink, Picture, width_of};

/// Beyond this ratio of longest to shortest an axis of times counts in factors instead of steps.
pub(in crate::report) const FACTORS_OF_TIME: f64 = 8.0;
/// The same for costs. They crowd at the cheap end, where the choice is made: factors give them room there.
pub(in crate::report) const FACTORS_OF_COST: f64 = 2.5;
/// Numbers beside an axis are at least this far apart: they are 12 high.
const LABELS_APART: f64 = 13.0;
/// About how many ticks an axis wants.
const TICKS: f64 = 6.0;

/// An axis: the values it spans and the places its ends have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    logarithmic: bool,
    /// Ticks are no closer than this.
    step_min: f64,
}

/// A rectangle in which curves are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Panel {
    pub(in crate::report) left: f64,
    pub(in crate::report) top: f64,
    pub(in crate::report) right: f64,
    pub(in crate::report) bottom: f64,
}

impl Axis {
    /// An axis that spans exactly these values.
    pub(in crate::report) fn spanning(from: f64, to: f64, start: f64, end: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self { from, to, start, end, logarithmic: false, step_min: 0.0 }
    }

    /// An axis from zero to a little above the largest value.
    pub(in crate::report) fn from_zero(values: impl IntoIterator<Item = f64>, start: f64, end: f64) -> Self {
        let top = values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        Self::spanning(0.0, if top > 0.0 { top * 1.12 } else { 1.0 }, start, end)
    }

    /// The same for counts: no tick lies between two whole numbers.
    pub(in crate::report) fn counting(values: impl IntoIterator<Item = f64>, start: f64, end: f64) -> Self {
        Self { step_min: 1.0, ..Self::from_zero(values, start, end) }
    }

    /// An axis around positive values with some room on both sides; it counts in factors when largest and smallest differ
    /// by more than `factors`.
    pub(in crate::report) fn around(
        values: impl IntoIterator<Item = f64>,
        factors: f64,
        (start, end): (f64, f64),
    ) -> Self {
        let values = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high), value| (value.min(low), value.max(high)));
        if high <= 0.0 {
            return Self::spanning(0.0, 1.0, start, end);
        }
        if high / low > factors {
            let room = (high / low).powf(0.08);
            return Self { from: low / room, to: high * room, start, end, logarithmic: true, step_min: 0.0 };
        }
        let room = if high > low { (high - low) * 0.12 } else { high * 0.1 };
        Self::spanning((low - room).max(0.0), high + room, start, end)
    }

    /// Where a value is; values outside stay at the end of the axis.
    pub(in crate::report) fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.start + (self.end - self.start) * share.clamp(0.0, 1.0)
    }

    /// Round values along the axis.
    pub(in crate::report) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.to / self.from).log10();
            let steps: &[f64] = match decades {
                d if d < 1.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
                d if d < 3.0 => &[1.0, 2.0, 5.0],
                _ => &[1.0],
            };
            return self
                .powers_of_ten()
                .flat_map(|power| steps.iter().map(move |step| step * power))
                .filter(|v| self.spans(*v))
                .collect();
        }
        let step = round_step((self.to - self.from) / TICKS).max(self.step_min);
        let first = (self.from / step).ceil();
        (0..=20).map(|index| (first + f64::from(index)) * step).take_while(|value| *value <= self.to).collect()
    }

    fn spans(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    fn powers_of_ten(&self) -> impl Iterator<Item = f64> {
        #[expect(clippy::cast_possible_truncation, reason = "the exponent of a finite f64 fits")]
        let (low, high) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        (low..=high).map(|exponent| 10_f64.powi(exponent))
    }
}

/// 1, 2 or 5 times a power of ten, near `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = match step / power {
        f if f < 1.5 => 1.0,
        f if f < 3.5 => 2.0,
        f if f < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// A tick's number with the digits its step needs.
pub(in crate::report) fn tick_label(value: f64, ticks: &[f64]) -> String {
    // Ticks at equal factors need the digits of the smallest step; 1.5 is then not shown as 2.
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let step = if step.is_finite() { step } else { value.abs().max(1.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=6")]
    let places = (-(step * 1.000_001).log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.places$}")
}

/// Draws the grid of the vertical axis with its numbers, and its title above the panel.
pub(in crate::report) fn draw_vertical(picture: &mut Picture, panel: &Panel, axis: &Axis, title: &str) {
    let ticks = axis.ticks();
    let mut told_at = f64::INFINITY;
    for tick in &ticks {
        let y = axis.at(*tick);
        picture.line(vec![(panel.left, y), (panel.right, y)], Ink::Grid, 1.0, 1.0);
        if (told_at - y).abs() < LABELS_APART {
            continue;
        }
        told_at = y;
        picture.words((panel.left - 8.0, y), tick_label(*tick, &ticks), Face::plain(12.0, Ink::Muted, Anchor::End));
    }
    let remark = if axis.logarithmic { ", logarithmic" } else { "" };
    picture.words(
        (panel.left, panel.top - 12.0),
        format!("{title}{remark}"),
        Face::plain(12.0, Ink::Main, Anchor::Start),
    );
}

/// Draws the ticks of the horizontal axis with their numbers and its title below.
pub(in crate::report) fn draw_horizontal(picture: &mut Picture, panel: &Panel, axis: &Axis, title: &str, sign: &str) {
    let remark = if axis.logarithmic { ", logarithmic" } else { "" };
    let ticks = axis.ticks();
    for tick in &ticks {
        let x = axis.at(*tick);
        picture.line(vec![(x, panel.top), (x, panel.bottom)], Ink::Grid, 1.0, 0.6);
        let label = format!("{sign}{}", tick_label(*tick, &ticks));
        picture.words((x, panel.bottom + 13.0), label, Face::plain(12.0, Ink::Muted, Anchor::Middle));
    }
    baseline(picture, panel, &format!("{title}{remark}"));
}

/// Draws the base line and the title of a horizontal axis.
pub(in crate::report) fn baseline(picture: &mut Picture, panel: &Panel, title: &str) {
    picture.line(vec![(panel.left, panel.bottom), (panel.right, panel.bottom)], Ink::Muted, 1.0, 1.0);
    let middle = f64::midpoint(panel.left, panel.right);
    picture.words((middle, panel.bottom + 33.0), title, Face::plain(12.0, Ink::Main, Anchor::Middle));
}

/// Draws promises as dashed lines with their names, which keep off what is `taken`; the names' places are then taken too.
pub(in crate::report) fn draw_limits(
    picture: &mut Picture,
    panel: &Panel,
    axis: &Axis,
    limits: &[(String, f64, f64)],
    taken: &mut Vec<Extent>,
) {
    let levels: Vec<f64> = limits.iter().map(|limit| axis.at(limit.2)).collect();
    for level in &levels {
        picture.dashes((panel.left, *level), (panel.right, *level), Ink::Limit);
        taken.push(Extent { left: panel.left, top: level - 1.0, right: panel.right, bottom: level + 1.0 });
    }
    for ((text, ..), level) in limits.iter().zip(levels) {
        let text = format!("promise: {text}");
        let label = along(level, (width_of(&text, 12.0, false) + 8.0, 15.0), taken, panel);
        let at = (label.right - 4.0, f64::midpoint(label.top, label.bottom));
        picture.words(at, text, Face::plain(12.0, Ink::Limit, Anchor::End));
        taken.push(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_and_their_labels_need_no_more_digits_than_they_show() {
        let axis = Axis::spanning(0.83, 1.94, 0.0, 100.0);
        let ticks = axis.ticks();
        let labels: Vec<_> = ticks.iter().map(|tick| tick_label(*tick, &ticks)).collect();
        assert_eq!(labels, ["1.0", "1.2", "1.4", "1.6", "1.8"]);
    }

    #[test]
    fn counts_have_whole_ticks_however_few_they_are() {
        let labels = |axis: Axis| {
            let ticks = axis.ticks();
            ticks.iter().map(|tick| tick_label(*tick, &ticks)).collect::<Vec<_>>()
        };
        assert_eq!(labels(Axis::counting([1.0, 2.0], 90.0, 0.0)), ["0", "1", "2"]);
        assert_eq!(labels(Axis::counting([], 90.0, 0.0)), ["0", "1"]);
        assert_eq!(labels(Axis::from_zero([1.0], 90.0, 0.0))[1], "0.2");
    }

    #[test]
    fn numbers_beside_a_low_axis_do_not_touch() {
        let panel = Panel { left: 50.0, top: 0.0, right: 100.0, bottom: 60.0 };
        let axis = Axis::around([0.2, 40.0], FACTORS_OF_TIME, (panel.bottom, panel.top));
        let mut picture = Picture::new(100.0, 60.0);
        draw_vertical(&mut picture, &panel, &axis, "");
        let numbers = picture.shapes.iter().filter_map(|shape| match shape {
            super::super::picture::Shape::Words { at, text, .. } if !text.starts_with(',') => Some(at.1),
            _ => None,
        });
        let heights: Vec<f64> = numbers.collect();
        assert!(heights.len() >= 3 && heights.len() < axis.ticks().len(), "{heights:?}");
        assert!(heights.windows(2).all(|pair| (pair[0] - pair[1]).abs() >= 13.0), "{heights:?}");
    }

    #[test]
    fn values_that_spread_far_are_counted_in_factors() {
        let axis = Axis::around([90.0, 2000.0], FACTORS_OF_TIME, (100.0, 0.0));
        assert!(axis.logarithmic);
        assert_eq!(axis.ticks(), [100.0, 200.0, 500.0, 1000.0, 2000.0]);
        assert!(!Axis::around([90.0, 200.0], FACTORS_OF_TIME, (0.0, 1.0)).logarithmic);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_within_the_axis(values in prop::collection::vec(1e-6f64..1e9, 1..12), probe in -1e9f64..1e9, factors in 2.0f64..10.0) {
            let axis = Axis::around(values.clone(), factors, (10.0, 110.0));
            for value in values.iter().copied().chain([probe]) {
                prop_assert!((10.0..=110.0).contains(&axis.at(value)));
            }
            let ticks = axis.ticks();
            prop_assert!(ticks.len() >= 2 && ticks.len() <= 21, "{ticks:?}");
        }
    }
}
