//! The endpoints of the local platform on one port: Admin v2, Monitoring v3, and a page that says what this is.

use super::admin::Admin;
use super::clock::Clock;
use super::monitoring::Monitoring;
use super::spec::Operate;
use super::status::{Code, Status};
use axum::routing::get;
use axum::{Json, Router};
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

/// How the endpoints behave.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Divides the sample period (60 s) and the ingest delay (120 s); at least 1.
    pub time_factor: f64,
    /// Tells the time of points and of changes.
    pub clock: Clock,
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The time factor is no factor.
    #[error("the time factor must be within 1 and 1000, not {0}")]
    TimeFactor(f64),
    /// The listener failed.
    #[error("the platform's endpoint failed")]
    Listener(#[source] io::Error),
}

/// Serves Admin v2 and Monitoring v3 of `operate` on `listener` until `shutdown` completes; answers under way are
/// finished first. Any project and any region is accepted. Samples `operate` once per sample period all the while.
pub async fn serve<O: Operate>(
    listener: TcpListener,
    operate: Arc<O>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if !(1.0..=1000.0).contains(&options.time_factor) {
        return Err(ServeError::TimeFactor(options.time_factor));
    }
    let admin = Admin::new(Arc::clone(&operate), options.clock.clone());
    let monitoring = Monitoring::new(options.clock, options.time_factor);
    let router = Router::new()
        .route("/", get(describe))
        .merge(Arc::clone(&admin).router())
        .merge(Arc::clone(&monitoring).router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    let served = axum::serve(listener, router).with_graceful_shutdown(shutdown);
    tokio::select! {
        served = served => served.map_err(ServeError::Listener),
        () = sample(operate.as_ref(), &admin, &monitoring) => Ok(()),
    }
}

/// Samples for ever. A service that is not in the books has nothing to be charged to and is left out.
async fn sample<O: Operate>(operate: &O, admin: &Admin<O>, monitoring: &Monitoring) {
    let mut ticks = tokio::time::interval(monitoring.sample_period());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let samples = operate.sample().await;
        let placed = samples.into_iter().filter_map(|sample| Some((admin.place_of(&sample.service)?, sample)));
        monitoring.record(placed.collect());
    }
}

async fn describe() -> Json<Value> {
    Json(json!({
        "service": "tidegate local platform",
        "version": env!("CARGO_PKG_VERSION"),
        "apis": ["run.googleapis.com/v2", "monitoring.googleapis.com/v3"],
    }))
}

async fn unknown_path(uri: Uri) -> Status {
    Status::not_found(format!("the local platform has no path {:?}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Status {
    let message = format!("{:?} does not take {method}", uri.path());
    Status::http(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message)
}
