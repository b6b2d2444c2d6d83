//! What it takes to build a system with what was started: services, topics and subscriptions, for a run and for each trial.

use super::super::bundled;
use super::access::{self, Issuer};
use super::broker;
use super::{CommandError, PROJECT};
use crate::cloud::{Cloud, CloudError, Endpoint, PubSub, Served, SteadyClock};
use crate::scenario::{Member, System};
use crate::trial::{PublishRefusals, SubscriptionRecording};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where programs look for a Pub/Sub that is not Google's.
pub(super) const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// Services that serve and are joined.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Where the journeys are sent.
    pub(super) front: String,
    /// (consumer, address of its observer).
    pub(super) observers: Vec<(String, String)>,
    /// By service, its revision.
    pub(super) revisions: BTreeMap<String, String>,
}

/// What the local broker has counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) subscriptions: Vec<SubscriptionRecording>,
    /// Since the broker was started.
    pub(super) publishes_refused: PublishRefusals,
}

/// What it takes to build with what was started. Clones build on the same ground.
#[derive(Clone, Debug)]
pub(super) struct Works {
    pub(super) tidegate: PathBuf,
    /// `HOST:PORT` of the Pub/Sub.
    pub(super) host: String,
    /// Whether that is the local broker.
    pub(super) is_broker: bool,
    /// Whose tokens the platform takes; without one every service is open.
    pub(super) issuer: Option<Issuer>,
    /// By service.
    pub(super) clouds: BTreeMap<String, Arc<Cloud>>,
}

impl Works {
    /// Deploys every service of `system` on the platform at `endpoint`, open to whom the scenario says, and joins them.
    pub(super) async fn make(
        &mut self,
        system: &System,
        pubsub: &mut PubSub,
        (endpoint, state): (&str, &Path),
    ) -> Result<Made, CommandError> {
        let mut served = BTreeMap::new();
        for (name, member) in &system.services {
            let cloud = connect(endpoint, name, member).await?;
            let command = bundled::command_of(&member.service.source, &self.tidegate);
            let env = environment(name, member, &self.host, state);
            let one = Box::pin(cloud.serve(&member.service, &command, &env, member.max_concurrency)).await?;
            let callers = self.issuer.as_ref().and_then(|_| access::callers(member));
            cloud.admit(callers.as_deref()).await?;
            served.insert(name.clone(), one);
            self.clouds.insert(name.clone(), Arc::new(cloud));
        }
        Ok(join(system, served, pubsub).await?)
    }

    /// How long after the load deliveries are waited for. The time factor divides the local broker's backoffs, and no other's.
    pub(super) fn drain_limit(&self, system: &System) -> Duration {
        system.drain_limit(if self.is_broker { system.time_factor } else { 1.0 })
    }

    /// What the local broker has counted of the subscriptions of `system`, and of publishers; nothing of another Pub/Sub.
    pub(super) async fn counted(&self, system: &System) -> Option<Counted> {
        if !self.is_broker {
            return None;
        }
        let stats = broker::stats(&broker::client(), &self.host).await?;
        let subscriptions = system.subscriptions.iter().filter_map(|(name, subscription)| {
            let figures = stats.subscriptions.get(&full_name(name))?;
            Some(figures.recorded(name, &subscription.push_to))
        });
        Some(Counted { subscriptions: subscriptions.collect(), publishes_refused: stats.publishes_refused })
    }

    /// How many messages the subscriptions of `system` hold, by the service that they push to; nothing of another Pub/Sub.
    pub(super) async fn queued(&self, system: &System) -> BTreeMap<String, u64> {
        let mut queued: BTreeMap<String, u64> = BTreeMap::new();
        for subscription in self.counted(system).await.iter().flat_map(|counted| &counted.subscriptions) {
            *queued.entry(subscription.push_to.clone()).or_default() += subscription.undelivered;
        }
        queued
    }

    /// Gives every service a further revision, as `system` says, and joins them by its topics and subscriptions, which are
    /// not those of any other.
    pub(super) async fn make_anew(
        &self,
        system: &System,
        pubsub: &mut PubSub,
        state: &Path,
    ) -> Result<Made, CloudError> {
        let deploying = system.services.iter().filter_map(|(name, member)| {
            let cloud = self.clouds.get(name)?;
            let command = bundled::command_of(&member.service.source, &self.tidegate);
            let env = environment(name, member, &self.host, state);
            Some(Box::pin(async move {
                let one = cloud.serve_anew(&member.service, &command, &env, member.max_concurrency).await;
                one.map(|served| (name.clone(), served))
            }))
        });
        let served = join_all(deploying.collect()).await.into_iter().collect::<Result<_, _>>()?;
        join(system, served, pubsub).await
    }

    /// A client of its Pub/Sub that has made nothing yet.
    pub(super) async fn pubsub(&self) -> Result<PubSub, CloudError> {
        PubSub::connect(PROJECT, Some(&self.host)).await
    }
}

/// Makes the topics and subscriptions of `system` between services that serve.
async fn join(system: &System, served: BTreeMap<String, Served>, pubsub: &mut PubSub) -> Result<Made, CloudError> {
    for topic in &system.topics {
        pubsub.create_topic(topic).await?;
    }
    for (name, subscription) in &system.subscriptions {
        let url = served.get(&subscription.push_to).map(|served| served.url.as_str()).unwrap_or_default();
        let account = subscription.push_as.as_deref().map(access::account);
        pubsub.create_subscription(name, subscription, url, account.as_deref()).await?;
    }
    let front = served.get(&system.front).map(|served| served.url.clone()).unwrap_or_default();
    let observers = system.services.iter().filter_map(|(name, member)| {
        let url = served.get(name)?.url.trim_end_matches('/');
        member.observer.as_ref().map(|path| (name.clone(), format!("{url}{path}")))
    });
    let observers = observers.collect();
    let revisions = served.into_iter().map(|(name, served)| (name, served.revision)).collect();
    Ok(Made { front, observers, revisions })
}

/// A subscription's name as Pub/Sub knows it.
pub(super) fn full_name(subscription: &str) -> String {
    format!("projects/{PROJECT}/subscriptions/{subscription}")
}

async fn connect(endpoint: &str, name: &str, member: &Member) -> Result<Cloud, CommandError> {
    let endpoint = Endpoint {
        local: Some(endpoint.to_owned()),
        project: PROJECT.to_owned(),
        region: member.service.region.clone(),
        service: name.to_owned(),
    };
    Ok(Cloud::connect(endpoint, Arc::new(SteadyClock::starting_at(jiff::Timestamp::now()))).await?)
}

/// What a service finds in its environment beside what the scenario says.
fn environment(name: &str, member: &Member, host: &str, state: &Path) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("GOOGLE_CLOUD_PROJECT".to_owned(), PROJECT.to_owned()),
        (EMULATOR.to_owned(), host.to_owned()),
    ]);
    if let Some(topic) = &member.publishes {
        env.insert("PUBSUB_TOPIC".to_owned(), topic.clone());
    }
    if member.observer.is_some() {
        env.insert("DELIVERIES".to_owned(), state.join(format!("{name}.db")).display().to_string());
    }
    env
}

/// Awaits all, side by side, in the task of the caller.
pub(super) async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(outputs.drain(..).flatten().collect())
    })
    .await
}
