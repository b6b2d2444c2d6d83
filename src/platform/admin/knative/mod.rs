//! Cloud Run Admin API v1 over REST, in Knative's words: what `gcloud run` speaks. The same books as v2, read and
//! written in the other version's form (run.googleapis.com v1, discovery document, read 2026-11-22).

mod annotation;
mod listing;
mod locations;
mod place;
mod read;
mod revisions;
mod services;
mod views;
mod write;

use super::{Admin, iam};
use crate::platform::spec::Operate;
use axum::Router;
use axum::routing::get;
use std::sync::Arc;

/// The paths of the v1 API.
pub(super) fn router<O: Operate>(admin: Arc<Admin<O>>) -> Router {
    const NAMESPACE: &str = "/apis/serving.knative.dev/v1/namespaces/{namespace}";
    const LOCATION: &str = "/v1/projects/{project}/locations/{location}";
    let named = |rest: &str| format!("{NAMESPACE}{rest}");
    let located = |rest: &str| format!("{LOCATION}{rest}");
    Router::new()
        .route(&named("/services"), get(services::list::<O>).post(services::create::<O>))
        .route(
            &named("/services/{name}"),
            get(services::get::<O>).put(services::replace::<O>).delete(services::delete::<O>),
        )
        .route(&named("/revisions"), get(revisions::list::<O>))
        .route(&named("/revisions/{name}"), get(revisions::get::<O>).delete(revisions::delete::<O>))
        .route(&named("/routes"), get(views::list_routes::<O>))
        .route(&named("/routes/{name}"), get(views::get_route::<O>))
        .route(&named("/configurations"), get(views::list_configurations::<O>))
        .route(&named("/configurations/{name}"), get(views::get_configuration::<O>))
        .route("/v1/projects/{project}/locations", get(locations::list::<O>))
        .route(&located("/services"), get(services::list_located::<O>))
        .route(&located("/services/{call}"), get(services::get_located::<O>).post(iam::post::<O>))
        .with_state(admin)
}
