//! The calls on a service's IAM policy, the same in v1, which `gcloud run` speaks, and in v2.

use super::Admin;
use super::field::{Message, object};
use crate::platform::journal::{Event, Severity};
use crate::platform::place::Place;
use crate::platform::request::{Body, Params, Queries};
use crate::platform::spec::Operate;
use crate::platform::status::Status;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Status>;
type Named = Params<(String, String, String)>;

/// `GET …/services/S:getIamPolicy`
pub(super) fn get<O: Operate>(admin: &Admin<O>, place: &Place, call: (&str, &str), queries: &Queries) -> Answer {
    queries.only(&["options.requestedPolicyVersion"])?;
    let (name, method) = call;
    match method {
        "getIamPolicy" => {
            let policy = admin.books().service(place, name)?.policy_in_force(admin.operate.knows_callers());
            Ok(Json(policy.to_json()))
        }
        _ => Err(Status::not_found(format!("services have no method {method:?}"))),
    }
}

/// `POST …/services/S:setIamPolicy` and `:testIamPermissions`
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
    let place = Place { project, location };
    match method {
        "setIamPolicy" => set(&admin, &place, name, &body),
        // Nobody is kept from administering the local platform. gcloud asks before it creates the service, whose absence is
        // then no reason to refuse: "permissions that a caller has on the specified Project" are answered (the method's
        // page in the reference, read 2026-11-30).
        "testIamPermissions" => Ok(Json(json!({"permissions": body.get("permissions").cloned().unwrap_or_default()}))),
        other => Err(Status::not_found(format!("services have no method {other:?}"))),
    }
}

fn set<O: Operate>(admin: &Admin<O>, place: &Place, name: &str, body: &Message) -> Answer {
    let knows_callers = admin.operate.knows_callers();
    let wanted = object(body, "", "policy")?.ok_or_else(|| Status::field("policy", "it must be given"))?;
    let mut books = admin.books();
    let policy = books.service(place, name)?.policy_in_force(knows_callers).replaced(wanted)?;
    let json = policy.to_json();
    if let Some(service) = books.services.get_mut(name) {
        service.policy = Some(policy);
        // Under the lock: whoever sets it later is also heard later.
        admin.operate.admit(name, service.access(knows_callers));
    }
    drop(books);
    admin.journal.tell(|| Event::new(Severity::Info, "its IAM policy is set").of_service(name));
    Ok(Json(json))
}
