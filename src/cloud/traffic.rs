//! What a service was before tidegate touched it, and the templates and traffic that keep its own requests away from
//! candidates. Pure: nothing here talks to an API.

use super::endpoint::Endpoint;
use super::error::{CloudError, brief};
use super::naming::is_candidate_name;
use super::quantity::{cpu, memory};
use crate::cost::InstanceShape;
use crate::scenario::{Billing, Candidate};
use google_cloud_run_v2::model::condition::State;
use google_cloud_run_v2::model::{Condition, RevisionTemplate, Service, TrafficTarget, TrafficTargetAllocationType};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a service was before tidegate touched it: enough to put it back, after a crash too. Its saved form holds the
/// template whole, with the values of environment variables: keep it as safe as the service's own definition.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Original {
    /// Full name of the service.
    pub(super) service: String,
    /// Short name of the revision that "latest" meant.
    pub(super) latest: String,
    /// Template, unknown fields included.
    pub(super) template: RevisionTemplate,
    /// Traffic as it was.
    pub(super) traffic: Vec<TrafficTarget>,
}

/// What somebody else changed on a service while tidegate was at work there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Others {
    /// Revision that their template names, or that was created last.
    pub(super) revision: Option<String>,
    /// Their traffic, without candidates' tags.
    pub(super) traffic: Option<Vec<TrafficTarget>>,
}

impl Others {
    /// In words, if there is anything.
    pub(super) fn told(&self) -> Option<String> {
        let template = self.revision.as_ref().map(|revision| format!("its template now has revision {revision:?}"));
        let traffic = self.traffic.as_ref().map(|targets| {
            let shares = targets.iter().filter(|target| target.percent > 0);
            let name = |target: &TrafficTarget| match short(&target.revision) {
                "" => "the latest revision".to_owned(),
                name => name.to_owned(),
            };
            let shares: Vec<String> = shares.map(|one| format!("{} % to {}", one.percent, name(one))).collect();
            format!("its traffic now goes {}", shares.join(", "))
        });
        let told: Vec<String> = template.into_iter().chain(traffic).collect();
        (!told.is_empty()).then(|| told.join(", and "))
    }
}

impl fmt::Debug for Original {
    /// Without the template: its environment may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Original")
            .field("service", &self.service)
            .field("latest", &self.latest)
            .field("traffic", &self.traffic)
            .finish_non_exhaustive()
    }
}

impl Original {
    /// Takes it from a service that is ready.
    ///
    /// # Errors
    /// When the service is being changed, has no ready revision, or its newest revision does not start.
    pub(super) fn of(service: Service, endpoint: &Endpoint) -> Result<Self, CloudError> {
        let name = endpoint.service.clone();
        let message = condition_message(service.terminal_condition.as_ref());
        if service.reconciling {
            return Err(CloudError::Reconciling { service: name });
        }
        let latest = short(&service.latest_ready_revision).to_owned();
        let (Some(template), false) = (service.template, latest.is_empty()) else {
            return Err(CloudError::NoReadyRevision { service: name, message });
        };
        let newest = short(&service.latest_created_revision);
        if !newest.is_empty() && newest != latest {
            return Err(CloudError::NewestNotReady { service: name, revision: newest.to_owned(), message });
        }
        Ok(Self { service: service.name, latest, template, traffic: service.traffic })
    }

    /// Max concurrency that the service had; `None` when it left the choice to Cloud Run.
    #[must_use]
    pub fn max_concurrency(&self) -> Option<u32> {
        u32::try_from(self.template.max_instance_request_concurrency).ok().filter(|value| *value > 0)
    }

    /// What an instance of the service is, for its price; `None` when its limits cannot be read. Limits that the template
    /// leaves out are Cloud Run's defaults: 1 vCPU and 512 MiB.
    #[must_use]
    pub fn shape(&self) -> Option<InstanceShape> {
        let resources = self.template.containers.first()?.resources.clone().unwrap_or_default();
        let limit =
            |name: &str, default: &'static str| resources.limits.get(name).map_or(default.to_owned(), String::clone);
        let vcpu = cpu(&limit("cpu", "1"))?;
        let memory = memory(&limit("memory", "512Mi"))?;
        let billing = if resources.cpu_idle { Billing::Request } else { Billing::Instance };
        Some(InstanceShape { vcpu, memory, billing })
    }

    /// Instances that each revision of the service keeps warm.
    #[must_use]
    pub fn min_instances(&self) -> u32 {
        let scaling = self.template.scaling.as_ref();
        scaling.and_then(|scaling| u32::try_from(scaling.min_instance_count).ok()).unwrap_or(0)
    }

    /// The traffic with every target by name, so that no new revision takes a share of it: "latest" becomes the
    /// revision it meant. Shares and tags stay.
    pub(super) fn pinned(&self) -> Vec<TrafficTarget> {
        let mut pinned: Vec<TrafficTarget> = Vec::new();
        for target in &self.traffic {
            let by_name = target.clone().set_type(TrafficTargetAllocationType::Revision);
            let by_name = if is_latest(target) {
                by_name.set_revision(&self.latest)
            } else {
                by_name.set_revision(short(&target.revision))
            };
            // "Latest" and the same revision by name are one target once both have the name.
            let twin = pinned.iter_mut().find(|other| other.revision == by_name.revision && other.tag == by_name.tag);
            match twin {
                Some(twin) => twin.percent += by_name.percent,
                None => pinned.push(by_name),
            }
        }
        // No traffic at all is Cloud Run's way to say "everything to the latest".
        if pinned.iter().all(|target| target.percent == 0) {
            pinned.push(by_name(&self.latest).set_percent(100));
        }
        pinned
    }

    /// The pinned traffic, and a tag without any share for one more revision.
    pub(super) fn with_tag(&self, revision: &str, tag: &str) -> Vec<TrafficTarget> {
        let mut traffic = self.pinned();
        traffic.push(by_name(revision).set_tag(tag));
        traffic
    }

    /// The template of a candidate's revision.
    pub(super) fn candidate(&self, candidate: Candidate, revision: &str) -> RevisionTemplate {
        let mut template = self.template.clone();
        revision.clone_into(&mut template.revision);
        template.max_instance_request_concurrency = count(candidate.max_concurrency);
        template
    }

    /// The template to put back: the name of its revision is used up, so the platform chooses a new one.
    pub(super) fn template_to_restore(&self) -> RevisionTemplate {
        nameless(self.template.clone())
    }

    /// What somebody else changed since: a template that is neither the original's nor a candidate's, traffic that is
    /// neither the original's nor pinned. A candidate's template is known by its revision's name, and by differing from the
    /// original in nothing but name and max concurrency.
    pub(super) fn others(&self, now: &Service) -> Others {
        let neutral = |template: &RevisionTemplate| nameless(template.clone()).set_max_instance_request_concurrency(0);
        let ours = |template: &RevisionTemplate| {
            is_candidate_name(short(&self.service), &template.revision) || neutral(template) == neutral(&self.template)
        };
        let theirs = now.template.as_ref().filter(|template| !ours(template));
        let revision = theirs.map(|template| match template.revision.as_str() {
            "" => short(&now.latest_created_revision).to_owned(),
            named => named.to_owned(),
        });
        let traffic = self.without_candidates(&now.traffic);
        let ours = same_traffic(&traffic, &self.traffic) || same_traffic(&traffic, &self.pinned());
        Others { revision, traffic: (!ours).then_some(traffic) }
    }

    /// Traffic without the tags of candidates.
    fn without_candidates(&self, traffic: &[TrafficTarget]) -> Vec<TrafficTarget> {
        let candidate = |target: &TrafficTarget| {
            target.percent == 0 && is_candidate_name(short(&self.service), short(&target.revision))
        };
        traffic.iter().filter(|target| !candidate(target)).cloned().collect()
    }

    /// Whether a service has this template, whatever its revision is called.
    pub(super) fn has_template(&self, service: &Service) -> bool {
        service.template.clone().map(nameless).as_ref() == Some(&self.template_to_restore())
    }
}

/// Whether two lists of targets send requests the same way. The order of targets, and how "latest" is spelt, mean
/// nothing.
pub(super) fn same_traffic(one: &[TrafficTarget], other: &[TrafficTarget]) -> bool {
    let normal = |targets: &[TrafficTarget]| {
        let mut keys: Vec<(bool, String, i32, String)> = targets
            .iter()
            .map(|target| {
                let latest = is_latest(target);
                let revision = if latest { String::new() } else { short(&target.revision).to_owned() };
                (latest, revision, target.percent, target.tag.clone())
            })
            .collect();
        keys.sort();
        if keys.is_empty() {
            keys.push((true, String::new(), 100, String::new()));
        }
        keys
    };
    normal(one) == normal(other)
}

/// What a "Ready" condition says against being ready; `None` when it is, or when there is no such condition.
pub(super) fn unready(conditions: &[Condition]) -> Option<String> {
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready")?;
    (ready.state != State::ConditionSucceeded).then(|| condition_message(Some(ready)))
}

/// Last part of a resource name.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A count as Google's crates hold it; nothing that Cloud Run accepts comes near the bound.
pub(super) fn count(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn by_name(revision: &str) -> TrafficTarget {
    TrafficTarget::new().set_type(TrafficTargetAllocationType::Revision).set_revision(revision)
}

fn is_latest(target: &TrafficTarget) -> bool {
    target.r#type == TrafficTargetAllocationType::Latest || target.revision.is_empty()
}

fn nameless(mut template: RevisionTemplate) -> RevisionTemplate {
    template.revision.clear();
    template
}

fn condition_message(condition: Option<&Condition>) -> String {
    match condition {
        Some(condition) if !condition.message.is_empty() => brief(&condition.message),
        Some(condition) => condition.state.name().unwrap_or("its state is unknown").to_owned(),
        None => "it does not say why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn latest(percent: i32) -> TrafficTarget {
        TrafficTarget::new().set_type(TrafficTargetAllocationType::Latest).set_percent(percent)
    }

    fn original(traffic: Vec<TrafficTarget>) -> Original {
        let template = RevisionTemplate::new();
        Original {
            service: "projects/p/locations/l/services/s".to_owned(),
            latest: "s-7".to_owned(),
            template,
            traffic,
        }
    }

    #[test]
    fn no_traffic_means_everything_to_the_latest() {
        assert_eq!(original(vec![]).pinned(), [by_name("s-7").set_percent(100)]);
        assert!(same_traffic(&[], &[latest(100)]));
    }

    #[test]
    fn latest_and_the_same_revision_by_name_become_one_target() {
        let traffic = vec![latest(30), by_name("s-7").set_percent(70)];
        assert_eq!(original(traffic).pinned(), [by_name("s-7").set_percent(100)]);
    }

    #[test]
    fn traffic_is_the_same_whatever_its_order_and_differs_by_revision_share_and_tag() {
        let one = [latest(90), by_name("s-5").set_percent(10).set_tag("stable")];
        let other =
            [by_name("projects/p/locations/l/services/s/revisions/s-5").set_percent(10).set_tag("stable"), latest(90)];
        assert!(same_traffic(&one, &other));
        for changed in [by_name("s-4").set_percent(10).set_tag("stable"), by_name("s-5").set_percent(10)] {
            assert!(!same_traffic(&one, &[latest(90), changed]));
        }
        assert!(!same_traffic(&[latest(100)], &[by_name("s-7").set_percent(100)]));
    }

    proptest! {
        /// Whatever the traffic was: pinned, nothing follows a new revision, all shares are kept, and a candidate gets
        /// an address and nothing else.
        #[test]
        fn no_request_of_the_service_reaches_a_candidate(
            targets in proptest::collection::vec((any::<bool>(), 0..4_u8, 0..=100_i32, 0..3_u8), 0..6),
        ) {
            let target = |(follows, revision, percent, tag): (bool, u8, i32, u8)| {
                let target = if follows { latest(percent) } else { by_name(&format!("s-{revision}")).set_percent(percent) };
                if tag == 0 { target } else { target.set_tag(format!("t{tag}")) }
            };
            let traffic: Vec<TrafficTarget> = targets.into_iter().map(target).collect();
            let share: i32 = traffic.iter().map(|target| target.percent).sum();
            let pinned = original(traffic.clone()).pinned();
            prop_assert!(pinned.iter().all(|target| !is_latest(target)));
            prop_assert_eq!(pinned.iter().map(|target| target.percent).sum::<i32>(), if share == 0 { 100 } else { share });
            let with_tag = original(traffic).with_tag("s-tg-1", "tg-1");
            let to_candidate: Vec<_> = with_tag.iter().filter(|target| target.revision == "s-tg-1").collect();
            let only_the_tag = by_name("s-tg-1").set_tag("tg-1");
            prop_assert_eq!(to_candidate, vec![&only_the_tag]);
        }
    }
}
