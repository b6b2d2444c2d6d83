//! How many revisions a service keeps.

use super::Service;
use std::collections::BTreeSet;

/// "Maximum number of revisions per service. When limit is reached, non-serving revisions are automatically deleted in
/// historical order: 1000" (docs.cloud.google.com/run/quotas, read 2026-11-22).
const REVISIONS_MOST: usize = 1000;

impl Service {
    /// Makes room for one more revision: the oldest go that have no traffic and are neither the latest nor the latest
    /// ready one.
    pub(super) fn forget_oldest(&mut self) {
        if self.revisions.len() < REVISIONS_MOST {
            return;
        }
        let routes = self.routes(&self.routed).unwrap_or_default();
        let mut kept: BTreeSet<String> = routes.into_iter().map(|route| route.revision).collect();
        kept.extend(self.latest_ready.clone());
        kept.insert(self.latest_created.clone());
        let mut others: Vec<_> = self.revisions.values().filter(|revision| !kept.contains(&revision.name)).collect();
        others.sort_by_key(|revision| (revision.created, revision.uid.clone()));
        let surplus = self.revisions.len() + 1 - REVISIONS_MOST;
        let oldest: Vec<String> = others.into_iter().take(surplus).map(|revision| revision.name.clone()).collect();
        for name in oldest {
            self.revisions.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::admin::revision::Revision;
    use crate::platform::admin::service::Identity;
    use crate::platform::place::Place;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};

    #[test]
    fn beyond_a_thousand_revisions_the_oldest_without_traffic_goes() {
        let wanted = json!({"template": {"containers": [{"image": "tidegate/command", "command": ["shop"]}]}});
        let Value::Object(wanted) = wanted else { panic!("it is one") };
        let place = Place { project: "p".to_owned(), location: "l".to_owned() };
        let identity = Identity { place, name: "shop".to_owned(), uid: "1".to_owned() };
        let begun = Timestamp::UNIX_EPOCH;
        let mut service = Service::create(identity, wanted.clone(), begun).unwrap().service;
        let serving = service.latest_created.clone();
        service.settle_revision(&serving, None, begun);
        let first = service.revisions[&serving].clone();
        for number in 1..REVISIONS_MOST {
            let name = format!("shop-{number}");
            let created = begun + SignedDuration::from_secs(i64::try_from(number).unwrap());
            service.revisions.insert(name.clone(), Revision { name, created, ..first.clone() });
        }
        let changed = service.change(wanted, true, begun + SignedDuration::from_hours(9)).unwrap().service;
        assert_eq!(changed.revisions.len(), REVISIONS_MOST);
        let gone: Vec<_> = service.revisions.keys().filter(|name| !changed.revisions.contains_key(*name)).collect();
        assert_eq!(gone, ["shop-1"], "the oldest of all, {serving}, is the latest ready one");
    }
}
