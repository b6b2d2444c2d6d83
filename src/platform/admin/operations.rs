//! The calls on operations.

use super::{Admin, duration, page};
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

type Answer = Result<Json<Value>, Status>;

/// `:wait` answers after this long at the latest, done or not.
const WAIT_MOST: Duration = Duration::from_mins(1);

const PAGE_MOST: usize = 100;

/// `GET …/operations/O`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, operation)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    let name = format!("{}/operations/{operation}", Place { project, location }.path());
    Ok(Json(admin.books().operations.get(&name)?))
}

/// `GET …/operations`
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location)): Params<(String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&["filter", "pageSize", "pageToken", "returnPartialSuccess"])?;
    let all = admin.books().operations.list(&format!("{}/operations/", Place { project, location }.path()));
    let (operations, next) = page(all, queries.page_size(PAGE_MOST, PAGE_MOST)?, queries.text("pageToken"))?;
    Ok(Json(json!({"operations": operations, "nextPageToken": next})))
}

/// `POST …/operations/O:wait`, body `{"timeout": "30s"}`
pub(super) async fn wait<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, call)): Params<(String, String, String)>,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    queries.only(&[])?;
    let Some((operation, "wait")) = call.rsplit_once(':') else {
        return Err(Status::not_found(format!("operations have no method {call:?}; POST takes OPERATION:wait")));
    };
    let timeout = match body.get("timeout").and_then(Value::as_str) {
        None => WAIT_MOST,
        Some(text) => duration(text)
            .ok_or_else(|| Status::field("timeout", format!("{text:?} is not a duration such as `30s`")))?
            .min(WAIT_MOST),
    };
    let name = format!("{}/operations/{operation}", Place { project, location }.path());
    let mut done = admin.books().operations.watch(&name)?;
    // Out of time or done: the answer tells which.
    let _ = tokio::time::timeout(timeout, done.wait_for(|done| *done)).await;
    Ok(Json(admin.books().operations.get(&name)?))
}
