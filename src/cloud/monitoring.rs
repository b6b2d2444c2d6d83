//! Cloud Monitoring v3: how metrics are sampled, and the points of one metric of one revision, as they were written: no
//! aligner, so that no window cuts a sample in two.

use super::Cloud;
use super::error::{Asked, CloudError};
use google_cloud_gax::error::Error as ApiError;
use google_cloud_gax::paginator::Paginator as _;
use google_cloud_monitoring_v3::model::list_time_series_request::TimeSeriesView;
use google_cloud_monitoring_v3::model::typed_value::Value as ApiValue;
use google_cloud_monitoring_v3::model::{Point, TimeInterval, TimeSeries};
use google_cloud_wkt::{Duration as ApiDuration, Timestamp as ApiTimestamp};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// Role that allows reading metrics.
const VIEWER_ROLE: &str = "roles/monitoring.viewer";
/// Points of a page: Google's bound.
const PAGE_SIZE: i32 = 100_000;
/// Pages of an answer at most: a trial of a day has 1440 points a series. More is a server that does not stop.
const PAGES_MAX: u32 = 200;
/// No count, second or millisecond of a trial comes near; sums of such values stay far from any overflow.
const VALUE_MAX: f64 = 1e12;
/// Longest sampling period that is believed.
const PERIOD_MAX: Duration = Duration::from_hours(1);
/// Longest ingestion delay that is believed.
const INGEST_DELAY_MAX: Duration = Duration::from_hours(24);

/// How Monitoring samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Between two samples.
    pub period: Duration,
    /// Until a sample can be read, at the latest.
    pub ingest_delay: Duration,
}

/// What is read of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    BillableInstanceTime,
    RequestCount,
    RequestLatencies,
    Pending,
    InstanceCount,
    CpuUtilizations,
    MemoryUtilizations,
    StartupLatencies,
}

/// One point of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Labels of metric and resource: a series has no other name.
    pub(super) labels: BTreeMap<String, String>,
    /// Start of the sample; equals `end` for a gauge.
    pub(super) start: Timestamp,
    /// End of the sample.
    pub(super) end: Timestamp,
    /// What was measured.
    pub(super) value: Value,
}

/// A point's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Distribution { count: u64, mean: f64 },
}

impl Default for Sampling {
    /// What Google's list of metrics says of every metric of Cloud Run (2025; it now says 120 s of delay, which are
    /// within these).
    fn default() -> Self {
        Self { period: Duration::from_mins(1), ingest_delay: Duration::from_mins(3) }
    }
}

impl Metric {
    /// Everything besides billable time, which is watched first.
    pub(super) const OTHERS: [Self; 7] = [
        Self::RequestCount,
        Self::RequestLatencies,
        Self::Pending,
        Self::InstanceCount,
        Self::CpuUtilizations,
        Self::MemoryUtilizations,
        Self::StartupLatencies,
    ];

    /// Its type, as Google's list of metrics spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BillableInstanceTime => "run.googleapis.com/container/billable_instance_time",
            Self::RequestCount => "run.googleapis.com/request_count",
            Self::RequestLatencies => "run.googleapis.com/request_latencies",
            Self::Pending => "run.googleapis.com/request_latency/pending",
            Self::InstanceCount => "run.googleapis.com/container/instance_count",
            Self::CpuUtilizations => "run.googleapis.com/container/cpu/utilizations",
            Self::MemoryUtilizations => "run.googleapis.com/container/memory/utilizations",
            Self::StartupLatencies => "run.googleapis.com/container/startup_latencies",
        }
    }

    /// Whether a trial can do without it: beta, or only told while instances start.
    pub(super) fn is_optional(self) -> bool {
        matches!(self, Self::Pending | Self::StartupLatencies)
    }
}

impl Value {
    /// The number, or a distribution's sum.
    pub(super) fn total(self) -> f64 {
        match self {
            Self::Number(number) => number,
            Self::Distribution { count, mean } => count as f64 * mean,
        }
    }
}

impl Cloud {
    /// Reads the descriptor of billable time. Google's documented figures take the place of what it does not say.
    pub async fn sampling(&self) -> Result<Sampling, CloudError> {
        let metric = Metric::BillableInstanceTime.name();
        let name = format!("{}/metricDescriptors/{metric}", self.endpoint.project_name());
        self.monitoring.pass().await;
        let read = self.metrics.get_metric_descriptor().set_name(name).send().await;
        let descriptor = match read.map_err(|error| self.monitoring_error(&error, "read the description of", metric)) {
            Ok(descriptor) => descriptor,
            // A project that never ran a service may lack the descriptor.
            Err(CloudError::NotFound { .. }) => return Ok(Sampling::default()),
            Err(error) => return Err(error),
        };
        let metadata = descriptor.metadata.unwrap_or_default();
        let fallback = Sampling::default();
        let period = metadata.sample_period.and_then(duration_of);
        let ingest_delay = metadata.ingest_delay.and_then(duration_of);
        Ok(Sampling {
            period: period.filter(|period| !period.is_zero() && *period <= PERIOD_MAX).unwrap_or(fallback.period),
            ingest_delay: ingest_delay.filter(|delay| *delay <= INGEST_DELAY_MAX).unwrap_or(fallback.ingest_delay),
        })
    }

    /// Instances of `revision` in the newest sample that can be read, active and idle together; `None` when there is
    /// none of the last minutes. For a live display: the usage of a trial is read by [`Cloud::usage`].
    pub async fn instances(&self, revision: &str) -> Result<Option<u64>, CloudError> {
        let now = self.clock.now();
        let from = now.checked_sub(SignedDuration::from_mins(5)).unwrap_or(Timestamp::MIN);
        let readings = self.readings(Metric::InstanceCount, revision, from, now).await?;
        let newest = readings.iter().map(|reading| reading.end).max();
        let newest = newest.map(|end| readings.iter().filter(move |reading| reading.end == end));
        let total = newest.map(|states| states.map(|reading| reading.value.total()).sum::<f64>());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "plausible values are small counts"
        )]
        Ok(total.map(|total| total as u64))
    }

    /// Every point of one metric of one revision that can be read now, in `(from, to]`, page by page.
    pub(super) async fn readings(
        &self,
        metric: Metric,
        revision: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Reading>, CloudError> {
        let mut pages = self
            .metrics
            .list_time_series()
            .set_name(self.endpoint.project_name())
            .set_filter(self.filter(metric, revision))
            .set_interval(TimeInterval::new().set_start_time(timestamp_to(from)).set_end_time(timestamp_to(to)))
            .set_view(TimeSeriesView::Full)
            .set_page_size(PAGE_SIZE)
            .by_page();
        let mut readings = Vec::new();
        for _ in 0..PAGES_MAX {
            self.monitoring.pass().await;
            let Some(page) = pages.next().await else { return Ok(readings) };
            let page = page.map_err(|error| self.monitoring_error(&error, "read", metric.name()))?;
            readings.extend(page.time_series.into_iter().flat_map(readings_of));
        }
        Err(CloudError::Unintelligible {
            what: self.reading("read", metric.name()),
            endpoint: self.endpoint.monitoring().to_owned(),
            cause: format!("it has more than {PAGES_MAX} pages"),
        })
    }

    fn filter(&self, metric: Metric, revision: &str) -> String {
        format!(
            "metric.type = \"{}\" AND resource.type = \"cloud_run_revision\" AND resource.labels.location = \"{}\" \
             AND resource.labels.service_name = \"{}\" AND resource.labels.revision_name = \"{revision}\"",
            metric.name(),
            self.endpoint.region,
            self.endpoint.service
        )
    }

    /// The action, for messages.
    fn reading(&self, verb: &str, metric: &str) -> String {
        format!("{verb} {metric} of project {:?} from Cloud Monitoring", self.endpoint.project)
    }

    fn monitoring_error(&self, error: &ApiError, verb: &str, metric: &str) -> CloudError {
        let what = self.reading(verb, metric);
        let endpoint = self.endpoint.monitoring();
        CloudError::from_api(error, Asked { what, endpoint, role: VIEWER_ROLE, limit: self.pace.operation_limit })
    }
}

fn readings_of(series: TimeSeries) -> impl Iterator<Item = Reading> {
    let mut labels = BTreeMap::new();
    labels.extend(series.resource.map(|resource| resource.labels).unwrap_or_default());
    labels.extend(series.metric.map(|metric| metric.labels).unwrap_or_default());
    series.points.into_iter().filter_map(move |point| reading_of(&labels, point))
}

/// A value that these metrics can have; else `None`.
fn plausible(value: f64) -> Option<f64> {
    (0.0..=VALUE_MAX).contains(&value).then_some(value)
}

/// `None` for a point without an end or without a plausible value: nothing that Google writes for these metrics.
fn reading_of(labels: &BTreeMap<String, String>, point: Point) -> Option<Reading> {
    let interval = point.interval?;
    let end = timestamp_of(interval.end_time?)?;
    let start = interval.start_time.and_then(timestamp_of).unwrap_or(end);
    let value = match point.value?.value? {
        ApiValue::DoubleValue(number) => Value::Number(plausible(number)?),
        ApiValue::Int64Value(number) => Value::Number(plausible(number as f64)?),
        ApiValue::DistributionValue(distribution) => {
            plausible(distribution.count as f64)?;
            let mean = plausible(distribution.mean)?;
            Value::Distribution { count: u64::try_from(distribution.count).ok()?, mean }
        }
        _ => return None,
    };
    Some(Reading { labels: labels.clone(), start, end, value })
}

fn timestamp_of(timestamp: ApiTimestamp) -> Option<Timestamp> {
    Timestamp::new(timestamp.seconds(), timestamp.nanos()).ok()
}

fn timestamp_to(timestamp: Timestamp) -> ApiTimestamp {
    ApiTimestamp::clamp(timestamp.as_second(), timestamp.subsec_nanosecond())
}

fn duration_of(duration: ApiDuration) -> Option<Duration> {
    Some(Duration::new(u64::try_from(duration.seconds()).ok()?, u32::try_from(duration.nanos()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reading(interval: &serde_json::Value, value: &serde_json::Value) -> Option<Reading> {
        let point = serde_json::from_value(json!({"interval": interval, "value": value})).unwrap();
        reading_of(&BTreeMap::new(), point)
    }

    fn gauge() -> serde_json::Value {
        json!({"endTime": "2026-11-22T12:01:00Z"})
    }

    #[test]
    fn values_are_numbers_and_distributions() {
        let number = |value: serde_json::Value| reading(&gauge(), &value).unwrap().value;
        assert_eq!(number(json!({"doubleValue": 1.5})), Value::Number(1.5));
        assert_eq!(number(json!({"int64Value": "7"})), Value::Number(7.0));
        let distribution = json!({"distributionValue": {"count": "10", "mean": 2.5, "bucketCounts": ["10"]}});
        assert_eq!(number(distribution), Value::Distribution { count: 10, mean: 2.5 });
        let reading = reading(&gauge(), &json!({"doubleValue": 1.5})).unwrap();
        assert_eq!(reading.start, reading.end, "a gauge may leave out its start");
    }

    #[test]
    fn what_no_metric_can_hold_is_left_out() {
        assert_eq!(reading(&json!({}), &json!({"doubleValue": 1.0})), None);
        for value in [
            json!({}),
            json!({"stringValue": "7"}),
            json!({"doubleValue": -0.1}),
            json!({"doubleValue": "NaN"}),
            json!({"doubleValue": "Infinity"}),
            json!({"int64Value": "9223372036854775807"}),
            json!({"distributionValue": {"count": "-1", "mean": 1.0}}),
            json!({"distributionValue": {"count": "1", "mean": 1e300}}),
        ] {
            assert_eq!(reading(&gauge(), &value), None, "{value}");
        }
    }
}
