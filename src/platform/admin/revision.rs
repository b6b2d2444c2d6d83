//! A revision as the Admin API shows it.

use super::condition::{Condition, State};
use super::field::Message;
use jiff::Timestamp;
use serde_json::{Value, json};

/// An immutable version of a service. Only its condition ever changes, until it is deleted.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    /// Short name.
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) created: Timestamp,
    pub(super) ready: Condition,
    /// Since when it is being deleted.
    pub(super) deleted: Option<Timestamp>,
    /// The template it was made from, defaults filled.
    pub(super) template: Message,
}

impl Revision {
    /// Google's JSON; `service` is the service's full resource name.
    pub(super) fn to_json(&self, service: &str) -> Value {
        let mut json = json!({
            "name": format!("{service}/revisions/{}", self.name),
            "uid": self.uid,
            "generation": "1",
            "createTime": self.created.to_string(),
            "updateTime": self.ready.since.to_string(),
            "service": service,
        });
        for (field, value) in self.template.iter().filter(|(field, _)| *field != "revision") {
            // A template's unknown field must not pass for one of the revision's own.
            if json.get(field).is_none() {
                json[field] = value.clone();
            }
        }
        let starting = self.ready.state == State::Reconciling;
        if starting || self.deleted.is_some() {
            json["reconciling"] = true.into();
        }
        if let Some(since) = self.deleted {
            json["deleteTime"] = since.to_string().into();
        }
        json["observedGeneration"] = if starting { "0" } else { "1" }.into();
        json["conditions"] = json!([self.ready.to_json("Ready"), self.ready.to_json("ContainerHealthy")]);
        json["etag"] = self.etag().into();
        json
    }

    /// Changes with its condition.
    pub(super) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.uid, self.ready.since.as_microsecond())
    }
}
