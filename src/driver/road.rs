//! The way to the target: resolved, tried and authorised before anything is sent.

use super::authorization::Credentials;
use super::connection::{Connector, Http1Client};
use super::headers::Headers;
use super::off_path::Client;
use super::target::Target;
use super::trace::TraceIds;
use super::{DriveError, Options};
use crate::trial::Recording;
use std::sync::Arc;

/// The way to the target, for what goes there on the measured path and off it.
#[derive(Clone)]
pub(super) struct Road {
    /// Scheme, host and port of the target.
    pub(super) base_url: String,
    pub(super) connector: Arc<Connector>,
    credentials: Credentials,
    /// Whether measured requests carry a `traceparent`.
    pub(super) traceparent: bool,
}

impl Road {
    /// Resolves the target, learns whether it takes connections, and obtains the credentials.
    pub(super) async fn to(options: &Options, client: Http1Client) -> Result<Self, DriveError> {
        let target = Target::resolve(&options.base_url, &options.target).await?;
        target.probe(options.must_connect).await?;
        let credentials = Credentials::obtain(&options.target.authorization, &target.base_url).await?;
        Ok(Self {
            base_url: target.base_url.clone(),
            connector: Arc::new(Connector::to(target, client)),
            credentials,
            traceparent: options.target.traceparent,
        })
    }

    /// A client off the measured path: it reaches the target as the load does, and is not traced.
    pub(super) fn client(&self) -> Client {
        Client::new(Arc::clone(&self.connector), self.headers(None), &self.base_url)
    }

    /// What requests carry, on the measured path with `traces`.
    pub(super) fn headers(&self, traces: Option<TraceIds>) -> Headers {
        Headers::new(self.connector.authority(), self.credentials.clone(), traces)
    }

    /// Enters how the target was reached.
    pub(super) fn enter(&self, recording: &mut Recording) {
        recording.target = self.connector.recording();
        let refreshes = self.credentials.refreshes();
        recording.target.token_refreshes = refreshes.done;
        recording.target.token_refresh_failures = refreshes.failed;
        recording.target.token_refresh_failure = refreshes.failure;
    }
}
