//! The run over time: six small plots over the same seconds, the faults on all of them.

use super::super::document::Block;
use super::super::plot::shapes::{
    Anchor, Axis, Face, Ink, Panel, Picture, Point, Shape, draw_horizontal, draw_vertical, width_of,
};
use crate::trial::{ConsumerRecording, DeliveryInterval, DeliveryRecording, InstanceLevel, Recording};

/// Stem of its file name.
const STEM: &str = "deliveries-over-time";
const WIDTH: f64 = 960.0;
const LEFT: f64 = 16.0;
/// Left and right ends of the two columns' panels.
const COLUMNS: [(f64, f64); 2] = [(56.0, 466.0), (540.0, 950.0)];
const PANEL_HEIGHT: f64 = 88.0;
/// From a panel's bottom to the next one's top: its title.
const GAP: f64 = 32.0;
/// From the last panel's bottom to the picture's: numbers and the axis's title.
const FOOT: f64 = 46.0;
const LINE: f64 = 18.0;
/// Seconds that nothing is told of before a curve is interrupted.
const GAP_S: f64 = 0.01;
/// Consumers beyond these share their colours.
const INKS: [Ink; 4] = [Ink::Choice, Ink::Median, Ink::Tail, Ink::Main];
/// The fault and what comes before delivery.
const FAULT: Ink = Ink::Limit;
const POST: Ink = Ink::Muted;
/// A fault's ground.
const GROUND: f64 = 0.16;
/// Times beyond this ratio of longest to shortest are drawn by factors: an outage and a delivery differ by hundreds.
const FACTORS: f64 = 8.0;

/// What is said of the ground where there was a fault.
const FAULT_CAPTION: &str =
    "Coloured ground: the fault, from when the broken revision served to when the good one did. ";

/// The block that shows it, if there is anything to show.
pub(super) fn figure(recording: &Recording, delivery: &DeliveryRecording) -> Option<Block> {
    picture(recording, delivery)?;
    let fault = if delivery.faults.is_empty() { "" } else { FAULT_CAPTION };
    let untold = if instances(delivery).is_empty() { " Monitoring told of no instances." } else { "" };
    Some(Block::Figure {
        stem: STEM.to_owned(),
        alt: alt(delivery),
        caption: format!("{fault}Times are those of the reports due at that moment.{untold}"),
    })
}

/// What it shows, for those who cannot see it.
pub(super) fn alt(delivery: &DeliveryRecording) -> String {
    let marked = if delivery.faults.is_empty() { "" } else { ", with the fault marked" };
    format!(
        "Over time{marked}: delivery time p95, backlog, redeliveries and deliveries per second of each consumer; response \
         time p95 of the posts; instances of each service."
    )
}

/// Stem and picture; `None` when nothing was delivered over time.
pub(super) fn picture(recording: &Recording, delivery: &DeliveryRecording) -> Option<(&'static str, Picture)> {
    if delivery.consumers.iter().all(|consumer| consumer.series.is_empty()) {
        return None;
    }
    // The legend is laid out first: what it takes is at the top.
    let entries = legend(delivery);
    let mut picture = Picture::new(WIDTH, 0.0);
    let top = draw_legend(&mut picture, &entries) + GAP;
    let height = top + 3.0 * PANEL_HEIGHT + 2.0 * GAP + FOOT;
    picture = Picture::new(WIDTH, height);
    draw_legend(&mut picture, &entries);
    let panel = |column: usize, row: f64| {
        let top = top + row * (PANEL_HEIGHT + GAP);
        Panel { left: COLUMNS[column].0, right: COLUMNS[column].1, top, bottom: top + PANEL_HEIGHT }
    };
    let end = delivery.looked_until_s.max(recording.duration_s);
    let plot = |column: usize, row: f64| {
        let panel = panel(column, row);
        Plot { panel, x: Axis::spanning(0.0, end, panel.left, panel.right), delivery }
    };
    plot(0, 0.0).times(&mut picture);
    plot(0, 1.0).backlog(&mut picture);
    plot(0, 2.0).redeliveries(&mut picture);
    plot(1, 0.0).posts(&mut picture, recording);
    plot(1, 1.0).delivered(&mut picture);
    plot(1, 2.0).instances(&mut picture);
    for column in [0, 1] {
        let Plot { panel, x, .. } = plot(column, 2.0);
        draw_horizontal(&mut picture, &panel, &x, "seconds since the start of the load", "");
    }
    Some((STEM, picture))
}

/// The colour of the `place`-th consumer.
pub(super) fn ink(place: usize) -> Ink {
    INKS[place % INKS.len()]
}

/// An entry of the legend: its words, its ink, and whether it is ground.
type Entry = (String, Ink, bool);

fn legend(delivery: &DeliveryRecording) -> Vec<Entry> {
    let consumers = delivery.consumers.iter().enumerate();
    let mut entries: Vec<Entry> =
        consumers.map(|(place, consumer)| (consumer.name.clone(), ink(place), false)).collect();
    let others: Vec<&str> = delivery.other_instances.keys().map(String::as_str).collect();
    let posts = if others.is_empty() { "posts".to_owned() } else { format!("posts, {}", others.join(", ")) };
    entries.push((posts, POST, false));
    entries.extend(delivery.faults.iter().map(|fault| (fault.text.clone(), FAULT, true)));
    entries
}

/// Writes the legend from the top left on, in as many lines as it needs, and gives where it ends.
fn draw_legend(picture: &mut Picture, entries: &[Entry]) -> f64 {
    let (mut x, mut y) = (LEFT, LINE / 2.0 + 2.0);
    for (text, ink, is_ground) in entries {
        let width = width_of(text, 12.0, false) + 48.0;
        if x > LEFT && x + width > WIDTH {
            (x, y) = (LEFT, y + LINE);
        }
        if *is_ground {
            picture.shapes.push(Shape::Bar { from: (x, y - 6.0), to: (x + 18.0, y + 6.0), ink: *ink, alpha: GROUND });
        } else {
            picture.line(vec![(x, y), (x + 18.0, y)], *ink, 3.0, 1.0);
        }
        picture.words((x + 24.0, y), text.as_str(), Face::plain(12.0, Ink::Muted, Anchor::Start));
        x += width;
    }
    y + LINE / 2.0
}

/// Who has which instances: consumers in their colours, then the other services.
fn instances(delivery: &DeliveryRecording) -> Vec<(Ink, &[InstanceLevel])> {
    let consumers = delivery.consumers.iter().enumerate();
    let consumers = consumers.map(|(place, consumer)| (ink(place), consumer.instances.as_slice()));
    let others = delivery.other_instances.values().map(|levels| (POST, levels.as_slice()));
    consumers.chain(others).filter(|(_, levels)| !levels.is_empty()).collect()
}

/// One of the plots.
struct Plot<'a> {
    panel: Panel,
    x: Axis,
    delivery: &'a DeliveryRecording,
}

impl Plot<'_> {
    /// p95 of the reports due in each interval.
    fn times(&self, picture: &mut Picture) {
        let of = |interval: &DeliveryInterval| {
            (interval.delivery_time_p95_ms > 0.0).then_some(interval.delivery_time_p95_ms / 1e3)
        };
        let all = self.delivery.consumers.iter().flat_map(|consumer| &consumer.series).filter_map(of);
        let y = Axis::around(all, FACTORS, (self.panel.bottom, self.panel.top));
        self.ground(picture, &y, "delivery time p95, seconds");
        self.curves(picture, &y, of);
    }

    fn backlog(&self, picture: &mut Picture) {
        self.counts(picture, "backlog: reports acknowledged, not yet delivered", |of| Some(of.backlog as f64));
    }

    fn delivered(&self, picture: &mut Picture) {
        self.counts(picture, "delivered per second", |of| per_second(of.delivered, of));
    }

    fn redeliveries(&self, picture: &mut Picture) {
        let of = |interval: &DeliveryInterval| per_second(interval.redeliveries?, interval);
        self.counts(picture, "redeliveries per second", of);
        if self.delivery.consumers.iter().flat_map(|consumer| &consumer.series).all(|it| it.redeliveries.is_none()) {
            self.remark(picture, "– (nobody told)");
        }
    }

    /// Response times of all requests, which the posts are, or most of them.
    fn posts(&self, picture: &mut Picture, recording: &Recording) {
        let answered = recording.intervals.iter().filter(|interval| interval.response_time_p95_ms > 0.0);
        let y = Axis::around(
            answered.clone().map(|interval| interval.response_time_p95_ms),
            FACTORS,
            (self.panel.bottom, self.panel.top),
        );
        self.ground(picture, &y, "response time p95 of the posts, ms");
        let levels = answered.map(|it| (it.start_s, it.length_s, it.response_time_p95_ms));
        self.curve(picture, &y, levels, POST);
        self.base(picture);
    }

    /// What Monitoring saw at the end of each of its periods: dots, for nobody knows what was between two of them.
    fn instances(&self, picture: &mut Picture) {
        let all = instances(self.delivery);
        let total: fn(&InstanceLevel) -> f64 = |level| (level.active + level.idle) as f64;
        let active: fn(&InstanceLevel) -> f64 = |level| level.active as f64;
        let levels = all.iter().flat_map(|(_, levels)| *levels).map(total);
        let y = Axis::counting(levels, self.panel.bottom, self.panel.top);
        self.ground(picture, &y, "instances (faint: active at that moment), by Monitoring");
        for (place, (ink, levels)) in all.iter().enumerate() {
            // Lines of the same height would hide each other.
            let apart = place as f64 * 2.5;
            for (of, alpha) in [(total, 0.9), (active, 0.3)] {
                let points = levels.iter().map(|level| (self.x.at(level.end_s), y.at(of(level)) - apart));
                let points: Vec<Point> = points.collect();
                // A sample of after the end is at the end of the axis, and says how it went on.
                for at in points.iter().copied().filter(|(x, _)| *x < self.panel.right) {
                    picture.shapes.push(Shape::Dot { at, radius: 3.0, ink: *ink, alpha });
                }
                picture.line(points, *ink, 1.5, alpha);
            }
        }
        if all.is_empty() {
            self.remark(picture, "– (Monitoring told nothing)");
        }
        self.base(picture);
    }

    fn counts(&self, picture: &mut Picture, title: &str, of: impl Fn(&DeliveryInterval) -> Option<f64>) {
        let all = self.delivery.consumers.iter().flat_map(|consumer| &consumer.series).filter_map(&of);
        let y = Axis::counting(all, self.panel.bottom, self.panel.top);
        self.ground(picture, &y, title);
        self.curves(picture, &y, of);
    }

    /// The axis, and the faults.
    fn ground(&self, picture: &mut Picture, y: &Axis, title: &str) {
        for fault in &self.delivery.faults {
            let from = (self.x.at(fault.from_s), self.panel.top);
            let to = (self.x.at(fault.until_s), self.panel.bottom);
            picture.shapes.push(Shape::Bar { from, to, ink: FAULT, alpha: GROUND });
        }
        draw_vertical(picture, &self.panel, y, title);
    }

    fn curves(&self, picture: &mut Picture, y: &Axis, of: impl Fn(&DeliveryInterval) -> Option<f64>) {
        for (place, ConsumerRecording { series, .. }) in self.delivery.consumers.iter().enumerate() {
            let levels = series.iter().filter_map(|it| Some((it.start_s, it.length_s, of(it)?)));
            self.curve(picture, y, levels, ink(place));
        }
        self.base(picture);
    }

    /// A curve that stays level over each (start, length, value), and is interrupted where nothing was told.
    fn curve(&self, picture: &mut Picture, y: &Axis, levels: impl Iterator<Item = (f64, f64, f64)>, ink: Ink) {
        let mut points: Vec<Point> = Vec::new();
        let mut told_until = f64::NEG_INFINITY;
        for (start, length, value) in levels {
            if start > told_until + GAP_S && !points.is_empty() {
                picture.line(std::mem::take(&mut points), ink, 2.0, 0.9);
            }
            let level = y.at(value);
            points.extend([(self.x.at(start), level), (self.x.at(start + length), level)]);
            told_until = start + length;
        }
        if !points.is_empty() {
            picture.line(points, ink, 2.0, 0.9);
        }
    }

    fn remark(&self, picture: &mut Picture, text: &str) {
        let middle =
            (f64::midpoint(self.panel.left, self.panel.right), f64::midpoint(self.panel.top, self.panel.bottom));
        picture.words(middle, text, Face::plain(12.0, Ink::Muted, Anchor::Middle));
    }

    fn base(&self, picture: &mut Picture) {
        picture.line(
            vec![(self.panel.left, self.panel.bottom), (self.panel.right, self.panel.bottom)],
            Ink::Muted,
            1.0,
            1.0,
        );
    }
}

fn per_second(number: u64, interval: &DeliveryInterval) -> Option<f64> {
    (interval.length_s > 0.0).then(|| number as f64 / interval.length_s)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    /// The curves of an ink that are drawn strong.
    fn curves(picture: &Picture, wanted: Ink) -> Vec<&[Point]> {
        let curve =
            |shape: &'_ Shape| matches!(shape, Shape::Line { ink, alpha, .. } if *ink == wanted && *alpha == 0.9);
        let points = picture.shapes.iter().filter(|shape| curve(shape)).map(|shape| match shape {
            Shape::Line { points, .. } => points.as_slice(),
            _ => &[],
        });
        points.collect()
    }

    #[test]
    fn a_curve_is_interrupted_where_nothing_is_told() {
        let mut recording = fixture::recording();
        let whole = recording.clone();
        // Nobody posted anything for ten seconds.
        recording.intervals.drain(20..30);
        let of = |recording: &Recording| {
            let (_, picture) = picture(recording, recording.delivery.as_ref().unwrap()).unwrap();
            curves(&picture, POST).iter().map(|points| points.len()).collect::<Vec<_>>()
        };
        // The posts, and the two samples of the lab's instances.
        assert_eq!(of(&whole), [120, 2]);
        assert_eq!(of(&recording), [40, 60, 2]);
    }

    #[test]
    fn a_legend_takes_as_many_lines_as_it_needs() {
        let mut recording = fixture::recording();
        let delivery = recording.delivery.as_mut().unwrap();
        let height = |delivery: &DeliveryRecording| picture(&Recording::default(), delivery).unwrap().1.height;
        let low = height(delivery);
        for number in 0..12 {
            let name = format!("a-consumer-with-a-long-name-{number}");
            delivery.consumers.push(ConsumerRecording { name, ..ConsumerRecording::default() });
        }
        let high = height(delivery);
        assert!(high >= low + 2.0 * LINE, "{low} {high}");
        assert!(INKS.iter().all(|ink| *ink != FAULT && *ink != POST), "nobody looks like the fault or the posts");
    }

    #[test]
    fn the_fault_is_on_every_plot() {
        let recording = fixture::recording();
        let (_, picture) = picture(&recording, recording.delivery.as_ref().unwrap()).unwrap();
        let grounds = picture.shapes.iter().filter(|shape| matches!(shape, Shape::Bar { ink, .. } if *ink == FAULT));
        assert_eq!(grounds.count(), 1 + 6, "in the legend and on six plots");
    }

    #[test]
    fn a_fault_is_spoken_of_where_there_was_one() {
        let mut recording = fixture::recording();
        let told = |recording: &Recording| match figure(recording, recording.delivery.as_ref().unwrap()) {
            Some(Block::Figure { alt, caption, .. }) => format!("{alt} {caption}"),
            _ => panic!("no figure"),
        };
        assert!(told(&recording).contains("with the fault marked") && told(&recording).contains("Coloured ground"));
        recording.delivery.as_mut().unwrap().faults.clear();
        let told = told(&recording);
        assert!(!told.contains("fault") && !told.contains("ground") && told.contains("Times are those"), "{told}");
    }

    #[test]
    fn nothing_over_time_is_no_picture() {
        let mut delivery = fixture::recording().delivery.unwrap();
        delivery.consumers.iter_mut().for_each(|consumer| consumer.series.clear());
        assert!(picture(&Recording::default(), &delivery).is_none());
        assert!(figure(&Recording::default(), &delivery).is_none());
    }
}
