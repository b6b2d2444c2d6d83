//! Aggregation: each series aligned to regular periods, then series of one group reduced to one. Refuses what Google
//! refuses (the table of aligners in google.monitoring.v3.Aggregation).

use super::boundary;
use super::filter::Field;
use super::metric::{Kind, ValueType};
use super::series::{Labels, Point, Series, Shape};
use super::value::{Value, mean, quantile};
use crate::platform::status::Status;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What becomes of the points of one series within one alignment period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aligner {
    None,
    Delta,
    Rate,
    Sum,
    Mean,
    Min,
    Max,
    Stddev,
    Count,
    /// The newest point, moved to the end of the period.
    NextOlder,
    /// On the line between the points around the end of the period.
    Interpolate,
    /// Against one alignment period before, both of them moving means.
    PercentChange,
    /// The share below, 0 to 1.
    Percentile(f64),
    /// For metrics of truth values, of which there are none here.
    OfTruth(&'static str),
}

/// What becomes of the aligned points of several series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reducer {
    None,
    Sum,
    Mean,
    Min,
    Max,
    Stddev,
    Count,
    /// The share below, 0 to 1.
    Percentile(f64),
    /// For metrics of truth values, of which there are none here.
    OfTruth(&'static str),
}

/// Aligners by number and name (google.monitoring.v3.Aggregation.Aligner).
const ALIGNERS: [(&str, &str, Aligner); 19] = [
    ("0", "ALIGN_NONE", Aligner::None),
    ("1", "ALIGN_DELTA", Aligner::Delta),
    ("2", "ALIGN_RATE", Aligner::Rate),
    ("3", "ALIGN_INTERPOLATE", Aligner::Interpolate),
    ("4", "ALIGN_NEXT_OLDER", Aligner::NextOlder),
    ("10", "ALIGN_MIN", Aligner::Min),
    ("11", "ALIGN_MAX", Aligner::Max),
    ("12", "ALIGN_MEAN", Aligner::Mean),
    ("13", "ALIGN_COUNT", Aligner::Count),
    ("14", "ALIGN_SUM", Aligner::Sum),
    ("15", "ALIGN_STDDEV", Aligner::Stddev),
    ("16", "ALIGN_COUNT_TRUE", Aligner::OfTruth("ALIGN_COUNT_TRUE")),
    ("17", "ALIGN_FRACTION_TRUE", Aligner::OfTruth("ALIGN_FRACTION_TRUE")),
    ("24", "ALIGN_COUNT_FALSE", Aligner::OfTruth("ALIGN_COUNT_FALSE")),
    ("18", "ALIGN_PERCENTILE_99", Aligner::Percentile(0.99)),
    ("19", "ALIGN_PERCENTILE_95", Aligner::Percentile(0.95)),
    ("20", "ALIGN_PERCENTILE_50", Aligner::Percentile(0.50)),
    ("21", "ALIGN_PERCENTILE_05", Aligner::Percentile(0.05)),
    ("23", "ALIGN_PERCENT_CHANGE", Aligner::PercentChange),
];

/// Reducers by number and name (google.monitoring.v3.Aggregation.Reducer).
const REDUCERS: [(&str, &str, Reducer); 14] = [
    ("0", "REDUCE_NONE", Reducer::None),
    ("1", "REDUCE_MEAN", Reducer::Mean),
    ("2", "REDUCE_MIN", Reducer::Min),
    ("3", "REDUCE_MAX", Reducer::Max),
    ("4", "REDUCE_SUM", Reducer::Sum),
    ("5", "REDUCE_STDDEV", Reducer::Stddev),
    ("6", "REDUCE_COUNT", Reducer::Count),
    ("7", "REDUCE_COUNT_TRUE", Reducer::OfTruth("REDUCE_COUNT_TRUE")),
    ("8", "REDUCE_FRACTION_TRUE", Reducer::OfTruth("REDUCE_FRACTION_TRUE")),
    ("15", "REDUCE_COUNT_FALSE", Reducer::OfTruth("REDUCE_COUNT_FALSE")),
    ("9", "REDUCE_PERCENTILE_99", Reducer::Percentile(0.99)),
    ("10", "REDUCE_PERCENTILE_95", Reducer::Percentile(0.95)),
    ("11", "REDUCE_PERCENTILE_50", Reducer::Percentile(0.50)),
    ("12", "REDUCE_PERCENTILE_05", Reducer::Percentile(0.05)),
];

impl Aligner {
    /// By name or number; empty is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        ALIGNERS.iter().find(|(number, name, _)| [*number, *name].contains(&text)).map(|(_, _, aligner)| *aligner)
    }

    fn name(self) -> &'static str {
        ALIGNERS.iter().find(|(_, _, aligner)| *aligner == self).map_or("ALIGN_NONE", |(_, name, _)| name)
    }

    /// How much earlier or later than an alignment period a point may be that counts in it.
    pub(super) fn reach(self, period: Duration, sample_period: Duration) -> Duration {
        match self {
            Self::Interpolate => period,
            // Google's moving mean is of 10 minutes: of ten samples.
            Self::PercentChange => sample_period * 10,
            _ => Duration::ZERO,
        }
    }

    /// What comes out, if it takes what goes in.
    fn shape(self, of: Shape) -> Option<Shape> {
        let Shape { kind, value_type } = of;
        let numeric = value_type != ValueType::Distribution;
        let gauge = |value_type| Some(Shape { kind: Kind::Gauge, value_type });
        match self {
            Self::Delta if kind == Kind::Delta => Some(of),
            Self::None | Self::Sum => Some(of),
            Self::Rate if kind == Kind::Delta && numeric => gauge(ValueType::Double),
            Self::Mean | Self::Stddev | Self::PercentChange if numeric => gauge(ValueType::Double),
            Self::Min | Self::Max if numeric => gauge(value_type),
            Self::Count if numeric => gauge(ValueType::Int64),
            Self::NextOlder if kind == Kind::Gauge => Some(of),
            Self::Interpolate if kind == Kind::Gauge && numeric => Some(of),
            Self::Percentile(_) if !numeric => gauge(ValueType::Double),
            _ => None,
        }
    }

    fn of(self, values: &[Value], period: Duration) -> Option<Value> {
        let numbers = || values.iter().filter_map(Value::number);
        let sum = || values.iter().skip(1).fold(values.first().cloned(), |sum, value| sum.map(|sum| sum.plus(value)));
        match self {
            // The points of a period stand newest first.
            Self::None | Self::NextOlder => values.first().cloned(),
            // Those of the boundaries do not look at one period alone.
            Self::OfTruth(_) | Self::Interpolate | Self::PercentChange => None,
            Self::Delta | Self::Sum => sum(),
            Self::Rate => Some(Value::Double(numbers().sum::<f64>() / period.as_secs_f64())),
            Self::Mean => Some(Value::Double(numbers().sum::<f64>() / values.len() as f64)),
            Self::Min => least(values, f64::lt),
            Self::Max => least(values, f64::gt),
            Self::Stddev => Some(Value::Double(deviation(values))),
            Self::Count => Some(Value::count(values.len() as u64)),
            Self::Percentile(share) => match sum()? {
                Value::Distribution(distribution) => quantile(&distribution, share).map(Value::Double),
                _ => None,
            },
        }
    }
}

impl Reducer {
    /// By name or number; empty is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::None);
        }
        REDUCERS.iter().find(|(number, name, _)| [*number, *name].contains(&text)).map(|(_, _, reducer)| *reducer)
    }

    fn name(self) -> &'static str {
        REDUCERS.iter().find(|(_, _, reducer)| *reducer == self).map_or("REDUCE_NONE", |(_, name, _)| name)
    }

    fn shape(self, of: Shape) -> Option<Shape> {
        let numeric = of.value_type != ValueType::Distribution;
        match self {
            Self::None | Self::Sum => Some(of),
            Self::Mean => Some(Shape { value_type: ValueType::Double, ..of }),
            Self::Stddev | Self::Percentile(_) => Some(Shape { kind: Kind::Gauge, value_type: ValueType::Double }),
            Self::Min | Self::Max if numeric => Some(of),
            Self::Count => Some(Shape { kind: Kind::Gauge, value_type: ValueType::Int64 }),
            Self::Min | Self::Max | Self::OfTruth(_) => None,
        }
    }

    fn of(self, values: &[Value]) -> Option<Value> {
        let sum = || values.iter().skip(1).fold(values.first().cloned(), |sum, value| sum.map(|sum| sum.plus(value)));
        match self {
            Self::None => values.first().cloned(),
            Self::Sum => sum(),
            Self::Mean => match sum()? {
                Value::Distribution(all) => Some(Value::Double(mean(&all))),
                number => Some(Value::Double(number.number()? / values.len() as f64)),
            },
            Self::Min => least(values, f64::lt),
            Self::Max => least(values, f64::gt),
            Self::Stddev => match sum()? {
                Value::Distribution(all) if all.count > 0 => {
                    Some(Value::Double((all.sum_of_squared_deviation / all.count as f64).sqrt()))
                }
                Value::Distribution(_) => None,
                _ => Some(Value::Double(deviation(values))),
            },
            Self::Percentile(share) => match sum()? {
                Value::Distribution(all) => quantile(&all, share).map(Value::Double),
                _ => percentile(values, share).map(Value::Double),
            },
            Self::OfTruth(_) => None,
            Self::Count => Some(Value::count(values.len() as u64)),
        }
    }
}

/// The standard deviation of numbers.
fn deviation(values: &[Value]) -> f64 {
    let numbers = || values.iter().filter_map(Value::number);
    let mean = numbers().sum::<f64>() / values.len() as f64;
    let squares: f64 = numbers().map(|number| (number - mean).powi(2)).sum();
    (squares / values.len() as f64).sqrt()
}

/// The number below which `share` of the numbers lie, on the line between its neighbours.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a slice")]
fn percentile(values: &[Value], share: f64) -> Option<f64> {
    let mut numbers: Vec<f64> = values.iter().filter_map(Value::number).collect();
    numbers.sort_by(f64::total_cmp);
    let place = share * numbers.len().checked_sub(1)? as f64;
    let lower = numbers.get(place.floor() as usize)?;
    let upper = numbers.get(place.ceil() as usize)?;
    Some(lower + (upper - lower) * place.fract())
}

/// The first by `before` among numbers.
fn least(values: &[Value], before: fn(&f64, &f64) -> bool) -> Option<Value> {
    let numbers = values.iter().filter_map(|value| value.number().map(|number| (number, value)));
    numbers.reduce(|best, next| if before(&next.0, &best.0) { next } else { best }).map(|(_, value)| value.clone())
}

/// One step of aggregation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregation {
    /// Zero without an aligner.
    pub(super) period: Duration,
    /// How much earlier or later than its period a point may be that counts.
    pub(super) reach: Duration,
    pub(super) aligner: Aligner,
    pub(super) reducer: Reducer,
    pub(super) group_by: Vec<Field>,
}

impl Aggregation {
    /// What comes out of it, or why Google refuses it.
    pub(super) fn shape(&self, of: Shape) -> Result<Shape, Status> {
        if self.aligner == Aligner::None && self.reducer != Reducer::None {
            let why = "a cross-series reducer needs a per-series aligner other than ALIGN_NONE";
            return Err(Status::field("aggregation.crossSeriesReducer", why));
        }
        let refuse = |field: &str, what: &str, of: Shape| {
            let (kind, value_type) = (of.kind.name(), of.value_type.name());
            Status::field(field, format!("{what} is not valid for metrics of kind {kind} and type {value_type}"))
        };
        let aligned =
            self.aligner.shape(of).ok_or_else(|| refuse("aggregation.perSeriesAligner", self.aligner.name(), of))?;
        self.reducer
            .shape(aligned)
            .ok_or_else(|| refuse("aggregation.crossSeriesReducer", self.reducer.name(), aligned))
    }

    /// Aligns and reduces; periods are counted back from `end`, and only those that end after `start` come out.
    pub(super) fn apply(&self, series: Vec<Series>, start: Timestamp, end: Timestamp, of: Shape) -> Vec<Series> {
        if self.aligner == Aligner::None || self.period.is_zero() {
            return series;
        }
        let kind = self.aligner.shape(of).map_or(of.kind, |shape| shape.kind);
        let aligned = series.into_iter().map(|one| match self.aligner {
            Aligner::Interpolate => boundary::interpolate(one, self.period, (start, end)),
            Aligner::PercentChange => boundary::percent_change(one, (self.period, self.reach), (start, end)),
            _ => self.align(one, start, end, kind),
        });
        let aligned: Vec<_> = aligned.filter(|series| !series.points.is_empty()).collect();
        if self.reducer == Reducer::None { aligned } else { self.reduce(aligned) }
    }

    fn align(&self, series: Series, start: Timestamp, end: Timestamp, kind: Kind) -> Series {
        let period = i128::try_from(self.period.as_nanos()).unwrap_or(i128::MAX);
        let (first, last) = (start.as_nanosecond(), end.as_nanosecond());
        let mut periods = BTreeMap::<i128, Vec<Value>>::new();
        for point in series.points {
            let back = (last - point.end.as_nanosecond()).div_euclid(period);
            periods.entry(back).or_default().push(point.value);
        }
        let points = periods.into_iter().filter_map(|(back, values)| {
            let until = last.checked_sub(back.checked_mul(period)?)?;
            let from = if kind == Kind::Delta { until.checked_sub(period)? } else { until };
            let value = self.aligner.of(&values, self.period).filter(|_| until > first || first == last)?;
            let at = |nanosecond| Timestamp::from_nanosecond(nanosecond).ok();
            Some(Point { start: at(from)?, end: at(until)?, value })
        });
        Series { points: points.collect(), ..series }
    }

    fn reduce(&self, series: Vec<Series>) -> Vec<Series> {
        let becomes_gauge = matches!(self.reducer, Reducer::Count | Reducer::Stddev | Reducer::Percentile(_));
        let mut groups = BTreeMap::<(Labels, Labels), Vec<Series>>::new();
        for one in series {
            groups.entry(self.group(&one)).or_default().push(one);
        }
        let reduced = groups.into_iter().filter_map(|((resource_labels, metric_labels), members)| {
            let metric = members.first()?.metric;
            let mut ends = BTreeMap::<Timestamp, (Timestamp, Vec<Value>)>::new();
            for point in members.into_iter().flat_map(|member| member.points) {
                let start = if becomes_gauge { point.end } else { point.start };
                ends.entry(point.end).or_insert((start, Vec::new())).1.push(point.value);
            }
            let points = ends
                .into_iter()
                .rev()
                .filter_map(|(end, (start, values))| Some(Point { start, end, value: self.reducer.of(&values)? }));
            Some(Series { metric, metric_labels, resource_labels, points: points.collect() })
        });
        reduced.collect()
    }

    /// The labels that a group has in common: those it is grouped by, and the project.
    fn group(&self, series: &Series) -> (Labels, Labels) {
        let keep = |labels: &Labels, name: &str| labels.get_key_value(name).map(|(k, v)| (k.clone(), v.clone()));
        let (mut resource, mut metric) = (Labels::new(), Labels::new());
        resource.extend(keep(&series.resource_labels, "project_id"));
        for field in &self.group_by {
            match field {
                Field::ResourceLabel(name) => resource.extend(keep(&series.resource_labels, name)),
                Field::MetricLabel(name) => metric.extend(keep(&series.metric_labels, name)),
                Field::MetricType | Field::ResourceType => {}
            }
        }
        (resource, metric)
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::{BILLABLE_INSTANCE_TIME, INSTANCE_COUNT};
    use super::*;
    use proptest::prelude::*;

    const DELTA: Shape = Shape { kind: Kind::Delta, value_type: ValueType::Double };
    const GAUGE: Shape = Shape { kind: Kind::Gauge, value_type: ValueType::Int64 };
    const DISTRIBUTION: Shape = Shape { kind: Kind::Delta, value_type: ValueType::Distribution };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn newest_first(points: impl Iterator<Item = Point>) -> Vec<Point> {
        let mut points: Vec<_> = points.collect();
        points.reverse();
        points
    }

    /// A value for each of the seconds after 0.
    fn billed(values: &[f64]) -> Series {
        let point = |(second, value): (i64, &f64)| Point {
            start: at(second),
            end: at(second + 1),
            value: Value::Double(*value),
        };
        let labels = Labels::new();
        let points = newest_first((0..).zip(values).map(point));
        Series { metric: &BILLABLE_INSTANCE_TIME, metric_labels: labels.clone(), resource_labels: labels, points }
    }

    fn instances(state: &str, counts: &[i64]) -> Series {
        let points = (1..).zip(counts).map(|(second, count)| Point {
            start: at(second),
            end: at(second),
            value: Value::Int64(*count),
        });
        let metric_labels = Labels::from([("state".to_owned(), state.to_owned())]);
        let points = newest_first(points);
        Series { metric: &INSTANCE_COUNT, metric_labels, resource_labels: Labels::new(), points }
    }

    fn aggregation(seconds: u64, aligner: &str, reducer: &str) -> Aggregation {
        let (aligner, reducer) = (Aligner::parse(aligner).unwrap(), Reducer::parse(reducer).unwrap());
        let period = Duration::from_secs(seconds);
        Aggregation {
            period,
            reach: aligner.reach(period, Duration::from_secs(1)),
            aligner,
            reducer,
            group_by: Vec::new(),
        }
    }

    fn values(series: &[Series]) -> Vec<Vec<Value>> {
        series.iter().map(|one| one.points.iter().map(|point| point.value.clone()).collect()).collect()
    }

    #[test]
    fn each_aligner_takes_what_google_lets_it_take() {
        let taken =
            |aligner: &str| [DELTA, GAUGE, DISTRIBUTION].map(|of| aggregation(1, aligner, "").shape(of).is_ok());
        for (aligner, expected) in [
            ("ALIGN_DELTA", [true, false, true]),
            ("ALIGN_RATE", [true, false, false]),
            ("ALIGN_SUM", [true, true, true]),
            ("ALIGN_MEAN", [true, true, false]),
            ("ALIGN_MAX", [true, true, false]),
            ("ALIGN_STDDEV", [true, true, false]),
            ("ALIGN_NEXT_OLDER", [false, true, false]),
            ("ALIGN_INTERPOLATE", [false, true, false]),
            ("ALIGN_PERCENT_CHANGE", [true, true, false]),
            ("ALIGN_COUNT_TRUE", [false, false, false]),
            ("ALIGN_PERCENTILE_99", [false, false, true]),
            ("ALIGN_NONE", [true, true, true]),
        ] {
            assert_eq!(taken(aligner), expected, "{aligner}");
        }
        assert_eq!(Aligner::parse("ALIGN_PERCENTILE_90"), None);
        assert_eq!(aggregation(1, "23", "").shape(GAUGE).unwrap().value_type, ValueType::Double);
        assert_eq!(aggregation(1, "3", "").shape(GAUGE), Ok(GAUGE));
        let rate = aggregation(1, "2", "4").shape(DELTA).unwrap();
        assert_eq!((rate.kind, rate.value_type), (Kind::Gauge, ValueType::Double));
        let refused = aggregation(1, "12", "").shape(DISTRIBUTION).unwrap_err().message;
        assert!(refused.contains("ALIGN_MEAN is not valid for metrics of kind DELTA and type DISTRIBUTION"));
    }

    #[test]
    fn numbers_are_aligned_and_reduced() {
        let run =
            |aggregation: Aggregation, series: Vec<Series>, of| values(&aggregation.apply(series, at(0), at(4), of));
        let double = |numbers: &[f64]| vec![numbers.iter().copied().map(Value::Double).collect::<Vec<_>>()];
        let billed = || vec![billed(&[1.0, 2.0, 3.0, 5.0])];
        assert_eq!(run(aggregation(2, "ALIGN_DELTA", ""), billed(), DELTA), double(&[8.0, 3.0]));
        assert_eq!(run(aggregation(2, "ALIGN_RATE", ""), billed(), DELTA), double(&[4.0, 1.5]));
        assert_eq!(run(aggregation(4, "ALIGN_MEAN", ""), billed(), DELTA), double(&[2.75]));
        assert_eq!(run(aggregation(2, "ALIGN_STDDEV", ""), billed(), DELTA), double(&[1.0, 0.5]));
        let both = || vec![instances("active", &[3, 4, 9, 1]), instances("idle", &[0, 2, 1, 1])];
        let whole = |numbers: &[i64]| vec![numbers.iter().copied().map(Value::Int64).collect::<Vec<_>>()];
        assert_eq!(run(aggregation(2, "ALIGN_MAX", "REDUCE_SUM"), both(), GAUGE), whole(&[10, 6]));
        assert_eq!(run(aggregation(2, "ALIGN_MIN", "REDUCE_MAX"), both(), GAUGE), whole(&[1, 3]));
        assert_eq!(run(aggregation(2, "ALIGN_MAX", "REDUCE_MIN"), both(), GAUGE), whole(&[1, 2]));
        assert_eq!(run(aggregation(2, "ALIGN_SUM", "REDUCE_MEAN"), both(), GAUGE), double(&[6.0, 4.5]));
        assert_eq!(run(aggregation(2, "ALIGN_COUNT", "REDUCE_COUNT"), both(), GAUGE), whole(&[2, 2]));
        assert_eq!(run(aggregation(2, "ALIGN_NEXT_OLDER", "REDUCE_SUM"), both(), GAUGE), whole(&[2, 6]));
        assert_eq!(run(aggregation(2, "ALIGN_MAX", "REDUCE_STDDEV"), both(), GAUGE), double(&[4.0, 1.0]));
        assert_eq!(run(aggregation(2, "ALIGN_MAX", "REDUCE_PERCENTILE_50"), both(), GAUGE), double(&[5.0, 3.0]));
        let by_state = Aggregation {
            group_by: vec![Field::MetricLabel("state".to_owned())],
            ..aggregation(4, "ALIGN_MAX", "REDUCE_SUM")
        };
        assert_eq!(run(by_state, both(), GAUGE), [whole(&[9]), whole(&[2])].concat());
    }

    proptest! {
        #[test]
        fn alignment_loses_no_billed_time_and_its_points_touch(
            billed_s in prop::collection::vec(0.0..9.0, 1..40),
            period in 1_u64..50,
        ) {
            let end = at(i64::try_from(billed_s.len()).unwrap());
            let aligned = aggregation(period, "1", "").apply(vec![billed(&billed_s)], at(0), end, DELTA);
            let points = &aligned[0].points;
            let total: f64 = points.iter().filter_map(|point| point.value.number()).sum();
            prop_assert!((total - billed_s.iter().sum::<f64>()).abs() < 1e-9);
            prop_assert!(points.windows(2).all(|pair| pair[0].start == pair[1].end));
            prop_assert_eq!(points[0].end, end);
        }
    }
}
