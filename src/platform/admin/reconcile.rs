//! Makes the platform do what the books say: starts the revision of a change, then sets its routes, then ends its
//! operation. The changes of one service are carried out one after the other, in the order in which they were accepted.

use super::service::Draft;
use super::traffic::Target;
use super::{Admin, Books};
use crate::platform::journal::{Event, Severity};
use crate::platform::spec::{Operate, OperateError, RevisionSpec, ServiceScaling};
use crate::platform::status::{Code, Status};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A place in the queue of one service: its turn comes when the one before has gone, and dropping it calls the next.
pub(super) struct Turn {
    pub(super) before: Option<oneshot::Receiver<()>>,
    pub(super) after: oneshot::Sender<()>,
}

impl Turn {
    /// Waits for its turn; the next one's comes when the value is dropped.
    async fn wait(self) -> oneshot::Sender<()> {
        if let Some(before) = self.before {
            // The sender is never used, only dropped: the error is the signal.
            let _ = before.await;
        }
        self.after
    }
}

/// A change that was accepted.
struct Change {
    service: String,
    generation: u64,
    operation: String,
    spec: Option<RevisionSpec>,
    targets: Vec<Target>,
    scaling: ServiceScaling,
}

impl Change {
    fn new(draft: Draft, operation: String) -> Self {
        let Draft { service, spec, targets, scaling } = draft;
        Self { generation: service.generation(), service: service.name, operation, spec, targets, scaling }
    }
}

/// Enters a valid change into the books and has it carried out; gives its operation.
pub(super) fn begin<O: Operate>(admin: &Arc<Admin<O>>, books: &mut Books, draft: Draft) -> Value {
    let operation = format!("{}/operations/{}", draft.service.place.path(), books.unique(admin.clock.now()));
    let answer = books.operations.begin(&operation, draft.service.to_json());
    books.services.insert(draft.service.name.clone(), draft.service.clone());
    let turn = books.queue(&draft.service.name);
    tokio::spawn(change(Arc::clone(admin), Change::new(draft, operation), turn));
    answer
}

/// Has a service deleted that may be; gives the operation, null if there is none of this name.
pub(super) fn begin_deletion<O: Operate>(admin: &Arc<Admin<O>>, books: &mut Books, name: &str) -> Value {
    let now = admin.clock.now();
    let serial = books.unique(now);
    let Some(service) = books.services.get_mut(name) else { return Value::Null };
    service.deleted = Some(now);
    let json = service.to_json();
    let operation = format!("{}/operations/{serial}", service.place.path());
    let answer = books.operations.begin(&operation, json);
    let turn = books.queue(name);
    tokio::spawn(delete(Arc::clone(admin), name.to_owned(), operation, turn));
    answer
}

/// A revision that is to be deleted.
struct Doomed {
    service: String,
    revision: String,
    operation: String,
    /// As it was when its deletion was accepted.
    json: Value,
}

/// Has a revision deleted that may be; gives the operation, null if there is none of this name.
pub(super) fn begin_revision_deletion<O: Operate>(
    admin: &Arc<Admin<O>>,
    books: &mut Books,
    (service, revision): (&str, &str),
) -> Value {
    let now = admin.clock.now();
    let serial = books.unique(now);
    let Some(found) = books.services.get_mut(service) else { return Value::Null };
    let path = found.path();
    let operation = format!("{}/operations/{serial}", found.place.path());
    let Some(doomed) = found.revisions.get_mut(revision) else { return Value::Null };
    doomed.deleted = Some(now);
    let json = doomed.to_json(&path);
    let answer = books.operations.begin(&operation, json.clone());
    let turn = books.queue(service);
    let doomed = Doomed { service: service.to_owned(), revision: revision.to_owned(), operation, json };
    tokio::spawn(delete_revision(Arc::clone(admin), doomed, turn));
    answer
}

/// Carries out a change.
async fn change<O: Operate>(admin: Arc<Admin<O>>, change: Change, turn: Turn) {
    let _turn = turn.wait().await;
    let outcome = carry_out(&admin, &change).await;
    admin.journal.tell(|| event(&change, outcome.as_ref().err()));
    let now = admin.clock.now();
    let mut books = admin.books();
    let Some(service) = books.services.get_mut(&change.service) else { return };
    service.observe(change.generation, now);
    let json = service.to_json();
    books.operations.finish(&change.operation, json, outcome.err().as_ref());
}

/// What the journal is told of a change that was carried out.
fn event(change: &Change, failure: Option<&Status>) -> Event {
    let Change { service, generation, spec, .. } = change;
    let event = match failure {
        None => Event::new(Severity::Info, format!("generation {generation} is in force")),
        Some(failure) => Event::new(Severity::Error, format!("generation {generation} failed: {}", failure.message)),
    };
    let event = event.of_service(service);
    match spec {
        Some(spec) => event.of_revision(&spec.revision),
        None => event,
    }
}

async fn carry_out<O: Operate>(admin: &Admin<O>, change: &Change) -> Result<(), Status> {
    if let Some(service) = admin.books().services.get(&change.service) {
        admin.operate.admit(&change.service, service.access(admin.operate.knows_callers()));
    }
    if let Some(spec) = &change.spec {
        forget_oldest(admin, change).await;
        let failure = admin.operate.create_revision(spec.clone()).await.err().map(|error| status_of(&error));
        let now = admin.clock.now();
        if let Some(service) = admin.books().services.get_mut(&change.service) {
            service.settle_revision(&spec.revision, failure.as_ref(), now);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    let routes = match admin.books().services.get(&change.service) {
        Some(service) => service.routes(&change.targets),
        None => return Ok(()),
    };
    admin.operate.scale(&change.service, change.scaling).await;
    let addresses = match routes {
        Ok(routes) => admin.operate.route(&change.service, &routes).await.map_err(|error| status_of(&error)),
        Err(status) => Err(status),
    };
    let now = admin.clock.now();
    let mut books = admin.books();
    let Some(service) = books.services.get_mut(&change.service) else { return Ok(()) };
    match addresses {
        Ok(addresses) => {
            service.settle_routes(change.targets.clone(), addresses, now);
            Ok(())
        }
        Err(status) => {
            service.fail_routes(&status, now);
            Err(status)
        }
    }
}

/// Makes room for the revision of a change.
async fn forget_oldest<O: Operate>(admin: &Admin<O>, change: &Change) {
    let name = &change.service;
    let glance = admin.operate.glance().into_iter();
    let busy = glance.filter(|it| it.service == *name && !it.instances.is_empty()).map(|it| it.revision).collect();
    let forgotten = match admin.books().services.get_mut(name) {
        Some(service) => service.forget_oldest(&change.targets, &busy),
        None => return,
    };
    for revision in forgotten {
        admin.operate.delete_revision(name, &revision).await;
        let event = || Event::new(Severity::Info, "the revision is forgotten, there are too many newer ones");
        admin.journal.tell(|| event().of_service(name).of_revision(&revision));
    }
}

/// Carries out a deletion.
async fn delete<O: Operate>(admin: Arc<Admin<O>>, name: String, operation: String, turn: Turn) {
    let _turn = turn.wait().await;
    admin.operate.delete_service(&name).await;
    admin.journal.tell(|| Event::new(Severity::Info, "the service is deleted").of_service(&name));
    let mut books = admin.books();
    if let Some(service) = books.services.remove(&name) {
        books.tails.remove(&name);
        let json = service.to_json();
        books.gone.insert(name, service.place);
        books.operations.finish(&operation, json, None);
    }
}

/// Carries out a deletion of a revision. A change that was accepted before may have failed, and left it its traffic: then
/// it stays.
async fn delete_revision<O: Operate>(admin: Arc<Admin<O>>, doomed: Doomed, turn: Turn) {
    let _turn = turn.wait().await;
    let Doomed { service, revision, operation, json } = doomed;
    let check = admin.books().services.get(&service).map(|service| service.check_without_traffic(&revision));
    let refusal = check.and_then(Result::err);
    if refusal.is_none() {
        admin.operate.delete_revision(&service, &revision).await;
        let event = || Event::new(Severity::Info, "the revision is deleted");
        admin.journal.tell(|| event().of_service(&service).of_revision(&revision));
    }
    let mut books = admin.books();
    if let Some(service) = books.services.get_mut(&service) {
        match (&refusal, service.revisions.get_mut(&revision)) {
            (Some(_), Some(kept)) => kept.deleted = None,
            _ => drop(service.revisions.remove(&revision)),
        }
    }
    books.operations.finish(&operation, json, refusal.as_ref());
}

fn status_of(error: &OperateError) -> Status {
    let code = match error {
        OperateError::NotReady { .. } => Code::FailedPrecondition,
        OperateError::NoRevision(_) => Code::NotFound,
        OperateError::Host(_) => Code::Internal,
    };
    let message = match error {
        OperateError::NotReady { revision, cause } => {
            format!("Revision '{revision}' is not ready and cannot serve traffic: {cause}")
        }
        other => other.to_string(),
    };
    Status::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::admin::revision::Revision;
    use crate::platform::clock::Clock;
    use crate::platform::conformance::Fake;
    use crate::platform::journal::Journal;
    use crate::platform::place::Place;
    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;

    /// Makes a service of these wishes, or changes it, and waits until that is done.
    async fn change(admin: &Arc<Admin<Fake>>, wanted: &Value) {
        let Value::Object(wanted) = wanted.clone() else { panic!("{wanted}") };
        let now = admin.clock.now();
        let operation = {
            let mut books = admin.books();
            let draft = match books.services.get("shop") {
                Some(service) => service.change(wanted, true, now),
                None => books.draft(Place { project: "p".into(), location: "l".into() }, "shop".into(), wanted, now),
            };
            begin(admin, &mut books, draft.unwrap())
        };
        let mut done = admin.books().operations.watch(operation["name"].as_str().unwrap()).unwrap();
        done.wait_for(|done| *done).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_forgotten_of_a_thousand_revisions_the_platform_lets_go_of() {
        let fake = Arc::new(Fake::default());
        let admin = Admin::new(Arc::clone(&fake), Clock::new(|| Timestamp::UNIX_EPOCH), Journal::default());
        let wanted = json!({"template": {"containers": [{"image": "tidegate/command", "command": ["shop"]}]}});
        change(&admin, &wanted).await;
        {
            let mut books = admin.books();
            let service = books.services.get_mut("shop").unwrap();
            let first = service.revisions.values().next().unwrap().clone();
            for number in 1..1000_i32 {
                let created = Timestamp::UNIX_EPOCH - SignedDuration::from_secs((1000 - number).into());
                let name = format!("shop-{number}");
                service.revisions.insert(name.clone(), Revision { name, created, ..first.clone() });
            }
        }
        change(&admin, &wanted).await;
        assert_eq!(*fake.deleted.lock().unwrap(), ["shop/shop-1"]);
        assert_eq!(admin.books().services["shop"].revisions.len(), 1000);
    }
}
