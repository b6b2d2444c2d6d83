//! The calls on revisions.

use super::{Admin, operation, page, reconcile};
use crate::platform::place::Place;
use crate::platform::request::{Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::{Code, Status};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;
type Names = (String, String, String, String);

const PAGE_MOST: usize = 100;

/// `GET …/services/S/revisions/R`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, service, revision)): Params<Names>,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    let place = Place { project, location };
    let books = admin.books();
    let service = books.service(&place, &service)?;
    let path = service.path();
    match service.revisions.get(&revision) {
        Some(revision) => Ok(Json(revision.to_json(&path))),
        None => Err(missing(&path, &revision)),
    }
}

/// `GET …/services/S/revisions`, newest first; `-` stands for every service.
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&["pageSize", "pageToken", "showDeleted"])?;
    let place = Place { project, location };
    let all: Vec<Value> = {
        let books = admin.books();
        let services = match name.as_str() {
            "-" => books.services.values().filter(|service| service.place.is_within(&place)).collect(),
            name => vec![books.service(&place, name)?],
        };
        let mut revisions: Vec<_> =
            services.iter().flat_map(|service| service.revisions.values().map(|it| (*service, it))).collect();
        revisions.sort_by_key(|(_, revision)| Reverse((revision.created, revision.uid.clone())));
        revisions.iter().map(|(service, revision)| revision.to_json(&service.path())).collect()
    };
    let (revisions, next) = page(all, queries.page_size(PAGE_MOST, PAGE_MOST)?, queries.text("pageToken"))?;
    Ok(Json(json!({"revisions": revisions, "nextPageToken": next})))
}

/// `DELETE …/services/S/revisions/R?validateOnly=&etag=`
pub(super) async fn delete<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, service, revision)): Params<Names>,
    queries: Queries,
) -> Answer {
    queries.only(&["validateOnly", "etag"])?;
    let validate_only = queries.flag("validateOnly")?;
    let etag = queries.text("etag");
    let place = Place { project, location };
    let now = admin.clock.now();
    let mut books = admin.books();
    let found = books.service(&place, &service)?;
    let path = found.path();
    let doomed = found.revisions.get(&revision).ok_or_else(|| missing(&path, &revision))?;
    if !etag.is_empty() && etag != doomed.etag() {
        let message =
            format!("etag {etag} is stale, the revision has changed since: read it again ({})", doomed.etag());
        return Err(Status::new(Code::Aborted, message));
    }
    found.check_deletable(&revision)?;
    if validate_only {
        let json = doomed.to_json(&path);
        let name = format!("{}/operations/{}", place.path(), books.unique(now));
        return Ok(Json(operation::finished(&name, json, None)));
    }
    Ok(Json(reconcile::begin_revision_deletion(&admin, &mut books, (&service, &revision))))
}

fn missing(service: &str, revision: &str) -> Status {
    Status::not_found(format!("resource '{service}/revisions/{revision}' was not found"))
}
