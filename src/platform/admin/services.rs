//! The calls on services.

use super::field::{Message, text};
use super::mask::Mask;
use super::operation;
use super::reconcile::{self, Change};
use super::service::{Draft, Identity, Service};
use super::{Admin, Books, page};
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::{Code, Status};
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
    let place = Place { project, location };
    let validate_only = queries.flag("validateOnly")?;
    let now = admin.clock.now();
    let mut books = admin.books();
    let draft = draft_new(&mut books, place, name, body, now)?;
    Ok(Json(accept(&admin, &mut books, draft, validate_only)))
}

fn draft_new(
    books: &mut Books,
    place: Place,
    name: String,
    wanted: Message,
    now: jiff::Timestamp,
) -> Result<Draft, Status> {
    if let Some(service) = books.services.get(&name) {
        let message = if service.place == place {
            format!("resource '{}' already exists", service.path())
        } else {
            format!("'{}' exists, and the local platform has room for one service of a name", service.path())
        };
        return Err(Status::new(Code::AlreadyExists, message));
    }
    let uid = books.unique(now);
    Service::create(Identity { place, name, uid }, wanted, now)
}

/// Enters a valid change into the books, has it carried out, and answers with its operation.
fn accept<O: Operate>(admin: &Arc<Admin<O>>, books: &mut Books, draft: Draft, validate_only: bool) -> Value {
    let service = draft.service.to_json();
    let operation = format!("{}/operations/{}", draft.service.place.path(), books.unique(admin.clock.now()));
    if validate_only {
        return operation::finished(&operation, service, None);
    }
    let answer = books.operations.begin(&operation, service);
    books.services.insert(draft.service.name.clone(), draft.service.clone());
    let turn = books.queue(&draft.service.name);
    tokio::spawn(reconcile::change(Arc::clone(admin), Change::new(draft, operation), turn));
    answer
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
            check_changeable(service, &etag)?;
            service.change(mask.apply(&service.wanted, body), force, now)?
        }
        Err(_) if allow_missing => draft_new(&mut books, place, name, body, now)?,
        Err(missing) => return Err(missing),
    };
    Ok(Json(accept(&admin, &mut books, draft, validate_only)))
}

fn check_changeable(service: &Service, etag: &str) -> Result<(), Status> {
    if service.deleting {
        let message = format!("'{}' is being deleted", service.path());
        return Err(Status::new(Code::FailedPrecondition, message));
    }
    service.check_etag(etag)
}

/// `GET …/services/S`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    let place = Place { project, location };
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
    check_changeable(service, queries.text("etag"))?;
    let json = service.to_json();
    let operation = format!("{}/operations/{}", place.path(), books.unique(now));
    if validate_only {
        return Ok(Json(operation::finished(&operation, json, None)));
    }
    if let Some(service) = books.services.get_mut(&name) {
        service.deleting = true;
    }
    let answer = books.operations.begin(&operation, json);
    let turn = books.queue(&name);
    tokio::spawn(reconcile::delete(Arc::clone(&admin), name, operation, turn));
    Ok(Json(answer))
}
