//! The aligners that look at moments, not at what lies within a period: the boundaries between alignment periods,
//! counted back from the end of the interval (google.monitoring.v3.Aggregation.Aligner).

use super::series::{Point, Series};
use super::value::Value;
use jiff::Timestamp;
use std::time::Duration;

/// At each boundary the value on the line between the points before and after it, each at most a period away; nothing
/// where one of them is missing.
pub(super) fn interpolate(series: Series, period: Duration, interval: (Timestamp, Timestamp)) -> Series {
    let nanoseconds = in_nanoseconds(period);
    at_boundaries(series, (period, period), interval, |points, boundary| {
        let before = points.iter().find(|point| point.end.as_nanosecond() <= boundary)?;
        let after = points.iter().rev().find(|point| point.end.as_nanosecond() >= boundary)?;
        let (from, to) = (before.end.as_nanosecond(), after.end.as_nanosecond());
        if boundary - from > nanoseconds || to - boundary > nanoseconds {
            return None;
        }
        let share = if from == to { 0.0 } else { (boundary - from) as f64 / (to - from) as f64 };
        let (low, high) = (before.value.number()?, after.value.number()?);
        let number = low + (high - low) * share;
        Some(match before.value {
            Value::Int64(_) => Value::Int64(rounded(number)),
            _ => Value::Double(number),
        })
    })
}

/// At each boundary how much more, in percent, the mean of the last `window` is than it was one period before. Negative
/// values are left out of the means; a change from nothing to something is infinite, from nothing to nothing zero.
pub(super) fn percent_change(
    series: Series,
    (period, window): (Duration, Duration),
    interval: (Timestamp, Timestamp),
) -> Series {
    let reach = window;
    let (nanoseconds, window) = (in_nanoseconds(period), in_nanoseconds(window));
    at_boundaries(series, (period, reach), interval, |points, boundary| {
        let mean = |until: i128| {
            let within =
                |point: &&Point| (until - window < point.end.as_nanosecond()) && point.end.as_nanosecond() <= until;
            let numbers = points.iter().filter(within).filter_map(|point| point.value.number()).filter(|it| *it >= 0.0);
            let (sum, count) = numbers.fold((0.0, 0_u32), |(sum, count), number| (sum + number, count + 1));
            (count > 0).then(|| sum / f64::from(count))
        };
        let (current, previous) = (mean(boundary)?, mean(boundary.checked_sub(nanoseconds)?)?);
        Some(Value::Double(if previous > 0.0 {
            (current - previous) / previous * 100.0
        } else if current > 0.0 {
            f64::INFINITY
        } else {
            0.0
        }))
    })
}

/// The value at each boundary after the start that is neither earlier than the oldest point nor further from the newest
/// than `reach`, newest first as the points are.
fn at_boundaries(
    series: Series,
    (period, reach): (Duration, Duration),
    (start, end): (Timestamp, Timestamp),
    value: impl Fn(&[Point], i128) -> Option<Value>,
) -> Series {
    let period = in_nanoseconds(period);
    let (first, last) = (start.as_nanosecond(), end.as_nanosecond());
    let oldest = series.points.last().map_or(last, |point| point.end.as_nanosecond());
    let newest = series.points.first().map_or(last, |point| point.end.as_nanosecond());
    // An interval may end in a thousand years.
    let skipped = (last - newest - in_nanoseconds(reach)).max(0) / period;
    let boundaries = std::iter::successors(Some(last - skipped * period), |boundary| boundary.checked_sub(period));
    let points = boundaries
        .take_while(|boundary| *boundary >= oldest && (*boundary > first || (*boundary == last && first == last)))
        .filter_map(|boundary| {
            let at = Timestamp::from_nanosecond(boundary).ok()?;
            Some(Point { start: at, end: at, value: value(&series.points, boundary)? })
        })
        .collect();
    Series { points, ..series }
}

/// At least one.
fn in_nanoseconds(period: Duration) -> i128 {
    i128::try_from(period.as_nanos()).unwrap_or(i128::MAX).max(1)
}

#[expect(clippy::cast_possible_truncation, reason = "between two whole numbers")]
fn rounded(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::super::metric::INSTANCE_COUNT;
    use super::super::series::Labels;
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn gauge(values: &[(i64, Value)]) -> Series {
        let points = values.iter().rev();
        let points = points.map(|(second, value)| Point { start: at(*second), end: at(*second), value: value.clone() });
        let labels = Labels::new();
        Series {
            metric: &INSTANCE_COUNT,
            metric_labels: labels.clone(),
            resource_labels: labels,
            points: points.collect(),
        }
    }

    fn seen(series: &Series) -> Vec<(i64, Value)> {
        let second = |point: &Point| point.end.as_second() - 1_000_000;
        series.points.iter().map(|point| (second(point), point.value.clone())).collect()
    }

    #[test]
    fn interpolation_lies_between_its_neighbours_and_reaches_no_further_than_a_period() {
        use Value::{Double, Int64};
        let counts = gauge(&[(10, Int64(2)), (20, Int64(7)), (30, Int64(7)), (90, Int64(1))]);
        let aligned = interpolate(counts, Duration::from_secs(12), (at(0), at(96)));
        // At 12 a fifth of the way from 2 to 7, at 24 between equals; from 36 to 84 a neighbour is too far away, and after
        // 90 there is none.
        assert_eq!(seen(&aligned), [(24, Int64(7)), (12, Int64(3))]);
        let exact = interpolate(gauge(&[(60, Double(1.5))]), Duration::from_secs(30), (at(0), at(60)));
        assert_eq!(seen(&exact), [(60, Double(1.5))]);
        // Whatever the interval's length, only boundaries near the points are looked at.
        let endless =
            interpolate(gauge(&[(60, Double(1.5))]), Duration::from_secs(30), (Timestamp::MIN, Timestamp::MAX));
        assert!(endless.points.len() <= 1);
    }

    #[test]
    fn a_change_is_one_of_moving_means() {
        let double = |numbers: &[f64]| -> Vec<(i64, Value)> {
            (1..).map(|minute| minute * 60).zip(numbers.iter().copied().map(Value::Double)).collect()
        };
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let change = |numbers: &[f64], window: u64| {
            let end = i64::try_from(numbers.len()).unwrap() * 60;
            seen(&percent_change(gauge(&double(numbers)), (minutes(2), minutes(window)), (at(end - 120), at(end))))
        };
        // The last two are 30 in the mean, the two before them 20.
        assert_eq!(change(&[10.0, 30.0, 20.0, 40.0], 2), [(240, Value::Double(50.0))]);
        // Over four minutes the means are 25 and, of what there is, 20; a negative value does not count.
        assert_eq!(change(&[10.0, 30.0, 20.0, 40.0], 4), [(240, Value::Double(25.0))]);
        assert_eq!(change(&[10.0, 30.0, -5.0, 40.0], 2), [(240, Value::Double(100.0))]);
        assert_eq!(change(&[0.0, 0.0, 0.0, 0.0], 2), [(240, Value::Double(0.0))]);
        assert_eq!(change(&[0.0, 0.0, 0.0, 4.0], 2), [(240, Value::Double(f64::INFINITY))]);
        assert_eq!(change(&[1.0, 2.0], 2), [], "there is nothing before it");
    }

    proptest! {
        #[test]
        fn no_times_panic(
            seconds in prop::collection::btree_set(-50_i64..50, 0..12), period in 0_u64..30, ends in (-60_i64..60, 0_i64..80),
        ) {
            let values: Vec<_> = seconds.into_iter().map(|second| (second, Value::Int64(second))).collect();
            let interval = (at(ends.0), at(ends.0 + ends.1));
            let period = Duration::from_secs(period);
            for aligned in [
                interpolate(gauge(&values), period.max(Duration::from_secs(1)), interval),
                percent_change(gauge(&values), (period.max(Duration::from_secs(1)), period), interval),
            ] {
                prop_assert!(aligned.points.iter().all(|point| point.end <= interval.1));
                prop_assert!(aligned.points.windows(2).all(|pair| pair[0].end > pair[1].end));
            }
        }
    }
}
