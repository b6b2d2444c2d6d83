//! Reading metrics with the official crate, and the wire as Google writes it.

use super::{Stand, nobody};
use crate::platform::probe_book::{ProbeAction, ProbeOutcome, ProbeTimes, ProbeType};
use crate::platform::sample::{Distribution, NetworkBytes, RevisionSample};
use google_cloud_gax::paginator::ItemPaginator as _;
use google_cloud_monitoring_v3::client::MetricService;
use google_cloud_monitoring_v3::model::aggregation::{Aligner, Reducer};
use google_cloud_monitoring_v3::model::typed_value::Value as Typed;
use google_cloud_monitoring_v3::model::{Aggregation, TimeInterval, TimeSeries};
use google_cloud_wkt as wkt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BILLABLE: &str = "run.googleapis.com/container/billable_instance_time";

/// 12:00:00 on the clock of these tests.
const NOON: i64 = 1_795_348_800;

fn at(seconds: i64) -> wkt::Timestamp {
    wkt::Timestamp::clamp(NOON + seconds, 0)
}

fn sample(revision: &str, billable: f64) -> RevisionSample {
    let mut times = Distribution::default();
    for time in [25.0, 50.0, 75.0] {
        times.record(time);
    }
    RevisionSample {
        service: "shop".into(),
        revision: revision.into(),
        billable_instance_time_s: billable,
        instances_active: 2,
        instances_idle: 1,
        requests: BTreeMap::from([(200, 3), (500, 1)]),
        request_latencies_ms: BTreeMap::from([(200, times)]),
        ..RevisionSample::default()
    }
}

async fn metrics(stand: &Stand) -> MetricService {
    let builder = MetricService::builder().with_endpoint(&stand.endpoint).with_credentials(nobody());
    builder.build().await.unwrap()
}

/// Ten periods of 5 s (time factor 12) of two revisions, all visible.
async fn metered() -> Stand {
    let stand = Stand::start(12.0).await;
    for period in 1..=10_u8 {
        stand.sampled(5, vec![sample("shop-a", f64::from(period)), sample("shop-b", 0.5)]);
    }
    stand.pass(10);
    stand
}

fn doubles(series: &TimeSeries) -> Vec<f64> {
    let value = |point: &google_cloud_monitoring_v3::model::Point| point.value.as_ref()?.value.clone();
    let double = |typed| if let Some(Typed::DoubleValue(double)) = typed { double } else { panic!("{typed:?}") };
    series.points.iter().map(|point| double(value(point))).collect()
}

#[tokio::test]
async fn billed_time_is_read_over_several_pages() {
    let stand = metered().await;
    let metrics = metrics(&stand).await;
    let filter = format!("metric.type = \"{BILLABLE}\" AND resource.type = \"cloud_run_revision\"");
    let mut items = metrics
        .list_time_series()
        .set_name("projects/demo")
        .set_filter(filter)
        .set_interval(TimeInterval::new().set_start_time(at(0)).set_end_time(at(60)))
        .set_page_size(3)
        .by_item();
    let mut by_revision = BTreeMap::<String, Vec<f64>>::new();
    let mut parts = 0;
    while let Some(series) = items.next().await {
        let series = series.unwrap();
        let revision = series.resource.as_ref().unwrap().labels["revision_name"].clone();
        by_revision.entry(revision).or_default().extend(doubles(&series));
        parts += 1;
    }
    assert_eq!(parts, 8, "20 points in pages of 3, one of which holds the end of one series and the start of another");
    assert_eq!(by_revision["shop-a"], (1..=10).rev().map(f64::from).collect::<Vec<_>>(), "newest first");
    assert_eq!(by_revision["shop-b"], [0.5; 10]);
}

#[tokio::test]
async fn aligned_and_reduced_as_a_reader_of_costs_does() {
    let stand = metered().await;
    let metrics = metrics(&stand).await;
    let aggregation = Aggregation::new()
        .set_alignment_period(wkt::Duration::clamp(25, 0))
        .set_per_series_aligner(Aligner::AlignDelta)
        .set_cross_series_reducer(Reducer::ReduceSum);
    let read = |aggregation: Aggregation| {
        let interval = TimeInterval::new().set_start_time(at(0)).set_end_time(at(50));
        let request = metrics.list_time_series().set_name("projects/demo").set_interval(interval);
        request.set_filter(format!("metric.type=\"{BILLABLE}\"")).set_aggregation(aggregation).send()
    };
    let all = read(aggregation.clone()).await.unwrap().time_series;
    assert_eq!(all.iter().map(doubles).collect::<Vec<_>>(), [[42.5, 17.5]]);
    let grouped = read(aggregation.set_group_by_fields(["resource.labels.revision_name"])).await.unwrap().time_series;
    assert_eq!(grouped.iter().map(doubles).collect::<Vec<_>>(), [[40.0, 15.0], [2.5, 2.5]]);
    let first = grouped[0].points[0].interval.as_ref().unwrap();
    assert_eq!((first.start_time, first.end_time), (Some(at(25)), Some(at(50))));
}

#[tokio::test]
async fn the_descriptor_tells_period_and_delay() {
    let stand = Stand::start(12.0).await;
    let metrics = metrics(&stand).await;
    let name = format!("projects/demo/metricDescriptors/{BILLABLE}");
    let descriptor = metrics.get_metric_descriptor().set_name(name).send().await.unwrap();
    let metadata = descriptor.metadata.unwrap();
    assert_eq!(metadata.sample_period, Some(wkt::Duration::clamp(5, 0)));
    assert_eq!(metadata.ingest_delay, Some(wkt::Duration::clamp(10, 0)));
    let all = metrics.list_metric_descriptors().set_name("projects/demo");
    let mut items = all.set_page_size(4).by_item();
    let mut names = std::collections::BTreeSet::new();
    while let Some(descriptor) = items.next().await {
        names.insert(descriptor.unwrap().r#type);
    }
    assert_eq!(names.len(), 24);
    let encoded = "/v3/projects/demo/metricDescriptors/run.googleapis.com%2Frequest_count";
    assert_eq!(stand.get(encoded).await["type"], "run.googleapis.com/request_count");
    let filter = "metric.type = starts_with(\"run.googleapis.com/request\")";
    let some = metrics.list_metric_descriptors().set_name("projects/demo").set_filter(filter).send().await.unwrap();
    assert_eq!(some.metric_descriptors.len(), 4);
}

/// The answer for one metric over the first minute, with more parameters.
async fn list(stand: &Stand, metric: &str, more: &str) -> (u16, Value) {
    let path = format!(
        "/v3/projects/demo/timeSeries?filter=metric.type%3D%22run.googleapis.com/{metric}%22\
         &interval.startTime=2026-11-22T12:00:00Z&interval.endTime=2026-11-22T12:01:00Z{more}"
    );
    stand.call("GET", &path, &Value::Null).await
}

#[tokio::test]
async fn a_point_is_seen_only_after_the_delay() {
    let stand = Stand::start(12.0).await;
    stand.sampled(5, vec![sample("shop-a", 1.0)]);
    stand.sampled(5, vec![sample("shop-a", 2.0)]);
    let seen = async || list(&stand, "container/billable_instance_time", "").await.1["timeSeries"].clone();
    stand.pass(4);
    assert_eq!(seen().await, json!([]));
    stand.pass(1);
    assert_eq!(seen().await[0]["points"].as_array().unwrap().len(), 1);
    stand.pass(5);
    let points = seen().await[0]["points"].clone();
    assert_eq!(points[0]["interval"]["startTime"], points[1]["interval"]["endTime"], "deltas are contiguous");
}

#[tokio::test]
async fn time_series_read_as_google_writes_them() {
    let stand = metered().await;
    let labels = "&pageSize=1&view=FULL&orderBy=&$alt=json;enum-encoding%3Dint";
    let (_, answer) = list(&stand, "request_latencies", labels).await;
    let mut counts = vec!["0"; 95];
    for (bucket, count) in [(83, "1"), (90, "1"), (94, "1")] {
        counts[bucket] = count;
    }
    let golden = json!({
        "timeSeries": [{
            "metric": {
                "type": "run.googleapis.com/request_latencies",
                "labels": {"response_code": "200", "response_code_class": "2xx", "route": ""},
            },
            "resource": {
                "type": "cloud_run_revision",
                "labels": {
                    "project_id": "demo", "service_name": "shop", "revision_name": "shop-a",
                    "location": "europe-west1", "configuration_name": "shop",
                },
            },
            "metricKind": "DELTA",
            "valueType": "DISTRIBUTION",
            "points": [{
                "interval": {"startTime": "2026-11-22T12:00:45Z", "endTime": "2026-11-22T12:00:50Z"},
                "value": {"distributionValue": {
                    "count": "3",
                    "mean": 50.0,
                    "sumOfSquaredDeviation": 1250.0,
                    "bucketOptions": {"exponentialBuckets": {
                        "numFiniteBuckets": 200, "growthFactor": 1.1, "scale": 0.01,
                    }},
                    "bucketCounts": counts,
                }},
            }],
            "unit": "ms",
        }],
        "nextPageToken": answer["nextPageToken"],
        "unit": "ms",
    });
    assert!(answer["nextPageToken"].as_str().is_some_and(|token| token.ends_with("-1")));
    assert_eq!(answer, golden, "{answer:#}");
    let (_, counts) = list(&stand, "request_count", "&pageSize=1").await;
    assert_eq!(counts["timeSeries"][0]["points"][0]["value"], json!({"int64Value": "3"}));
    let (_, instances) = list(&stand, "container/instance_count", "&view=1").await;
    assert_eq!(instances["timeSeries"].as_array().unwrap().len(), 4);
    assert_eq!(instances["timeSeries"][0].get("points"), None);
}

/// Labels and the newest value of each series of a metric.
async fn newest(stand: &Stand, metric: &str) -> Vec<(Value, Value)> {
    let (status, answer) = list(stand, metric, "").await;
    assert_eq!(status, 200, "{metric}: {answer}");
    let series = answer["timeSeries"].as_array().unwrap().iter();
    series.map(|one| (one["metric"]["labels"].clone(), one["points"][0]["value"].clone())).collect()
}

#[tokio::test]
async fn usage_network_and_probes_are_metrics() {
    let stand = Stand::start(12.0).await;
    let mut used = sample("shop-a", 1.0);
    used.cpu_usage_vcpu.record(0.25);
    used.memory_usage_bytes = Distribution::from_scale(Distribution::SCALE_OF_BYTES);
    used.memory_usage_bytes.record(200.0 * 1024.0 * 1024.0);
    used.network_bytes = NetworkBytes { received: 1200, sent: 34_000 };
    let outcome =
        |probe_type, action, is_default, is_healthy| ProbeOutcome { probe_type, action, is_default, is_healthy };
    let mut times = ProbeTimes::default();
    times.attempts_ms.record(2.0);
    let failed = times.clone();
    times.probes_ms.record(2.0);
    used.probes.insert(outcome(ProbeType::Startup, ProbeAction::Tcp, true, true), times);
    used.probes.insert(outcome(ProbeType::Liveness, ProbeAction::Http, false, false), failed);
    stand.sampled(5, vec![used]);
    stand.pass(10);
    let kind = json!({"kind": "internet"});
    assert_eq!(
        newest(&stand, "container/network/received_bytes_count").await,
        [(kind.clone(), json!({"int64Value": "1200"}))]
    );
    assert_eq!(newest(&stand, "container/network/sent_bytes_count").await, [(kind, json!({"int64Value": "34000"}))]);
    let probe = |kind: &str, action: &str, is_default: &str, is_healthy: &str| {
        json!({"container_name": "shop-1", "probe_type": kind, "probe_action": action,
               "is_default": is_default, "is_healthy": is_healthy})
    };
    let (default, liveness) =
        (probe("STARTUP", "TCP_SOCKET", "true", "true"), probe("LIVENESS", "HTTP_GET", "false", "false"));
    let once = json!({"int64Value": "1"});
    assert_eq!(
        newest(&stand, "container/completed_probe_attempt_count").await,
        [(liveness, once.clone()), (default.clone(), once.clone())]
    );
    assert_eq!(newest(&stand, "container/completed_probe_count").await, [(default.clone(), once)]);
    let latencies = newest(&stand, "container/probe_latencies").await;
    assert_eq!((&latencies[0].0, &latencies[0].1["distributionValue"]["mean"]), (&default, &json!(2.0)));
    let usage = newest(&stand, "container/cpu/usage").await;
    assert_eq!(usage[0].0, json!({"container_name": "shop-1"}));
    assert_eq!(usage[0].1["distributionValue"]["mean"], 0.25);
    // The middle of 200 MiB's bucket is within a bucket's width of it.
    let median = "&aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner=ALIGN_PERCENTILE_50";
    let (_, memory) = list(&stand, "container/memory/usage", median).await;
    let bytes = memory["timeSeries"][0]["points"][0]["value"]["doubleValue"].as_f64().unwrap();
    assert!((bytes / (200.0 * 1024.0 * 1024.0) - 1.0).abs() < 0.1, "{memory}");
    let ready = newest(&stand, "container/instance_count_with_readiness").await;
    assert_eq!(ready.len(), 2);
    assert_eq!(ready[0], (json!({"readiness": "UNKNOWN", "state": "active"}), json!({"int64Value": "2"})));
    // A truth value needs no quotes in a filter, and the descriptor says that it is one.
    let unhealthy = "%20AND%20metric.labels.is_healthy%3Dfalse";
    let path = format!(
        "/v3/projects/demo/timeSeries?filter=metric.type%3D%22run.googleapis.com/container/completed_probe_attempt_count%22\
         {unhealthy}&interval.startTime=2026-11-22T12:00:00Z&interval.endTime=2026-11-22T12:01:00Z"
    );
    assert_eq!(stand.get(&path).await["timeSeries"].as_array().unwrap().len(), 1);
    let path = "/v3/projects/demo/metricDescriptors/run.googleapis.com/container/completed_probe_count";
    let labels = stand.get(path).await["labels"].clone();
    let types: Vec<_> = labels.as_array().unwrap().iter().map(|label| label["valueType"].as_str()).collect();
    assert_eq!(types, [None, Some("BOOL"), Some("BOOL"), None, None]);
}

/// The table of Google's page, in the words of this test (`docs.cloud.google.com/monitoring/api/metrics_gcp_p_z`).
#[tokio::test]
async fn every_metric_has_googles_kind_type_and_unit() {
    let stand = Stand::start(1.0).await;
    let answer = stand.get("/v3/projects/demo/metricDescriptors").await;
    let listed = answer["metricDescriptors"].as_array().unwrap().iter().map(|one| {
        let text = |field: &str| one[field].as_str().unwrap().to_owned();
        let name = text("type").strip_prefix("run.googleapis.com/").unwrap().to_owned();
        let labels: Vec<_> =
            one["labels"].as_array().unwrap().iter().map(|label| label["key"].as_str().unwrap()).collect();
        format!("{name} {} {} {} [{}]", text("metricKind"), text("valueType"), text("unit"), labels.join(" "))
    });
    insta::assert_snapshot!(listed.collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn aligners_that_look_at_moments() {
    let stand = metered().await;
    let aligned = async |metric: &str, aligner: &str, period: &str| {
        let more = format!("&aggregation.alignmentPeriod={period}&aggregation.perSeriesAligner={aligner}");
        list(&stand, metric, &more).await
    };
    // Ten points of 5 s end at 5, 10, …, 50; the boundaries are at 60, 52, 44, …
    let (status, answer) = aligned("container/instance_count", "ALIGN_INTERPOLATE", "8s").await;
    assert_eq!(status, 200, "{answer}");
    let points = answer["timeSeries"][0]["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["interval"]["endTime"]), (5, &json!("2026-11-22T12:00:44Z")));
    assert_eq!(points[0]["value"], json!({"int64Value": "2"}));
    // 1, 2, …, 10 s were billed.
    let (_, answer) = aligned("container/billable_instance_time", "ALIGN_PERCENT_CHANGE", "30s").await;
    let points = answer["timeSeries"][0]["points"].as_array().unwrap();
    // The window is ten samples long: until 60 it holds 3 to 10, 6.5 in the mean, until 30 it holds 1 to 6, 3.5.
    let change = points[0]["value"]["doubleValue"].as_f64().unwrap();
    assert!((change - (6.5 / 3.5 - 1.0) * 100.0).abs() < 1e-9, "{points:?}");
    for (metric, aligner) in
        [("request_latencies", "3"), ("request_count", "ALIGN_INTERPOLATE"), ("request_latencies", "23")]
    {
        let (status, answer) = aligned(metric, aligner, "60s").await;
        assert_eq!((status, &answer["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{metric} {aligner}");
    }
}

#[tokio::test]
async fn what_google_refuses_is_refused() {
    let stand = metered().await;
    let aligned = |aligner: &str| format!("&aggregation.alignmentPeriod=60s&aggregation.perSeriesAligner={aligner}");
    let cases = [
        ("container/nothing", String::new(), 404),
        ("request_latencies", aligned("ALIGN_MEAN"), 400),
        ("request_latencies", aligned("ALIGN_PERCENTILE_95"), 200),
        ("request_latencies", aligned("ALIGN_PERCENTILE_90"), 400),
        ("request_count", aligned("ALIGN_PERCENTILE_95"), 400),
        ("request_count", aligned("2"), 200),
        ("container/instance_count", aligned("ALIGN_DELTA"), 400),
        ("container/instance_count", aligned("12") + "&aggregation.crossSeriesReducer=4", 200),
        ("container/instance_count", "&aggregation.crossSeriesReducer=REDUCE_SUM".to_owned(), 400),
        ("request_count", "&aggregation.alignmentPeriod=1s&aggregation.perSeriesAligner=1".to_owned(), 400),
        ("request_count", "&aggregation.groupByFields=metric.labels.state".to_owned(), 400),
        ("request_count", "&orderBy=x".to_owned(), 400),
        ("request_count", "&view=3".to_owned(), 400),
        ("request_count", "&pageSize=-1".to_owned(), 400),
        ("request_count", "&pageToken=1-2-3".to_owned(), 400),
        ("request_count", "&interval.endTime=yesterday".to_owned(), 400),
        ("request_count", "&interval.startTime=2027-01-01T00:00:00Z".to_owned(), 400),
    ];
    for (metric, more, expected) in cases {
        let (status, answer) = list(&stand, metric, &more).await;
        assert_eq!(status, expected, "{metric} {more}: {answer}");
    }
    for filter in
        ["", "resource.type%3D%22cloud_run_revision%22", "metric.type%3D%22", "metric.type%3Dstarts_with(%22r%22)"]
    {
        let path = format!("/v3/projects/demo/timeSeries?interval.endTime=2026-11-22T12:01:00Z&filter={filter}");
        let (status, answer) = stand.call("GET", &path, &Value::Null).await;
        assert_eq!((status, &answer["error"]["status"]), (400, &json!("INVALID_ARGUMENT")), "{filter}: {answer}");
    }
    assert_eq!(
        stand.call("GET", "/v3/projects/demo/metricDescriptors/run.googleapis.com/x", &Value::Null).await.0,
        404
    );
}
