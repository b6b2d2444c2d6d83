//! The system under a run: started here, or somewhere else by a target.

use super::super::folder;
use super::super::local::{LocalOptions, LocalPlatform};
use super::super::{LimitOptions, ScalingOptions};
use super::access::{self, Issuer};
use super::afterwards::{self, Asked, Wait};
use super::broker::LocalBroker;
use super::faults::{self, Happened};
use super::looks::Looks;
use super::works::{Counted, Made, Works, full_name, join_all};
use super::{CommandError, Observer, PROJECT, Progress, RunOptions, observer};
use crate::cloud::{PubSub, RevisionActivity};
use crate::driver;
use crate::scenario::{Scenario, System};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

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
                    pubsub: super::pubsub(options.delivery.pubsub.as_ref()),
                    state: dir.join(folder::STATE),
                    logs: dir.join(folder::LOGS),
                };
                let local = Box::pin(Local::start(&ground, system, progress)).await?;
                Ok(Self {
                    front: local.made.front.clone(),
                    drain_limit: local.works.drain_limit(system),
                    observers: local.made.observers.clone(),
                    local: Some(local),
                })
            }
            (target, system) => {
                for fault in system.iter().flat_map(|system| &system.faults) {
                    progress.say(&format!("{}: not done: what a target names is left as it is", fault.text));
                }
                let factor = time_factor(options, scenario);
                let limit = system.as_ref().map_or(DRAIN_DEFAULT, |system| system.drain_limit(factor));
                Ok(Self {
                    front: target.clone().unwrap_or_default(),
                    drain_limit: limit,
                    observers: options.delivery.observers.clone(),
                    local: None,
                })
            }
        }
    }

    /// Those of the scenario's consumers that can be observed.
    pub(super) fn observers(&self, scenario: &Scenario) -> Vec<Observer> {
        let issuer = self.local.as_ref().and_then(|local| local.works.issuer.as_ref());
        observer::all(scenario, &self.observers, issuer)
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

    /// Looks at redeliveries from now on; nothing where no local broker counts them.
    pub(super) fn looks(&self) -> Option<Looks> {
        let local = self.local.as_ref().filter(|local| local.works.is_broker)?;
        let subscriptions = local.system.subscriptions.iter();
        let subscriptions = subscriptions.map(|(name, it)| (full_name(name), it.push_to.clone()));
        Some(Looks::begin(local.works.host.clone(), subscriptions.collect()))
    }

    /// What a local system is built by, and the system.
    pub(super) fn works(&self) -> Option<(&Works, &System)> {
        self.local.as_ref().map(|local| (&local.works, &local.system))
    }

    /// What the local broker has counted; nothing of another Pub/Sub.
    pub(super) async fn counted(&self) -> Option<Counted> {
        let local = self.local.as_ref()?;
        local.works.counted(&local.system).await
    }

    /// What Monitoring tells of the services' revisions until `until`; nothing where it does not. `is_skipped`: what it tells now.
    pub(super) async fn activity(
        &self,
        until: jiff::Timestamp,
        (stop, is_skipped): (watch::Receiver<bool>, bool),
        progress: &Progress,
    ) -> BTreeMap<String, RevisionActivity> {
        let Some(local) = &self.local else { return BTreeMap::new() };
        let revisions = local.revisions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = revisions.iter().filter_map(|(name, revisions)| {
            let cloud = local.works.clouds.get(name)?;
            Some(Asked { name, cloud, revisions })
        });
        let asked: Vec<Asked<'_>> = asked.collect();
        afterwards::read(&asked, Wait { from: local.started, until, stop, is_skipped, progress }).await
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
        let issuer = Issuer::find(&host).await;
        let keys = issuer.as_ref().map(Issuer::keys);
        let platform = LocalOptions {
            limits: ground.limits,
            time_factor: system.time_factor,
            host_cores_per_vcpu: system.host_cores_per_vcpu,
            scaling: ground.scaling,
            identity_keys: keys.as_deref(),
            logs: &ground.logs,
        };
        let platform = LocalPlatform::start(&tidegate, &platform).await?;
        let whose = if broker.is_some() { "broker" } else { "Pub/Sub of yours" };
        progress.say(&format!("{}; {whose} at {host}", platform.ready.describe()));
        if issuer.is_none()
            && let Some(opened) = access::opened(system)
        {
            progress.say(&format!(
                "{opened}: everybody may call, for the Pub/Sub at {host} sends no tokens that could be checked"
            ));
        }
        let mut local = Self {
            system: system.clone(),
            platform,
            works: Works { tidegate, host, is_broker: broker.is_some(), issuer, clouds: BTreeMap::new() },
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
        let place = (self.platform.ready.endpoint.as_str(), state);
        let made = Box::pin(self.works.make(&self.system, &mut pubsub, place)).await;
        self.pubsub = Some(pubsub);
        let made = made?;
        let revisions = made.revisions.iter().map(|(name, revision)| (name.clone(), vec![revision.clone()]));
        *self.revisions.get_mut().unwrap_or_else(PoisonError::into_inner) = revisions.collect();
        Ok(made)
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
