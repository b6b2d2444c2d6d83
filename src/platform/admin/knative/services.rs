//! The calls on services in v1's form. A change is accepted at once; the service's conditions tell how far it has come.

use super::super::iam;
use super::super::reconcile;
use super::super::service::Draft;
use super::super::{Admin, Books};
use super::listing;
use super::place::Region;
use super::read::{self, Asked};
use super::write;
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::{Code, Status};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;

/// `POST …/namespaces/P/services?dryRun=`
pub(super) async fn create<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(namespace): Params<String>,
    region: Region,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    let dry_run = dry_run(&queries)?;
    let Asked { name, location, wanted, .. } = read::service(body, &namespace)?;
    let place = region.place(&namespace, location.as_deref());
    let mut books = admin.books();
    let draft = books.draft(place, name, wanted, admin.clock.now())?;
    Ok(Json(accept(&admin, &mut books, draft, dry_run)))
}

/// `PUT …/namespaces/P/services/S?dryRun=`
pub(super) async fn replace<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Params<(String, String)>,
    region: Region,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    let dry_run = dry_run(&queries)?;
    let Asked { name: said, resource_version, mut wanted, .. } = read::service(body, &namespace)?;
    if !said.is_empty() && said != name {
        return Err(Status::field("metadata.name", format!("{said:?} is not the name in the path, {name:?}")));
    }
    let mut books = admin.books();
    let service = region.find(&books, &namespace, &name)?;
    service.check_changeable("")?;
    let present = service.to_json();
    if !resource_version.is_empty() && resource_version != write::resource_version(&present) {
        let message = format!(
            "Conflict for resource '{name}': version '{resource_version}' was specified but current version is '{}'.",
            write::resource_version(&present)
        );
        return Err(Status::new(Code::Aborted, message));
    }
    read::keep_only_v2(&service.wanted, &mut wanted);
    let draft = service.change(wanted, false, admin.clock.now())?;
    Ok(Json(accept(&admin, &mut books, draft, dry_run)))
}

/// Enters a valid change into the books and has it carried out; answers with the service.
fn accept<O: Operate>(admin: &Arc<Admin<O>>, books: &mut Books, draft: Draft, dry_run: bool) -> Value {
    let service = write::service(&draft.service.to_json());
    if !dry_run {
        reconcile::begin(admin, books, draft);
    }
    service
}

/// `GET …/namespaces/P/services/S`
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Params<(String, String)>,
    region: Region,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    let books = admin.books();
    Ok(Json(write::service(&region.find(&books, &namespace, &name)?.to_json())))
}

/// `GET …/namespaces/P/services`
pub(super) async fn list<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(namespace): Params<String>,
    region: Region,
    queries: Queries,
) -> Answer {
    list_at(&admin, &region.listed(&namespace), &queries)
}

/// `GET /v1/projects/P/locations/L/services`; `-` stands for every region.
pub(super) async fn list_located<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location)): Params<(String, String)>,
    queries: Queries,
) -> Answer {
    list_at(&admin, &Place { project, location }, &queries)
}

/// `GET /v1/projects/P/locations/L/services/S`, and `…/services/S:getIamPolicy`
pub(super) async fn get_located<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, name)): Params<(String, String, String)>,
    queries: Queries,
) -> Answer {
    let place = Place { project, location };
    if let Some(call) = name.split_once(':') {
        return iam::get(&admin, &place, call, &queries);
    }
    queries.only(&[])?;
    Ok(Json(write::service(&admin.books().service(&place, &name)?.to_json())))
}

fn list_at<O: Operate>(admin: &Admin<O>, asked: &Place, queries: &Queries) -> Answer {
    let services: Vec<_> = {
        let books = admin.books();
        let here = books.services.values().filter(|service| service.place.is_within(asked));
        here.map(|service| write::service(&service.to_json())).collect()
    };
    listing::answer("ServiceList", services, queries).map(Json)
}

/// `DELETE …/namespaces/P/services/S`
pub(super) async fn delete<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Params<(String, String)>,
    region: Region,
    queries: Queries,
) -> Answer {
    let dry_run = dry_run(&queries)?;
    let mut books = admin.books();
    let service = region.find(&books, &namespace, &name)?;
    service.check_changeable("")?;
    if !dry_run {
        reconcile::begin_deletion(&admin, &mut books, &name);
    }
    Ok(Json(success()))
}

/// What Kubernetes answers to a deletion.
pub(super) fn success() -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "status": "Success"})
}

/// Parameters of a deletion besides `dryRun` tell how Kubernetes should delete dependents; they go at once here.
pub(super) fn dry_run(queries: &Queries) -> Result<bool, Status> {
    queries.only(&["apiVersion", "dryRun", "kind", "propagationPolicy"])?;
    match queries.text("dryRun") {
        "" => Ok(false),
        "all" => Ok(true),
        other => Err(Status::field("dryRun", format!("{other:?} is not `all`"))),
    }
}
