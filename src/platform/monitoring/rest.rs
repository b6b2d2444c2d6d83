//! The Monitoring API over REST.

use super::{Monitoring, descriptor};
use crate::platform::request::{Params, Queries};
use crate::platform::status::Status;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;

/// The paths.
pub(super) fn router(monitoring: Arc<Monitoring>) -> Router {
    const PROJECT: &str = "/v3/projects/{project}";
    let path = |rest: &str| format!("{PROJECT}/{rest}");
    Router::new()
        .route(&path("metricDescriptors"), get(list_descriptors))
        .route(&path("metricDescriptors/{*metric}"), get(get_descriptor))
        .route(&path("monitoredResourceDescriptors"), get(list_resources))
        .route(&path("monitoredResourceDescriptors/{resource}"), get(get_resource))
        .route(&path("timeSeries"), get(list_time_series))
        .with_state(monitoring)
}

/// `GET /v3/projects/P/metricDescriptors?filter=`
async fn list_descriptors(
    State(monitoring): State<Arc<Monitoring>>,
    Params(project): Params<String>,
    queries: Queries,
) -> Answer {
    let (metrics, next) = descriptor::list(&queries)?;
    let json = |metric| descriptor::metric_json(metric, &project, monitoring.timing());
    let descriptors: Vec<_> = metrics.into_iter().map(json).collect();
    Ok(Json(json!({"metricDescriptors": descriptors, "nextPageToken": next})))
}

/// `GET /v3/projects/P/metricDescriptors/run.googleapis.com/…`
async fn get_descriptor(
    State(monitoring): State<Arc<Monitoring>>,
    Params((project, name)): Params<(String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    Ok(Json(descriptor::metric_json(descriptor::find(&name)?, &project, monitoring.timing())))
}

/// `GET /v3/projects/P/monitoredResourceDescriptors`
async fn list_resources(Params(project): Params<String>, queries: Queries) -> Answer {
    let (resources, next) = descriptor::list_resources(&queries)?;
    let descriptors: Vec<_> = resources.into_iter().map(|_| descriptor::resource_json(&project)).collect();
    Ok(Json(json!({"resourceDescriptors": descriptors, "nextPageToken": next})))
}

/// `GET /v3/projects/P/monitoredResourceDescriptors/cloud_run_revision`
async fn get_resource(Params((project, name)): Params<(String, String)>, queries: Queries) -> Answer {
    queries.only(&[])?;
    descriptor::find_resource(&name)?;
    Ok(Json(descriptor::resource_json(&project)))
}

/// `GET /v3/projects/P/timeSeries`
async fn list_time_series(
    State(monitoring): State<Arc<Monitoring>>,
    Params(project): Params<String>,
    queries: Queries,
) -> Answer {
    monitoring.page(&queries, &project, |query, page| Json(page.to_json(query)))
}
