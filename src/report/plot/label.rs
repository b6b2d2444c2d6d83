//! Where labels go so that they cover neither marks nor each other.

use super::axis::Panel;
use super::picture::Point;

/// A rectangle that is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Extent {
    /// Around a point.
    pub(super) fn around((x, y): Point, half_width: f64, half_height: f64) -> Self {
        Self { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height }
    }

    /// The area that both cover.
    pub(super) fn overlap(&self, other: &Self) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    fn area(&self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    fn centre(&self) -> Point {
        (f64::midpoint(self.left, self.right), f64::midpoint(self.top, self.bottom))
    }
}

/// Where a label may lie from its mark, best first.
const DIRECTIONS: [Point; 8] =
    [(1.0, -0.6), (1.0, 0.6), (-1.0, -0.6), (-1.0, 0.6), (0.0, -1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0)];

/// What a label has to mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// Every mark: a label must not seem to belong to another one.
    pub(super) marks: &'a [Point],
    /// What is taken.
    pub(super) taken: &'a [Extent],
    /// Where labels may be.
    pub(super) panel: &'a Panel,
}

/// Finds the place for a label of this size near `mark` that covers least of what is taken: first close by, then farther
/// off. Gives the label's middle.
pub(super) fn place(mark: Point, size: (f64, f64), around: &Around<'_>) -> Point {
    let Around { marks, taken, panel } = around;
    let distance = |a: Point, b: Point| (a.0 - b.0).hypot(a.1 - b.1);
    let (half_width, half_height) = (size.0 / 2.0, size.1 / 2.0);
    let within = Extent { left: panel.left, top: panel.top, right: panel.right, bottom: panel.bottom };
    let mut best = (f64::INFINITY, mark);
    for gap in [10.0, 16.0, 24.0, 34.0, 46.0, 60.0] {
        for (x, y) in DIRECTIONS {
            let label = Extent::around(
                (mark.0 + x * (half_width + gap), mark.1 + y * (half_height + gap)),
                half_width,
                half_height,
            );
            let covered: f64 = taken.iter().map(|other| label.overlap(other)).sum();
            let outside = label.area() - label.overlap(&within);
            // A label far from its mark is worse than a near one, but better than one that covers something.
            let at = label.centre();
            let own = distance(at, mark);
            let misleading = marks.iter().filter(|other| **other != mark && distance(at, **other) < own).count();
            let price = covered + outside * 4.0 + gap * 0.05 + misleading as f64 * 12.0;
            if price < best.0 - 1e-9 {
                best = (price, at);
            }
        }
    }
    best.1
}

/// Finds the place for a label just above or below a level line, where it covers least of what is taken; as far to the
/// right as that allows. Gives the rectangle.
pub(super) fn along(level: f64, size: (f64, f64), taken: &[Extent], panel: &Panel) -> Extent {
    const STEPS: u32 = 24;
    let room = (panel.right - panel.left - size.0).max(0.0);
    let mut best = (f64::INFINITY, Extent::around((panel.right, level), 0.0, 0.0));
    for step in 0..=STEPS {
        let right = panel.right - room * f64::from(step) / f64::from(STEPS);
        for (side, off) in [(0.0, level - 2.0 - size.1), (1.0, level + 2.0)] {
            let label = Extent { left: right - size.0, top: off, right, bottom: off + size.1 };
            let covered: f64 = taken.iter().map(|other| label.overlap(other)).sum();
            let outside = if label.top < panel.top || label.bottom > panel.bottom { label.area() } else { 0.0 };
            let price = covered + outside * 4.0 + f64::from(step) * 0.02 + side * 0.01;
            if price < best.0 - 1e-9 {
                best = (price, label);
            }
        }
    }
    best.1
}

/// The places a curve takes, so that labels keep off it.
pub(super) fn trail(points: &[Point]) -> Vec<Extent> {
    let between = |a: Point, b: Point| {
        let length = (b.0 - a.0).hypot(b.1 - a.1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=400")]
        let pieces = (length / 5.0).ceil().clamp(1.0, 400.0) as u32;
        (0..=pieces).map(move |piece| {
            let share = f64::from(piece) / f64::from(pieces);
            Extent::around((a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share), 3.0, 3.0)
        })
    };
    points.windows(2).flat_map(|pair| between(pair[0], pair[1])).collect()
}

/// Moves labels on one line apart until none is closer to its neighbour than `apart`, keeping their order and staying
/// between `low` and `high` if there is room. Gives the new places in the order of the old ones.
pub(super) fn spread(places: &[f64], apart: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|a, b| places[*a].total_cmp(&places[*b]));
    let mut moved = places.to_vec();
    let mut floor = low;
    for index in &order {
        moved[*index] = moved[*index].max(floor);
        floor = moved[*index] + apart;
    }
    let mut ceiling = high;
    for index in order.iter().rev() {
        moved[*index] = moved[*index].min(ceiling);
        ceiling = moved[*index] - apart;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: Panel = Panel { left: 0.0, top: 0.0, right: 800.0, bottom: 400.0 };

    #[test]
    fn twelve_labels_in_a_crowd_do_not_cover_each_other() {
        let marks: Vec<Point> =
            (0..12).map(|i| (400.0 + f64::from(i % 4) * 14.0, 200.0 + f64::from(i / 4) * 14.0)).collect();
        let mut taken: Vec<Extent> = marks.iter().map(|mark| Extent::around(*mark, 6.0, 6.0)).collect();
        let dots = taken.len();
        for mark in &marks {
            let at = place(*mark, (18.0, 14.0), &Around { marks: &marks, taken: &taken, panel: &PANEL });
            taken.push(Extent::around(at, 9.0, 7.0));
        }
        let labels = &taken[dots..];
        for (index, label) in labels.iter().enumerate() {
            for other in labels.iter().skip(index + 1) {
                assert_eq!(label.overlap(other), 0.0);
            }
        }
    }

    #[test]
    fn a_label_at_the_edge_stays_inside() {
        let (x, y) = place((799.0, 1.0), (60.0, 14.0), &Around { marks: &[], taken: &[], panel: &PANEL });
        assert!(x + 30.0 <= 800.0 && y - 7.0 >= 0.0, "{x} {y}");
    }

    #[test]
    fn a_label_along_a_line_keeps_off_the_curve_that_crosses_it() {
        let curve = trail(&[(600.0, 0.0), (790.0, 400.0)]);
        let label = along(200.0, (120.0, 14.0), &curve, &PANEL);
        assert!(curve.iter().all(|piece| piece.overlap(&label) == 0.0), "{label:?}");
        assert_eq!(along(200.0, (120.0, 14.0), &[], &PANEL).right, PANEL.right);
    }

    #[test]
    fn labels_on_a_line_keep_their_order_and_their_distance() {
        let moved = spread(&[100.0, 101.0, 50.0, 100.5], 15.0, 0.0, 110.0);
        assert!(moved[2] < moved[0] && moved[0] < moved[3] && moved[3] < moved[1]);
        assert!(moved[1] <= 110.0 && moved[1] - moved[3] >= 15.0 - 1e-9 && moved[3] - moved[0] >= 15.0 - 1e-9);
    }
}
