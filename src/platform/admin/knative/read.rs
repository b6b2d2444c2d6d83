//! A v1 service as its user wrote it → what v2 would have been asked for.

use super::super::field::{Message, array, boolean, count, object, text};
use super::annotation;
use super::place::LOCATION_LABEL;
use crate::platform::status::Status;
use serde_json::{Value, json};

/// Fields of a service that only v2 can say: a v1 client that sends a service back has not asked for them to go.
const ONLY_V2: [&str; 3] = ["binaryAuthorization", "buildConfig", "customAudiences"];
/// The same of a template.
const ONLY_V2_TEMPLATE: [&str; 7] = [
    "encryptionKey",
    "encryptionKeyRevocationAction",
    "encryptionKeyShutdownDuration",
    "gpuZonalRedundancyDisabled",
    "healthCheckDisabled",
    "serviceMesh",
    "vpcAccess",
];

/// What a v1 service says.
pub(super) struct Asked {
    pub(super) name: String,
    /// Of the service that is to be replaced; empty if it does not matter.
    pub(super) resource_version: String,
    /// The region that its labels name.
    pub(super) location: Option<String>,
    /// The fields of v2.
    pub(super) wanted: Message,
}

/// Reads a v1 service for this namespace.
pub(super) fn service(mut body: Message, namespace: &str) -> Result<Asked, Status> {
    for (field, expected) in [("apiVersion", "serving.knative.dev/v1"), ("kind", "Service")] {
        let found = text(&body, "", field)?;
        if !found.is_empty() && found != expected {
            return Err(Status::field(field, format!("{expected:?} is expected, not {found:?}")));
        }
    }
    let metadata = take(&mut body, "", "metadata")?;
    let said = text(&metadata, "metadata", "namespace")?;
    if !said.is_empty() && said != namespace {
        return Err(Status::field(
            "metadata.namespace",
            format!("{said:?} is not the namespace of the path, {namespace:?}"),
        ));
    }
    let mut wanted = Message::new();
    let mut labels = take_map(&metadata, "labels")?;
    let location = labels.shift_remove(LOCATION_LABEL).and_then(|label| label.as_str().map(str::to_owned));
    let mut annotations = take_map(&metadata, "annotations")?;
    annotation::take(&mut annotations, &annotation::SERVICE, &mut wanted)?;
    insert_map(&mut wanted, "labels", labels);
    insert_map(&mut wanted, "annotations", annotations);
    let mut spec = take(&mut body, "", "spec")?;
    let template = take(&mut spec, "spec", "template")?;
    wanted.insert("template".to_owned(), Value::Object(self::template(template)?));
    let traffic: Result<Vec<_>, _> = array(&spec, "spec", "traffic")?.iter().enumerate().map(target).collect();
    wanted.insert("traffic".to_owned(), Value::Array(traffic?));
    Ok(Asked {
        name: text(&metadata, "metadata", "name")?.to_owned(),
        resource_version: text(&metadata, "metadata", "resourceVersion")?.to_owned(),
        location,
        wanted,
    })
}

/// Keeps what the stored wishes say and v1 cannot.
pub(super) fn keep_only_v2(stored: &Message, wanted: &mut Message) {
    let keep = |names: &[&str], from: &Message, into: &mut Message| {
        for (name, value) in from.iter().filter(|(name, _)| names.contains(&name.as_str())) {
            into.entry(name.clone()).or_insert_with(|| value.clone());
        }
    };
    keep(&ONLY_V2, stored, wanted);
    if let (Some(Value::Object(from)), Some(Value::Object(into))) = (stored.get("template"), wanted.get_mut("template"))
    {
        keep(&ONLY_V2_TEMPLATE, from, into);
    }
}

fn template(mut written: Message) -> Result<Message, Status> {
    const PATH: &str = "spec.template.spec";
    let metadata = take(&mut written, "spec.template", "metadata")?;
    let spec = take(&mut written, "spec.template", "spec")?;
    let mut template = Message::new();
    let name = text(&metadata, "spec.template.metadata", "name")?;
    if !name.is_empty() {
        template.insert("revision".to_owned(), name.into());
    }
    let mut annotations = take_map(&metadata, "annotations")?;
    let mut resources = Message::new();
    annotation::take(&mut annotations, &annotation::RESOURCES, &mut resources)?;
    annotation::take(&mut annotations, &annotation::TEMPLATE, &mut template)?;
    insert_map(&mut template, "labels", take_map(&metadata, "labels")?);
    insert_map(&mut template, "annotations", annotations);
    let concurrency = count(&spec, PATH, "containerConcurrency")?;
    if concurrency > 0 {
        template.insert("maxInstanceRequestConcurrency".to_owned(), concurrency.into());
    }
    let timeout = count(&spec, PATH, "timeoutSeconds")?;
    if timeout > 0 {
        template.insert("timeout".to_owned(), format!("{timeout}s").into());
    }
    let account = text(&spec, PATH, "serviceAccountName")?;
    if !account.is_empty() {
        template.insert("serviceAccount".to_owned(), account.into());
    }
    let containers = array(&spec, PATH, "containers")?.iter().enumerate();
    let containers: Result<Vec<_>, _> = containers.map(|(place, it)| container(place, it, &resources)).collect();
    template.insert("containers".to_owned(), Value::Array(containers?));
    for name in ["volumes", "nodeSelector"] {
        if let Some(value) = spec.get(name).filter(|value| !value.is_null()) {
            template.insert(name.to_owned(), value.clone());
        }
    }
    Ok(template)
}

fn container(place: usize, written: &Value, settings: &Message) -> Result<Value, Status> {
    let path = format!("spec.template.spec.containers[{place}]");
    let Value::Object(written) = written else { return Err(Status::field(&path, "an object is expected")) };
    let mut container = written.clone();
    let mut resources = Message::new();
    if let Some(limits) = object(written, &path, "resources")?.and_then(|of| of.get("limits")) {
        resources.insert("limits".to_owned(), limits.clone());
    }
    resources.extend(settings.clone());
    container.insert("resources".to_owned(), Value::Object(resources));
    let variables: Result<Vec<_>, _> =
        array(written, &path, "env")?.iter().map(|variable| self::variable(variable, &path)).collect();
    container.insert("env".to_owned(), Value::Array(variables?));
    Ok(Value::Object(container))
}

/// A variable; one from a secret is said in other words in v2.
fn variable(written: &Value, path: &str) -> Result<Value, Status> {
    let Value::Object(variable) = written else {
        return Err(Status::field(&format!("{path}.env"), "an array of objects is expected"));
    };
    let Some(from) = object(variable, path, "valueFrom")? else { return Ok(written.clone()) };
    let from =
        object(from, path, "secretKeyRef")?.ok_or_else(|| Status::field(path, "valueFrom lacks a secretKeyRef"))?;
    let (secret, version) = (text(from, path, "name")?, text(from, path, "key")?);
    let name = text(variable, path, "name")?;
    Ok(json!({"name": name, "valueSource": {"secretKeyRef": {"secret": secret, "version": version}}}))
}

fn target((place, written): (usize, &Value)) -> Result<Value, Status> {
    let path = format!("spec.traffic[{place}]");
    let Value::Object(written) = written else { return Err(Status::field(&path, "an object is expected")) };
    let revision = text(written, &path, "revisionName")?;
    // Without either, Knative means the latest.
    let latest = boolean(written, &path, "latestRevision")? || revision.is_empty();
    if latest && !revision.is_empty() {
        return Err(Status::field(&path, "latestRevision and revisionName exclude each other"));
    }
    let kind = if latest { "LATEST" } else { "REVISION" };
    let mut target = json!({
        "type": format!("TRAFFIC_TARGET_ALLOCATION_TYPE_{kind}"),
        "percent": count(written, &path, "percent")?,
    });
    for (field, value) in [("revision", revision), ("tag", text(written, &path, "tag")?)] {
        if !value.is_empty() {
            target[field] = value.into();
        }
    }
    Ok(target)
}

/// A nested message, empty if absent, taken out of another.
fn take(from: &mut Message, path: &str, name: &str) -> Result<Message, Status> {
    let found = object(from, path, name)?.cloned().unwrap_or_default();
    from.shift_remove(name);
    Ok(found)
}

fn take_map(metadata: &Message, name: &str) -> Result<Message, Status> {
    let map = object(metadata, "metadata", name)?.cloned().unwrap_or_default();
    match map.iter().find(|(_, value)| !value.is_string()) {
        Some((key, _)) => Err(Status::field(&format!("metadata.{name}.{key}"), "a string is expected")),
        None => Ok(map),
    }
}

fn insert_map(into: &mut Message, name: &str, map: Message) {
    if !map.is_empty() {
        into.insert(name.to_owned(), Value::Object(map));
    }
}
