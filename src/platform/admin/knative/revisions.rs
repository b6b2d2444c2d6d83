//! The calls on revisions in v1's form.

use super::super::service::Service;
use super::super::{Admin, reconcile};
use super::place::Region;
use super::services::{dry_run, success};
use super::{listing, write};
use crate::platform::request::{Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::Value;
use std::cmp::Reverse;
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;

/// `GET …/namespaces/P/revisions/R`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Params<(String, String)>,
    region: Region,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    let asked = region.listed(&namespace);
    let books = admin.books();
    let mut services = books.services.values().filter(|service| service.place.is_within(&asked));
    let found = services.find_map(|service| Some(json(service, service.revisions.get(&name)?)));
    found.map(Json).ok_or_else(|| missing(&namespace, &name))
}

/// `GET …/namespaces/P/revisions?labelSelector=`, newest first.
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(namespace): Params<String>,
    region: Region,
    queries: Queries,
) -> Answer {
    let asked = region.listed(&namespace);
    let revisions: Vec<_> = {
        let books = admin.books();
        let services = books.services.values().filter(|service| service.place.is_within(&asked));
        let mut all: Vec<_> =
            services.flat_map(|service| service.revisions.values().map(move |it| (service, it))).collect();
        all.sort_by_key(|(_, revision)| Reverse((revision.created, revision.uid.clone())));
        all.into_iter().map(|(service, revision)| json(service, revision)).collect()
    };
    listing::answer("RevisionList", revisions, &queries).map(Json)
}

/// `DELETE …/namespaces/P/revisions/R`
pub(super) async fn delete<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Params<(String, String)>,
    region: Region,
    queries: Queries,
) -> Answer {
    let dry_run = dry_run(&queries)?;
    let asked = region.listed(&namespace);
    let mut books = admin.books();
    let mut services = books.services.values().filter(|service| service.place.is_within(&asked));
    let service =
        services.find(|service| service.revisions.contains_key(&name)).ok_or_else(|| missing(&namespace, &name))?;
    service.check_deletable(&name)?;
    if !dry_run {
        let service = service.name.clone();
        // Deletes in the background, as v1 does; whoever waits asks for it until it is gone.
        reconcile::begin_revision_deletion(&admin, &mut books, (&service, &name));
    }
    Ok(Json(success()))
}

fn json(service: &Service, revision: &super::super::revision::Revision) -> Value {
    write::revision(&revision.to_json(&service.path()))
}

fn missing(namespace: &str, name: &str) -> Status {
    Status::not_found(format!("resource 'namespaces/{namespace}/revisions/{name}' was not found"))
}
