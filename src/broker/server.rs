//! The broker as a server: gRPC, REST and its figures on one port.

use super::context::Context;
use super::registry::Registry;
use super::store::{Store, StoreOptions};
use super::token::Signer;
use super::{grpc, janitor, rest};
use crate::autoscaler::Micros;
use crate::port;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

use super::refusal::Refusal;

/// Answers under way get this long at the end: a streaming pull would hold it up for ever.
const GRACE: Duration = Duration::from_secs(1);

/// How the broker runs.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// Folder of its store; made if it is not there.
    pub data: PathBuf,
    /// Divides backoffs, retention and expiration; at least 1. Never the ack deadline, which bounds a service time.
    pub time_factor: f64,
    /// The time of day, in microseconds since 1970.
    pub now: Micros,
}

/// Why the broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The time factor is no factor.
    #[error(
        "the time factor is {0}, but the broker can only run 1 to 1000 times as fast; choose one of these by --time-factor"
    )]
    TimeFactor(f64),
    /// The store cannot be opened.
    #[error("{0}; give --data a folder that this user may write to, and that no other broker uses")]
    Store(String),
    /// The client that pushes cannot be made.
    #[error("the broker's HTTP client could not be made: {0}")]
    Client(#[source] reqwest::Error),
    /// The key that signs tokens cannot be made.
    #[error("the key that signs the broker's tokens could not be made: {0}")]
    Key(String),
}

/// Serves Pub/Sub on `listener` until `shutdown` completes. Any project is accepted.
pub async fn serve(
    listener: TcpListener,
    options: BrokerOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BrokerError> {
    port::raise_file_limit();
    let registry = open(options)?;
    tokio::select! {
        () = port::serve(listener, router(&registry), shutdown, GRACE) => {}
        () = janitor::run(&registry) => {}
    }
    registry.stop().await;
    Ok(())
}

fn open(options: BrokerOptions) -> Result<Arc<Registry>, BrokerError> {
    let BrokerOptions { data, time_factor, now } = options;
    if !(1.0..=1000.0).contains(&time_factor) {
        return Err(BrokerError::TimeFactor(time_factor));
    }
    let (store, contents) =
        Store::open(&data, StoreOptions::default()).map_err(|error| BrokerError::Store(error.to_string()))?;
    let signer = Signer::new().map_err(|error| BrokerError::Key(error.to_string()))?;
    let context = Arc::new(Context::new(store, signer, time_factor, now).map_err(BrokerError::Client)?);
    Ok(Arc::new(Registry::start(context, contents)))
}

fn router(registry: &Arc<Registry>) -> Router {
    Router::new()
        .route("/", get(stats))
        .route("/stats", get(stats))
        .route("/oauth2/v3/certs", get(certs))
        .with_state(Arc::clone(registry))
        .merge(grpc::router(Arc::clone(registry)))
        .merge(rest::router(Arc::clone(registry)))
        .fallback(unknown_path)
        .layer(from_fn(refuse_pages))
}

/// The figures of every subscription, named as Cloud Monitoring names them under `pubsub.googleapis.com/subscription/`, and
/// how many publish requests were refused.
async fn stats(State(registry): State<Arc<Registry>>) -> Json<Value> {
    let mut subscriptions = Map::new();
    let now = registry.context.now();
    for (name, handle) in registry.handles().await {
        let mut figures = handle.tally.to_json();
        figures["num_undelivered_messages"] = json!(handle.signal.backlog());
        let oldest = registry.context.store.oldest(handle.id).await.unwrap_or_default();
        let age = oldest.map_or(0.0, |published| (now - published).seconds());
        figures["oldest_unacked_message_age"] = json!(age);
        subscriptions.insert(name, figures);
    }
    Json(json!({"subscriptions": subscriptions, "publishes_refused": registry.context.publishes.to_json()}))
}

/// The key that tokens of pushes are checked with, as `www.googleapis.com/oauth2/v3/certs` gives Google's.
async fn certs(State(registry): State<Arc<Registry>>) -> Json<Value> {
    Json(registry.context.signer.certs())
}

/// A page that a browser on this machine has open could call the broker too. Google's clients are no pages: they send no
/// `Origin`.
async fn refuse_pages(request: Request, next: Next) -> Response {
    match request.headers().get(ORIGIN) {
        Some(origin) if !request.method().is_safe() => {
            let message = format!("{origin:?} is a web page, and the broker takes changes from programs only");
            Refusal::new(tonic::Code::PermissionDenied, message).into_response()
        }
        _ => next.run(request).await,
    }
}

async fn unknown_path(uri: Uri, headers: HeaderMap) -> Response {
    let message = format!("the broker has no path {:?}", uri.path());
    let kind = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") {
        grpc::unimplemented(&message)
    } else {
        Refusal::not_found(message).into_response()
    }
}
