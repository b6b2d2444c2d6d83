//! The points that were sampled. As on Google, a revision has points while it has instances or did anything, and none
//! otherwise: a missing point within visible time means nothing was there. Per-status series have a point only for
//! periods in which a request of that status ended.

use super::filter::Filter;
use super::metric::{self, Kind, Metric};
use super::series::{Labels, Point, Series};
use super::value::{Value, trimmed};
use crate::platform::place::Place;
use crate::platform::probe_book::{ProbeAction, ProbeOutcome, ProbeTimes, ProbeType};
use crate::platform::sample::RevisionSample;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// A series keeps this many periods: a day of the platform's time (Google keeps six weeks). A point takes at most
/// 1.7 kB, a busy revision's points of a whole day about 15 MB.
const POINTS_MOST: usize = 24 * 60;

/// Everything that was sampled lately.
#[derive(Default)]
pub(super) struct Store {
    series: BTreeMap<Key, VecDeque<Point>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    metric: &'static str,
    resource: Labels,
    labels: Labels,
}

/// The stretch of time that a sample stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Store {
    /// Stores one sample.
    pub(super) fn record(&mut self, period: Period, place: &Place, sample: RevisionSample) {
        let resource = resource_labels(place, &sample);
        let mut add = |metric: &'static Metric, labels: &[(&str, &str)], value: Value| {
            let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let points =
                self.series.entry(Key { metric: metric.name, resource: resource.clone(), labels }).or_default();
            let start = if metric.kind == Kind::Delta { period.start } else { period.end };
            points.push_back(Point { start, end: period.end, value });
            if points.len() > POINTS_MOST {
                points.pop_front();
            }
        };
        add(&metric::BILLABLE_INSTANCE_TIME, &[], Value::Double(sample.billable_instance_time_s));
        add(&metric::CPU_ALLOCATION_TIME, &[], Value::Double(sample.cpu_allocation_vcpu_s));
        add(&metric::MEMORY_ALLOCATION_TIME, &[], Value::Double(sample.memory_allocation_gib_s));
        // One container makes an instance here; Cloud Run names one that has no name like this.
        let container = format!("{}-1", sample.service);
        for (state, count) in [("active", sample.instances_active), ("idle", sample.instances_idle)] {
            add(&metric::INSTANCE_COUNT, &[("state", state)], Value::count(count));
            // Nothing here has a readiness probe.
            let unknown = [("readiness", "UNKNOWN"), ("state", state)];
            add(&metric::INSTANCE_COUNT_WITH_READINESS, &unknown, Value::count(count));
            add(&metric::CONTAINERS, &[("container_name", &container), ("state", state)], Value::count(count));
        }
        if let Some(recommended) = sample.recommended_instances {
            for (driver, count) in [("cpu", recommended.by_cpu), ("concurrency", recommended.by_concurrency)] {
                add(&metric::RECOMMENDED_INSTANCES, &[("driver", driver)], Value::count(count.into()));
            }
        }
        add(&metric::PENDING_REQUESTS, &[], Value::count(sample.pending_requests));
        for (metric, bytes) in
            [(&metric::RECEIVED_BYTES, sample.network_bytes.received), (&metric::SENT_BYTES, sample.network_bytes.sent)]
        {
            add(metric, &[("kind", "internet")], Value::count(bytes));
        }
        for (outcome, times) in sample.probes {
            add_probes(&mut add, &container, outcome, times);
        }
        let of_container = [("container_name", container.as_str())];
        for (status, count) in sample.requests.into_iter().filter(|(_, count)| *count > 0) {
            add(&metric::REQUEST_COUNT, &response(status).each(), Value::count(count));
        }
        for (metric, by_status) in [
            (&metric::REQUEST_LATENCIES, sample.request_latencies_ms),
            (&metric::PENDING, sample.pending_ms),
            (&metric::E2E_LATENCIES, sample.e2e_latencies_ms),
        ] {
            for (status, times) in by_status.into_iter().filter(|(_, times)| times.count > 0) {
                add(metric, &response(status).each(), Value::Distribution(trimmed(times)));
            }
        }
        for (metric, values) in [
            (&metric::STARTUP_LATENCIES, sample.startup_latencies_ms),
            (&metric::CPU_UTILIZATIONS, sample.cpu_utilizations),
            (&metric::MEMORY_UTILIZATIONS, sample.memory_utilizations),
            (&metric::MAX_REQUEST_CONCURRENCIES, sample.max_request_concurrencies),
            (&metric::CPU_USAGE, sample.cpu_usage_vcpu),
            (&metric::MEMORY_USAGE, sample.memory_usage_bytes),
        ] {
            let labels: &[(&str, &str)] = match metric.labels {
                // Instances that were idle throughout held nothing.
                ["state"] => &[("state", "active")],
                ["container_name"] => &of_container,
                _ => &[],
            };
            if values.count > 0 {
                add(metric, labels, Value::Distribution(trimmed(values)));
            }
        }
    }

    /// Seconds billed by service and revision, as far as they are kept.
    pub(super) fn billed(&self) -> BTreeMap<(String, String), f64> {
        let mut billed = BTreeMap::new();
        for (key, points) in self.series.iter().filter(|(key, _)| key.metric == metric::BILLABLE_INSTANCE_TIME.name) {
            let label = |name: &str| key.resource.get(name).cloned().unwrap_or_default();
            let seconds: f64 = points.iter().filter_map(|point| point.value.number()).sum();
            *billed.entry((label("service_name"), label("revision_name"))).or_default() += seconds;
        }
        billed
    }

    /// Forgets series that had no point since `oldest`.
    pub(super) fn forget_before(&mut self, oldest: Timestamp) {
        self.series.retain(|_, points| points.back().is_some_and(|newest| newest.end >= oldest));
    }

    /// The series of one metric in one project that a filter lets through, with their points that end within
    /// `(after, until]`, newest first.
    pub(super) fn select(
        &self,
        metric: &'static Metric,
        project: &str,
        filter: &Filter,
        ends: (Timestamp, Timestamp),
    ) -> Vec<Series> {
        let of_metric = self.series.iter().filter(|(key, _)| key.metric == metric.name);
        let wanted = of_metric.filter(|(key, _)| {
            key.resource.get("project_id").is_some_and(|its| its == project)
                && filter.matches(metric.name, &key.resource, &key.labels)
        });
        let cut = wanted.map(|(key, points)| Series {
            metric,
            metric_labels: key.labels.clone(),
            resource_labels: key.resource.clone(),
            points: points.iter().rev().filter(|point| ends.0 < point.end && point.end <= ends.1).cloned().collect(),
        });
        cut.filter(|series| !series.points.is_empty()).collect()
    }
}

/// A count and a distribution of attempts, and of whole probes.
fn add_probes(
    add: &mut impl FnMut(&'static Metric, &[(&str, &str)], Value),
    container: &str,
    outcome: ProbeOutcome,
    times: ProbeTimes,
) {
    let labels = [
        ("container_name", container),
        ("is_default", if outcome.is_default { "true" } else { "false" }),
        ("is_healthy", if outcome.is_healthy { "true" } else { "false" }),
        ("probe_action", action(outcome.action)),
        ("probe_type", probe_type(outcome.probe_type)),
    ];
    for (count, latencies, times) in [
        (&metric::PROBE_ATTEMPT_COUNT, &metric::PROBE_ATTEMPT_LATENCIES, times.attempts_ms),
        (&metric::PROBE_COUNT, &metric::PROBE_LATENCIES, times.probes_ms),
    ] {
        if times.count > 0 {
            add(count, &labels, Value::count(times.count));
            add(latencies, &labels, Value::Distribution(trimmed(times)));
        }
    }
}

/// As the field of a template's probe is called: Google does not publish the values of this label.
fn action(action: ProbeAction) -> &'static str {
    match action {
        ProbeAction::Tcp => "TCP_SOCKET",
        ProbeAction::Http => "HTTP_GET",
        ProbeAction::Grpc => "GRPC",
    }
}

fn probe_type(probe_type: ProbeType) -> &'static str {
    match probe_type {
        ProbeType::Startup => "STARTUP",
        ProbeType::Liveness => "LIVENESS",
    }
}

fn resource_labels(place: &Place, sample: &RevisionSample) -> Labels {
    let values = [&place.project, &sample.service, &sample.revision, &place.location, &sample.service];
    metric::RESOURCE_LABELS.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

struct Response {
    code: String,
    class: String,
}

fn response(status: u16) -> Response {
    Response { code: status.to_string(), class: format!("{}xx", status / 100) }
}

impl Response {
    /// The route is empty unless a service is reached through a domain mapping, which the local platform has not.
    fn each(&self) -> [(&'static str, &str); 3] {
        [("response_code", &self.code), ("response_code_class", &self.class), ("route", "")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_day_of_points_is_kept_and_what_fell_silent_is_forgotten() {
        let place = Place { project: "p".into(), location: "l".into() };
        let mut store = Store::default();
        let periods = i64::try_from(POINTS_MOST).unwrap() + 10;
        for second in 0..periods {
            let sample = |revision: &str| RevisionSample { revision: revision.into(), ..RevisionSample::default() };
            store.record(Period { start: at(second), end: at(second + 1) }, &place, sample("old"));
        }
        let read = |store: &Store| {
            let ends = (Timestamp::MIN, Timestamp::MAX);
            store.select(&metric::BILLABLE_INSTANCE_TIME, "p", &Filter::default(), ends)
        };
        let series = read(&store);
        assert_eq!(series[0].points.len(), POINTS_MOST);
        assert_eq!(series[0].points[0].end, at(periods), "the newest is first, the oldest went");
        assert!(store.select(&metric::BILLABLE_INSTANCE_TIME, "q", &Filter::default(), (at(0), at(9))).is_empty());
        store.forget_before(at(periods));
        assert_eq!(read(&store).len(), 1);
        store.forget_before(at(periods + 1));
        assert!(store.series.is_empty());
    }

    #[test]
    fn a_revision_without_activity_has_zero_billed_time_and_no_request_series() {
        let place = Place { project: "p".into(), location: "l".into() };
        let mut store = Store::default();
        let sample = RevisionSample { instances_idle: 1, ..RevisionSample::default() };
        store.record(Period { start: at(0), end: at(60) }, &place, sample);
        let mut metrics: Vec<_> = store.series.keys().map(|key| key.metric.rsplit('/').next().unwrap()).collect();
        metrics.dedup();
        let instances = ["instance_count", "instance_count_with_readiness"];
        assert_eq!(metrics[..3], ["billable_instance_time", "containers", "allocation_time"]);
        assert_eq!(metrics[3..5], instances);
        assert_eq!(metrics[5..], ["allocation_time", "received_bytes_count", "sent_bytes_count", "pending_requests"]);
        let point = |metric| store.select(metric, "p", &Filter::default(), (at(0), at(60)))[0].points[0].clone();
        let billed = Point { start: at(0), end: at(60), value: Value::Double(0.0) };
        assert_eq!(point(&metric::BILLABLE_INSTANCE_TIME), billed);
        assert_eq!(point(&metric::PENDING_REQUESTS).start, at(60), "a gauge is a moment");
    }
}
