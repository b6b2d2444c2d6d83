//! Routes and configurations: in Knative a service has one of each, under its own name.

use super::super::Admin;
use super::place::Region;
use super::{listing, write};
use crate::platform::request::{Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::Value;
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;
type Write = fn(&Value) -> Value;
type Named = Params<(String, String)>;

/// `GET …/namespaces/P/routes/S`
pub(super) async fn get_route<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Named,
    region: Region,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    one(&admin, &region, (&namespace, &name), write::route)
}

/// `GET …/namespaces/P/configurations/S`
pub(super) async fn get_configuration<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((namespace, name)): Named,
    region: Region,
    queries: Queries,
) -> Answer {
    queries.only(&[])?;
    one(&admin, &region, (&namespace, &name), write::configuration)
}

/// `GET …/namespaces/P/routes`
pub(super) async fn list_routes<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(namespace): Params<String>,
    region: Region,
    queries: Queries,
) -> Answer {
    listing::answer("RouteList", all(&admin, &region, &namespace, write::route), &queries).map(Json)
}

/// `GET …/namespaces/P/configurations`
pub(super) async fn list_configurations<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params(namespace): Params<String>,
    region: Region,
    queries: Queries,
) -> Answer {
    listing::answer("ConfigurationList", all(&admin, &region, &namespace, write::configuration), &queries).map(Json)
}

fn one<O: Operate>(admin: &Admin<O>, region: &Region, named: (&str, &str), write: Write) -> Answer {
    let books = admin.books();
    Ok(Json(write(&region.find(&books, named.0, named.1)?.to_json())))
}

fn all<O: Operate>(admin: &Admin<O>, region: &Region, namespace: &str, write: Write) -> Vec<Value> {
    let asked = region.listed(namespace);
    let books = admin.books();
    let here = books.services.values().filter(|service| service.place.is_within(&asked));
    here.map(|service| write(&service.to_json())).collect()
}
