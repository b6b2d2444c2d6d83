//! The calls over a real HTTP/2 connection, beside REST on the same port.

use super::*;
use crate::platform::clock::Clock;
use crate::platform::place::Place;
use crate::platform::sample::RevisionSample;
use crate::port;
use jiff::{SignedDuration, Timestamp};
use std::sync::Mutex;
use tonic::client::Grpc as Client;
use tonic::transport::Channel;

const COUNT: &str = "run.googleapis.com/request_count";

struct Served {
    channel: Channel,
    url: String,
}

impl Served {
    /// Ten periods of 5 s of one revision, all visible.
    async fn start() -> Self {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let now = Arc::new(Mutex::new(noon));
        let hand = Arc::clone(&now);
        let monitoring = Monitoring::new(Clock::new(move || *hand.lock().unwrap()), 12.0);
        for period in 1..=10 {
            *now.lock().unwrap() += SignedDuration::from_secs(5);
            let mut sample = RevisionSample { service: "shop".into(), ..RevisionSample::default() };
            sample.requests.insert(200, period);
            sample.request_latencies_ms.entry(200).or_default().record(50.0);
            let place = Place { project: "demo".into(), location: "l".into() };
            monitoring.record(vec![(place, sample)]);
        }
        *now.lock().unwrap() += SignedDuration::from_secs(10);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(port::serve(listener, monitoring.router(), std::future::pending(), std::time::Duration::ZERO));
        let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
        Self { channel, url }
    }

    async fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, tonic::Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let mut client = Client::new(self.channel.clone());
        client.ready().await.unwrap();
        let path = format!("/google.monitoring.v3.MetricService/{method}").parse().unwrap();
        let answer = client.unary(tonic::Request::new(request), path, ProstCodec::<Q, A>::default()).await;
        answer.map(tonic::Response::into_inner)
    }
}

fn query(metric: &str) -> proto::ListTimeSeriesRequest {
    let noon: i64 = 1_795_348_800;
    let at = |seconds| Some(prost_types::Timestamp { seconds: noon + seconds, nanos: 0 });
    proto::ListTimeSeriesRequest {
        name: "projects/demo".into(),
        filter: format!("metric.type = \"{metric}\""),
        interval: Some(proto::TimeInterval { start_time: at(0), end_time: at(50) }),
        ..proto::ListTimeSeriesRequest::default()
    }
}

fn counts(series: &proto::TimeSeries) -> Vec<i64> {
    let value = |point: &proto::Point| match point.value.as_ref().unwrap().value.as_ref().unwrap() {
        proto::Typed::Int64(count) => *count,
        other => panic!("{other:?}"),
    };
    series.points.iter().map(value).collect()
}

#[tokio::test]
async fn a_query_is_answered_in_pages_as_over_rest() {
    let served = Served::start().await;
    let mut request = query(COUNT);
    request.page_size = 4;
    let mut read = Vec::new();
    loop {
        let page: proto::ListTimeSeriesResponse = served.call("ListTimeSeries", request.clone()).await.unwrap();
        assert!(page.time_series[0].points.len() <= 4);
        read.extend(counts(&page.time_series[0]));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(read, (1..=10).rev().collect::<Vec<_>>(), "newest first");
    let filter = "metric.type%3D%22run.googleapis.com/request_count%22";
    let path = format!("/v3/projects/demo/timeSeries?filter={filter}&interval.endTime=2026-11-22T12:00:50Z");
    let rest = reqwest::get(format!("{}{path}&interval.startTime=2026-11-22T12:00:00Z", served.url)).await.unwrap();
    let rest: serde_json::Value = rest.json().await.unwrap();
    assert_eq!(rest["timeSeries"][0]["points"].as_array().unwrap().len(), 10, "the same port speaks HTTP/1.1: {rest}");
}

#[tokio::test]
async fn aggregations_and_distributions_come_in_protocol_buffers() {
    let served = Served::start().await;
    let mut request = query(COUNT);
    request.aggregation = Some(proto::Aggregation {
        alignment_period: Some(prost_types::Duration { seconds: 25, nanos: 0 }),
        per_series_aligner: 1,
        cross_series_reducer: 4,
        group_by_fields: vec!["resource.labels.service_name".into()],
    });
    let answer: proto::ListTimeSeriesResponse = served.call("ListTimeSeries", request).await.unwrap();
    let [series] = answer.time_series.as_slice() else { panic!("{answer:?}") };
    assert_eq!((counts(series), series.metric_kind, series.value_type), (vec![40, 15], 2, 2));
    assert_eq!(series.resource.as_ref().unwrap().labels["service_name"], "shop");
    let answer: proto::ListTimeSeriesResponse =
        served.call("ListTimeSeries", query("run.googleapis.com/request_latencies")).await.unwrap();
    let value = answer.time_series[0].points[0].value.clone().unwrap().value.unwrap();
    let proto::Typed::Distribution(distribution) = value else { panic!("{value:?}") };
    assert_eq!((distribution.count, distribution.mean), (1, 50.0));
    assert_eq!(distribution.bucket_counts.iter().sum::<i64>(), 1);
    assert_eq!(answer.unit, "ms");
}

#[tokio::test]
async fn descriptors_are_listed_and_found() {
    let served = Served::start().await;
    let listing = proto::ListDescriptorsRequest { name: "projects/demo".into(), ..Default::default() };
    let metrics: proto::ListMetricDescriptorsResponse =
        served.call("ListMetricDescriptors", listing.clone()).await.unwrap();
    assert_eq!(metrics.metric_descriptors.len(), super::super::metric::METRICS.len());
    let name = format!("projects/demo/metricDescriptors/{COUNT}");
    let metric: proto::MetricDescriptor =
        served.call("GetMetricDescriptor", proto::GetDescriptorRequest { name: name.clone() }).await.unwrap();
    assert_eq!((metric.name, metric.metric_kind, metric.value_type, metric.launch_stage), (name, 2, 2, 4));
    assert_eq!(metric.metadata.unwrap().sample_period.unwrap().seconds, 5);
    let resources: proto::ListMonitoredResourceDescriptorsResponse =
        served.call("ListMonitoredResourceDescriptors", listing).await.unwrap();
    let [resource] = resources.resource_descriptors.as_slice() else { panic!("{resources:?}") };
    assert_eq!((resource.r#type.as_str(), resource.labels.len()), ("cloud_run_revision", 5));
    let same = proto::GetDescriptorRequest { name: resource.name.clone() };
    let found: proto::MonitoredResourceDescriptor = served.call("GetMonitoredResourceDescriptor", same).await.unwrap();
    assert_eq!(found, *resource);
}

#[tokio::test]
async fn refusals_carry_googles_codes() {
    use tonic::Code::{InvalidArgument, NotFound, Unimplemented};
    let served = Served::start().await;
    let wrong = |change: fn(&mut proto::ListTimeSeriesRequest)| {
        let mut request = query(COUNT);
        change(&mut request);
        request
    };
    for (request, code, part) in [
        (wrong(|request| request.name = "demo".into()), InvalidArgument, "name"),
        (wrong(|request| request.filter = "metric.type =".into()), InvalidArgument, "filter"),
        (wrong(|request| request.interval = None), InvalidArgument, "interval.endTime"),
        (wrong(|request| request.view = 7), InvalidArgument, "view"),
        (wrong(|request| request.page_size = -1), InvalidArgument, "pageSize"),
        (query("run.googleapis.com/nothing"), NotFound, "cannot find metric"),
    ] {
        let refused = served.call::<_, proto::ListTimeSeriesResponse>("ListTimeSeries", request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(refused.message().contains(part), "{refused:?}");
    }
    let unknown = served.call::<_, proto::ListTimeSeriesResponse>("CreateTimeSeries", query(COUNT)).await;
    assert_eq!(unknown.unwrap_err().code(), Unimplemented);
}
