//! The query parameters of `timeSeries.list`.

use super::aggregation::{Aggregation, Aligner, Reducer};
use super::filter::{Field, Filter};
use super::metric::Metric;
use super::series::Shape;
use crate::platform::admin::duration;
use crate::platform::request::Queries;
use crate::platform::status::Status;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Google's default and largest page.
const PAGE_MOST: usize = 100_000;

/// Aggregations longer than this are refused, as Google does (104 weeks).
const PERIOD_MOST: Duration = Duration::from_hours(104 * 7 * 24);

const KNOWN: [&str; 15] = [
    "filter",
    "interval.startTime",
    "interval.endTime",
    "aggregation.alignmentPeriod",
    "aggregation.perSeriesAligner",
    "aggregation.crossSeriesReducer",
    "aggregation.groupByFields",
    "secondaryAggregation.alignmentPeriod",
    "secondaryAggregation.perSeriesAligner",
    "secondaryAggregation.crossSeriesReducer",
    "secondaryAggregation.groupByFields",
    "view",
    "orderBy",
    "pageSize",
    "pageToken",
];

/// A valid query.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) metric: &'static Metric,
    pub(super) filter: Filter,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    /// Applied one after the other.
    pub(super) aggregations: Vec<Aggregation>,
    /// What kind of points the answer holds.
    pub(super) shape: Shape,
    /// Without points.
    pub(super) headers_only: bool,
    pub(super) page_size: usize,
}

impl Query {
    /// Reads and checks the parameters; an alignment period is at least `period_least`.
    pub(super) fn parse(queries: &Queries, period_least: Duration) -> Result<Self, Status> {
        queries.only(&KNOWN)?;
        let filter = Filter::parse(queries.text("filter"))?;
        let name = filter.metric_type()?;
        let metric = Metric::find(name)
            .ok_or_else(|| Status::not_found(format!("cannot find metric(s) that match type = {name:?}")))?;
        filter.check_labels(metric)?;
        let (start, end) = interval(queries)?;
        let mut shape = Shape { kind: metric.kind, value_type: metric.value_type };
        let mut aggregations = Vec::new();
        for prefix in ["aggregation", "secondaryAggregation"] {
            let aggregation = aggregation(queries, prefix, metric, period_least)?;
            shape = aggregation.shape(shape)?;
            aggregations.push(aggregation);
        }
        if !queries.text("orderBy").is_empty() {
            return Err(Status::field("orderBy", "unsupported, must stay empty"));
        }
        let headers_only = match queries.text("view") {
            "" | "0" | "FULL" => false,
            "1" | "HEADERS" => true,
            other => return Err(Status::field("view", format!("{other:?} is neither FULL nor HEADERS"))),
        };
        let page_size = queries.page_size(PAGE_MOST, PAGE_MOST)?;
        Ok(Self { metric, filter, start, end, aggregations, shape, headers_only, page_size })
    }

    /// From when on points matter: an alignment period that ends within the interval may begin before it.
    pub(super) fn earliest(&self) -> Timestamp {
        let longest = self.aggregations.iter().map(|it| it.period + it.reach).max().unwrap_or_default();
        let moment_before = if self.start == self.end { Duration::from_nanos(1) } else { Duration::ZERO };
        let back = longest.max(moment_before);
        SignedDuration::try_from(back).ok().and_then(|back| self.start.checked_sub(back).ok()).unwrap_or(Timestamp::MIN)
    }

    /// Until when on points matter.
    pub(super) fn latest(&self) -> Timestamp {
        latest(self.end, &self.aggregations)
    }
}

/// Until when on points matter: an interpolating aligner looks at the one after its boundary.
fn latest(end: Timestamp, aggregations: &[Aggregation]) -> Timestamp {
    let interpolating = aggregations.iter().filter(|it| it.aligner == Aligner::Interpolate);
    let reach = interpolating.map(|it| it.reach).max().unwrap_or_default();
    SignedDuration::try_from(reach).ok().and_then(|reach| end.checked_add(reach).ok()).unwrap_or(Timestamp::MAX)
}

fn interval(queries: &Queries) -> Result<(Timestamp, Timestamp), Status> {
    let time = |name: &str| -> Result<Option<Timestamp>, Status> {
        match queries.text(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Status::field(name, format!("{text:?} is not a time such as 2026-11-22T13:00:00Z"))),
        }
    };
    let end = time("interval.endTime")?.ok_or_else(|| Status::field("interval.endTime", "must be given"))?;
    let start = time("interval.startTime")?.unwrap_or(end);
    if start > end {
        return Err(Status::field("interval.startTime", format!("{start} is later than the end, {end}")));
    }
    Ok((start, end))
}

fn aggregation(
    queries: &Queries,
    prefix: &str,
    metric: &Metric,
    period_least: Duration,
) -> Result<Aggregation, Status> {
    let field = |name: &str| format!("{prefix}.{name}");
    let read = |name: &str| queries.text(&field(name));
    let unknown = |name: &str, value: &str| Status::field(&field(name), format!("{value:?} is not offered here"));
    let aligner = read("perSeriesAligner");
    let aligner = Aligner::parse(aligner).ok_or_else(|| unknown("perSeriesAligner", aligner))?;
    let reducer = read("crossSeriesReducer");
    let reducer = Reducer::parse(reducer).ok_or_else(|| unknown("crossSeriesReducer", reducer))?;
    let period = match read("alignmentPeriod") {
        "" => Duration::ZERO,
        text => duration(text).ok_or_else(|| {
            Status::field(&field("alignmentPeriod"), format!("{text:?} is not a duration such as `60s`"))
        })?,
    };
    if aligner != Aligner::None && !(period_least..=PERIOD_MOST).contains(&period) {
        let why = format!("{period:?} is not within {period_least:?} (the sample period) and 104 weeks");
        return Err(Status::field(&field("alignmentPeriod"), why));
    }
    let period = if aligner == Aligner::None { Duration::ZERO } else { period };
    let reach = aligner.reach(period, period_least);
    let mut group_by = Vec::new();
    for text in queries.all(&field("groupByFields")) {
        let known = Field::parse(text).filter(|field| field.is_of(metric));
        group_by.push(
            known.ok_or_else(|| Status::field(&field("groupByFields"), format!("{} has no {text:?}", metric.name)))?,
        );
    }
    Ok(Aggregation { period, reach, aligner, reducer, group_by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_parameters_panic(
            period in "([0-9]{1,14}(\\.[0-9]{1,10})?s|\\PC{0,9})",
            times in prop::array::uniform2("(-?[0-9]{4,6}-12-31T23:59:5[0-9](\\.9{1,9})?Z|\\PC{0,9})"),
            numbers in prop::array::uniform4("(-?[0-9]{1,3}|\\PC{0,5})"),
        ) {
            let [start, end] = times;
            let [aligner, reducer, size, token] = numbers;
            let pairs = [
                ("filter", "metric.type=\"run.googleapis.com/request_latencies\"".to_owned()),
                ("interval.startTime", start),
                ("interval.endTime", end),
                ("aggregation.alignmentPeriod", period),
                ("aggregation.perSeriesAligner", aligner),
                ("aggregation.crossSeriesReducer", reducer),
                ("pageSize", size),
                ("pageToken", token),
            ];
            let queries = Queries::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)));
            if let Ok(query) = Query::parse(&queries, Duration::from_secs(5)) {
                prop_assert!(query.earliest() <= query.start && query.latest() >= query.end);
            }
        }
    }
}
