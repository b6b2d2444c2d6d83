//! The calls on services.

use super::field::text;
use super::iam;
use super::mask::Mask;
use super::operation;
use super::reconcile;
use super::service::{Draft, Service};
use super::{Admin, Books, page};
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;

const PAGE_MOST: usize = 100;

/// `POST …/services?serviceId=`
pub(super) async fn create<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location)): Params<(String, String)>,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    queries.only(&["serviceId", "validateOnly"])?;
    let name = queries.text("serviceId").to_owned();
    if name.is_empty() {
        return Err(Status::field("serviceId", "it must be given: …/services?serviceId=NAME"));
    }
    let place = Place { project, location };
    let validate_only = queries.flag("validateOnly")?;
    let now = admin.clock.now();
    let mut books = admin.books();
    let draft = books.draft(place, name, body, now)?;
    Ok(Json(accept(&admin, &mut books, draft, validate_only)))
}

/// Enters a valid change into the books, has it carried out, and answers with its operation.
fn accept<O: Operate>(admin: &Arc<Admin<O>>, books: &mut Books, draft: Draft, validate_only: bool) -> Value {
    if validate_only {
        let operation = format!("{}/operations/{}", draft.service.place.path(), books.unique(admin.clock.now()));
        return operation::finished(&operation, draft.service.to_json(), None);
    }
    reconcile::begin(admin, books, draft)
}

/// `PATCH …/services/S?updateMask=&validateOnly=&allowMissing=&forceNewRevision=`
pub(super) async fn patch<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    queries.only(&["updateMask", "validateOnly", "allowMissing", "forceNewRevision"])?;
    let mask = Mask::parse(&queries.all("updateMask").join(","))?;
    let validate_only = queries.flag("validateOnly")?;
    let allow_missing = queries.flag("allowMissing")?;
    let force = queries.flag("forceNewRevision")?;
    let etag = text(&body, "", "etag")?.to_owned();
    let place = Place { project, location };
    let now = admin.clock.now();
    let mut books = admin.books();
    let draft = match books.service(&place, &name) {
        Ok(service) => {
            service.check_changeable(&etag)?;
            service.change(mask.apply(&service.wanted, body), force, now)?
        }
        Err(_) if allow_missing => books.draft(place, name, body, now)?,
        Err(missing) => return Err(missing),
    };
    Ok(Json(accept(&admin, &mut books, draft, validate_only)))
}

/// `GET …/services/S`, and `…/services/S:getIamPolicy`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    let place = Place { project, location };
    if let Some(call) = name.split_once(':') {
        return iam::get(&admin, &place, call, &queries);
    }
    queries.only(&[])?;
    Ok(Json(admin.books().service(&place, &name)?.to_json()))
}

/// `GET …/services`; deleted services are gone at once, so `showDeleted` shows no more.
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location)): Params<(String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&["pageSize", "pageToken", "showDeleted"])?;
    let asked = Place { project, location };
    let all: Vec<Value> = {
        let books = admin.books();
        books.services.values().filter(|service| service.place.is_within(&asked)).map(Service::to_json).collect()
    };
    let (services, next) = page(all, queries.page_size(PAGE_MOST, PAGE_MOST)?, queries.text("pageToken"))?;
    Ok(Json(json!({"services": services, "nextPageToken": next})))
}

/// `DELETE …/services/S?validateOnly=&etag=`
pub(super) async fn delete<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&["validateOnly", "etag"])?;
    let validate_only = queries.flag("validateOnly")?;
    let place = Place { project, location };
    let now = admin.clock.now();
    let mut books = admin.books();
    let service = books.service(&place, &name)?;
    service.check_changeable(queries.text("etag"))?;
    if validate_only {
        let json = service.to_json();
        let operation = format!("{}/operations/{}", place.path(), books.unique(now));
        return Ok(Json(operation::finished(&operation, json, None)));
    }
    Ok(Json(reconcile::begin_deletion(&admin, &mut books, &name)))
}
