//! A place where trials really run: Cloud Run, or the local platform through the same client.

use super::site::{Driven, Site, StudyError};
use crate::cloud::{Cloud, CloudError, Original, UsageWindow};
use crate::driver::{self, Options, Progress};
use crate::scenario::{Billing, Plan, Scenario};
use crate::trial::Usage;
use crate::tuner::Proposal;
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
    /// Tells the revisions of this study from those of any other: lower-case letters and digits.
    pub stamp: String,
    /// How long after the end of the plan answers are waited for.
    pub drain: Duration,
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

    /// `<service>-<stamp>-<number>-c<max concurrency>`, shortened at the service's end to the 63 characters that a
    /// revision name may have.
    fn revision_name(&self, number: u32, proposal: &Proposal) -> String {
        format!("{}-{}-t{number}-c{}", self.options.service, self.options.stamp, proposal.candidate.max_concurrency)
    }
}

impl Site for CloudSite {
    async fn drive(
        &self,
        number: u32,
        proposal: Proposal,
        progress: watch::Sender<Progress>,
        stop: watch::Receiver<bool>,
    ) -> Result<Driven, StudyError> {
        let deployed_at = jiff::Timestamp::now();
        let revision = self.revision_name(number, &proposal);
        let tag = format!("{}-t{number}", self.options.stamp);
        let deployed = self.cloud.deploy(&self.original, proposal.candidate, &revision, &tag).await?;
        let plan = Plan::new(Arc::clone(&self.options.scenario), proposal.seed, self.options.stage_divisor);
        let options = Options { base_url: deployed.url.clone(), drain: self.options.drain };
        let driving = driver::drive(&plan, &options, progress, stop).await;
        let ended_at = jiff::Timestamp::now();
        // The revision is retired even when the load could not be sent: no tag stays behind.
        self.cloud.retire(&self.original).await?;
        let recording = driving?;
        let started_at = ended_at - jiff::SignedDuration::from_secs_f64(recording.duration_s);
        Ok(Driven { number, proposal, revision: deployed.revision, deployed_at, started_at, ended_at, recording })
    }

    async fn usage(&self, driven: &Driven) -> Result<Usage, CloudError> {
        let window = UsageWindow {
            revision: driven.revision.clone(),
            since: driven.deployed_at,
            load_start: driven.started_at,
            load_end: driven.ended_at,
            billing: self.options.billing,
        };
        self.cloud.usage(&window).await
    }
}
