//! The state of a run as an OTLP request for metrics (OpenTelemetry protocol 1.x, protobuf): cumulative sums and
//! histograms since the start of the load. OpenTelemetry's own SDK is not used: it takes measurements one by one, and
//! what there is here are histograms that are already made.

use super::bounds;
use crate::stats;
use crate::trial::Live;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use std::time::Duration;

/// Of what the metrics are.
#[derive(Clone, Debug)]
pub struct Otlp<'a> {
    /// Name of the scenario.
    pub scenario: &'a str,
    /// Where the load goes.
    pub target: &'a str,
    /// The whole run so far.
    pub live: &'a Live,
}

/// The body of the request to `/v1/metrics`.
#[must_use]
pub fn otlp(run: &Otlp<'_>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            text("service.name", "tidegate"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("tidegate.scenario", run.scenario),
            text("tidegate.target", run.target),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "tidegate".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = ScopeMetrics { scope: Some(scope), metrics: metrics(run.live), ..ScopeMetrics::default() };
    let resource_metrics =
        ResourceMetrics { resource: Some(resource), scope_metrics: vec![scope_metrics], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }.encode_to_vec()
}

/// From when to when the points are, in Unix nanoseconds.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    now: u64,
}

fn metrics(live: &Live) -> Vec<Metric> {
    let start = live.started_at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    let start = u64::try_from(start).unwrap_or(0);
    let elapsed = Duration::from_secs_f64((live.start_s + live.length_s).max(0.0));
    let span = Span { start, now: start.saturating_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)) };
    let classes = || {
        let of_step = |step: &'_ crate::trial::LiveStep| {
            let name = step.name.clone();
            step.classes
                .iter()
                .map(|(class, times)| (vec![text("step", &name), text("class", class.name())], times.clone()))
                .collect::<Vec<_>>()
        };
        live.steps.iter().flat_map(of_step)
    };
    let requests = live.steps.iter().flat_map(|step| {
        [("completed", step.completed), ("failed", step.failed), ("dropped", step.dropped)]
            .map(|(outcome, count)| number(span, count, vec![text("step", &step.name), text("outcome", outcome)]))
    });
    vec![
        metric("tidegate.requests", "{request}", "Requests by what became of them", sum(requests.collect())),
        metric("tidegate.sent", "{request}", "Requests sent", sum(vec![number(span, live.sent, Vec::new())])),
        metric(
            "tidegate.in_flight",
            "{request}",
            "Requests in flight",
            metric::Data::Gauge(Gauge { data_points: vec![number(span, live.in_flight, Vec::new())] }),
        ),
        metric(
            "tidegate.response_time",
            "s",
            "From the due time to the end of the answer",
            histograms(classes().map(|(labels, times)| point(span, &times.response_time, labels)).collect()),
        ),
        metric(
            "tidegate.service_time",
            "s",
            "From the sending to the end of the answer",
            histograms(classes().map(|(labels, times)| point(span, &times.service_time, labels)).collect()),
        ),
        metric(
            "tidegate.lateness",
            "s",
            "How late the driver itself sent: sent - due - blocked",
            histograms(vec![point(span, &live.lateness, Vec::new())]),
        ),
    ]
}

fn metric(name: &str, unit: &str, description: &str, data: metric::Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn sum(data_points: Vec<NumberDataPoint>) -> metric::Data {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    metric::Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
}

fn histograms(data_points: Vec<HistogramDataPoint>) -> metric::Data {
    metric::Data::Histogram(Histogram {
        data_points,
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
    })
}

fn number(span: Span, count: u64, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(number_data_point::Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))),
        ..NumberDataPoint::default()
    }
}

fn point(span: Span, times: &stats::Histogram, attributes: Vec<KeyValue>) -> HistogramDataPoint {
    let within: Vec<u64> = bounds().map(|bound| times.count_within(bound)).chain([times.count()]).collect();
    let before = [0].into_iter().chain(within.iter().copied());
    let shortest = times.buckets().next().map(|(shortest, _)| shortest.as_secs_f64());
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count: times.count(),
        sum: Some(times.sum().as_secs_f64()),
        explicit_bounds: bounds().map(|bound| bound.as_secs_f64()).collect(),
        bucket_counts: within.iter().zip(before).map(|(within, before)| within - before).collect(),
        min: shortest,
        max: shortest.map(|_| times.max().as_secs_f64()),
        ..HistogramDataPoint::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::second;
    use super::*;

    #[test]
    fn a_collector_reads_back_what_was_recorded() {
        let mut live = second(0.0);
        live.absorb(&second(1.0));
        let body = otlp(&Otlp { scenario: "shopping", target: "http://shop", live: &live });
        let read = ExportMetricsServiceRequest::decode(body.as_slice()).unwrap();
        let resource = &read.resource_metrics[0];
        assert!(resource.resource.as_ref().unwrap().attributes.contains(&text("tidegate.scenario", "shopping")));
        let metrics = &resource.scope_metrics[0].metrics;
        let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().data.clone().unwrap();

        let metric::Data::Sum(requests) = of("tidegate.requests") else { panic!("no sum") };
        assert!(requests.is_monotonic);
        assert_eq!(requests.aggregation_temporality, i32::from(AggregationTemporality::Cumulative));
        assert_eq!(requests.data_points[0].value, Some(number_data_point::Value::AsInt(20)));
        assert_eq!(requests.data_points[0].start_time_unix_nano, 1_795_341_600_250_000_000);
        assert_eq!(requests.data_points[0].time_unix_nano, 1_795_341_602_250_000_000);

        let metric::Data::Histogram(times) = of("tidegate.response_time") else { panic!("no histogram") };
        let point = &times.data_points[0];
        assert_eq!(point.attributes, [text("step", "list"), text("class", "2xx")]);
        assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (20, 20));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        // Between 10 and 20 ms, and between 200 and 500 ms.
        let at = |bound: f64| point.explicit_bounds.iter().position(|b| *b == bound).unwrap();
        assert_eq!((point.bucket_counts[at(0.02)], point.bucket_counts[at(0.5)]), (16, 2));
        assert!((point.sum.unwrap() - 2.0 * 0.526).abs() < 1e-9);
        assert!((point.max.unwrap() - 0.4).abs() < 0.001 && (point.min.unwrap() - 0.01).abs() < 0.0001);
    }
}
