//! The system under a run: started here, or somewhere else by a target.

use super::super::local::{LocalOptions, LocalPlatform};
use super::super::{LimitOptions, ScalingOptions, bundled};
use super::broker::{self, Figures, LocalBroker};
use super::faults::{self, Happened};
use super::{CommandError, Observer, Progress, RunOptions, observer};
use crate::cloud::{Cloud, CloudError, Endpoint, PubSub, RevisionActivity, Served, SteadyClock};
use crate::driver;
use crate::scenario::{Member, Scenario, System};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The project that everything local belongs to: platform and broker take any.
const PROJECT: &str = "local";
/// The account whose token pushes carry.
const INVOKER: &str = "pubsub-cloud-run-invoker@local.iam.gserviceaccount.com";
/// Where programs look for a Pub/Sub that is not Google's.
const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";
/// How long deliveries of a system that is not described are waited for: Pub/Sub's defaults.
const DRAIN_DEFAULT: Duration = Duration::from_secs(130);
/// Longer sampling periods are not waited for.
const WAITED_MAX: Duration = Duration::from_secs(15);

/// What was told of the services beside the measurement.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// By service, what Monitoring tells of its revisions.
    pub(super) services: BTreeMap<String, RevisionActivity>,
    /// By service, what the broker tells of the subscriptions that push to it.
    pub(super) subscriptions: BTreeMap<String, Figures>,
}

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

/// What a local system is started with.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    pub(super) limits: LimitOptions,
    pub(super) scaling: ScalingOptions,
    /// `HOST:PORT` of a Pub/Sub instead of the local broker.
    pub(super) pubsub: Option<String>,
    /// Where broker and consumers keep what they have.
    pub(super) state: PathBuf,
    /// Where instances write what they log.
    pub(super) logs: PathBuf,
}

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

/// What it takes to build with what was started. Clones build on the same ground.
#[derive(Clone, Debug)]
pub(super) struct Works {
    tidegate: PathBuf,
    /// `HOST:PORT` of the Pub/Sub.
    host: String,
    /// Whether that is the local broker.
    is_broker: bool,
    /// By service.
    pub(super) clouds: BTreeMap<String, Arc<Cloud>>,
}

/// What was started.
#[derive(Debug)]
pub(super) struct Local {
    system: System,
    pub(super) platform: LocalPlatform,
    broker: Option<LocalBroker>,
    pub(super) works: Works,
    pubsub: Option<PubSub>,
    revisions: Mutex<BTreeMap<String, Vec<String>>>,
    started: jiff::Timestamp,
    made: Made,
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
            (None, Some(system)) => {
                let ground = Ground {
                    limits: options.delivery.limits,
                    scaling: ScalingOptions::default(),
                    pubsub: pubsub(options),
                    state: dir.join("state"),
                    logs: dir.join("logs"),
                };
                let local = Box::pin(Local::start(&ground, system, progress)).await?;
                Ok(Self {
                    front: local.made.front.clone(),
                    drain_limit: system.drain_limit(system.time_factor),
                    observers: local.made.observers.clone(),
                    local: Some(local),
                })
            }
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

    /// Those of the scenario's consumers that can be observed.
    pub(super) fn observers(&self, scenario: &Scenario) -> Vec<Observer> {
        observer::all(scenario, &self.observers)
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
            let Some(cloud) = local.works.clouds.get(&fault.service) else { continue };
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

    /// What Monitoring tells of the services' revisions; nothing where it does not. Waits for a sample that holds the end
    /// where samples come often.
    pub(super) async fn activity(&self) -> Activity {
        let Some(local) = &self.local else { return Activity::default() };
        let revisions = local.revisions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut told = Activity { subscriptions: local.works.figures(&local.system).await, ..Activity::default() };
        if let Some(cloud) = local.works.clouds.values().next()
            && let Ok(sampling) = cloud.sampling().await
        {
            let wait = sampling.period + sampling.ingest_delay;
            if wait <= WAITED_MAX {
                tokio::time::sleep(wait).await;
            }
        }
        for (service, revisions) in revisions {
            let Some(cloud) = local.works.clouds.get(&service) else { continue };
            if let Ok(activity) = Box::pin(cloud.activity(&revisions, local.started)).await {
                told.services.insert(service, activity);
            }
        }
        told
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
    /// Starts broker, platform and services, and joins them.
    pub(super) async fn start(ground: &Ground, system: &System, progress: &Progress) -> Result<Self, CommandError> {
        let tidegate = std::env::current_exe()
            .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
        std::fs::create_dir_all(&ground.state).map_err(|cause| CommandError::File {
            action: "create the folder",
            path: ground.state.clone(),
            cause,
        })?;
        let (broker, host) = if let Some(host) = &ground.pubsub {
            (None, host.clone())
        } else {
            let broker = LocalBroker::start(&tidegate, &ground.state.join("broker"), system.time_factor).await?;
            let host = broker.host.clone();
            (Some(broker), host)
        };
        let platform = LocalOptions {
            limits: ground.limits,
            time_factor: system.time_factor,
            host_cores_per_vcpu: system.host_cores_per_vcpu,
            scaling: ground.scaling,
            logs: &ground.logs,
        };
        let platform = LocalPlatform::start(&tidegate, &platform).await?;
        let whose = if broker.is_some() { "broker" } else { "Pub/Sub of yours" };
        progress.say(&format!("{}; {whose} at {host}", platform.ready.describe()));
        let mut local = Self {
            system: system.clone(),
            platform,
            works: Works { tidegate, host, is_broker: broker.is_some(), clouds: BTreeMap::new() },
            broker,
            pubsub: None,
            revisions: Mutex::default(),
            started: jiff::Timestamp::now(),
            made: Made::default(),
        };
        match Box::pin(local.build(&ground.state)).await {
            Ok(made) => {
                local.made = made;
                Ok(local)
            }
            Err(error) => {
                // Its own end has nothing to add to why it never began.
                let _ = local.stop().await;
                Err(error)
            }
        }
    }

    /// Makes topics, services and subscriptions.
    async fn build(&mut self, state: &Path) -> Result<Made, CommandError> {
        let mut pubsub = PubSub::connect(PROJECT, Some(&self.works.host)).await?;
        let made = Box::pin(self.make(&mut pubsub, state)).await;
        self.pubsub = Some(pubsub);
        made
    }

    async fn make(&mut self, pubsub: &mut PubSub, state: &Path) -> Result<Made, CommandError> {
        let mut served = BTreeMap::new();
        for (name, member) in &self.system.services {
            let cloud = connect(&self.platform.ready.endpoint, name, member).await?;
            let command = bundled::command_of(&member.service.source, &self.works.tidegate);
            let env = environment(name, member, &self.works.host, state);
            let one = Box::pin(cloud.serve(&member.service, &command, &env, member.max_concurrency)).await?;
            let revisions = self.revisions.get_mut().unwrap_or_else(PoisonError::into_inner);
            revisions.insert(name.clone(), vec![one.revision.clone()]);
            served.insert(name.clone(), one);
            self.works.clouds.insert(name.clone(), Arc::new(cloud));
        }
        Ok(join(&self.system, served, pubsub).await?)
    }

    pub(super) async fn stop(self) -> Result<(), CommandError> {
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

impl Works {
    /// What the local broker tells of the subscriptions of `system`, by the service that they push to; nothing of another
    /// Pub/Sub.
    pub(super) async fn figures(&self, system: &System) -> BTreeMap<String, Figures> {
        let mut told: BTreeMap<String, Figures> = BTreeMap::new();
        if !self.is_broker {
            return told;
        }
        let of_each = broker::figures(&self.host).await;
        for (name, subscription) in &system.subscriptions {
            let full = format!("projects/{PROJECT}/subscriptions/{name}");
            if let Some(figures) = of_each.get(&full) {
                let sum = told.entry(subscription.push_to.clone()).or_default();
                sum.redelivered += figures.redelivered;
                sum.dead_lettered += figures.dead_lettered;
            }
        }
        told
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
        pubsub.create_subscription(name, subscription, url, Some(INVOKER)).await?;
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
