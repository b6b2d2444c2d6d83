//! From the platform's own types to protocol buffers, and from a request to the parameters that REST would carry: so
//! both protocols are read, refused and answered by one piece of code.

use super::descriptor::{self, Timing};
use super::label::LabelType;
use super::message as proto;
use super::metric::{Metric, RESOURCE_LABELS, RESOURCE_TYPE};
use super::page::Page;
use super::query::Query;
use super::series::{Point, Series, Shape};
use super::value::{Value, mean, occupied};
use crate::platform::request::Queries;
use crate::platform::sample::Distribution;
use crate::platform::status::Status;
use jiff::Timestamp;
use std::time::Duration;

/// Parameters as REST carries them.
type Parameters = Vec<(String, String)>;

/// The project in `projects/P`.
pub(super) fn project(name: &str) -> Result<&str, Status> {
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project] if !project.is_empty() => Ok(project),
        _ => Err(Status::field("name", format!("{name:?} is not `projects/PROJECT`"))),
    }
}

/// The project and the type in `projects/P/COLLECTION/TYPE`.
pub(super) fn project_and_type<'a>(name: &'a str, collection: &str) -> Result<(&'a str, &'a str), Status> {
    let after = |text: &'a str, prefix: &str| text.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let parts = after(name, "projects/").and_then(|rest| {
        let (project, rest) = rest.split_once('/')?;
        Some((project, after(after(rest, collection)?, "/")?))
    });
    parts.ok_or_else(|| Status::field("name", format!("{name:?} is not `projects/PROJECT/{collection}/TYPE`")))
}

/// A listing's parameters.
pub(super) fn descriptors_query(request: proto::ListDescriptorsRequest) -> Queries {
    let mut parameters = Parameters::new();
    push(&mut parameters, "filter", request.filter);
    push_number(&mut parameters, "pageSize", request.page_size);
    push(&mut parameters, "pageToken", request.page_token);
    Queries::from_pairs(parameters)
}

/// A query's parameters.
pub(super) fn time_series_query(request: proto::ListTimeSeriesRequest) -> Result<Queries, Status> {
    let mut parameters = Parameters::new();
    push(&mut parameters, "filter", request.filter);
    if let Some(proto::TimeInterval { start_time, end_time }) = request.interval {
        for (name, time) in [("interval.startTime", start_time), ("interval.endTime", end_time)] {
            if let Some(time) = time {
                push(&mut parameters, name, instant(name, time)?.to_string());
            }
        }
    }
    let stages = [("aggregation", request.aggregation), ("secondaryAggregation", request.secondary_aggregation)];
    for (prefix, aggregation) in stages {
        let Some(aggregation) = aggregation else { continue };
        let field = |name: &str| format!("{prefix}.{name}");
        if let Some(period) = aggregation.alignment_period {
            let name = field("alignmentPeriod");
            let refused = |_| Status::field(&name, format!("{} s {} ns is no period", period.seconds, period.nanos));
            let period = Duration::try_from(period).map_err(refused)?;
            push(&mut parameters, &name, descriptor::seconds(period));
        }
        push_number(&mut parameters, &field("perSeriesAligner"), aggregation.per_series_aligner);
        push_number(&mut parameters, &field("crossSeriesReducer"), aggregation.cross_series_reducer);
        for group in aggregation.group_by_fields {
            push(&mut parameters, &field("groupByFields"), group);
        }
    }
    push(&mut parameters, "orderBy", request.order_by);
    push_number(&mut parameters, "view", request.view);
    push_number(&mut parameters, "pageSize", request.page_size);
    push(&mut parameters, "pageToken", request.page_token);
    Ok(Queries::from_pairs(parameters))
}

/// Adds a parameter; an empty text is as absent, in protocol buffers too.
fn push(parameters: &mut Parameters, name: &str, value: String) {
    if !value.is_empty() {
        parameters.push((name.to_owned(), value));
    }
}

fn push_number(parameters: &mut Parameters, name: &str, value: i32) {
    if value != 0 {
        parameters.push((name.to_owned(), value.to_string()));
    }
}

fn instant(field: &str, time: prost_types::Timestamp) -> Result<Timestamp, Status> {
    let refused = || Status::field(field, format!("{} s {} ns is no time", time.seconds, time.nanos));
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(refused());
    }
    let nanoseconds = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    Timestamp::from_nanosecond(nanoseconds).map_err(|_| refused())
}

/// A page of time series.
pub(super) fn page(query: &Query, page: Page<'_>) -> proto::ListTimeSeriesResponse {
    proto::ListTimeSeriesResponse {
        time_series: page.series.iter().map(|(one, points)| series(one, query.shape, points)).collect(),
        next_page_token: page.next,
        unit: query.metric.unit.to_owned(),
    }
}

fn series(series: &Series, shape: Shape, points: &[Point]) -> proto::TimeSeries {
    proto::TimeSeries {
        metric: Some(proto::Metric { r#type: series.metric.name.to_owned(), labels: series.metric_labels.clone() }),
        resource: Some(proto::MonitoredResource {
            r#type: RESOURCE_TYPE.to_owned(),
            labels: series.resource_labels.clone(),
        }),
        metric_kind: shape.kind.number(),
        value_type: shape.value_type.number(),
        points: points.iter().map(point).collect(),
        unit: series.metric.unit.to_owned(),
    }
}

fn point(point: &Point) -> proto::Point {
    let value = match &point.value {
        Value::Int64(whole) => proto::Typed::Int64(*whole),
        Value::Double(number) => proto::Typed::Double(*number),
        Value::Distribution(of) => proto::Typed::Distribution(distribution(of)),
    };
    let interval = proto::TimeInterval { start_time: Some(time(point.start)), end_time: Some(time(point.end)) };
    proto::Point { interval: Some(interval), value: Some(proto::TypedValue { value: Some(value) }) }
}

fn distribution(of: &Distribution) -> proto::Distribution {
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let buckets = proto::Exponential {
        num_finite_buckets: i32::try_from(Distribution::FINITE_BUCKETS).unwrap_or(i32::MAX),
        growth_factor: Distribution::GROWTH_FACTOR,
        scale: of.scale,
    };
    proto::Distribution {
        count: whole(of.count),
        mean: mean(of),
        sum_of_squared_deviation: of.sum_of_squared_deviation,
        bucket_options: Some(proto::BucketOptions { exponential_buckets: Some(buckets) }),
        bucket_counts: of.bucket_counts[..occupied(of)].iter().copied().map(whole).collect(),
    }
}

/// A time as protocol buffers write it: the nanoseconds count forward, before 1970 too.
fn time(at: Timestamp) -> prost_types::Timestamp {
    const SECOND: i128 = 1_000_000_000;
    let nanoseconds = at.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanoseconds.div_euclid(SECOND)).unwrap_or_default(),
        nanos: i32::try_from(nanoseconds.rem_euclid(SECOND)).unwrap_or_default(),
    }
}

/// A metric descriptor.
pub(super) fn metric_descriptor(metric: &Metric, project: &str, timing: Timing) -> proto::MetricDescriptor {
    let duration = |of: Duration| prost_types::Duration::try_from(of).ok();
    proto::MetricDescriptor {
        name: descriptor::metric_path(metric, project),
        r#type: metric.name.to_owned(),
        labels: labels(metric.labels),
        metric_kind: metric.kind.number(),
        value_type: metric.value_type.number(),
        unit: metric.unit.to_owned(),
        description: metric.description.to_owned(),
        display_name: metric.display_name.to_owned(),
        metadata: Some(proto::MetricDescriptorMetadata {
            launch_stage: metric.launch_stage.number(),
            sample_period: duration(timing.sample_period),
            ingest_delay: duration(timing.ingest_delay),
        }),
        launch_stage: metric.launch_stage.number(),
        monitored_resource_types: vec![RESOURCE_TYPE.to_owned()],
    }
}

/// The resource's descriptor.
pub(super) fn resource_descriptor(project: &str) -> proto::MonitoredResourceDescriptor {
    proto::MonitoredResourceDescriptor {
        name: descriptor::resource_path(project),
        r#type: RESOURCE_TYPE.to_owned(),
        display_name: descriptor::RESOURCE_DISPLAY_NAME.to_owned(),
        description: descriptor::RESOURCE_DESCRIPTION.to_owned(),
        labels: labels(&RESOURCE_LABELS),
        launch_stage: super::metric::LaunchStage::Ga.number(),
    }
}

fn labels(of: &[&str]) -> Vec<proto::LabelDescriptor> {
    let descriptor = |key: &&str| proto::LabelDescriptor {
        key: (*key).to_owned(),
        value_type: LabelType::of(key).number(),
        description: descriptor::describe_label(key).to_owned(),
    };
    of.iter().map(descriptor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_taken_apart_or_refused() {
        assert_eq!(project("projects/demo"), Ok("demo"));
        for wrong in ["", "demo", "projects/", "projects/a/b", "folders/1"] {
            assert!(project(wrong).is_err(), "{wrong}");
        }
        let metric = "projects/demo/metricDescriptors/run.googleapis.com/request_count";
        assert_eq!(project_and_type(metric, "metricDescriptors"), Ok(("demo", "run.googleapis.com/request_count")));
        for wrong in ["projects/demo/metricDescriptors/", "projects/demo/x/y", "projects/demo", "metricDescriptors/x"] {
            assert!(project_and_type(wrong, "metricDescriptors").is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn times_come_back_as_they_went(nanosecond in -10_000_000_000_000_000_000_i128..10_000_000_000_000_000_000) {
            let at = Timestamp::from_nanosecond(nanosecond).unwrap();
            prop_assert_eq!(instant("t", time(at)), Ok(at));
        }

        #[test]
        fn no_request_panics(
            seconds in prop::array::uniform3(any::<i64>()), nanos in prop::array::uniform3(any::<i32>()),
            numbers in prop::array::uniform4(any::<i32>()), text in "\\PC{0,20}",
        ) {
            let time = |which: usize| Some(prost_types::Timestamp { seconds: seconds[which], nanos: nanos[which] });
            let period = prost_types::Duration { seconds: seconds[2], nanos: nanos[2] };
            let request = proto::ListTimeSeriesRequest {
                interval: Some(proto::TimeInterval { start_time: time(0), end_time: time(1) }),
                aggregation: Some(proto::Aggregation {
                    alignment_period: Some(period),
                    per_series_aligner: numbers[0],
                    cross_series_reducer: numbers[1],
                    group_by_fields: vec![text.clone()],
                }),
                filter: "metric.type=\"run.googleapis.com/request_count\"".to_owned(),
                view: numbers[2],
                page_size: numbers[3],
                page_token: text,
                ..proto::ListTimeSeriesRequest::default()
            };
            if let Ok(queries) = time_series_query(request) {
                let _ = Query::parse(&queries, Duration::from_secs(5));
            }
        }
    }
}
