//! The protocol buffer messages of `google.monitoring.v3` that the local platform takes and gives over gRPC, with
//! Google's field numbers (googleapis: `google/monitoring/v3/{metric,metric_service,common}.proto`,
//! `google/api/{metric,monitored_resource,distribution,label}.proto`). Fields that the platform neither reads nor writes
//! are left out: a reader skips what it does not know. Enumerations stand as their numbers.

use prost::{Message, Oneof};
use prost_types::{Duration, Timestamp};
use std::collections::BTreeMap;

/// `google.monitoring.v3.ListTimeSeriesRequest`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListTimeSeriesRequest {
    #[prost(string, tag = "10")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) filter: String,
    #[prost(message, optional, tag = "4")]
    pub(super) interval: Option<TimeInterval>,
    #[prost(message, optional, tag = "5")]
    pub(super) aggregation: Option<Aggregation>,
    #[prost(message, optional, tag = "11")]
    pub(super) secondary_aggregation: Option<Aggregation>,
    #[prost(string, tag = "6")]
    pub(super) order_by: String,
    #[prost(int32, tag = "7")]
    pub(super) view: i32,
    #[prost(int32, tag = "8")]
    pub(super) page_size: i32,
    #[prost(string, tag = "9")]
    pub(super) page_token: String,
}

/// `google.monitoring.v3.TimeInterval`
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeInterval {
    #[prost(message, optional, tag = "2")]
    pub(super) end_time: Option<Timestamp>,
    #[prost(message, optional, tag = "1")]
    pub(super) start_time: Option<Timestamp>,
}

/// `google.monitoring.v3.Aggregation`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Aggregation {
    #[prost(message, optional, tag = "1")]
    pub(super) alignment_period: Option<Duration>,
    #[prost(int32, tag = "2")]
    pub(super) per_series_aligner: i32,
    #[prost(int32, tag = "4")]
    pub(super) cross_series_reducer: i32,
    #[prost(string, repeated, tag = "5")]
    pub(super) group_by_fields: Vec<String>,
}

/// `google.monitoring.v3.ListTimeSeriesResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListTimeSeriesResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) time_series: Vec<TimeSeries>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
}

/// `google.monitoring.v3.TimeSeries`
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    #[prost(message, optional, tag = "1")]
    pub(super) metric: Option<Metric>,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<MonitoredResource>,
    #[prost(int32, tag = "3")]
    pub(super) metric_kind: i32,
    #[prost(int32, tag = "4")]
    pub(super) value_type: i32,
    #[prost(message, repeated, tag = "5")]
    pub(super) points: Vec<Point>,
    #[prost(string, tag = "8")]
    pub(super) unit: String,
}

/// `google.api.Metric`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(string, tag = "3")]
    pub(super) r#type: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) labels: BTreeMap<String, String>,
}

/// `google.api.MonitoredResource`
#[derive(Clone, PartialEq, Message)]
pub(super) struct MonitoredResource {
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(super) labels: BTreeMap<String, String>,
}

/// `google.monitoring.v3.Point`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Point {
    #[prost(message, optional, tag = "1")]
    pub(super) interval: Option<TimeInterval>,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<TypedValue>,
}

/// `google.monitoring.v3.TypedValue`
#[derive(Clone, PartialEq, Message)]
pub(super) struct TypedValue {
    #[prost(oneof = "Typed", tags = "2, 3, 5")]
    pub(super) value: Option<Typed>,
}

/// The one value of a `TypedValue`.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Typed {
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(double, tag = "3")]
    Double(f64),
    #[prost(message, tag = "5")]
    Distribution(Distribution),
}

/// `google.api.Distribution`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Distribution {
    #[prost(int64, tag = "1")]
    pub(super) count: i64,
    #[prost(double, tag = "2")]
    pub(super) mean: f64,
    #[prost(double, tag = "3")]
    pub(super) sum_of_squared_deviation: f64,
    #[prost(message, optional, tag = "6")]
    pub(super) bucket_options: Option<BucketOptions>,
    #[prost(int64, repeated, tag = "7")]
    pub(super) bucket_counts: Vec<i64>,
}

/// `google.api.Distribution.BucketOptions`, of which the exponential ones are used here.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BucketOptions {
    #[prost(message, optional, tag = "2")]
    pub(super) exponential_buckets: Option<Exponential>,
}

/// `google.api.Distribution.BucketOptions.Exponential`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Exponential {
    #[prost(int32, tag = "1")]
    pub(super) num_finite_buckets: i32,
    #[prost(double, tag = "2")]
    pub(super) growth_factor: f64,
    #[prost(double, tag = "3")]
    pub(super) scale: f64,
}

/// `google.monitoring.v3.ListMetricDescriptorsRequest` and `ListMonitoredResourceDescriptorsRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListDescriptorsRequest {
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) filter: String,
    #[prost(int32, tag = "3")]
    pub(super) page_size: i32,
    #[prost(string, tag = "4")]
    pub(super) page_token: String,
}

/// `google.monitoring.v3.GetMetricDescriptorRequest` and `GetMonitoredResourceDescriptorRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetDescriptorRequest {
    #[prost(string, tag = "3")]
    pub(super) name: String,
}

/// `google.monitoring.v3.ListMetricDescriptorsResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListMetricDescriptorsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) metric_descriptors: Vec<MetricDescriptor>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// `google.api.MetricDescriptor`
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricDescriptor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "8")]
    pub(super) r#type: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) labels: Vec<LabelDescriptor>,
    #[prost(int32, tag = "3")]
    pub(super) metric_kind: i32,
    #[prost(int32, tag = "4")]
    pub(super) value_type: i32,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
    #[prost(string, tag = "6")]
    pub(super) description: String,
    #[prost(string, tag = "7")]
    pub(super) display_name: String,
    #[prost(message, optional, tag = "10")]
    pub(super) metadata: Option<MetricDescriptorMetadata>,
    #[prost(int32, tag = "12")]
    pub(super) launch_stage: i32,
    #[prost(string, repeated, tag = "13")]
    pub(super) monitored_resource_types: Vec<String>,
}

/// `google.api.MetricDescriptor.MetricDescriptorMetadata`
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricDescriptorMetadata {
    #[prost(int32, tag = "1")]
    pub(super) launch_stage: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) sample_period: Option<Duration>,
    #[prost(message, optional, tag = "3")]
    pub(super) ingest_delay: Option<Duration>,
}

/// `google.api.LabelDescriptor`
#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelDescriptor {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(int32, tag = "2")]
    pub(super) value_type: i32,
    #[prost(string, tag = "3")]
    pub(super) description: String,
}

/// `google.monitoring.v3.ListMonitoredResourceDescriptorsResponse`
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListMonitoredResourceDescriptorsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_descriptors: Vec<MonitoredResourceDescriptor>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// `google.api.MonitoredResourceDescriptor`
#[derive(Clone, PartialEq, Message)]
pub(super) struct MonitoredResourceDescriptor {
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(string, tag = "1")]
    pub(super) r#type: String,
    #[prost(string, tag = "2")]
    pub(super) display_name: String,
    #[prost(string, tag = "3")]
    pub(super) description: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) labels: Vec<LabelDescriptor>,
    #[prost(int32, tag = "7")]
    pub(super) launch_stage: i32,
}
