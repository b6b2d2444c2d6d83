//! Long-running operations: what a change answers at once, and what a poll finds.

use crate::platform::status::Status;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use tokio::sync::watch;

/// So many finished operations are remembered. A client polls within seconds.
const FINISHED_MOST: usize = 1000;

/// All operations by full resource name.
#[derive(Default)]
pub(super) struct Operations {
    by_name: BTreeMap<String, Operation>,
    finished: VecDeque<String>,
}

struct Operation {
    json: Value,
    done: watch::Sender<bool>,
}

impl Operations {
    /// A new operation, not done, on the service as it now is.
    pub(super) fn begin(&mut self, name: &str, service: Value) -> Value {
        let json = json!({"name": name, "metadata": typed(service), "done": false});
        let operation = Operation { json: json.clone(), done: watch::Sender::new(false) };
        self.by_name.insert(name.to_owned(), operation);
        json
    }

    /// Ends an operation with the service as it came out, or with the error.
    pub(super) fn finish(&mut self, name: &str, service: Value, failure: Option<&Status>) {
        if let Some(operation) = self.by_name.get_mut(name) {
            operation.json = finished(name, service, failure);
            operation.done.send_replace(true);
            self.finished.push_back(name.to_owned());
        }
        while self.finished.len() > FINISHED_MOST {
            if let Some(oldest) = self.finished.pop_front() {
                self.by_name.remove(&oldest);
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Result<Value, Status> {
        let operation = self.by_name.get(name).ok_or_else(|| missing(name))?;
        Ok(operation.json.clone())
    }

    /// Turns true when the operation is done.
    pub(super) fn watch(&self, name: &str) -> Result<watch::Receiver<bool>, Status> {
        let operation = self.by_name.get(name).ok_or_else(|| missing(name))?;
        Ok(operation.done.subscribe())
    }

    /// Those whose name begins with `prefix`, by name.
    pub(super) fn list(&self, prefix: &str) -> Vec<Value> {
        let from_there = self.by_name.range(prefix.to_owned()..);
        let here = from_there.take_while(|(name, _)| name.starts_with(prefix));
        here.map(|(_, operation)| operation.json.clone()).collect()
    }
}

/// An operation that is done.
pub(super) fn finished(name: &str, service: Value, failure: Option<&Status>) -> Value {
    let service = typed(service);
    match failure {
        None => json!({"name": name, "metadata": service, "done": true, "response": service}),
        Some(failure) => {
            json!({"name": name, "metadata": service, "done": true, "error": failure.as_operation_error()})
        }
    }
}

/// A resource with its type, which its name tells: a client unpacks by it.
fn typed(resource: Value) -> Value {
    let of_revision = resource["name"].as_str().is_some_and(|name| name.contains("/revisions/"));
    let kind = if of_revision { "Revision" } else { "Service" };
    let mut typed = json!({"@type": format!("type.googleapis.com/google.cloud.run.v2.{kind}")});
    if let (Some(typed), Value::Object(fields)) = (typed.as_object_mut(), resource) {
        typed.extend(fields);
    }
    typed
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("operation {name:?} was not found"))
}
