//! How many revisions a service keeps.

use super::Service;
use crate::platform::admin::condition::State;
use crate::platform::admin::field::array;
use crate::platform::admin::revision::Revision;
use crate::platform::admin::traffic::{self, Target};
use std::collections::BTreeSet;

/// "Maximum number of revisions per service. When limit is reached, non-serving revisions are automatically deleted in
/// historical order: 1000" (docs.cloud.google.com/run/quotas, read 2026-11-22).
const REVISIONS_MOST: usize = 1000;

impl Service {
    /// Forgets the revisions that are too many, and names them: the oldest that have no traffic, neither in force nor asked
    /// for (last, or by the change that is now carried out, whose `targets` these are), and no instance (`busy` names those
    /// that have one), that neither come nor go, and are neither the latest nor the latest ready one. The platform has no
    /// rule of its own: it is told.
    pub(in crate::platform::admin) fn forget_oldest(
        &mut self,
        targets: &[Target],
        busy: &BTreeSet<String>,
    ) -> Vec<String> {
        let surplus = self.revisions.len().saturating_sub(REVISIONS_MOST);
        if surplus == 0 {
            return Vec::new();
        }
        let wanted = array(&self.wanted, "", "traffic").and_then(|targets| traffic::targets(&self.name, targets));
        // What the books hold has been found valid.
        let targets = [targets, &self.routed, &wanted.unwrap_or_default()].concat();
        let may_go = |revision: &&Revision| {
            let name = revision.name.as_str();
            let latest = self.latest_created == name || self.latest_ready.as_deref() == Some(name);
            let changing = revision.ready.state == State::Reconciling || revision.deleted.is_some();
            !(latest || changing || busy.contains(name) || self.leads_to(&targets, name))
        };
        let mut others: Vec<_> = self.revisions.values().filter(may_go).collect();
        others.sort_by_key(|revision| (revision.created, &revision.uid));
        let oldest: Vec<String> = others.into_iter().take(surplus).map(|revision| revision.name.clone()).collect();
        for name in &oldest {
            self.revisions.remove(name);
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::admin::condition::Condition;
    use crate::platform::admin::service::Identity;
    use crate::platform::place::Place;
    use crate::platform::spec::Addresses;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};

    fn of_type_revision(name: &str) -> Value {
        json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": name, "percent": 100})
    }

    #[test]
    fn beyond_a_thousand_revisions_the_oldest_that_nobody_needs_goes() {
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
        assert!(service.forget_oldest(&[], &BTreeSet::new()).is_empty(), "a thousand are not too many");
        let now = begun + SignedDuration::from_hours(9);
        let targets = |name: &str| traffic::targets("shop", &[of_type_revision(name)]).unwrap();
        service.settle_routes(targets("shop-1"), Addresses::default(), now);
        let mut wanted = wanted;
        wanted.insert("traffic".to_owned(), json!([of_type_revision("shop-2")]));
        let mut changed = service.change(wanted, true, now).unwrap().service;
        changed.revisions.get_mut("shop-3").unwrap().ready = Condition::new(State::Reconciling, now);
        changed.revisions.get_mut("shop-4").unwrap().deleted = Some(now);
        let gone = changed.forget_oldest(&targets("shop-5"), &BTreeSet::from(["shop-6".to_owned()]));
        assert_eq!(gone, ["shop-7"], "not {serving}, the latest ready one, nor those that something else holds");
        assert_eq!(changed.revisions.len(), REVISIONS_MOST);
        assert!(!changed.revisions.contains_key("shop-7"));
    }
}
