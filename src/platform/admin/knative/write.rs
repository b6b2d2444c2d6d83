//! v2's JSON of a service or a revision → v1's.

use super::super::duration;
use super::super::field::Message;
use super::annotation;
use super::place::LOCATION_LABEL;
use serde_json::{Value, json};

const API: &str = "serving.knative.dev/v1";

/// Fields of a container that v1 writes the same way.
const CONTAINER: [&str; 11] = [
    "name",
    "image",
    "command",
    "args",
    "ports",
    "volumeMounts",
    "workingDir",
    "livenessProbe",
    "startupProbe",
    "readinessProbe",
    "dependsOn",
];

/// The parts of `projects/P/locations/L/services/S[/revisions/R]`.
struct Name<'a> {
    project: &'a str,
    location: &'a str,
    service: &'a str,
}

impl<'a> Name<'a> {
    fn of(v2: &'a Value) -> Self {
        let mut parts = v2["name"].as_str().unwrap_or_default().split('/');
        let mut next = || parts.nth(1).unwrap_or_default();
        Self { project: next(), location: next(), service: next() }
    }
}

/// The last part of a resource name.
fn short(name: &Value) -> &str {
    name.as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

/// A service.
pub(super) fn service(v2: &Value) -> Value {
    let mut service = json!({
        "apiVersion": API,
        "kind": "Service",
        "metadata": metadata(v2, "services"),
        "spec": {"template": template(&v2["template"]), "traffic": spec_traffic(v2)},
    });
    let mut status = json!({
        "observedGeneration": number(&v2["observedGeneration"]),
        "conditions": conditions(v2),
    });
    for (v1, field) in
        [("latestReadyRevisionName", "latestReadyRevision"), ("latestCreatedRevisionName", "latestCreatedRevision")]
    {
        if v2[field].is_string() {
            status[v1] = short(&v2[field]).into();
        }
    }
    add_addresses(&mut status, v2);
    service["status"] = status;
    service
}

/// The route that a service comes with.
pub(super) fn route(v2: &Value) -> Value {
    let mut status = json!({
        "observedGeneration": number(&v2["observedGeneration"]),
        "conditions": [condition("Ready", &v2["conditions"][0])],
    });
    add_addresses(&mut status, v2);
    json!({
        "apiVersion": API,
        "kind": "Route",
        "metadata": metadata(v2, "routes"),
        "spec": {"traffic": spec_traffic(v2)},
        "status": status,
    })
}

/// The configuration that a service comes with.
pub(super) fn configuration(v2: &Value) -> Value {
    json!({
        "apiVersion": API,
        "kind": "Configuration",
        "metadata": metadata(v2, "configurations"),
        "spec": {"template": template(&v2["template"])},
        "status": {
            "observedGeneration": number(&v2["observedGeneration"]),
            "conditions": [condition("Ready", &v2["conditions"][1])],
            "latestReadyRevisionName": short(&v2["latestReadyRevision"]),
            "latestCreatedRevisionName": short(&v2["latestCreatedRevision"]),
        },
    })
}

/// A revision.
pub(super) fn revision(v2: &Value) -> Value {
    let name = Name::of(v2);
    let mut metadata = metadata(v2, "revisions");
    let template = template(v2);
    for kind in ["labels", "annotations"] {
        metadata[kind] = template["metadata"][kind].clone();
    }
    if !metadata["labels"].is_object() {
        metadata["labels"] = json!({});
    }
    for (label, value) in [
        ("serving.knative.dev/service", name.service),
        ("serving.knative.dev/configuration", name.service),
        (LOCATION_LABEL, name.location),
    ] {
        metadata["labels"][label] = value.into();
    }
    metadata["ownerReferences"] = json!([{
        "apiVersion": API, "kind": "Configuration", "name": name.service, "controller": true, "blockOwnerDeletion": true,
    }]);
    let of = |place: usize| v2["conditions"][place].clone();
    json!({
        "apiVersion": API,
        "kind": "Revision",
        "metadata": metadata,
        "spec": template["spec"],
        "status": {
            "observedGeneration": number(&v2["observedGeneration"]),
            "conditions": [
                condition("Ready", &of(0)),
                condition("Active", &of(0)),
                condition("ContainerHealthy", &of(1)),
                condition("ResourcesAvailable", &of(0)),
            ],
            "serviceName": name.service,
        },
    })
}

fn metadata(v2: &Value, collection: &str) -> Value {
    let name = Name::of(v2);
    let mut labels = v2["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(LOCATION_LABEL.to_owned(), name.location.into());
    let mut annotations = v2["annotations"].as_object().cloned().unwrap_or_default();
    if collection == "services" {
        annotation::give(v2, &annotation::SERVICE, &mut annotations);
        if let Some(ingress) = annotations.get("run.googleapis.com/ingress").cloned() {
            annotations.insert("run.googleapis.com/ingress-status".to_owned(), ingress);
        }
        if v2["urls"].is_array() {
            annotations.insert("run.googleapis.com/urls".to_owned(), v2["urls"].to_string().into());
        }
    }
    let own = short(&v2["name"]);
    let mut metadata = json!({
        "name": own,
        "namespace": name.project,
        "selfLink": format!("/apis/{API}/namespaces/{}/{collection}/{own}", name.project),
        "uid": v2["uid"],
        "resourceVersion": resource_version(v2),
        "generation": number(&v2["generation"]),
        "creationTimestamp": v2["createTime"],
        "labels": labels,
        "annotations": annotations,
    });
    if v2["deleteTime"].is_string() {
        metadata["deletionTimestamp"] = v2["deleteTime"].clone();
    }
    metadata
}

/// The etag without its quotes: it changes with every accepted change.
pub(super) fn resource_version(v2: &Value) -> &str {
    v2["etag"].as_str().unwrap_or_default().trim_matches('"')
}

fn template(v2: &Value) -> Value {
    let mut annotations = v2["annotations"].as_object().cloned().unwrap_or_default();
    annotation::give(v2, &annotation::TEMPLATE, &mut annotations);
    annotation::give(&v2["containers"][0]["resources"], &annotation::RESOURCES, &mut annotations);
    let mut metadata = Message::new();
    if let Some(name) = v2["revision"].as_str().filter(|name| !name.is_empty()) {
        metadata.insert("name".to_owned(), name.into());
    }
    metadata.insert("labels".to_owned(), Value::Object(v2["labels"].as_object().cloned().unwrap_or_default()));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    let mut spec = json!({"containerConcurrency": v2["maxInstanceRequestConcurrency"]});
    // v1 counts whole seconds; a part of one is a second.
    if let Some(timeout) = v2["timeout"].as_str().and_then(duration) {
        spec["timeoutSeconds"] = (timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)).into();
    }
    if v2["serviceAccount"].is_string() {
        spec["serviceAccountName"] = v2["serviceAccount"].clone();
    }
    let containers = v2["containers"].as_array().into_iter().flatten();
    spec["containers"] = containers.map(container).collect();
    for name in ["volumes", "nodeSelector"] {
        if !v2[name].is_null() {
            spec[name] = v2[name].clone();
        }
    }
    json!({"metadata": metadata, "spec": spec})
}

fn container(v2: &Value) -> Value {
    let mut container = json!({});
    for name in CONTAINER {
        if !v2[name].is_null() {
            container[name] = v2[name].clone();
        }
    }
    if let Some(variables) = v2["env"].as_array().filter(|variables| !variables.is_empty()) {
        container["env"] = variables.iter().map(variable).collect();
    }
    if v2["resources"]["limits"].is_object() {
        container["resources"] = json!({"limits": v2["resources"]["limits"]});
    }
    container
}

fn variable(v2: &Value) -> Value {
    let secret = &v2["valueSource"]["secretKeyRef"];
    if secret.is_null() {
        return v2.clone();
    }
    json!({"name": v2["name"], "valueFrom": {"secretKeyRef": {"name": secret["secret"], "key": secret["version"]}}})
}

fn spec_traffic(v2: &Value) -> Value {
    v2["traffic"].as_array().into_iter().flatten().map(|target| traffic_target(target, None)).collect()
}

/// A target; in a status the latest revision is named.
fn traffic_target(v2: &Value, latest_ready: Option<&Value>) -> Value {
    let mut target = json!({});
    if v2["percent"].as_f64().is_some_and(|percent| percent > 0.0) || v2["percent"].is_string() {
        target["percent"] = number(&v2["percent"]);
    }
    let latest = v2["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
    if latest {
        target["latestRevision"] = true.into();
    }
    let revision = if latest { latest_ready } else { Some(&v2["revision"]) };
    if let Some(revision) = revision {
        target["revisionName"] = short(revision).into();
    }
    for (v1, field) in [("tag", "tag"), ("url", "uri")] {
        if v2[field].is_string() {
            target[v1] = v2[field].clone();
        }
    }
    target
}

fn add_addresses(status: &mut Value, v2: &Value) {
    if v2["uri"].is_string() {
        status["url"] = v2["uri"].clone();
        status["address"] = json!({"url": v2["uri"]});
        let targets = v2["trafficStatuses"].as_array().into_iter().flatten();
        status["traffic"] = targets.map(|target| traffic_target(target, Some(&v2["latestReadyRevision"]))).collect();
    }
}

fn conditions(v2: &Value) -> Value {
    let mut conditions = vec![condition("Ready", &v2["terminalCondition"])];
    let parts = v2["conditions"].as_array().into_iter().flatten();
    conditions.extend(parts.map(|part| condition(part["type"].as_str().unwrap_or_default(), part)));
    conditions.into()
}

fn condition(kind: &str, v2: &Value) -> Value {
    let status = match v2["state"].as_str() {
        Some("CONDITION_SUCCEEDED") => "True",
        Some("CONDITION_FAILED") => "False",
        _ => "Unknown",
    };
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": v2["lastTransitionTime"]});
    if let Some(message) = v2["message"].as_str() {
        condition["message"] = message.into();
        condition["reason"] = "ContainerFailed".into();
    }
    condition
}

/// A 64-bit number, which v2 writes as a text, or any other.
fn number(value: &Value) -> Value {
    match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(whole) => whole.into(),
        None => value.clone(),
    }
}
