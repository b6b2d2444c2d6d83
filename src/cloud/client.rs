//! The client: one connection pool per API, bound to one service.

use super::endpoint::{Clock, Endpoint, Pace};
use super::error::CloudError;
use super::retry::{Gate, paced};
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::client_builder::ClientBuilder;
use google_cloud_monitoring_v3::client::MetricService;
use google_cloud_run_v2::client::{Revisions, Services};
use std::sync::Arc;

/// A client bound to one service. Clones share connections and rate limits, so that a clone may read the usage of one
/// trial while the next one runs.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub(super) endpoint: Endpoint,
    pub(super) pace: Pace,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) services: Services,
    pub(super) revisions: Revisions,
    pub(super) metrics: MetricService,
    pub(super) admin_writes: Gate,
    pub(super) admin_reads: Gate,
    pub(super) monitoring: Gate,
}

impl Cloud {
    /// Signs in, at the pace that suits the endpoint. Asks neither API yet.
    pub async fn connect(endpoint: Endpoint, clock: Arc<dyn Clock>) -> Result<Self, CloudError> {
        let pace = endpoint.pace();
        Self::connect_at(endpoint, pace, clock).await
    }

    /// Signs in, at a pace of the caller's.
    pub async fn connect_at(endpoint: Endpoint, pace: Pace, clock: Arc<dyn Clock>) -> Result<Self, CloudError> {
        let (admin, monitoring) = (endpoint.admin(), endpoint.monitoring());
        let local = endpoint.local.is_some();
        let failed = |error, at: &str| CloudError::from_build(&error, at);
        let services = signed_in(paced(Services::builder(), admin, pace), local);
        let services = services.build().await.map_err(|error| failed(error, admin))?;
        let revisions = signed_in(paced(Revisions::builder(), admin, pace), local);
        let revisions = revisions.build().await.map_err(|error| failed(error, admin))?;
        let metrics = signed_in(paced(MetricService::builder(), monitoring, pace), local);
        let metrics = metrics.build().await.map_err(|error| failed(error, monitoring))?;
        Ok(Self {
            admin_writes: Gate::admin_writes(&clock),
            admin_reads: Gate::admin_reads(&clock),
            monitoring: Gate::monitoring(&clock),
            endpoint,
            pace,
            clock,
            services,
            revisions,
            metrics,
        })
    }
}

/// A local platform is asked anonymously; Google with Application Default Credentials, the crates' own default.
fn signed_in<F>(
    builder: ClientBuilder<F, google_cloud_auth::credentials::Credentials>,
    local: bool,
) -> ClientBuilder<F, google_cloud_auth::credentials::Credentials> {
    if local { builder.with_credentials(anonymous::Builder::new().build()) } else { builder }
}
