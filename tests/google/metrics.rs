//! Cloud Monitoring v3 as documented: descriptors, and points that become visible late, newest first, in pages.

use super::{Asked, error};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// One point.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Metric type.
    pub(crate) metric: String,
    /// Metric labels.
    pub(crate) labels: Value,
    /// As documented.
    pub(crate) point: Value,
    /// From when on it can be read.
    pub(crate) visible_at: Timestamp,
}

/// The points.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// All points, oldest first.
    pub(crate) points: Vec<Held>,
    /// Points of a page at most.
    pub(crate) page_size: usize,
    /// Every answer says that there is another page.
    pub(crate) is_endless: bool,
    /// `metadata` of the descriptors.
    pub(crate) metadata: Value,
}

impl Default for Metrics {
    fn default() -> Self {
        let metadata = json!({"launchStage": "GA", "samplePeriod": "60s", "ingestDelay": "180s"});
        Self { points: Vec::new(), page_size: 100_000, is_endless: false, metadata }
    }
}

impl Metrics {
    /// Adds a point that can be read `delay_s` after its end.
    pub(crate) fn add(&mut self, (metric, labels, point): (&str, Value, Value), delay_s: i64) {
        let end: Timestamp = point["interval"]["endTime"].as_str().unwrap().parse().unwrap();
        let visible_at = end + SignedDuration::from_secs(delay_s);
        let metric = format!("run.googleapis.com/{metric}");
        self.points.push(Held { metric, labels, point, visible_at });
    }

    /// Answers a request.
    pub(crate) fn answer(&self, asked: &Asked, now: Timestamp) -> (u16, Value) {
        if let Some(metric) = asked.path.strip_prefix("/v3/projects/demo/metricDescriptors/") {
            return (
                200,
                json!({
                    "name": format!("projects/demo/metricDescriptors/{metric}"), "type": metric, "metricKind": "DELTA",
                    "valueType": "DOUBLE", "unit": "s", "metadata": self.metadata,
                    "monitoredResourceTypes": ["cloud_run_revision"]
                }),
            );
        }
        if asked.path != "/v3/projects/demo/timeSeries" {
            return (404, error(404, "NOT_FOUND", "no such path"));
        }
        self.list(asked, now)
    }

    fn list(&self, asked: &Asked, now: Timestamp) -> (u16, Value) {
        let filter = asked.query("filter").unwrap();
        let moment = |name: &str| asked.query(name).unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (moment("interval.startTime"), moment("interval.endTime"));
        let visible: Vec<&Held> = self
            .points
            .iter()
            .rev()
            .filter(|held| filter.contains(&format!("metric.type = \"{}\"", held.metric)) && held.visible_at <= now)
            .filter(|held| {
                let end: Timestamp = held.point["interval"]["endTime"].as_str().unwrap().parse().unwrap();
                from < end && end <= to
            })
            .collect();
        let start: usize =
            asked.query("pageToken").filter(|token| !token.is_empty()).map_or(0, |token| token.parse().unwrap());
        let end = (start + self.page_size).min(visible.len());
        let mut series: Vec<Value> = Vec::new();
        for held in &visible[start..end] {
            let metric = json!({"type": held.metric, "labels": held.labels});
            match series.iter_mut().find(|one| one["metric"] == metric) {
                Some(one) => one["points"].as_array_mut().unwrap().push(held.point.clone()),
                None => series.push(json!({
                    "metric": metric,
                    "resource": {"type": "cloud_run_revision", "labels": {
                        "project_id": "demo", "location": "europe-west1", "service_name": "shop",
                        "revision_name": "shop-c4", "configuration_name": "shop"}},
                    "metricKind": "DELTA", "valueType": "DOUBLE", "points": [held.point.clone()]
                })),
            }
        }
        let mut answer = json!({"unit": "s"});
        if !series.is_empty() {
            answer["timeSeries"] = json!(series);
        }
        if end < visible.len() || self.is_endless {
            answer["nextPageToken"] = json!(end.to_string());
        }
        (200, answer)
    }
}

fn interval(minute: i64) -> Value {
    let origin: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let at = |minute: i64| (origin + SignedDuration::from_mins(minute)).to_string();
    json!({"startTime": at(minute - 1), "endTime": at(minute)})
}

/// Billed seconds of the minute that ends at 12:00 plus `minute`.
pub(crate) fn billed(minute: i64, seconds: f64) -> (&'static str, Value, Value) {
    let point = json!({"interval": interval(minute), "value": {"doubleValue": seconds}});
    ("container/billable_instance_time", json!({}), point)
}

/// A DELTA INT64.
pub(crate) fn counted(metric: &str, labels: Value, minute: i64, count: u64) -> (&str, Value, Value) {
    (metric, labels, json!({"interval": interval(minute), "value": {"int64Value": count.to_string()}}))
}

/// A GAUGE INT64, whose start is its end.
pub(crate) fn gauge(metric: &str, labels: Value, minute: i64, count: u64) -> (&str, Value, Value) {
    let end = interval(minute)["endTime"].clone();
    (
        metric,
        labels,
        json!({"interval": {"startTime": end, "endTime": end}, "value": {"int64Value": count.to_string()}}),
    )
}

/// A DELTA DISTRIBUTION.
pub(crate) fn distribution(
    metric: &str,
    labels: Value,
    minute: i64,
    (count, mean): (u64, f64),
) -> (&str, Value, Value) {
    let value = json!({"distributionValue": {
        "count": count.to_string(), "mean": mean, "sumOfSquaredDeviation": 12.5,
        "bucketOptions": {"exponentialBuckets": {"numFiniteBuckets": 66, "growthFactor": 1.4, "scale": 1}},
        "bucketCounts": ["0", count.to_string()]}});
    (metric, labels, json!({"interval": interval(minute), "value": value}))
}
