//! Traffic targets: which revision gets what share of a service's requests, and which has an address of its own.

use super::field::{Message, count, join, text};
use crate::platform::spec::{Addresses, Route};
use crate::platform::status::{Code, Status};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A service's name and a tag together name a host on Cloud Run: 63 letters at most, `---` and a hash among them.
const TAG_AND_SERVICE_LETTERS_MOST: usize = 46;

/// Who gets a share.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allocation {
    /// The newest revision that is ready.
    Latest,
    /// This one, by short name.
    Revision(String),
}

/// One share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    to: Allocation,
    percent: u32,
    tag: Option<String>,
}

impl Target {
    fn parse(target: &Message, path: &str, service: &str) -> Result<Self, Status> {
        // A revision's full resource name is as good as its short one.
        let revision = text(target, path, "revision")?.rsplit('/').next().unwrap_or_default();
        let to = match (text(target, path, "type")?, revision) {
            ("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "") => Allocation::Latest,
            ("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", _) => {
                return Err(Status::field(&join(path, "revision"), "a target of type LATEST names no revision"));
            }
            ("TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "") => {
                return Err(Status::field(&join(path, "revision"), "a target of type REVISION names its revision"));
            }
            ("TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", name) => Allocation::Revision(name.to_owned()),
            _ => {
                let why =
                    "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST or TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION is expected";
                return Err(Status::field(&join(path, "type"), why));
            }
        };
        let percent = count(target, path, "percent")?;
        let tag = match text(target, path, "tag")? {
            "" => None,
            tag => {
                if !is_label(tag) || tag.len() + service.len() > TAG_AND_SERVICE_LETTERS_MOST {
                    let why = format!(
                        "{tag:?} cannot be a tag: small letters, digits and dashes, a letter first, and with the \
                         service's name at most {TAG_AND_SERVICE_LETTERS_MOST} letters"
                    );
                    return Err(Status::field(&join(path, "tag"), why));
                }
                Some(tag.to_owned())
            }
        };
        Ok(Self { to, percent, tag })
    }

    /// The revision it names, if it names one.
    pub(super) fn revision(&self) -> Option<&str> {
        match &self.to {
            Allocation::Latest => None,
            Allocation::Revision(name) => Some(name),
        }
    }

    /// The platform's route; `None` if it asks for the latest and no revision has been ready.
    pub(super) fn route(&self, latest_ready: Option<&str>) -> Option<Route> {
        let revision = self.revision().or(latest_ready)?.to_owned();
        Some(Route { revision, percent: self.percent, tag: self.tag.clone() })
    }

    /// As the service's status shows it.
    pub(super) fn status(&self, addresses: &Addresses) -> Value {
        let mut status = match &self.to {
            Allocation::Latest => json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"}),
            Allocation::Revision(name) => {
                json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": name})
            }
        };
        if self.percent > 0 {
            status["percent"] = self.percent.into();
        }
        if let Some(tag) = &self.tag {
            status["tag"] = tag.as_str().into();
            if let Some(uri) = addresses.tags.get(tag) {
                status["uri"] = uri.as_str().into();
            }
        }
        status
    }
}

/// The targets of a service.
pub(super) fn targets(service: &str, traffic: &[Value]) -> Result<Vec<Target>, Status> {
    let parsed: Result<Vec<_>, _> = traffic
        .iter()
        .enumerate()
        .map(|(place, target)| {
            let path = format!("traffic[{place}]");
            let target = target.as_object().ok_or_else(|| Status::field(&path, "an object is expected"))?;
            Target::parse(target, &path, service)
        })
        .collect();
    let targets = parsed?;
    let sum: u64 = targets.iter().map(|target| u64::from(target.percent)).sum();
    if sum != 100 {
        return Err(Status::field("traffic", format!("the percents sum to {sum}, not to 100")));
    }
    let mut tags = BTreeSet::new();
    match targets.iter().filter_map(|target| target.tag.as_ref()).find(|tag| !tags.insert(*tag)) {
        Some(twice) => Err(Status::field("traffic", format!("the tag {twice:?} is given twice"))),
        None => Ok(targets),
    }
}

/// Small letters, digits and dashes; a letter first, no dash last; at most 63.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The error of a service that asks for its latest revision and has none that was ever ready.
pub(super) fn nothing_ready(service: &str) -> Status {
    Status::new(Code::FailedPrecondition, format!("no revision of {service} is ready to serve traffic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
    const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

    fn parse(traffic: &Value) -> Result<Vec<Target>, Status> {
        targets("shop", traffic.as_array().unwrap())
    }

    #[test]
    fn a_tag_without_a_share_and_a_full_revision_name_are_routes() {
        let traffic = json!([
            {"type": LATEST, "percent": "100"},
            {"type": REVISION, "revision": "projects/p/locations/l/services/shop/revisions/shop-2", "tag": "c2"},
        ]);
        let routes: Vec<_> =
            parse(&traffic).unwrap().iter().map(|target| target.route(Some("shop-1")).unwrap()).collect();
        let whole = Route { revision: "shop-1".into(), percent: 100, tag: None };
        let tagged = Route { revision: "shop-2".into(), percent: 0, tag: Some("c2".into()) };
        assert_eq!(routes, [whole, tagged]);
        assert_eq!(parse(&traffic).unwrap()[0].route(None), None);
    }

    #[test]
    fn wrong_targets_are_refused() {
        let cases = [
            (json!([{"type": LATEST, "percent": 99}]), "sum to 99"),
            (json!([{"type": LATEST, "percent": u32::MAX}, {"type": LATEST, "percent": 101}]), "sum to 4294967396"),
            (json!([{"type": LATEST, "percent": -1}]), "traffic[0].percent"),
            (json!([{"type": LATEST, "percent": 100, "revision": "shop-1"}]), "names no revision"),
            (json!([{"type": REVISION, "percent": 100}]), "names its revision"),
            (json!([{"percent": 100}]), "traffic[0].type"),
            (json!([7]), "traffic[0]"),
            (json!([{"type": LATEST, "percent": 100, "tag": "A b"}]), "traffic[0].tag"),
            (
                json!([{"type": LATEST, "percent": 50, "tag": "a"}, {"type": LATEST, "percent": 50, "tag": "a"}]),
                "given twice",
            ),
        ];
        for (traffic, expected) in cases {
            let refused = parse(&traffic).unwrap_err().message;
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
