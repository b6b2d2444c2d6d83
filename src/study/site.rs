//! The seam between a study and the place where its trials run. The real one is Cloud Run or the local platform; tests
//! put a fake here and run the whole pipeline without a clock or a socket.

use crate::cloud::{CloudError, UsageWindow};
use crate::driver::{DriveError, Progress};
use crate::scenario::Billing;
use crate::trial::{Recording, StoreError, TrialResult, Usage};
use crate::tuner::Proposal;
use std::collections::BTreeMap;
use std::future::Future;
use tokio::sync::watch;

/// A place where trials run.
pub trait Site: Send + Sync + 'static {
    /// Gives the candidate a revision of its own, drives the plan against it, and retires it again.
    fn drive(
        &self,
        number: u32,
        proposal: Proposal,
        progress: watch::Sender<TrialProgress>,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = Result<Driven, StudyError>> + Send;

    /// Reads all that the revisions of a trial were billed. May take several sampling periods; other trials may run
    /// meanwhile.
    fn usage(&self, tenure: &Tenure) -> impl Future<Output = Result<Usages, CloudError>> + Send;

    /// Whether the usage of trials that an earlier session drove can still be read.
    fn keeps_usage(&self) -> bool;
}

/// A trial that was driven and whose usage is not known yet.
#[derive(Clone, Debug)]
pub struct Driven {
    /// Running number in the study, from 1.
    pub number: u32,
    /// What was tried.
    pub proposal: Proposal,
    /// The revision that was its own, and when.
    pub tenure: Tenure,
    /// What the driver saw.
    pub recording: Recording,
}

/// What the revisions of one trial were billed.
#[derive(Clone, Debug, Default)]
pub struct Usages {
    /// That of the service that the journeys were sent to.
    pub front: Usage,
    /// Those of the services behind it, by name.
    pub others: BTreeMap<String, Usage>,
}

impl From<Usage> for Usages {
    fn from(front: Usage) -> Self {
        Self { front, others: BTreeMap::new() }
    }
}

/// Revisions and the times between which they were a trial's own: what reading their usage takes.
#[derive(Clone, Debug)]
pub struct Tenure {
    /// Name of the revision that the journeys are sent to.
    pub revision: String,
    /// By name, the services behind it, each with its revision.
    pub others: BTreeMap<String, String>,
    /// When it was asked for: nothing was billed to it before.
    pub deployed_at: jiff::Timestamp,
    /// When the load started.
    pub started_at: jiff::Timestamp,
    /// When the load had ended and was drained.
    pub ended_at: jiff::Timestamp,
}

impl Tenure {
    /// What to ask Monitoring for to know what one of its revisions was billed.
    #[must_use]
    pub fn window(&self, revision: &str, billing: Billing) -> UsageWindow {
        UsageWindow {
            revision: revision.to_owned(),
            since: self.deployed_at,
            load_start: self.started_at,
            load_end: self.ended_at,
            billing,
        }
    }

    /// That of a saved trial; `None` when the record does not tell.
    pub(super) fn of(trial: &TrialResult) -> Option<Self> {
        Some(Self {
            revision: trial.revision.clone(),
            others: trial.others.iter().map(|(name, other)| (name.clone(), other.revision.clone())).collect(),
            deployed_at: trial.deployed_at.parse().ok()?,
            started_at: trial.started_at.parse().ok()?,
            ended_at: trial.ended_at.parse().ok()?,
        })
    }
}

/// What a trial begins with, unless the user stops it before its load.
///
/// # Errors
/// Those of the beginning, and [`StudyError::Stopped`].
pub async fn unless_stopped<T>(
    beginning: impl Future<Output = Result<T, CloudError>>,
    stop: &watch::Receiver<bool>,
) -> Result<T, StudyError> {
    let mut stop = stop.clone();
    tokio::select! {
        begun = beginning => Ok(begun?),
        // What the beginning still does is undone with the rest.
        Ok(_) = stop.wait_for(|stop| *stop) => Err(StudyError::Stopped),
    }
}

/// How far a trial is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialProgress {
    /// Its load, as the driver sees it now.
    pub load: Progress,
    /// Instances of its revision in the newest sample that Monitoring shows, which may be minutes old in the cloud.
    pub instances: Option<u64>,
}

/// Who is told how a study goes on.
pub trait Watch: Send + Sync {
    /// A trial begins; `to_go` counts it and those after it, as far as known.
    fn trial_started(&self, number: u32, to_go: usize, proposal: &Proposal);
    /// Called about four times a second while its load runs.
    fn trial_progress(&self, progress: &TrialProgress);
    /// Its load has ended; its usage is being read.
    fn trial_driven(&self, trial: &TrialResult);
    /// It is concluded and saved.
    fn trial_concluded(&self, trial: &TrialResult);
    /// All loads have run; `pending` usages are still to be read.
    fn reading_usage(&self, pending: usize);
}

/// A watch that says nothing.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silent;

#[cfg(test)]
impl Watch for Silent {
    fn trial_started(&self, _: u32, _: usize, _: &Proposal) {}
    fn trial_progress(&self, _: &TrialProgress) {}
    fn trial_driven(&self, _: &TrialResult) {}
    fn trial_concluded(&self, _: &TrialResult) {}
    fn reading_usage(&self, _: usize) {}
}

/// Why a study could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The platform could not be asked or did not do it.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The load could not be sent.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// What was measured could not be saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something beside the platform that a trial needs was not to be had.
    #[error("{0}")]
    Place(String),
    /// The user stopped it before the load began.
    #[error("stopped")]
    Stopped,
    /// The task that read a usage ended without an answer.
    #[error("the reading of a trial's usage ended without an answer; this is a fault of tidegate, please report it")]
    ReaderDied,
}
