//! What every part of a running broker shares: the store, the time, the client that pushes.

use super::client::Client;
use super::name::Kind;
use super::publishes::Publishes;
use super::refusal::Refusal;
use super::store::{Store, StoreError, TopicId};
use super::token::Signer;
use crate::autoscaler::Micros;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tonic::Code;

/// Shared by all subscriptions and calls.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) time_factor: f64,
    pub(super) client: Client,
    /// Makes the tokens of authenticated pushes.
    pub(super) signer: Signer,
    /// What was refused to publishers.
    pub(super) publishes: Publishes,
    /// Topics by name.
    topics: RwLock<BTreeMap<String, TopicId>>,
    /// The time of day when the broker was started, and the instant of that.
    started: (Micros, Instant),
}

impl Context {
    /// `now`: the time of day, in microseconds since 1970.
    pub(super) fn new(store: Store, signer: Signer, time_factor: f64, now: Micros) -> Result<Self, reqwest::Error> {
        let client = Client::new()?;
        let started = (now, Instant::now());
        let publishes = Publishes::default();
        Ok(Self { store, time_factor, client, signer, publishes, topics: RwLock::default(), started })
    }

    /// The time of day: it goes on evenly, whatever is done to the machine's clock.
    pub(super) fn now(&self) -> Micros {
        self.started.0 + Micros::of(self.started.1.elapsed())
    }

    /// Sleeps until an instant of [`Context::now`]; for ever without one.
    pub(super) async fn sleep_until(&self, time: Option<Micros>) {
        match time {
            Some(time) => {
                let wait = (time - self.started.0).duration();
                sleep_until(self.started.1 + wait + Duration::from_millis(1)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// A topic's key.
    pub(super) fn topic(&self, name: &str) -> Option<TopicId> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(super) fn set_topic(&self, name: &str, id: Option<TopicId>) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => drop(topics.insert(name.to_owned(), id)),
            None => drop(topics.remove(name)),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Full => Code::ResourceExhausted,
            StoreError::Failed { .. } | StoreError::Unsynced { .. } | StoreError::Busy | StoreError::Closed => {
                Code::Unavailable
            }
        };
        Self::new(code, error.to_string())
    }
}

/// A resource that is not there.
pub(super) fn missing(name: &str) -> Refusal {
    let id = super::name::id_of(name);
    Refusal::not_found(format!("Resource not found (resource={id}): there is no {name:?}."))
}

/// A resource that is there already.
pub(super) fn exists(kind: Kind, name: &str) -> Refusal {
    let id = super::name::id_of(name);
    Refusal::new(
        Code::AlreadyExists,
        format!("Resource already exists in the project (resource={id}): {kind:?} {name:?}."),
    )
}
