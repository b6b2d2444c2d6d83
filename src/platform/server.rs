//! The endpoints of the local platform on one port: Admin v2, Monitoring v3, and a page that says what this is.

use super::admin::Admin;
use super::clock::Clock;
use super::journal::Journal;
use super::monitoring::{Monitoring, unimplemented};
use super::page::Overview;
use super::spec::Operate;
use super::status::{Code, Status};
use crate::port;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::MissedTickBehavior;

/// Answers under way get this long at shutdown: a client that waits for an operation would hold it up for a minute.
const GRACE: Duration = Duration::from_secs(5);

/// How the endpoints behave.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Divides the sample period (60 s) and the ingest delay (120 s); at least 1.
    pub time_factor: f64,
    /// Tells the time of points and of changes.
    pub clock: Clock,
    /// Is told of every change of a service.
    pub journal: Journal,
}

impl ServeOptions {
    /// Nobody is told.
    #[must_use]
    pub fn new(time_factor: f64, clock: Clock) -> Self {
        Self { time_factor, clock, journal: Journal::default() }
    }
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The time factor is no factor.
    #[error(
        "the time factor is {0}, but the platform can only run 1 to 1000 times as fast; choose one of these by --time-factor"
    )]
    TimeFactor(f64),
}

/// Serves Admin v2 and Monitoring v3 of `operate` on `listener` until `shutdown` completes; answers under way are
/// finished first, for five seconds at most. Any project and any region is accepted. Samples `operate` once per sample
/// period all the while.
pub async fn serve<O: Operate>(
    listener: TcpListener,
    operate: Arc<O>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if !(1.0..=1000.0).contains(&options.time_factor) {
        return Err(ServeError::TimeFactor(options.time_factor));
    }
    let admin = Admin::new(Arc::clone(&operate), options.clock.clone(), options.journal);
    let monitoring = Monitoring::new(options.clock, options.time_factor);
    let own_port = listener.local_addr().map(|address| address.port()).unwrap_or_default();
    let router = router(&operate, &admin, &monitoring);
    let router = router.layer(from_fn(move |request, next| refuse_detours(own_port, request, next)));
    tokio::select! {
        () = port::serve(listener, router, shutdown, GRACE) => {}
        () = sample(operate.as_ref(), &admin, &monitoring) => {}
    }
    Ok(())
}

/// Every path of the platform.
pub(super) fn router<O: Operate>(operate: &Arc<O>, admin: &Arc<Admin<O>>, monitoring: &Arc<Monitoring>) -> Router {
    let parts = (Arc::clone(operate), Arc::clone(admin), Arc::clone(monitoring));
    let look = move || {
        let (operate, admin, monitoring) = &parts;
        Overview {
            services: admin.overview(),
            revisions: operate.glance(),
            billed: monitoring.billed(),
            time_factor: monitoring.time_factor(),
        }
    };
    let same = look.clone();
    Router::new()
        .route("/", get(async move || look().to_page()))
        .route("/status", get(async move || same().to_json()))
        .merge(Arc::clone(admin).router())
        .merge(Arc::clone(monitoring).router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(refuse_pages))
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

/// A page that a browser on this machine has open could call the platform too, and whoever calls it runs programs. Google's
/// clients are no pages: they send no `Origin`.
async fn refuse_pages(request: Request, next: Next) -> Response {
    match request.headers().get(ORIGIN) {
        Some(origin) if !request.method().is_safe() => {
            let message = format!("{origin:?} is a web page, and the local platform takes changes from programs only");
            Status::new(Code::PermissionDenied, message).into_response()
        }
        _ => next.run(request).await,
    }
}

/// gcloud has to be told to use the platform as a proxy. Who then asks for a service has not reached it, and would take this
/// port's answer for the service's.
async fn refuse_detours(own_port: u16, request: Request, next: Next) -> Response {
    let asked = request.uri().authority().filter(|_| request.version() <= Version::HTTP_11);
    match asked.filter(|asked| is_address(asked.host()) && asked.port_u16() != Some(own_port)) {
        None => next.run(request).await,
        Some(asked) => {
            let message = format!(
                "{asked} was asked for through the local platform, which passes nothing on: leave its host out of the proxy's, \
                 as no_proxy={} does",
                asked.host()
            );
            Status::http(StatusCode::MISDIRECTED_REQUEST, Code::FailedPrecondition, message).into_response()
        }
    }
}

/// Whether a host is named as services here are: Google's APIs have names.
fn is_address(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

async fn unknown_path(uri: Uri, headers: HeaderMap) -> Response {
    let message = format!("the local platform has no path {:?}", uri.path());
    let kind = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/grpc") {
        unimplemented(&message)
    } else {
        Status::not_found(message).into_response()
    }
}

async fn wrong_method(method: Method, uri: Uri) -> Status {
    let message = format!("{:?} does not take {method}", uri.path());
    Status::http(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::sample::RevisionSample;
    use crate::platform::spec::{Addresses, OperateError, RevisionSpec, Route, ServiceScaling};
    use jiff::{SignedDuration, Timestamp};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[derive(Default)]
    struct Idle {
        samples: AtomicUsize,
    }

    impl Operate for Idle {
        async fn create_revision(&self, _: RevisionSpec) -> Result<(), OperateError> {
            Ok(())
        }

        async fn route(&self, _: &str, _: &[Route]) -> Result<Addresses, OperateError> {
            Ok(Addresses::default())
        }

        async fn scale(&self, _: &str, _: ServiceScaling) {}

        async fn delete_service(&self, _: &str) {}

        async fn delete_revision(&self, _: &str, _: &str) {}

        async fn sample(&self) -> Vec<RevisionSample> {
            self.samples.fetch_add(1, Ordering::Relaxed);
            vec![RevisionSample { service: "unknown".into(), ..RevisionSample::default() }]
        }
    }

    fn paused_clock() -> Clock {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let start = tokio::time::Instant::now();
        Clock::new(move || noon + SignedDuration::try_from(start.elapsed()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn it_samples_once_per_period_until_it_is_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operate = Arc::new(Idle::default());
        let options = ServeOptions::new(12.0, paused_clock());
        let minute = tokio::time::sleep(Duration::from_millis(60_001));
        serve(listener, Arc::clone(&operate), options, minute).await.unwrap();
        assert_eq!(operate.samples.load(Ordering::Relaxed), 12, "every 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_factor_below_one_is_refused() {
        for time_factor in [0.0, -1.0, 0.99, f64::NAN, f64::INFINITY] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let options = ServeOptions::new(time_factor, paused_clock());
            let refused = serve(listener, Arc::new(Idle::default()), options, async {}).await;
            let refused = refused.unwrap_err();
            let ServeError::TimeFactor(_) = refused;
            let message = refused.to_string();
            assert!(message.contains(&time_factor.to_string()) && message.contains("--time-factor"), "{message}");
        }
    }
}
