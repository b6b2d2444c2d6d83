//! Who may call a service: on the local platform everyone, and that is what its policy says.

use super::super::Admin;
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::{Code, Status};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;
type Named = Params<(String, String, String)>;

const INVOKER: &str = "roles/run.invoker";
const EVERYONE: &str = "allUsers";

/// `GET /v1/projects/P/locations/L/services/S:getIamPolicy`, and the service itself without a method.
pub(super) async fn get<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, call)): Named,
    queries: Queries,
) -> Answer {
    queries.only(&["options.requestedPolicyVersion"])?;
    let place = Place { project, location };
    match call.split_once(':') {
        None => Ok(Json(super::write::service(&admin.books().service(&place, &call)?.to_json()))),
        Some((name, "getIamPolicy")) => {
            admin.books().service(&place, name)?;
            Ok(Json(policy()))
        }
        Some((_, method)) => Err(Status::not_found(format!("services have no method {method:?}"))),
    }
}

/// `POST /v1/projects/P/locations/L/services/S:setIamPolicy` and `:testIamPermissions`
pub(super) async fn post<O: Operate>(
    State(admin): State<Arc<Admin<O>>>,
    Params((project, location, call)): Named,
    queries: Queries,
    Body(body): Body,
) -> Answer {
    queries.only(&[])?;
    let Some((name, method)) = call.split_once(':') else {
        return Err(Status::not_found(format!("{call:?} names no method; POST takes SERVICE:setIamPolicy")));
    };
    admin.books().service(&Place { project, location }, name)?;
    match method {
        "setIamPolicy" if lets_everyone_in(&body["policy"]) => Ok(Json(policy())),
        "setIamPolicy" => {
            let message = format!("the local platform checks nobody: a policy must give {INVOKER} to {EVERYONE}");
            Err(Status::new(Code::Unimplemented, message))
        }
        "testIamPermissions" => Ok(Json(json!({"permissions": body.get("permissions").cloned().unwrap_or_default()}))),
        other => Err(Status::not_found(format!("services have no method {other:?}"))),
    }
}

fn policy() -> Value {
    json!({"version": 1, "etag": "BwAAAAAAAAE=", "bindings": [{"role": INVOKER, "members": [EVERYONE]}]})
}

fn lets_everyone_in(policy: &Value) -> bool {
    let bindings = policy["bindings"].as_array().into_iter().flatten();
    let mut invokers = bindings.filter(|binding| binding["role"] == INVOKER);
    invokers.any(|binding| binding["members"].as_array().is_some_and(|members| members.contains(&EVERYONE.into())))
}
