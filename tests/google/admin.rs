//! Cloud Run Admin v2 as documented: a service, its revisions, and operations that are done at the second look.

use super::{Asked, error};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Full name of the service.
pub(crate) const SERVICE: &str = "projects/demo/locations/europe-west1/services/shop";

/// The service.
#[derive(Debug)]
pub(crate) struct Admin {
    /// As `GET` gives it.
    pub(crate) service: Value,
    /// Names of all revisions that ever were.
    pub(crate) revisions: BTreeSet<String>,
    /// Why new revisions do not start; empty when they do.
    pub(crate) start_failure: String,
    /// Says so in the revision only, with an operation that succeeds.
    pub(crate) start_failure_only_in_revision: bool,
    /// Number of operations so far.
    operations: usize,
    /// Looks that are left, and what comes then.
    pending: BTreeMap<String, (u32, Value)>,
}

impl Admin {
    /// A server with this service.
    pub(crate) fn new(service: Value) -> Self {
        let name = service["latestCreatedRevision"].as_str().unwrap_or_default();
        let revisions = name.rsplit('/').next().map(str::to_owned).into_iter().collect();
        Self {
            service,
            revisions,
            start_failure: String::new(),
            start_failure_only_in_revision: false,
            operations: 0,
            pending: BTreeMap::new(),
        }
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let path = asked.path.strip_prefix("/v2/").unwrap_or_default();
        let revision = path.strip_prefix(&format!("{SERVICE}/revisions/"));
        match (asked.method.as_str(), revision) {
            ("GET", None) if path == SERVICE => (200, self.service.clone()),
            ("PATCH", None) if path == SERVICE => self.patch(asked),
            ("POST", None) if path == "projects/demo/locations/europe-west1/services" => {
                let created = asked.body.clone();
                self.operate(json!({"response": typed("Service", created)}))
            }
            ("GET", None) if path.contains("/operations/") => self.look(path),
            ("GET", Some(revision)) if self.revisions.contains(revision) => (200, self.revision(revision)),
            _ => (404, error(404, "NOT_FOUND", &format!("Resource '{path}' was not found"))),
        }
    }

    fn patch(&mut self, asked: &Asked) -> (u16, Value) {
        let mut changed = self.service.clone();
        for path in asked.query("updateMask").unwrap().split(',') {
            let pointer = format!("/{}", path.replace('.', "/"));
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            let target = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match asked.body.pointer(&pointer) {
                Some(value) => drop(target.insert(field.to_owned(), value.clone())),
                None => drop(target.remove(field)),
            }
        }
        if changed["template"] != self.service["template"] {
            let given = changed["template"]["revision"].as_str().unwrap_or_default();
            let revision =
                if given.is_empty() { format!("shop-{:05}-zzz", self.revisions.len() + 1) } else { given.to_owned() };
            if !self.revisions.insert(revision.clone()) {
                let message = format!("Revision named '{revision}' with different configuration already exists.");
                return (409, error(409, "ALREADY_EXISTS", &message));
            }
            changed["latestCreatedRevision"] = json!(format!("{SERVICE}/revisions/{revision}"));
            if self.start_failure.is_empty() {
                changed["latestReadyRevision"] = changed["latestCreatedRevision"].clone();
            }
        }
        changed["trafficStatuses"] = statuses(&changed["traffic"]);
        self.service = changed;
        if self.start_failure.is_empty() || self.start_failure_only_in_revision {
            self.operate(json!({"response": typed("Service", self.service.clone())}))
        } else {
            self.operate(json!({"error": {"code": 9, "message": self.start_failure}}))
        }
    }

    fn operate(&mut self, end: Value) -> (u16, Value) {
        self.operations += 1;
        let name = format!("projects/demo/locations/europe-west1/operations/op-{}", self.operations);
        self.pending.insert(name.clone(), (2, end));
        (200, json!({"name": name, "metadata": typed("Service", json!({"name": SERVICE}))}))
    }

    fn look(&mut self, name: &str) -> (u16, Value) {
        let Some((looks, end)) = self.pending.get_mut(name) else {
            return (404, error(404, "NOT_FOUND", "no such operation"));
        };
        *looks -= 1;
        let mut operation = json!({"name": name, "metadata": typed("Service", json!({"name": SERVICE}))});
        if *looks == 0 {
            operation["done"] = json!(true);
            operation.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
        }
        (200, operation)
    }

    fn revision(&self, revision: &str) -> Value {
        let newest = self.service["latestCreatedRevision"].as_str().is_some_and(|name| name.ends_with(revision));
        let ready = if newest && !self.start_failure.is_empty() {
            json!({"type": "Ready", "state": "CONDITION_FAILED", "message": self.start_failure})
        } else {
            json!({"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": "2026-11-22T11:00:00Z"})
        };
        json!({"name": format!("{SERVICE}/revisions/{revision}"), "service": "shop", "conditions": [ready]})
    }
}

/// A message inside an operation.
fn typed(name: &str, mut message: Value) -> Value {
    message["@type"] = json!(format!("type.googleapis.com/google.cloud.run.v2.{name}"));
    message
}

fn statuses(traffic: &Value) -> Value {
    let status = |target: &Value| {
        let mut status = target.clone();
        if let Some(tag) = target["tag"].as_str() {
            status["uri"] = json!(format!("https://{tag}---shop-abc-ew.a.run.app"));
        }
        status
    };
    traffic.as_array().unwrap().iter().map(status).collect()
}
