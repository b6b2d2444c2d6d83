//! What the Monitoring API tells about its metrics and about the one resource they belong to.

use super::filter::Filter;
use super::label::LabelType;
use super::metric::{METRICS, Metric, RESOURCE_LABELS, RESOURCE_TYPE};
use crate::platform::request::Queries;
use crate::platform::status::Status;
use serde_json::{Value, json};
use std::time::Duration;

/// The resource's name for people, and what it is.
pub(super) const RESOURCE_DISPLAY_NAME: &str = "Cloud Run Revision";
pub(super) const RESOURCE_DESCRIPTION: &str = "A revision of a service in Cloud Run.";

/// The platform's sample period and ingest delay, divided by its time factor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) sample_period: Duration,
    pub(super) ingest_delay: Duration,
}

/// The metrics of one page of a listing, and the token of the next.
pub(super) fn list(queries: &Queries) -> Result<(Vec<&'static Metric>, String), Status> {
    queries.only(&["filter", "pageSize", "pageToken", "activeOnly"])?;
    let filter = Filter::parse(queries.text("filter"))?;
    let all: Vec<_> = METRICS.into_iter().filter(|metric| filter.matches_type(metric.name)).collect();
    page(&all, queries)
}

/// The metric of this type.
pub(super) fn find(name: &str) -> Result<&'static Metric, Status> {
    Metric::find(name).ok_or_else(|| Status::not_found(format!("could not find descriptor for metric '{name}'")))
}

/// Whether a listing of monitored resources shows the one there is, and the token of the next page, always empty.
pub(super) fn list_resources(queries: &Queries) -> Result<(Vec<&'static str>, String), Status> {
    queries.only(&["filter", "pageSize", "pageToken"])?;
    let filter = Filter::parse(queries.text("filter"))?;
    let all: Vec<_> = [RESOURCE_TYPE].into_iter().filter(|_| filter.matches_type("")).collect();
    page(&all, queries)
}

/// The monitored resource of this type.
pub(super) fn find_resource(name: &str) -> Result<&'static str, Status> {
    if name == RESOURCE_TYPE {
        return Ok(RESOURCE_TYPE);
    }
    Err(Status::not_found(format!("could not find descriptor for monitored resource '{name}'")))
}

fn page<T: Copy>(all: &[T], queries: &Queries) -> Result<(Vec<T>, String), Status> {
    let size = queries.page_size(all.len().max(1), all.len().max(1))?;
    let start: usize = match queries.text("pageToken") {
        "" => 0,
        token => token.parse().map_err(|_| Status::field("pageToken", format!("{token:?} is not one of mine")))?,
    };
    let end = start.saturating_add(size);
    let next = if end < all.len() { end.to_string() } else { String::new() };
    Ok((all.iter().skip(start).take(size).copied().collect(), next))
}

/// What a label tells.
pub(super) fn describe_label(label: &str) -> &'static str {
    match label {
        "project_id" => "The project that the service belongs to.",
        "service_name" => "The service.",
        "revision_name" => "The revision.",
        "location" => "The region that the service runs in.",
        "configuration_name" => "The configuration that made the revision: the service's name.",
        "response_code" => "Status of the answer.",
        "response_code_class" => "Class of the answer's status: 2xx, 3xx, ...",
        "route" => "Domain mapping that the request came through; empty here.",
        "state" => "State of the instance: active or idle.",
        "container_name" => "The container; the platform calls the only one SERVICE-1 unless it has a name.",
        "driver" => "What asks: cpu or concurrency.",
        "kind" => "Kind of network; always internet here.",
        "readiness" => "What the instance's readiness probe says: UNKNOWN without one.",
        "probe_action" => "What the probe tries: HTTP_GET, TCP_SOCKET or GRPC.",
        "probe_type" => "What the probe is for: STARTUP or LIVENESS.",
        "is_default" => "Whether it is the startup probe of a service that asks for none.",
        "is_healthy" => "Whether it succeeded.",
        _ => "",
    }
}

/// Google's JSON of a metric descriptor.
pub(super) fn metric_json(metric: &Metric, project: &str, timing: Timing) -> Value {
    json!({
        "name": metric_path(metric, project),
        "type": metric.name,
        "labels": metric.labels.iter().map(|label| label_json(label)).collect::<Vec<_>>(),
        "metricKind": metric.kind.name(),
        "valueType": metric.value_type.name(),
        "unit": metric.unit,
        "description": metric.description,
        "displayName": metric.display_name,
        "metadata": {
            "launchStage": metric.launch_stage.name(),
            "samplePeriod": seconds(timing.sample_period),
            "ingestDelay": seconds(timing.ingest_delay),
        },
        "launchStage": metric.launch_stage.name(),
        "monitoredResourceTypes": [RESOURCE_TYPE],
    })
}

/// A metric descriptor's resource name.
pub(super) fn metric_path(metric: &Metric, project: &str) -> String {
    format!("projects/{project}/metricDescriptors/{}", metric.name)
}

/// A monitored resource descriptor's resource name.
pub(super) fn resource_path(project: &str) -> String {
    format!("projects/{project}/monitoredResourceDescriptors/{RESOURCE_TYPE}")
}

/// Google's JSON of the resource's descriptor.
pub(super) fn resource_json(project: &str) -> Value {
    json!({
        "name": resource_path(project),
        "type": RESOURCE_TYPE,
        "displayName": RESOURCE_DISPLAY_NAME,
        "description": RESOURCE_DESCRIPTION,
        "labels": RESOURCE_LABELS.iter().map(|label| label_json(label)).collect::<Vec<_>>(),
        "launchStage": "GA",
    })
}

fn label_json(label: &str) -> Value {
    let mut json = json!({"key": label});
    if let Some(name) = LabelType::of(label).name() {
        json["valueType"] = name.into();
    }
    json["description"] = describe_label(label).into();
    json
}

/// A duration as JSON writes it: `5s`, `8.571428571s`.
pub(super) fn seconds(duration: Duration) -> String {
    let decimals = format!(".{:09}", duration.subsec_nanos());
    format!("{}{}s", duration.as_secs(), decimals.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_json_does() {
        assert_eq!(seconds(Duration::from_mins(1)), "60s");
        assert_eq!(seconds(Duration::from_millis(7500)), "7.5s");
        assert_eq!(seconds(Duration::from_nanos(1)), "0.000000001s");
    }
}
