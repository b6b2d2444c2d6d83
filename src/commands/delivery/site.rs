//! The place where trials of a whole system run: each trial gets a revision of every service, topics, subscriptions and
//! files of deliveries of its own, so that nothing of one trial reaches another.

use super::super::tuning::DRAIN;
use super::conclude::services;
use super::drain::{Drained, Waiting, drain};
use super::observer;
use super::works::{Counted, Made, Works};
use crate::cloud::{CloudError, PubSub};
use crate::driver::{Options, Posts, TargetOptions};
use crate::scenario::{Billing, Candidate, Delivery, Plan, Scenario, System};
use crate::study::{
    Driven, Site, StudyError, Tenure, TrialProgress, Usages, Watched, must_connect, unless_stopped, watched_drive,
};
use crate::trial::{DeliveryRecording, Recording, Terms, Usage, judge_promises};
use crate::tuner::Proposal;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A system on the local platform, joined by the local broker.
#[derive(Debug)]
pub(super) struct SystemSite {
    pub(super) works: Works,
    pub(super) scenario: Arc<Scenario>,
    pub(super) system: System,
    pub(super) delivery: Delivery,
    /// The services that get the candidate's max concurrency.
    pub(super) tuned: Vec<String>,
    /// What stage lengths are divided by.
    pub(super) stage_divisor: f64,
    /// Where the trials' consumers keep what was delivered to them.
    pub(super) state: PathBuf,
    /// Between two samples of Monitoring.
    pub(super) sample_period: Duration,
    pub(super) target: TargetOptions,
}

/// `system` for one trial: topics and subscriptions of its own, the candidate's max concurrency where it is tuned.
fn of_trial(system: &System, tuned: &[String], number: u32, candidate: Candidate) -> System {
    let own = |name: &String| format!("{name}-t{number}");
    let mut system = system.clone();
    for (name, member) in &mut system.services {
        member.publishes = member.publishes.as_ref().map(own);
        if tuned.contains(name) {
            member.max_concurrency = Some(candidate.max_concurrency);
        }
    }
    system.topics = system.topics.iter().map(own).collect();
    let subscriptions = std::mem::take(&mut system.subscriptions);
    system.subscriptions = subscriptions
        .into_iter()
        .map(|(name, mut subscription)| {
            subscription.topic = own(&subscription.topic);
            if let Some(dead) = &mut subscription.dead_letter {
                dead.topic = own(&dead.topic);
            }
            (own(&name), subscription)
        })
        .collect();
    system
}

impl SystemSite {
    /// Drives the posts and waits for what they are to deliver. Gives the recording, and when its load started.
    async fn measure(
        &self,
        (number, proposal): (u32, Proposal),
        system: &System,
        made: &Made,
        (progress, stop): (watch::Sender<TrialProgress>, watch::Receiver<bool>),
    ) -> Result<(Recording, Timestamp), StudyError> {
        let plan = Plan::new(Arc::clone(&self.scenario), proposal.seed, self.stage_divisor);
        let posts = Posts::of(&plan)
            .ok_or_else(|| StudyError::Place("the step that posts reports is not in the plan".to_owned()))?;
        let mut options = Options {
            base_url: made.front.clone(),
            target: self.target.clone(),
            must_connect: must_connect(number),
            drain: DRAIN,
            ..Options::default()
        };
        options.extras.posts = Some(posts.clone());
        let counted = self.works.counted(system).await;
        let refused_before = counted.map(|counted| counted.publishes_refused).unwrap_or_default();
        let began = Timestamp::now();
        let watched = Watched {
            cloud: self.works.clouds.get(&system.front).ok_or_else(|| nowhere(&system.front))?,
            revision: made.revisions.get(&system.front).map_or("", String::as_str),
            sample_period: self.sample_period,
        };
        let mut recording = watched_drive(watched, &plan, &options, (progress, stop.clone())).await?;
        let started = recording.started_at.parse().unwrap_or(began);
        let limit = self.works.drain_limit(system);
        let works = Some((&self.works, system));
        let waiting = Waiting { started, posts: &posts, limit, stop, works, say: &|_: &str| {} };
        let observers = observer::all(&self.scenario, &made.observers, self.works.issuer.as_ref());
        let Drained { unobserved, looked_until, queued } = drain(observers, &waiting, recording.interrupted).await;
        let factor = system.time_factor.max(1.0);
        let terms = Terms {
            step: self.delivery.step.clone(),
            within: self.delivery.within.div_f64(factor),
            drain_limit: limit,
            looked_until,
            time_factor: factor,
            faults: Vec::new(),
        };
        let mut told = posts.with(|ledger| ledger.conclude(terms));
        told.enter_queued(&queued);
        let mut told = self.completed(told, number, system, unobserved).await;
        told.publishes_refused = told.publishes_refused.map(|refused| refused.since(refused_before));
        recording.delivery = Some(told);
        Ok((recording, started))
    }

    /// The ledger's record with what others tell.
    async fn completed(
        &self,
        mut told: DeliveryRecording,
        number: u32,
        system: &System,
        unobserved: Option<String>,
    ) -> DeliveryRecording {
        if let Some(Counted { subscriptions, publishes_refused }) = self.works.counted(system).await {
            told.enter_subscriptions(subscriptions);
            told.publishes_refused = Some(publishes_refused);
        }
        told.services = services(system);
        told.promises = judge_promises(&self.delivery, &told);
        told.unobserved = unobserved;
        if told.lost() == 0 {
            // What was delivered is evidence only as long as something is missing.
            let _ = std::fs::remove_dir_all(self.state_of(number));
        }
        told
    }

    fn state_of(&self, number: u32) -> PathBuf {
        self.state.join(format!("t{number}"))
    }

    /// Everything of one trial but its end.
    async fn run(
        &self,
        (number, proposal): (u32, Proposal),
        pubsub: &mut PubSub,
        progress: watch::Sender<TrialProgress>,
        stop: watch::Receiver<bool>,
    ) -> Result<Driven, StudyError> {
        let deployed_at = Timestamp::now();
        let state = self.state_of(number);
        std::fs::create_dir_all(&state)
            .map_err(|cause| StudyError::Place(format!("failed to create the folder {}: {cause}", state.display())))?;
        let system = of_trial(&self.system, &self.tuned, number, proposal.candidate);
        let made = unless_stopped(Box::pin(self.works.make_anew(&system, pubsub, &state)), &stop).await?;
        let measured = Box::pin(self.measure((number, proposal), &system, &made, (progress, stop))).await;
        let (recording, started_at) = measured?;
        let mut others = made.revisions;
        let revision = others.remove(&system.front).ok_or_else(|| nowhere(&system.front))?;
        let tenure = Tenure { revision, others, deployed_at, started_at, ended_at: Timestamp::now() };
        Ok(Driven { number, proposal, tenure, recording })
    }

    /// What the revision of one service was billed.
    async fn usage_of(&self, service: &str, revision: &str, tenure: &Tenure) -> Result<Usage, CloudError> {
        let cloud = self.works.clouds.get(service);
        let cloud = cloud.ok_or_else(|| CloudError::NotFound { what: service.to_owned(), message: String::new() })?;
        let billing = self.system.services.get(service).map_or(Billing::Request, |member| member.service.billing);
        cloud.usage(&tenure.window(revision, billing)).await
    }
}

fn nowhere(service: &str) -> StudyError {
    StudyError::Place(format!("service {service} was not deployed; this is a fault of tidegate, please report it"))
}

impl Site for SystemSite {
    async fn drive(
        &self,
        number: u32,
        proposal: Proposal,
        progress: watch::Sender<TrialProgress>,
        stop: watch::Receiver<bool>,
    ) -> Result<Driven, StudyError> {
        let mut pubsub = self.works.pubsub().await?;
        let driven = Box::pin(self.run((number, proposal), &mut pubsub, progress, stop)).await;
        // Without subscriptions nothing of this trial reaches the next one's revisions. When they cannot be deleted, the
        // trial that follows would not be its own.
        let cleared = pubsub.put_back().await;
        let driven = driven?;
        cleared?;
        Ok(driven)
    }

    async fn usage(&self, tenure: &Tenure) -> Result<Usages, CloudError> {
        let front = self.usage_of(&self.system.front, &tenure.revision, tenure).await?;
        let mut others = BTreeMap::new();
        for (service, revision) in &tenure.others {
            others.insert(service.clone(), self.usage_of(service, revision, tenure).await?);
        }
        Ok(Usages { front, others })
    }

    fn keeps_usage(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const LAB: &str = include_str!("../../../scenarios/lab-report.yaml");

    #[test]
    fn a_trial_has_topics_of_its_own_and_the_candidate_where_it_is_tuned() {
        let scenario = Scenario::from_yaml(Path::new("lab.yaml"), LAB).unwrap();
        let system = scenario.system.unwrap();
        let tuned = ["lab-report-service".to_owned()];
        let trial = of_trial(&system, &tuned, 7, Candidate { max_concurrency: 3 });
        assert_eq!(trial.topics, ["new-lab-report-t7"]);
        let front = &trial.services["lab-report-service"];
        assert_eq!((front.max_concurrency, front.publishes.as_deref()), (Some(3), Some("new-lab-report-t7")));
        let email = "email-service";
        assert_eq!(trial.services[email].max_concurrency, system.services[email].max_concurrency);
        let subscription = &trial.subscriptions["email-service-sub-t7"];
        assert_eq!((subscription.topic.as_str(), subscription.push_to.as_str()), ("new-lab-report-t7", email));
        assert_eq!(trial.subscriptions.len(), system.subscriptions.len());
    }
}
