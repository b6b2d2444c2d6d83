//! The plots of a run with deliveries.

use super::super::plot::PlotError;
use super::super::plot::shapes::{
    Anchor, Axis, Face, Ink, Panel, Picture, Shape, draw_horizontal, draw_vertical, width_of,
};
use crate::stats::Histogram;
use crate::trial::{ConsumerRecording, DeliveryInterval, DeliveryRecording, Recording};

/// Stems of the plots.
pub(super) const TIMELINE: &str = "deliveries-over-time";
pub(super) const SPECTRUM: &str = "delivery-times";

const LEFT: f64 = 64.0;
const RIGHT: f64 = 936.0;
/// Consumers beyond these share their colours.
const INKS: [Ink; 5] = [Ink::Limit, Ink::Choice, Ink::Median, Ink::Tail, Ink::Main];

/// All plots, by stem.
pub(super) fn all(
    recording: &Recording,
    delivery: &DeliveryRecording,
) -> Result<Vec<(&'static str, String)>, PlotError> {
    let mut plots = Vec::new();
    if delivery.consumers.iter().any(|consumer| !consumer.series.is_empty()) {
        let alt = "Four plots over time: deliveries per second, delivery time p95, backlog, instances.";
        plots.push((TIMELINE, timeline(recording, delivery).svg(alt)?));
    }
    if delivery.consumers.iter().any(|consumer| consumer.delivery_time.count() > 0) {
        plots.push((SPECTRUM, spectrum(delivery).svg("The share of reports delivered within a time.")?));
    }
    Ok(plots)
}

fn ink(place: usize) -> Ink {
    INKS[place % INKS.len()]
}

fn timeline(recording: &Recording, delivery: &DeliveryRecording) -> Picture {
    let with_instances = delivery.consumers.iter().any(|consumer| !consumer.instances.is_empty());
    let panel = |row: f64| Panel { left: LEFT, top: 88.0 + 150.0 * row, right: RIGHT, bottom: 190.0 + 150.0 * row };
    let mut panels = vec![panel(0.0), panel(1.0), panel(2.0)];
    panels.extend(with_instances.then(|| panel(3.0)));
    let end = delivery.looked_until_s.max(recording.duration_s);
    let x = Axis::spanning(0.0, end, LEFT, RIGHT);
    let mut picture = Picture::new(960.0, if with_instances { 700.0 } else { 550.0 });
    picture.words((20.0, 22.0), "Deliveries over time", Face::bold(16.0, Ink::Main, Anchor::Start));
    for fault in &delivery.faults {
        for panel in &panels {
            let (from, to) = ((x.at(fault.from_s), panel.top), (x.at(fault.until_s), panel.bottom));
            picture.shapes.push(Shape::Bar { from, to, ink: Ink::Limit, alpha: 0.12 });
        }
        let middle = f64::midpoint(x.at(fault.from_s), x.at(fault.until_s));
        picture.words((middle, 50.0), fault.text.as_str(), Face::plain(12.0, Ink::Limit, Anchor::Middle));
    }
    legend(&mut picture, delivery);
    curves(
        &mut picture,
        delivery,
        (&panels[0], &x),
        ("delivered per second", |of| if of.length_s > 0.0 { of.delivered as f64 / of.length_s } else { 0.0 }),
    );
    times(&mut picture, delivery, &panels[1], &x);
    curves(
        &mut picture,
        delivery,
        (&panels[2], &x),
        ("backlog: acknowledged and not yet delivered", |of| of.backlog as f64),
    );
    if let Some(panel) = panels.get(3) {
        instances(&mut picture, delivery, panel, &x);
    }
    draw_horizontal(&mut picture, &panels[panels.len() - 1], &x, "seconds since the start of the load", "");
    picture
}

fn legend(picture: &mut Picture, delivery: &DeliveryRecording) {
    let mut right = RIGHT;
    for (place, consumer) in delivery.consumers.iter().enumerate().rev() {
        picture.words((right, 22.0), consumer.name.as_str(), Face::plain(12.0, Ink::Muted, Anchor::End));
        right -= width_of(&consumer.name, 12.0, false) + 6.0;
        picture.line(vec![(right - 18.0, 22.0), (right, 22.0)], ink(place), 3.0, 1.0);
        right -= 36.0;
    }
}

type Curve = (&'static str, fn(&DeliveryInterval) -> f64);

fn curves(picture: &mut Picture, delivery: &DeliveryRecording, (panel, x): (&Panel, &Axis), (title, value): Curve) {
    let all = delivery.consumers.iter().flat_map(|consumer| &consumer.series).map(value);
    let y = Axis::from_zero(all, panel.bottom, panel.top);
    draw_vertical(picture, panel, &y, title);
    for (place, consumer) in delivery.consumers.iter().enumerate() {
        let points = consumer.series.iter().flat_map(|interval| {
            let level = y.at(value(interval));
            [(x.at(interval.start_s), level), (x.at(interval.start_s + interval.length_s), level)]
        });
        picture.line(points.collect(), ink(place), 2.0, 0.9);
    }
    base(picture, panel);
}

/// p95 of the reports due in each interval, on an axis of factors: an outage and a delivery differ by thousands.
fn times(picture: &mut Picture, delivery: &DeliveryRecording, panel: &Panel, x: &Axis) {
    let told = |consumer: &ConsumerRecording| {
        consumer.series.iter().filter(|interval| interval.delivery_time_p95_ms > 0.0).copied().collect::<Vec<_>>()
    };
    let all: Vec<Vec<DeliveryInterval>> = delivery.consumers.iter().map(told).collect();
    let values = all.iter().flatten().map(|interval| interval.delivery_time_p95_ms);
    let y = Axis::around(values, 8.0, (panel.bottom, panel.top));
    draw_vertical(picture, panel, &y, "delivery time p95, ms");
    for (place, series) in all.iter().enumerate() {
        let points = series.iter().flat_map(|interval| {
            let level = y.at(interval.delivery_time_p95_ms);
            [(x.at(interval.start_s), level), (x.at(interval.start_s + interval.length_s), level)]
        });
        picture.line(points.collect(), ink(place), 2.0, 0.9);
    }
    base(picture, panel);
}

fn instances(picture: &mut Picture, delivery: &DeliveryRecording, panel: &Panel, x: &Axis) {
    let levels = delivery.consumers.iter().flat_map(|consumer| &consumer.instances);
    let y = Axis::from_zero(levels.map(|level| (level.active + level.idle) as f64), panel.bottom, panel.top);
    draw_vertical(picture, panel, &y, "instances, active and idle, as Monitoring samples them");
    for (place, consumer) in delivery.consumers.iter().enumerate() {
        let points = consumer.instances.iter().flat_map(|level| {
            // Lines of the same height would hide each other.
            let height = y.at((level.active + level.idle) as f64) - place as f64 * 2.5;
            [(x.at((level.end_s - level.length_s).max(0.0)), height), (x.at(level.end_s), height)]
        });
        picture.line(points.collect(), ink(place), 2.0, 0.9);
    }
    base(picture, panel);
}

fn base(picture: &mut Picture, panel: &Panel) {
    picture.line(vec![(panel.left, panel.bottom), (panel.right, panel.bottom)], Ink::Muted, 1.0, 1.0);
}

/// The share of reports delivered within a time.
fn spectrum(delivery: &DeliveryRecording) -> Picture {
    let panel = Panel { left: LEFT, top: 64.0, right: RIGHT, bottom: 300.0 };
    let mut picture = Picture::new(960.0, 350.0);
    picture.words((20.0, 22.0), "Delivery times", Face::bold(16.0, Ink::Main, Anchor::Start));
    legend(&mut picture, delivery);
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let ends = delivery.consumers.iter().flat_map(|consumer| {
        let times = &consumer.delivery_time;
        [ms(times.quantile(0.0)), ms(times.max())]
    });
    let x = Axis::around(ends, 8.0, (LEFT, RIGHT));
    let y = Axis::spanning(0.0, 100.0, panel.bottom, panel.top);
    draw_vertical(&mut picture, &panel, &y, "share of reports delivered within the time, %");
    draw_horizontal(&mut picture, &panel, &x, "delivery time, ms", "");
    for (place, consumer) in delivery.consumers.iter().enumerate() {
        for (times, width, alpha) in [(&consumer.inside, 1.0, 0.7), (&consumer.delivery_time, 2.5, 1.0)] {
            picture.line(shares(times, &x, &y), ink(place), width, alpha);
        }
    }
    picture
}

fn shares(times: &Histogram, x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let (all, mut passed, mut level) = (times.count().max(1) as f64, 0_u64, y.at(0.0));
    let mut points = Vec::new();
    for (bound, count) in times.buckets() {
        let place = x.at(bound.as_secs_f64() * 1e3);
        points.push((place, level));
        passed += count;
        level = y.at(100.0 * passed as f64 / all);
        points.push((place, level));
    }
    points
}
