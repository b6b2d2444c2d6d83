//! A place where trials really run: Cloud Run, or the local platform through the same client.

use super::site::{Driven, Site, StudyError, Tenure, TrialProgress, Usages, unless_stopped};
use crate::cloud::{Cloud, CloudError, Original, candidate_name};
use crate::driver::{self, DriveError, Options, Progress, TargetOptions};
use crate::scenario::{Billing, Plan, Scenario};
use crate::trial::Recording;
use crate::tuner::Proposal;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a site needs besides its client.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// The scenario that is replayed.
    pub scenario: Arc<Scenario>,
    /// What stage lengths are divided by.
    pub stage_divisor: f64,
    /// What is billed.
    pub billing: Billing,
    /// Service under test: revision names start with it.
    pub service: String,
    /// Tells the revisions of this session from those of any other, see [`crate::cloud::stamp`].
    pub stamp: String,
    /// Between two samples of Monitoring.
    pub sample_period: Duration,
    /// How revisions are reached.
    pub target: TargetOptions,
    /// How long after the end of the plan answers are waited for.
    pub drain: Duration,
    /// Whether usage outlives the session: what Cloud Monitoring knows does, what a local platform knows ends with it.
    pub keeps_usage: bool,
}

/// A service that tidegate has taken over, reached through its client.
#[derive(Debug)]
pub struct CloudSite {
    cloud: Arc<Cloud>,
    original: Original,
    options: SiteOptions,
}

impl CloudSite {
    /// A site on a service that was taken over.
    #[must_use]
    pub fn new(cloud: Arc<Cloud>, original: Original, options: SiteOptions) -> Self {
        Self { cloud, original, options }
    }
}

/// The revision that a drive is about, and where its instances can be seen.
#[derive(Clone, Copy, Debug)]
pub struct Watched<'a> {
    /// Its service.
    pub cloud: &'a Cloud,
    /// Its short name.
    pub revision: &'a str,
    /// Between two samples of Monitoring.
    pub sample_period: Duration,
}

/// Whether a candidate that takes no connection ends the study. A way there that is none, such as a proxy that is not there, is
/// told before all trials of a study are driven into the void; what fails later makes a trial invalid, and is tried again.
#[must_use]
pub fn must_connect(number: u32) -> bool {
    number == 1
}

/// Drives, and tells meanwhile how many instances Monitoring shows.
///
/// # Errors
/// Those of the drive.
pub async fn watched_drive(
    watched: Watched<'_>,
    plan: &Plan,
    options: &Options,
    (progress, stop): (watch::Sender<TrialProgress>, watch::Receiver<bool>),
) -> Result<Recording, DriveError> {
    let (sender, mut receiver) = watch::channel(Progress::default());
    let driving = driver::drive(plan, options, sender, stop);
    tokio::pin!(driving);
    let mut samples = tokio::time::interval(watched.sample_period);
    loop {
        tokio::select! {
            driven = &mut driving => return driven,
            Ok(()) = receiver.changed() => {
                let load = receiver.borrow_and_update().clone();
                progress.send_modify(|told| told.load = load);
            }
            _ = samples.tick() => {
                // A live figure only: when it cannot be read now, the next sample comes soon.
                if let Ok(Some(instances)) = watched.cloud.instances(watched.revision).await {
                    progress.send_modify(|told| told.instances = Some(instances));
                }
            }
        }
    }
}

impl Site for CloudSite {
    async fn drive(
        &self,
        number: u32,
        proposal: Proposal,
        progress: watch::Sender<TrialProgress>,
        stop: watch::Receiver<bool>,
    ) -> Result<Driven, StudyError> {
        let deployed_at = jiff::Timestamp::now();
        let SiteOptions { service, stamp, .. } = &self.options;
        let revision = candidate_name(service, stamp, number, proposal.candidate);
        let tag = format!("{stamp}-t{number}");
        let deploying = self.cloud.deploy(&self.original, proposal.candidate, &revision, &tag);
        let deployed = unless_stopped(deploying, &stop).await?;
        let plan = Plan::new(Arc::clone(&self.options.scenario), proposal.seed, self.options.stage_divisor);
        let options = Options {
            base_url: deployed.url.clone(),
            target: self.options.target.clone(),
            must_connect: must_connect(number),
            drain: self.options.drain,
            ..Options::default()
        };
        let watched =
            Watched { cloud: &self.cloud, revision: &deployed.revision, sample_period: self.options.sample_period };
        let driving = watched_drive(watched, &plan, &options, (progress, stop)).await;
        let ended_at = jiff::Timestamp::now();
        // The revision is retired even when the load could not be sent: no tag stays behind. When it cannot be, the next
        // deployment or the undo fails with the same cause, and what was measured is saved before.
        let _ = self.cloud.retire(&self.original).await;
        let recording = driving?;
        let started_at = recording.started_at.parse().unwrap_or(deployed_at);
        let others = BTreeMap::new();
        let tenure = Tenure { revision: deployed.revision, others, deployed_at, started_at, ended_at };
        Ok(Driven { number, proposal, tenure, recording })
    }

    async fn usage(&self, tenure: &Tenure) -> Result<Usages, CloudError> {
        self.cloud.usage(&tenure.window(&tenure.revision, self.options.billing)).await.map(Usages::from)
    }

    fn keeps_usage(&self) -> bool {
        self.options.keeps_usage
    }
}
