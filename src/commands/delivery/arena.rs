//! The system under a run: started here, or somewhere else by a target.

use super::super::bundled;
use super::super::local::{LocalOptions, LocalPlatform};
use super::access::{self, Issuer};
use super::afterwards::{self, Asked, Wait};
use super::broker::{self, Figures, LocalBroker};
use super::faults::{self, Happened};
use super::looks::Looks;
use super::{CommandError, Observer, PROJECT, Progress, RunOptions};
use crate::cloud::{Cloud, Endpoint, PubSub, RevisionActivity, SteadyClock};
use crate::driver;
use crate::scenario::{Member, Scenario, System};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Where programs look for a Pub/Sub that is not Google's.
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";
/// How long deliveries of a system that is not described are waited for: Pub/Sub's defaults.
const DRAIN_DEFAULT: Duration = Duration::from_secs(130);

/// The system under a run.
#[derive(Debug)]
pub(super) struct Arena {
    /// Where the journeys are sent.
    pub(super) front: String,
    pub(super) drain_limit: Duration,
    /// (consumer, address of its observer).
    observers: Vec<(String, String)>,
    local: Option<Local>,
}

/// What was started.
#[derive(Debug)]
struct Local {
    system: System,
    /// Whose tokens the platform takes; without one every service is open.
    issuer: Option<Issuer>,
    platform: LocalPlatform,
    broker: Option<LocalBroker>,
    pubsub: Option<PubSub>,
    /// By service.
    clouds: BTreeMap<String, Cloud>,
    revisions: Mutex<BTreeMap<String, Vec<String>>>,
    started: jiff::Timestamp,
}

/// What stage lengths and times of faults are divided by.
pub(super) fn time_factor(options: &RunOptions, scenario: &Scenario) -> f64 {
    let of_system = scenario.system.as_ref().filter(|_| options.target.is_none()).map(|system| system.time_factor);
    of_system.unwrap_or(options.time_factor)
}

/// The Pub/Sub that the user has, if any: that of the command line, else that of the environment.
pub(super) fn pubsub(options: &RunOptions) -> Option<String> {
    let host = || std::env::var(EMULATOR).ok().filter(|host| !host.is_empty());
    options.delivery.pubsub.clone().or_else(host)
}

/// How long after the load deliveries are waited for.
pub(super) fn drain_limit(scenario: &Scenario, time_factor: f64) -> Duration {
    scenario.system.as_ref().map_or(DRAIN_DEFAULT, |system| system.drain_limit(time_factor))
}

impl Arena {
    /// Starts the scenario's system, or takes the target as it is.
    pub(super) async fn start(
        options: &RunOptions,
        scenario: &Scenario,
        dir: &Path,
        progress: &Progress,
    ) -> Result<Self, CommandError> {
        match (&options.target, &scenario.system) {
            (None, Some(system)) => Box::pin(Self::local(options, system, dir, progress)).await,
            (target, system) => {
                for fault in system.iter().flat_map(|system| &system.faults) {
                    progress.say(&format!("{}: not done: what a target names is left as it is", fault.text));
                }
                Ok(Self {
                    front: target.clone().unwrap_or_default(),
                    drain_limit: drain_limit(scenario, time_factor(options, scenario)),
                    observers: options.delivery.observers.clone(),
                    local: None,
                })
            }
        }
    }

    async fn local(
        options: &RunOptions,
        system: &System,
        dir: &Path,
        progress: &Progress,
    ) -> Result<Self, CommandError> {
        let tidegate = std::env::current_exe()
            .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
        let state = dir.join("state");
        std::fs::create_dir_all(&state).map_err(|cause| CommandError::File {
            action: "create the folder",
            path: state.clone(),
            cause,
        })?;
        let (broker, host) = if let Some(host) = pubsub(options) {
            (None, host)
        } else {
            let broker = LocalBroker::start(&tidegate, &state.join("broker"), system.time_factor).await?;
            let host = broker.host.clone();
            (Some(broker), host)
        };
        let issuer = Issuer::find(&host).await;
        let keys = issuer.as_ref().map(Issuer::keys);
        let logs = dir.join("logs");
        let platform = LocalOptions {
            limits: options.delivery.limits,
            time_factor: system.time_factor,
            host_cores_per_vcpu: system.host_cores_per_vcpu,
            scaling: super::super::ScalingOptions::default(),
            identity_keys: keys.as_deref(),
            logs: &logs,
        };
        let platform = LocalPlatform::start(&tidegate, &platform).await?;
        let whose = if broker.is_some() { "broker" } else { "Pub/Sub of yours" };
        progress.say(&format!("{}; {whose} at {host}", platform.ready.describe()));
        if issuer.is_none()
            && let Some(opened) = access::opened(system)
        {
            progress.say(&format!("{opened}: everybody may call in this run, for the Pub/Sub at {host} sends no tokens that could be checked"));
        }
        let mut local = Local {
            system: system.clone(),
            issuer,
            platform,
            broker,
            pubsub: None,
            clouds: BTreeMap::new(),
            revisions: Mutex::default(),
            started: jiff::Timestamp::now(),
        };
        match Box::pin(local.build(&tidegate, &state, &host)).await {
            Ok((front, observers)) => {
                Ok(Self { front, drain_limit: system.drain_limit(system.time_factor), observers, local: Some(local) })
            }
            Err(error) => {
                // Its own end has nothing to add to why it never began.
                let _ = local.stop().await;
                Err(error)
            }
        }
    }

    /// Those of the scenario's consumers that can be observed.
    pub(super) fn observers(&self, scenario: &Scenario) -> Vec<Observer> {
        let (Some(delivery), Some(ids)) = (&scenario.delivery, scenario.report_ids()) else { return Vec::new() };
        // Nothing between a host and itself.
        let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
        let observer = |(place, name): (usize, &String)| {
            let (_, address) = self.observers.iter().find(|(consumer, _)| consumer == name)?;
            let pass = self.local.as_ref().and_then(|local| local.issuer.as_ref()).map(|issuer| issuer.pass(address));
            Some(Observer::new((place, name), (address.clone(), pass), client.clone(), ids))
        };
        delivery.consumers.iter().enumerate().filter_map(observer).collect()
    }

    /// Lets every fault of the scenario happen while the load goes on.
    pub(super) async fn break_and_mend(
        &self,
        load: watch::Receiver<driver::Progress>,
        stop: &watch::Receiver<bool>,
        progress: &Progress,
    ) -> Result<Vec<Happened>, CommandError> {
        let Some(local) = &self.local else { return Ok(Vec::new()) };
        let factor = local.system.time_factor;
        let mut under_way = Vec::new();
        for fault in &local.system.faults {
            let Some(cloud) = local.clouds.get(&fault.service) else { continue };
            under_way.push(Box::pin(faults::happen(fault, cloud, (factor, progress), load.clone(), stop.clone())));
        }
        drop(load);
        let mut happened = Vec::new();
        for fault in join_all(under_way).await {
            if let Some(fault) = fault? {
                happened.push(fault);
            }
        }
        let mut revisions = local.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in &happened {
            revisions.entry(fault.service().to_owned()).or_default().extend(fault.revisions.clone());
        }
        Ok(happened)
    }

    /// Looks at redeliveries from now on; nothing where no local broker counts them.
    pub(super) fn looks(&self) -> Option<Looks> {
        let local = self.local.as_ref()?;
        let host = local.broker.as_ref()?.host.clone();
        let subscriptions = local.system.subscriptions.iter();
        Some(Looks::begin(host, subscriptions.map(|(name, it)| (full_name(name), it.push_to.clone())).collect()))
    }

    /// What the local broker tells of its subscriptions, by the service that they push to; nothing of another Pub/Sub.
    pub(super) async fn figures(&self) -> BTreeMap<String, Figures> {
        match &self.local {
            Some(local) => local.figures().await,
            None => BTreeMap::new(),
        }
    }

    /// What Monitoring tells of the services' revisions until `until`; nothing where it does not.
    pub(super) async fn activity(
        &self,
        until: jiff::Timestamp,
        stop: watch::Receiver<bool>,
        progress: &Progress,
    ) -> BTreeMap<String, RevisionActivity> {
        let Some(local) = &self.local else { return BTreeMap::new() };
        let revisions = local.revisions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = revisions.iter().filter_map(|(name, revisions)| {
            let cloud = local.clouds.get(name)?;
            Some(Asked { name, cloud, revisions })
        });
        let asked: Vec<Asked<'_>> = asked.collect();
        afterwards::read(&asked, Wait { from: local.started, until, stop, progress }).await
    }

    /// Deletes what was made and ends what was started.
    pub(super) async fn stop(&mut self) -> Result<(), CommandError> {
        match self.local.take() {
            Some(local) => local.stop().await,
            None => Ok(()),
        }
    }
}

impl Local {
    /// What the local broker tells of its subscriptions, by the service that they push to; nothing of another Pub/Sub.
    async fn figures(&self) -> BTreeMap<String, Figures> {
        let mut told: BTreeMap<String, Figures> = BTreeMap::new();
        let Some(broker) = &self.broker else { return told };
        let of_each = broker::figures(&broker.host).await;
        for (name, subscription) in &self.system.subscriptions {
            if let Some(figures) = of_each.get(&full_name(name)) {
                let sum = told.entry(subscription.push_to.clone()).or_default();
                sum.redelivered += figures.redelivered;
                sum.dead_lettered += figures.dead_lettered;
            }
        }
        told
    }

    /// Makes topics, services and subscriptions. Gives the front's address and those of the observers.
    async fn build(
        &mut self,
        tidegate: &Path,
        state: &Path,
        host: &str,
    ) -> Result<(String, Vec<(String, String)>), CommandError> {
        let mut pubsub = PubSub::connect(PROJECT, Some(host)).await?;
        let made = Box::pin(self.make(&mut pubsub, (tidegate, state), host)).await;
        self.pubsub = Some(pubsub);
        made
    }

    async fn make(
        &mut self,
        pubsub: &mut PubSub,
        (tidegate, state): (&Path, &Path),
        host: &str,
    ) -> Result<(String, Vec<(String, String)>), CommandError> {
        for topic in &self.system.topics {
            pubsub.create_topic(topic).await?;
        }
        let (mut addresses, mut observers) = (BTreeMap::new(), Vec::new());
        for (name, member) in &self.system.services {
            let cloud = connect(&self.platform.ready.endpoint, name, member).await?;
            let command = bundled::command_of(&member.service.source, tidegate);
            let env = environment(name, member, host, state);
            let served = Box::pin(cloud.serve(&member.service, &command, &env, member.max_concurrency)).await?;
            let callers = self.issuer.as_ref().and_then(|_| access::callers(member));
            cloud.admit(callers.as_deref()).await?;
            if let Some(path) = &member.observer {
                observers.push((name.clone(), format!("{}{path}", served.url.trim_end_matches('/'))));
            }
            let revisions = self.revisions.get_mut().unwrap_or_else(PoisonError::into_inner);
            revisions.insert(name.clone(), vec![served.revision]);
            addresses.insert(name.clone(), served.url);
            self.clouds.insert(name.clone(), cloud);
        }
        for (name, subscription) in &self.system.subscriptions {
            let url = addresses.get(&subscription.push_to).map(String::as_str).unwrap_or_default();
            let account = subscription.push_as.as_deref().map(access::account);
            pubsub.create_subscription(name, subscription, url, account.as_deref()).await?;
        }
        let front = addresses.get(&self.system.front).cloned().unwrap_or_default();
        Ok((front, observers))
    }

    async fn stop(self) -> Result<(), CommandError> {
        // Services first: who pushes to nobody only fills logs, and what is not delivered has been counted.
        let deleted = match self.pubsub {
            Some(mut pubsub) => pubsub.put_back().await.map_err(CommandError::from),
            None => Ok(()),
        };
        let platform = self.platform.stop().await;
        let broker = match self.broker {
            Some(broker) => broker.stop().await,
            None => Ok(()),
        };
        platform.and(broker).and(deleted)
    }
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

/// A subscription's name as Pub/Sub knows it.
fn full_name(subscription: &str) -> String {
    format!("projects/{PROJECT}/subscriptions/{subscription}")
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
async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
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
