//! Client of Cloud Run Admin v2 and Cloud Monitoring v3 over Google's official crates, real or local by endpoint: sets a
//! candidate, reads usage, puts back what was changed. Knows nothing of the local platform's inside.

use crate::scenario::{Candidate, Service};
use crate::trial::Usage;

/// Where the APIs are and how to sign in.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base address of both APIs on the local platform; `None` for Google's own.
    pub local: Option<String>,
    /// Project.
    pub project: String,
    /// Region.
    pub region: String,
    /// Service.
    pub service: String,
}

/// A client bound to one service.
#[derive(Debug)]
pub struct Cloud {}

/// A revision that serves one trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Short name.
    pub revision: String,
    /// Where only this revision answers.
    pub url: String,
}

/// What a service was before tidegate touched it.
#[derive(Clone, Debug)]
pub struct Original {}

/// How Monitoring samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Between two samples.
    pub period: std::time::Duration,
    /// Until a sample can be read.
    pub ingest_delay: std::time::Duration,
}

/// Placeholder of the error type.
#[derive(Debug, thiserror::Error)]
#[error("cloud")]
pub struct CloudError;

impl Cloud {
    /// Signs in.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, CloudError> {
        todo!("{endpoint:?}")
    }
    /// Creates the service (local platform).
    pub async fn create(&self, service: &Service) -> Result<(), CloudError> {
        todo!("{service:?}")
    }
    /// Reads the service, remembers template and traffic, pins all traffic to the serving revision by name.
    pub async fn take_over(&self) -> Result<Original, CloudError> {
        todo!()
    }
    /// One patch: template with the candidate and the explicit revision name, and a tag without traffic share.
    pub async fn deploy(
        &self,
        original: &Original,
        candidate: Candidate,
        revision: &str,
        tag: &str,
    ) -> Result<Deployed, CloudError> {
        todo!("{original:?} {candidate} {revision} {tag}")
    }
    /// Removes the tag: nothing reaches the revision any more.
    pub async fn retire(&self, original: &Original) -> Result<(), CloudError> {
        todo!("{original:?}")
    }
    /// Puts template and traffic back.
    pub async fn undo(&self, original: &Original) -> Result<(), CloudError> {
        todo!("{original:?}")
    }
    /// Reads the descriptors.
    pub async fn sampling(&self) -> Result<Sampling, CloudError> {
        todo!()
    }
    /// All that the revision was billed since `since`.
    pub async fn usage(&self, revision: &str, since: jiff::Timestamp) -> Result<Usage, CloudError> {
        todo!("{revision} {since}")
    }
}
