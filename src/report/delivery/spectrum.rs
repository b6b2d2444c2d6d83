//! The spectrum of delivery times: the share of reports that were delivered within a time, for each consumer.

use super::super::plot::shapes::{
    Anchor, Axis, Face, Ink, Panel, Picture, Point, draw_horizontal, draw_vertical, width_of,
};
use super::timeline::ink;
use crate::stats::Histogram;
use crate::trial::DeliveryRecording;
use std::time::Duration;

/// Stem of its file name.
pub(super) const STEM: &str = "delivery-times";
/// What it shows, for those who cannot see it.
pub(super) const ALT: &str = "The share of reports delivered within a time, for each consumer.";

const PANEL: Panel = Panel { left: 64.0, top: 64.0, right: 936.0, bottom: 300.0 };
/// Points of a curve: finer ones fall on the same pixel.
const POINTS: u32 = 400;

/// Stem and picture; `None` when nothing was delivered.
pub(super) fn picture(delivery: &DeliveryRecording) -> Option<(&'static str, Picture)> {
    let told = || delivery.consumers.iter().filter(|consumer| consumer.delivery_time.count() > 0);
    told().next()?;
    let mut picture = Picture::new(960.0, 350.0);
    picture.words((20.0, 22.0), "Delivery times", Face::bold(16.0, Ink::Main, Anchor::Start));
    legend(&mut picture, delivery);
    let ends = told().flat_map(|consumer| {
        let times = &consumer.delivery_time;
        [times.quantile(0.0).as_secs_f64(), times.max().as_secs_f64()]
    });
    let x = Axis::around(ends, 8.0, (PANEL.left, PANEL.right));
    let y = Axis::spanning(0.0, 100.0, PANEL.bottom, PANEL.top);
    draw_vertical(&mut picture, &PANEL, &y, "share of reports delivered within the time, %");
    draw_horizontal(&mut picture, &PANEL, &x, "delivery time, seconds", "");
    for (place, consumer) in delivery.consumers.iter().enumerate() {
        for (times, width, alpha) in [(&consumer.inside, 1.0, 0.7), (&consumer.delivery_time, 2.5, 1.0)] {
            picture.line(shares(times, &x, &y), ink(place), width, alpha);
        }
    }
    Some((STEM, picture))
}

fn legend(picture: &mut Picture, delivery: &DeliveryRecording) {
    let mut right = PANEL.right;
    for (place, consumer) in delivery.consumers.iter().enumerate().rev() {
        picture.words((right, 22.0), consumer.name.as_str(), Face::plain(12.0, Ink::Muted, Anchor::End));
        right -= width_of(&consumer.name, 12.0, false) + 6.0;
        picture.line(vec![(right - 18.0, 22.0), (right, 22.0)], ink(place), 3.0, 1.0);
        right -= 36.0;
    }
}

fn shares(times: &Histogram, x: &Axis, y: &Axis) -> Vec<Point> {
    if times.count() == 0 {
        return Vec::new();
    }
    let at = |place: u32| f64::from(place) / f64::from(POINTS);
    let point = |share: f64| {
        let time: Duration = times.quantile(share);
        (x.at(time.as_secs_f64()), y.at(100.0 * share))
    };
    (0..=POINTS).map(|place| point(at(place))).collect()
}
