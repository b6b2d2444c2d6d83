//! Cloud Run Admin API v2 over REST: services, revisions and operations of the local platform. Holds the books; what
//! really runs is behind `Operate`.

mod condition;
mod enumeration;
mod field;
mod iam;
mod knative;
mod mask;
mod misspelling;
mod operation;
mod operations;
mod policy;
mod probe;
mod quantity;
mod reconcile;
mod revision;
mod revisions;
mod scaling;
mod service;
mod services;
mod template;
mod traffic;

pub(super) use quantity::duration;

use super::clock::Clock;
use super::journal::Journal;
use super::place::Place;
use super::spec::Operate;
use super::status::{Code, Status};
use axum::Router;
use axum::routing::get;
use operation::Operations;
use reconcile::Turn;
use serde_json::Value;
use service::{Draft, Identity, Service};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The Admin API of one platform.
pub(super) struct Admin<O> {
    operate: Arc<O>,
    clock: Clock,
    journal: Journal,
    books: Mutex<Books>,
}

/// A service and its revisions, in Google's JSON.
pub(super) struct ServiceOverview {
    pub(super) json: Value,
    /// Newest first.
    pub(super) revisions: Vec<Value>,
}

/// What the Admin API knows. Locked for moments, never across a wait.
#[derive(Default)]
struct Books {
    /// By short name: the platform underneath knows no projects, so a name is used once.
    services: BTreeMap<String, Service>,
    operations: Operations,
    /// The last change in the queue of each service.
    tails: BTreeMap<String, oneshot::Receiver<()>>,
    /// Where deleted services lived: their last samples come after them.
    gone: BTreeMap<String, Place>,
    /// Makes identifiers unique.
    serial: u64,
}

impl<O: Operate> Admin<O> {
    /// An empty book; `journal` is told of every change.
    pub(super) fn new(operate: Arc<O>, clock: Clock, journal: Journal) -> Arc<Self> {
        Arc::new(Self { operate, clock, journal, books: Mutex::default() })
    }

    /// Every service with its revisions, newest first.
    pub(super) fn overview(&self) -> Vec<ServiceOverview> {
        let books = self.books();
        let services = books.services.values().map(|service| {
            let mut revisions: Vec<_> = service.revisions.values().collect();
            revisions.sort_by_key(|revision| Reverse((revision.created, revision.uid.clone())));
            let path = service.path();
            ServiceOverview {
                json: service.to_json(),
                revisions: revisions.into_iter().map(|revision| revision.to_json(&path)).collect(),
            }
        });
        services.collect()
    }

    /// Where a service lives, or lived.
    pub(super) fn place_of(&self, service: &str) -> Option<Place> {
        let books = self.books();
        books.services.get(service).map(|service| &service.place).or_else(|| books.gone.get(service)).cloned()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // No statement under the lock leaves the books half written, so they are good after a panic elsewhere.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The paths of the Admin API.
    pub(super) fn router(self: Arc<Self>) -> Router {
        const LOCATION: &str = "/v2/projects/{project}/locations/{location}";
        let path = |rest: &str| format!("{LOCATION}{rest}");
        let knative = knative::router(Arc::clone(&self));
        Router::new()
            .route(&path("/services"), get(services::list::<O>).post(services::create::<O>))
            .route(
                &path("/services/{service}"),
                get(services::get::<O>).patch(services::patch::<O>).delete(services::delete::<O>).post(iam::post::<O>),
            )
            .route(&path("/services/{service}/revisions"), get(revisions::list::<O>))
            .route(
                &path("/services/{service}/revisions/{revision}"),
                get(revisions::get::<O>).delete(revisions::delete::<O>),
            )
            .route(&path("/operations"), get(operations::list::<O>))
            .route(&path("/operations/{operation}"), get(operations::get::<O>).post(operations::wait::<O>))
            .with_state(self)
            .merge(knative)
    }
}

impl Books {
    /// The service of this name, if it lives there.
    fn service(&self, place: &Place, name: &str) -> Result<&Service, Status> {
        self.services
            .get(name)
            .filter(|service| service.place == *place)
            .ok_or_else(|| Status::not_found(format!("resource '{}/services/{name}' was not found", place.path())))
    }

    /// A service that does not exist yet, as it would stand in the books.
    fn draft(
        &mut self,
        place: Place,
        name: String,
        wanted: field::Message,
        now: jiff::Timestamp,
    ) -> Result<Draft, Status> {
        if let Some(service) = self.services.get(&name) {
            let message = if service.place == place {
                format!("resource '{}' already exists", service.path())
            } else {
                format!("'{}' exists, and the local platform has room for one service of a name", service.path())
            };
            return Err(Status::new(Code::AlreadyExists, message));
        }
        let uid = self.unique(now);
        Service::create(Identity { place, name, uid }, wanted, now)
    }

    /// A number never given before, as a UUID writes it.
    fn unique(&mut self, now: jiff::Timestamp) -> String {
        self.serial += 1;
        let micros = now.as_microsecond();
        let (high, low) = (micros >> 16 & 0xffff_ffff, micros & 0xffff);
        format!("{high:08x}-{low:04x}-4000-8000-{:012x}", self.serial)
    }

    /// The last place in the queue of a service.
    fn queue(&mut self, service: &str) -> Turn {
        let (after, tail) = oneshot::channel();
        Turn { before: self.tails.insert(service.to_owned(), tail), after }
    }
}

/// One page of `items`, and the token of the next page: the index of its first item.
fn page(items: Vec<Value>, size: usize, token: &str) -> Result<(Vec<Value>, String), Status> {
    let start = match token {
        "" => 0,
        token => token.parse().map_err(|_| Status::field("pageToken", format!("{token:?} is not one of mine")))?,
    };
    let next = usize::saturating_add(start, size);
    let token = if next < items.len() { next.to_string() } else { String::new() };
    Ok((items.into_iter().skip(start).take(size).collect(), token))
}
