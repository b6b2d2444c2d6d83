//! The regions that a project can use: the local platform takes any, and lists those that are in use.

use super::super::Admin;
use crate::platform::request::{Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `GET /v1/projects/P/locations`
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(project): Params<String>,
    queries: Queries,
) -> Result<Json<Value>, Status> {
    queries.only(&["extraLocationTypes", "filter", "pageSize", "pageToken"])?;
    let used: BTreeSet<String> = {
        let books = admin.books();
        let here = books.services.values().filter(|service| service.place.project == project);
        here.map(|service| service.place.location.clone()).collect()
    };
    let json = |id: &String| json!({"name": format!("projects/{project}/locations/{id}"), "locationId": id});
    Ok(Json(json!({"locations": used.iter().map(json).collect::<Vec<_>>()})))
}
