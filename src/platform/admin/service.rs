//! A service: what its user wants, what has come of it, and both as Google's JSON.

use super::condition::{Condition, State};
use super::field::{Message, array, object, significant};
use super::policy::Policy;
use super::revision::Revision;
use super::traffic::{self, Target, is_label};
use super::{enumeration, mask, misspelling, scaling, template};
use crate::platform::place::Place;
use crate::platform::spec::{Addresses, RevisionSpec, Route, ServiceScaling};
use crate::platform::status::{Code, Status};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Google allows service names of fewer than 50 letters.
const NAME_LETTERS_MOST: usize = 49;

/// A service with all its revisions.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) place: Place,
    /// Short name.
    pub(super) name: String,
    uid: String,
    /// The fields its user sets, defaults filled, unknown ones kept.
    pub(super) wanted: Message,
    /// Who may do what with it, if somebody has said so.
    pub(super) policy: Option<Policy>,
    generation: u64,
    observed_generation: u64,
    created: Timestamp,
    updated: Timestamp,
    pub(super) revisions: BTreeMap<String, Revision>,
    latest_created: String,
    latest_ready: Option<String>,
    addresses: Addresses,
    /// The targets that the addresses stand for.
    routed: Vec<Target>,
    routes: Condition,
    /// Since when it is being deleted: nothing may change it any more.
    pub(super) deleted: Option<Timestamp>,
}

/// A change that has been found valid: the service as it will stand in the books, and what is left to do.
pub(super) struct Draft {
    pub(super) service: Service,
    /// The revision to start, if the template changed.
    pub(super) spec: Option<RevisionSpec>,
    pub(super) targets: Vec<Target>,
    pub(super) scaling: ServiceScaling,
}

/// What makes two services of one name distinct.
pub(super) struct Identity {
    pub(super) place: Place,
    pub(super) name: String,
    pub(super) uid: String,
}

impl Service {
    /// A service that does not exist yet.
    pub(super) fn create(identity: Identity, wanted: Message, now: Timestamp) -> Result<Draft, Status> {
        let Identity { place, name, uid } = identity;
        if !is_label(&name) || name.len() > NAME_LETTERS_MOST {
            let why = format!(
                "{name:?} cannot name a service: small letters, digits and dashes, a letter first, at most \
                 {NAME_LETTERS_MOST} letters"
            );
            return Err(Status::field("serviceId", why));
        }
        let blank = Self {
            place,
            name,
            uid,
            wanted: Message::new(),
            policy: None,
            generation: 0,
            observed_generation: 0,
            created: now,
            updated: now,
            revisions: BTreeMap::new(),
            latest_created: String::new(),
            latest_ready: None,
            addresses: Addresses::default(),
            routed: Vec::new(),
            routes: Condition::new(State::Reconciling, now),
            deleted: None,
        };
        blank.change(wanted, false, now)
    }

    /// The service with other wishes; a new revision if the template differs, or if one is forced.
    pub(super) fn change(&self, mut wanted: Message, force: bool, now: Timestamp) -> Result<Draft, Status> {
        wanted.retain(|field, value| !mask::OUTPUT_ONLY.contains(&field.as_str()) && !value.is_null());
        misspelling::check(&wanted)?;
        enumeration::by_name(&mut wanted)?;
        let scaling = scaling::of_service(&wanted)?;
        match wanted.entry("template").or_insert_with(|| Value::Object(Message::new())) {
            Value::Object(template) => template::fill_defaults(template),
            other => return Err(super::field::wrong("", "template", "an object", other)),
        }
        fill_defaults(&mut wanted);
        let mut service = self.clone();
        service.generation += 1;
        service.updated = now;
        let template = |of: &Message| of.get("template").map(significant);
        let renewed = force || template(&wanted) != template(&self.wanted);
        service.wanted = wanted;
        let spec = if renewed { Some(service.add_revision(now)?) } else { None };
        let targets = traffic::targets(&service.name, array(&service.wanted, "", "traffic")?)?;
        service.check_targets(&targets)?;
        Ok(Draft { service, spec, targets, scaling })
    }

    fn add_revision(&mut self, now: Timestamp) -> Result<RevisionSpec, Status> {
        let empty = Message::new();
        let template = object(&self.wanted, "", "template")?.unwrap_or(&empty).clone();
        let name = match super::field::text(&template, "template", "revision")? {
            "" => self.unused_revision_name(),
            name => {
                self.check_revision_name(name)?;
                name.to_owned()
            }
        };
        let spec = template::spec(&self.name, &name, &template)?;
        let revision = Revision {
            uid: format!("{}-{:04x}", self.uid, self.generation),
            name: name.clone(),
            created: now,
            ready: Condition::new(State::Reconciling, now),
            deleted: None,
            template,
        };
        self.revisions.insert(name.clone(), revision);
        self.latest_created = name;
        Ok(spec)
    }

    fn check_revision_name(&self, name: &str) -> Result<(), Status> {
        const FIELD: &str = "template.revision";
        let prefix = format!("{}-", self.name);
        if name.strip_prefix(&prefix).is_none_or(str::is_empty) || !is_label(name) {
            let why = format!("{name:?} must begin with {prefix:?} and hold small letters, digits and dashes only");
            return Err(Status::field(FIELD, why));
        }
        if self.revisions.contains_key(name) {
            let message = format!(
                "revision named {name:?} already exists with a different template: give {FIELD} another name, or \
                 clear it (with {FIELD} in updateMask) so that one is made"
            );
            return Err(Status::new(Code::AlreadyExists, message));
        }
        Ok(())
    }

    /// `SERVICE-00007-xyz`, as Cloud Run makes them.
    fn unused_revision_name(&self) -> String {
        const LETTERS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
        let mut state = self.generation;
        loop {
            // Steps of a linear congruence scatter the letters; uniqueness comes from the look into the books.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let letter = |shift: u32| char::from(LETTERS[usize::try_from((state >> shift) % 20).unwrap_or(0)]);
            let name = format!("{}-{:05}-{}{}{}", self.name, self.generation, letter(20), letter(34), letter(48));
            if !self.revisions.contains_key(&name) {
                return name;
            }
        }
    }

    fn check_targets(&self, targets: &[Target]) -> Result<(), Status> {
        for name in targets.iter().filter_map(Target::revision) {
            let revision = self.revisions.get(name).filter(|revision| revision.deleted.is_none());
            match revision.map(|revision| &revision.ready.state) {
                None => return Err(Status::field("traffic", format!("{} has no revision {name:?}", self.name))),
                Some(State::Failed(why)) => {
                    let message = format!("traffic: revision {name:?} cannot serve: {why}");
                    return Err(Status::new(Code::FailedPrecondition, message));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Writes down whether a revision became ready.
    pub(super) fn settle_revision(&mut self, name: &str, failure: Option<&Status>, now: Timestamp) {
        if let Some(revision) = self.revisions.get_mut(name) {
            let state = failure.map_or(State::Succeeded, |status| State::Failed(status.message.clone()));
            revision.ready = Condition::new(state, now);
            if failure.is_none() {
                self.latest_ready = Some(name.to_owned());
            }
        }
    }

    /// The platform's routes for these targets.
    pub(super) fn routes(&self, targets: &[Target]) -> Result<Vec<Route>, Status> {
        let routes: Option<Vec<_>> = targets.iter().map(|target| target.route(self.latest_ready.as_deref())).collect();
        let routes = routes.ok_or_else(|| traffic::nothing_ready(&self.name))?;
        let ready = |name: &str| self.revisions.get(name).is_some_and(|it| it.ready.state == State::Succeeded);
        match routes.iter().find(|route| !ready(&route.revision)) {
            None => Ok(routes),
            Some(route) => {
                let message = format!("revision {:?} is not ready to serve traffic", route.revision);
                Err(Status::new(Code::FailedPrecondition, message))
            }
        }
    }

    /// Writes down that the targets of a generation are in force.
    pub(super) fn settle_routes(&mut self, targets: Vec<Target>, addresses: Addresses, now: Timestamp) {
        self.routed = targets;
        self.addresses = addresses;
        self.routes = Condition::new(State::Succeeded, now);
    }

    /// Writes down that the routes could not be set.
    pub(super) fn fail_routes(&mut self, failure: &Status, now: Timestamp) {
        self.routes = Condition::new(State::Failed(failure.message.clone()), now);
    }

    /// Writes down that everything about a generation was tried.
    pub(super) fn observe(&mut self, generation: u64, now: Timestamp) {
        self.observed_generation = self.observed_generation.max(generation);
        self.updated = now;
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Refuses a change of what is being deleted, or of another state than the one that the etag names.
    pub(super) fn check_changeable(&self, etag: &str) -> Result<(), Status> {
        if self.deleted.is_some() {
            let message = format!("'{}' is being deleted", self.path());
            return Err(Status::new(Code::FailedPrecondition, message));
        }
        self.check_etag(etag)
    }

    /// Refuses an etag that is not the present one; an empty one is no claim.
    fn check_etag(&self, etag: &str) -> Result<(), Status> {
        if etag.is_empty() || etag == self.etag() {
            return Ok(());
        }
        let message = format!("etag {etag} is stale, the service has changed since: read it again ({})", self.etag());
        Err(Status::new(Code::Aborted, message))
    }

    /// Changes with every accepted change, not with the platform's own progress: a client may read and modify while an
    /// earlier change is still on its way.
    fn etag(&self) -> String {
        format!("\"{}-{:x}\"", self.uid, self.generation)
    }

    /// Full resource name.
    pub(super) fn path(&self) -> String {
        format!("{}/services/{}", self.place.path(), self.name)
    }

    fn conditions(&self) -> (Condition, Value) {
        let configuration =
            self.revisions.get(&self.latest_created).map_or_else(|| self.routes.clone(), |it| it.ready.clone());
        let terminal = if self.observed_generation < self.generation {
            Condition::new(State::Reconciling, self.updated)
        } else if matches!(configuration.state, State::Failed(_)) {
            configuration.clone()
        } else {
            self.routes.clone()
        };
        (terminal, json!([self.routes.to_json("RoutesReady"), configuration.to_json("ConfigurationsReady")]))
    }

    /// Google's JSON: the wishes among what came of them.
    pub(super) fn to_json(&self) -> Value {
        let path = self.path();
        let revision = |name: &str| Value::from(format!("{path}/revisions/{name}"));
        let (terminal, conditions) = self.conditions();
        let mut json = json!({
            "name": path,
            "uid": self.uid,
            "generation": self.generation.to_string(),
            "createTime": self.created.to_string(),
            "updateTime": self.updated.to_string(),
        });
        for (field, value) in &self.wanted {
            json[field] = value.clone();
        }
        json["observedGeneration"] = self.observed_generation.to_string().into();
        json["terminalCondition"] = terminal.to_json("Ready");
        json["conditions"] = conditions;
        if let Some(ready) = &self.latest_ready {
            json["latestReadyRevision"] = revision(ready);
        }
        json["latestCreatedRevision"] = revision(&self.latest_created);
        if !self.addresses.service.is_empty() {
            let statuses = self.routed.iter().map(|target| target.status(&self.addresses));
            json["trafficStatuses"] = statuses.collect();
            json["uri"] = self.addresses.service.as_str().into();
            json["urls"] = json!([self.addresses.service]);
        }
        if self.observed_generation < self.generation || self.deleted.is_some() {
            json["reconciling"] = true.into();
        }
        // No `expireTime`: what is deleted here is not kept for a while, it is gone when its operation is done.
        if let Some(since) = self.deleted {
            json["deleteTime"] = since.to_string().into();
        }
        json["etag"] = self.etag().into();
        json
    }
}

/// What Google writes where the user says nothing.
fn fill_defaults(wanted: &mut Message) {
    let mut fill = |field: &str, default: Value| {
        let value = wanted.entry(field).or_insert(Value::Null);
        if value.as_array().is_some_and(Vec::is_empty) || value.is_null() {
            *value = default;
        }
    };
    fill("ingress", "INGRESS_TRAFFIC_ALL".into());
    fill("launchStage", "GA".into());
    fill("traffic", json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]));
}

mod deletion;
mod retention;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any JSON under the names that the Admin API knows.
    fn any_json() -> impl Strategy<Value = Value> {
        const NAMES: &str = "template|traffic|containers|resources|limits|cpu|memory|env|name|scaling|revision|type|tag\
                             |percent|timeout|minInstanceCount|maxInstanceRequestConcurrency|command|image|ingress|[a-z]";
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "([0-9.]{1,4}(m|Mi|s)?|shop-[a-z]|tidegate/command|TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION|\\PC{0,5})"
                .prop_map(Value::from),
        ];
        scalar.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(NAMES, inner, 0..7)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn shop(wanted: Value) -> Result<Draft, Status> {
        let place = Place { project: "p".into(), location: "l".into() };
        let identity = Identity { place, name: "shop".into(), uid: "u".into() };
        let Value::Object(wanted) = wanted else { return Err(Status::invalid("an object is expected")) };
        Service::create(identity, wanted, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn made_up_revision_names_differ() {
        let container = json!({"image": "tidegate/command", "command": ["x"]});
        let mut draft = shop(json!({"template": {"containers": [container]}})).unwrap();
        for _ in 0..50 {
            let wanted = draft.service.wanted.clone();
            draft = draft.service.change(wanted, true, Timestamp::UNIX_EPOCH).unwrap();
        }
        assert_eq!(draft.service.revisions.len(), 51);
        assert!(draft.service.revisions.keys().all(|name| is_label(name)));
    }

    proptest! {
        #[test]
        fn no_wish_panics(template in any_json(), traffic in any_json(), other in any_json()) {
            for wanted in [json!({"template": template, "traffic": traffic, "scaling": other}), other] {
                if let Ok(draft) = shop(wanted) {
                    prop_assert!(draft.service.to_json().is_object());
                }
            }
        }
    }
}
