//! Cloud Monitoring v3: when the end of a revision's billing can be read, and what is read then.

use crate::admin::service;
use crate::google::{FakeClock, Google, Metrics, billed, counted, distribution, gauge};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tidegate::cloud::{Clock, CloudError, Sampling, UsageWindow};
use tidegate::scenario::{Billing, Candidate};

/// 12:00 plus so many seconds.
fn at(seconds: i64) -> Timestamp {
    "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

/// A revision that is deployed at 12:00:10 and under load from 12:01:00 to 12:03:20.
fn window(billing: Billing) -> UsageWindow {
    UsageWindow { revision: "shop-c4".to_owned(), since: at(10), load_start: at(60), load_end: at(200), billing }
}

/// To nine digits, where the order of adding does not show.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

async fn google_with(fill: impl FnOnce(&mut Metrics)) -> Google {
    let google = Google::start(json!({})).await;
    fill(&mut google.world.lock().unwrap().metrics);
    sleep_to(&google.clock, 200).await;
    google
}

async fn sleep_to(clock: &FakeClock, seconds: i64) {
    let wait = at(seconds).duration_since(clock.now());
    clock.sleep(Duration::try_from(wait).unwrap()).await;
}

/// What Google holds of that revision: one start-up before the load, requests in the minutes that end at 12:02, 12:03
/// and 12:04, an idle instance at 12:05, and no sample after it.
fn fill(metrics: &mut Metrics) {
    metrics.page_size = 2;
    for (minute, seconds, delay_s) in [(1, 0.8, 60), (2, 55.3, 120), (3, 118.4, 180), (4, 36.9, 175), (5, 0.0, 170)] {
        metrics.add(billed(minute, seconds), delay_s);
    }
    for (minute, ok, failed) in [(2, 1000, 0), (3, 2000, 3), (4, 500, 1)] {
        let labels = |code: &str| json!({"response_code": code, "response_code_class": "any", "route": ""});
        metrics.add(counted("request_count", labels("200"), minute, ok), 120);
        metrics.add(counted("request_count", labels("500"), minute, failed), 120);
        metrics.add(distribution("request_latencies", labels("200"), minute, (ok, 90.0)), 120);
        metrics.add(distribution("request_latency/pending", labels("200"), minute, (ok, 2.0)), 120);
    }
    for (minute, active, idle) in [(2, 2, 1), (3, 4, 0), (4, 1, 3), (5, 0, 1)] {
        metrics.add(gauge("container/instance_count", json!({"state": "active"}), minute, active), 120);
        metrics.add(gauge("container/instance_count", json!({"state": "idle"}), minute, idle), 120);
    }
    metrics.add(distribution("container/cpu/utilizations", json!({"container_name": "a"}), 3, (3, 0.6)), 120);
    metrics.add(distribution("container/cpu/utilizations", json!({"container_name": "b"}), 3, (1, 0.2)), 120);
    metrics.add(distribution("container/memory/utilizations", json!({}), 3, (4, 0.25)), 120);
    metrics.add(distribution("container/startup_latencies", json!({}), 1, (1, 310.0)), 120);
    metrics.add(distribution("container/startup_latencies", json!({}), 2, (3, 290.0)), 120);
}

#[tokio::test]
async fn usage_is_all_that_was_billed_however_late_and_on_however_many_pages() {
    let google = google_with(fill).await;
    let usage = google.client().await.usage(&window(Billing::Request)).await.unwrap();
    assert!((usage.billable_instance_time_s - 211.4).abs() < 1e-9, "{usage:?}");
    assert_eq!(usage.idle_tail_s, 0.0);
    assert_eq!(usage.requests, BTreeMap::from([("200".to_owned(), 3500), ("500".to_owned(), 4)]));
    assert!((usage.request_latencies_sum_s - 315.0).abs() < 1e-9);
    assert!((usage.pending_sum_s - 7.0).abs() < 1e-9);
    assert_eq!(usage.instance_starts, Some(4));
    assert!((usage.startup_mean_s.unwrap() - 0.295).abs() < 1e-9);
    let series: Vec<_> = usage
        .samples
        .iter()
        .map(|s| {
            (
                s.end_s,
                s.billable_s,
                s.instances_active,
                s.instances_idle,
                s.requests,
                s.cpu_utilization_mean.map(rounded),
            )
        })
        .collect();
    assert_eq!(
        series,
        [
            (0.0, 0.8, 0, 0, 0, None),
            (60.0, 55.3, 2, 1, 1000, None),
            (120.0, 118.4, 4, 0, 2003, Some(0.5)),
            (180.0, 36.9, 1, 3, 501, None),
            (240.0, 0.0, 0, 1, 0, None),
        ]
    );
    assert_eq!(usage.samples[2].memory_utilization_mean, Some(0.25));
    // The sample that ends at 12:05 is there and empty; the one that ends at 12:06 is never written, and counts as
    // zero when the delay has passed since its end: 12:09.
    assert_eq!(google.clock.now(), at(9 * 60 + 5), "the first look at or after 12:09");
}

#[tokio::test]
async fn one_revision_of_one_service_is_asked_for_without_alignment_and_with_a_margin() {
    let google = google_with(fill).await;
    google.client().await.usage(&window(Billing::Request)).await.unwrap();
    let asked = google.asked();
    let descriptor = "/v3/projects/demo/metricDescriptors/run.googleapis.com/container/billable_instance_time";
    assert_eq!(asked[0].path, descriptor);
    assert_eq!(asked[1].path, "/v3/projects/demo/timeSeries");
    assert_eq!(
        asked[1].query("filter").unwrap(),
        "metric.type = \"run.googleapis.com/container/billable_instance_time\" AND resource.type = \"cloud_run_revision\" \
         AND resource.labels.location = \"europe-west1\" AND resource.labels.service_name = \"shop\" \
         AND resource.labels.revision_name = \"shop-c4\""
    );
    assert_eq!(asked[1].query("interval.startTime"), Some("2026-11-22T11:58:10Z"), "two periods before the deployment");
    assert_eq!(asked[1].query("interval.endTime"), Some("2026-11-22T12:06:20Z"), "the load's end is readable now");
    assert!(asked[1].query.iter().all(|(name, _)| !name.starts_with("aggregation")));
    assert_eq!(asked[2].query("pageToken"), Some("2"));
    assert_eq!(asked[2].query("filter"), asked[1].query("filter"));
}

#[tokio::test]
async fn beta_metrics_may_be_missing_and_others_may_not() {
    let missing = |metric: &str| (404, "NOT_FOUND", format!("Cannot find metric(s) that match type = \"{metric}\"."));
    let google = google_with(fill).await;
    for metric in ["request_latency/pending", "container/startup_latencies"] {
        let (status, code, message) = missing(metric);
        google.trouble(metric, usize::MAX, (status, code, &message));
    }
    let usage = google.client().await.usage(&window(Billing::Request)).await.unwrap();
    assert_eq!((usage.pending_sum_s, usage.instance_starts, usage.startup_mean_s), (0.0, None, None));
    assert_eq!(usage.request_count(), 3504);

    let google = google_with(fill).await;
    let (status, code, message) = missing("run.googleapis.com/request_count");
    google.trouble("run.googleapis.com/request_count", usize::MAX, (status, code, &message));
    let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
    assert!(matches!(error, CloudError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_role_is_named_at_once() {
    let google = google_with(fill).await;
    google.trouble(
        "timeSeries",
        usize::MAX,
        (403, "PERMISSION_DENIED", "Permission monitoring.timeSeries.list denied"),
    );
    let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read run.googleapis.com/container/billable_instance_time of project \"demo\" from Cloud Monitoring: \
         permission denied (PERMISSION_DENIED: Permission monitoring.timeSeries.list denied); grant the role \
         roles/monitoring.viewer to the account you signed in with"
    );
    assert_eq!(google.asked().len(), 2);
}

#[tokio::test]
async fn minutes_without_quota_or_service_lose_nothing() {
    for trouble in [(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), (503, "UNAVAILABLE", "down")] {
        for path in ["metricDescriptors", "billable_instance_time", "request_count"] {
            let google = google_with(fill).await;
            // Two looks fail for good, with every attempt that each may make.
            google.trouble(path, 8, trouble);
            let usage = google.client().await.usage(&window(Billing::Request)).await.unwrap();
            assert!((usage.billable_instance_time_s - 211.4).abs() < 1e-9, "{path}");
            assert_eq!(usage.request_count(), 3504, "{path}");
        }
    }
}

#[tokio::test]
async fn an_outage_without_end_is_told_after_a_bounded_wait() {
    for (trouble, text) in [
        ((429, "RESOURCE_EXHAUSTED", "Quota exceeded"), "quota exhausted (RESOURCE_EXHAUSTED: Quota exceeded)"),
        ((503, "UNAVAILABLE", "down"), "the service is unavailable (UNAVAILABLE: down)"),
    ] {
        for path in ["metricDescriptors", "timeSeries"] {
            let google = google_with(fill).await;
            google.trouble(path, usize::MAX, trouble);
            let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(google.clock.now() <= at(200 + 4 * 240 + 60), "{}", google.clock.now());
        }
    }
}

#[tokio::test]
async fn a_revision_without_any_point_is_an_error_after_a_bounded_wait() {
    let google = google_with(|_| ()).await;
    let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cloud Monitoring holds no billed time of revision \"shop-c4\" 960s after the end of the load; check project, \
         region and service, and that requests reached the revision"
    );
}

#[tokio::test]
async fn pages_without_end_are_left_after_a_bounded_number() {
    let google = google_with(|metrics| metrics.is_endless = true).await;
    let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
    assert!(matches!(error, CloudError::Unintelligible { .. }), "{error}");
    assert_eq!(google.asked().len(), 1 + 200);
}

#[tokio::test]
async fn billing_that_never_ends_is_an_error_unless_instances_are_billed_for_their_whole_life() {
    let endless = |metrics: &mut Metrics| (1..60).for_each(|minute| metrics.add(billed(minute, 60.0), 120));
    let google = google_with(endless).await;
    let error = google.client().await.usage(&window(Billing::Request)).await.unwrap_err();
    assert!(matches!(&error, CloudError::Unsettled { waited, .. } if *waited == Duration::from_mins(16)), "{error}");

    let google = google_with(endless).await;
    let usage = google.client().await.usage(&window(Billing::Instance)).await.unwrap();
    assert_eq!(google.clock.now(), at(200 + 960));
    // Read at 12:19:20, when the samples that ended by 12:17 are visible.
    assert_eq!(usage.billable_instance_time_s, 17.0 * 60.0);
    assert!((usage.idle_tail_s - (17.0 * 60.0 - 200.0)).abs() < 1e-9, "{}", usage.idle_tail_s);
}

#[tokio::test]
async fn an_idle_tail_that_ends_is_read_to_its_end_and_stated_apart() {
    let google = google_with(|metrics| (1..=9).for_each(|minute| metrics.add(billed(minute, 60.0), 120))).await;
    let usage = google.client().await.usage(&window(Billing::Instance)).await.unwrap();
    assert_eq!(usage.billable_instance_time_s, 540.0);
    assert!((usage.idle_tail_s - 340.0).abs() < 1e-9, "{}", usage.idle_tail_s);
}

#[tokio::test]
async fn sampling_comes_from_the_descriptor_or_from_google_s_list() {
    for (metadata, period_s, delay_s) in [
        (json!({"samplePeriod": "60s", "ingestDelay": "120s"}), 60.0, 120.0),
        (json!({"samplePeriod": "2.500s", "ingestDelay": "7.500s"}), 2.5, 7.5),
        (json!({}), 60.0, 180.0),
        (json!(null), 60.0, 180.0),
        (json!({"samplePeriod": "0s", "ingestDelay": "0s"}), 60.0, 0.0),
        (json!({"samplePeriod": "315576000000s", "ingestDelay": "-1s"}), 60.0, 180.0),
    ] {
        let google = google_with(|metrics| metrics.metadata = metadata).await;
        let (period, ingest_delay) = (Duration::from_secs_f64(period_s), Duration::from_secs_f64(delay_s));
        assert_eq!(google.client().await.sampling().await.unwrap(), Sampling { period, ingest_delay });
    }
    let google = google_with(|_| ()).await;
    google.trouble("metricDescriptors", 1, (404, "NOT_FOUND", "no such descriptor"));
    assert_eq!(google.client().await.sampling().await.unwrap(), Sampling::default());
}

#[tokio::test]
async fn the_usage_of_one_trial_is_read_while_the_next_one_is_deployed() {
    let google = Google::start(service()).await;
    fill(&mut google.world.lock().unwrap().metrics);
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    let reader = cloud.clone();
    let reading = tokio::spawn(async move { reader.usage(&window(Billing::Request)).await });
    let deploying =
        tokio::spawn(async move { cloud.deploy(&original, Candidate { max_concurrency: 8 }, "shop-c8", "c8").await });
    let (usage, deployed) = (reading.await.unwrap().unwrap(), deploying.await.unwrap().unwrap());
    assert!((usage.billable_instance_time_s - 211.4).abs() < 1e-9);
    assert_eq!(deployed.revision, "shop-c8");
}
