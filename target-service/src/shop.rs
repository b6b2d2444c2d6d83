//! One request from its headers to its log line: health checks, preflight, work and wait, the route, the headers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, Version};
use axum::response::Response;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::Instant;

use crate::load::Load;
use crate::log::{FaultLine, HttpRequest, Log, RequestLine, Severity};
use crate::route::Route;
use crate::settings::Settings;
use crate::store::{LockWait, Store, StoreError};
use crate::{afterwards, checkout, cors, csrf, drf, health, products, site_config, testimonials, wire};

/// The largest body that is read, in bytes.
const BODY_MAX: usize = 2_621_440;
/// The status in the log of a request whose client went away.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) load: Load,
    pub(crate) log: Log,
    /// Draws the secrets and masks of [`crate::csrf`].
    pub(crate) rng: Mutex<StdRng>,
    pub(crate) totals: Totals,
}

/// Sums for the line at the end.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: std::sync::atomic::AtomicU64,
    pub(crate) lock_wait: LockWait,
    /// Requests that failed because the database took no more connections.
    pub(crate) connection_limit: std::sync::atomic::AtomicU64,
}

/// A request with its body, and where its waiting for locks is summed.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shop: Arc<Shop>,
    pub(crate) request: Parts,
    pub(crate) body: Bytes,
    pub(crate) waits: LockWait,
}

impl Call {
    pub(crate) fn path(&self) -> &str {
        self.request.uri.path()
    }

    /// The host the client asked, with its port if it named one.
    pub(crate) fn host(&self) -> &str {
        host(&self.request)
    }

    /// Whether the client came over https, as the front end says.
    pub(crate) fn is_https(&self) -> bool {
        is_https(&self.request.headers)
    }

    /// `scheme://host` as the client sees it.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", scheme(&self.request.headers), self.host())
    }

    /// Runs `draw` on the source of secrets.
    pub(crate) fn with_rng<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.shop.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers one request and logs it.
pub(crate) async fn serve(
    State(shop): State<Arc<Shop>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let (request, body) = request.into_parts();
    let has_load = has_load(request.uri.path());
    let mut entry = Entry::new(&shop, &request, peer);
    let response = match axum::body::to_bytes(body, BODY_MAX).await {
        Ok(body) => {
            let call = Call { shop: Arc::clone(&shop), request, body, waits: entry.waits.clone() };
            answer(&call).await
        }
        Err(_) => wire::page(StatusCode::BAD_REQUEST, "Bad Request (400)", "The body is too large or broke off."),
    };
    entry.finish(&response);
    if has_load { afterwards::work_after(response, shop.settings.knobs.background_work, &shop.log) } else { response }
}

/// Whether the knobs apply: to everything but the health checks and what is no part of the shop.
fn has_load(path: &str) -> bool {
    path == "/" || path.starts_with("/api/")
}

async fn answer(call: &Call) -> Response {
    let path = call.path();
    if health::is_check(path) && [Method::GET, Method::HEAD].contains(&call.request.method) {
        return health::answer(call).await;
    }
    if has_load(path) {
        return match call.shop.load.bear().await {
            Ok(_held) => handle(call).await,
            Err(error) => fault(call, "TEMPORARY_FILE_ERROR", &format!("failed to write a temporary file: {error}")),
        };
    }
    handle(call).await
}

/// The answer of the shop proper.
async fn handle(call: &Call) -> Response {
    if cors::is_preflight(&call.request) {
        let mut response = cors::preflight();
        cors::allow(&call.request, response.headers_mut());
        return response;
    }
    let mut response = route(call).await.unwrap_or_else(|error| failed(call, &error));
    wire::secure(response.headers_mut());
    cors::allow(&call.request, response.headers_mut());
    response
}

/// Logs what the store could not do, and answers: 500, or 503 when the database has no connection left. (The genuine
/// service answers 500 to that too, where it looks like any other fault.)
pub(crate) fn failed(call: &Call, error: &StoreError) -> Response {
    if !matches!(error, StoreError::ConnectionLimit(_)) {
        return fault(call, "DATABASE_ERROR", &error.to_string());
    }
    drop(fault(call, "DATABASE_CONNECTION_LIMIT", &error.to_string()));
    call.shop.totals.connection_limit.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    wire::page(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable (503)", "The database takes no more connections.")
}

/// Logs a fault and answers 500.
fn fault(call: &Call, error: &'static str, message: &str) -> Response {
    call.shop.log.write(&FaultLine {
        severity: Severity::Error,
        error,
        message,
        time: stamp(Timestamp::now()),
        path: call.path(),
    });
    wire::server_error_page()
}

async fn route(call: &Call) -> Result<Response, StoreError> {
    let path = call.path();
    let Some(route) = Route::of(path) else {
        return Ok(if Route::lacks_slash(path) {
            wire::add_slash(path, call.request.uri.query())
        } else {
            wire::not_found_page()
        });
    };
    match route {
        Route::Home => Ok(csrf::refusal(call).unwrap_or_else(home)),
        Route::ApiRoot => Ok(api_root(call)),
        Route::CsrfToken => Ok(checkout::csrf_token(call)),
        Route::Checkout => checkout::checkout(call).await,
        Route::Products => products::collection(call).await,
        Route::Product(key) => products::item(call, &key).await,
        Route::Purchase(key) => products::purchase(call, &key).await,
        Route::ActiveProduct => products::active(call).await,
        Route::Testimonials => testimonials::collection(call).await,
        Route::Testimonial(key) => testimonials::item(call, &key).await,
        Route::SiteConfigs => site_config::collection(call).await,
        Route::SiteConfig(key) => site_config::item(call, &key).await,
        Route::ActiveSiteConfig => site_config::active(call).await,
    }
}

fn home() -> Response {
    let body = "<!doctype html>\n<html lang=\"en\">\n<head><title>✨🥑✨</title></head>\n<body>\n<h1>✨🥑✨</h1>\n\
                <a href=\"/api\">/api</a>\n<a href=\"/admin\">/admin</a>\n</body>\n</html>\n";
    wire::html(StatusCode::OK, body.to_owned())
}

fn api_root(call: &Call) -> Response {
    let view = drf::View { name: "Avocano Server", allow: drf::READ };
    if let Some(response) = view.preamble(call) {
        return response;
    }
    let base = format!("{}/api/", call.origin());
    let url = |path: &str| Value::from(format!("{base}{path}/"));
    let names = ["products", "active/product", "testimonials", "site_config", "active/site_config"];
    let body: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), url(name))).collect();
    wire::api(StatusCode::OK, view.allow, &body)
}

/// The log line of one request. It is written even when the client goes away and the request is dropped.
struct Entry {
    shop: Arc<Shop>,
    method: Method,
    url: String,
    user_agent: Option<String>,
    remote_ip: String,
    request_size: Option<String>,
    trace: Option<(String, Option<String>)>,
    version: Version,
    start_time: Timestamp,
    start: Instant,
    waits: LockWait,
    finished: bool,
}

impl Entry {
    fn new(shop: &Arc<Shop>, request: &Parts, peer: SocketAddr) -> Self {
        let headers = &request.headers;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
        Self {
            shop: Arc::clone(shop),
            method: request.method.clone(),
            url: format!("{}://{}{path}", scheme(headers), host(request)),
            user_agent: text(USER_AGENT.as_str()).map(str::to_owned),
            remote_ip: text("x-forwarded-for")
                .and_then(|chain| chain.split(',').next())
                .map_or_else(|| peer.ip().to_string(), |first| first.trim().to_owned()),
            request_size: text(CONTENT_LENGTH.as_str()).map(str::to_owned),
            trace: trace(text("traceparent"), text("x-cloud-trace-context")),
            version: request.version,
            start_time: Timestamp::now(),
            start: Instant::now(),
            waits: LockWait::default(),
            finished: false,
        }
    }

    fn finish(&mut self, response: &Response) {
        self.finished = true;
        let size = response.body().size_hint().exact().map(|size| size.to_string());
        self.write(response.status().as_u16(), size);
    }

    fn write(&self, status: u16, response_size: Option<String>) {
        let totals = &self.shop.totals;
        totals.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let lock_wait = self.waits.total();
        totals.lock_wait.add(lock_wait);
        if !self.shop.settings.log_requests {
            return;
        }
        let latency = self.start.elapsed();
        let end = SignedDuration::try_from(latency).ok().and_then(|latency| self.start_time.checked_add(latency).ok());
        let project = self.shop.settings.project.as_deref();
        self.shop.log.write(&RequestLine {
            severity: Severity::of_status(status),
            message: format!("{} {} {status}", self.method, self.url),
            time: stamp(end.unwrap_or(self.start_time)),
            start_time: stamp(self.start_time),
            http_request: HttpRequest {
                request_method: self.method.as_str(),
                request_url: self.url.clone(),
                request_size: self.request_size.clone(),
                status,
                response_size,
                user_agent: self.user_agent.as_deref(),
                remote_ip: Some(self.remote_ip.clone()),
                latency: format!("{:.6}s", latency.as_secs_f64()),
                protocol: if self.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
            },
            trace: self.trace.as_ref().map(|(trace, _)| match project {
                Some(project) => format!("projects/{project}/traces/{trace}"),
                None => trace.clone(),
            }),
            span_id: self.trace.as_ref().and_then(|(_, span)| span.clone()),
            lock_wait_ms: millis(lock_wait),
            abandoned: !self.finished,
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.finished {
            self.write(CLIENT_CLOSED_REQUEST, None);
        }
    }
}

/// Trace and span from `traceparent` (version-trace-span-flags) or `X-Cloud-Trace-Context` (trace/span;o=1).
fn trace(traceparent: Option<&str>, cloud: Option<&str>) -> Option<(String, Option<String>)> {
    let is_id = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(mut parts) = traceparent.map(|header| header.split('-').skip(1)) {
        let (trace, span) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if trace.len() == 32 && is_id(trace) {
            return Some((trace.to_owned(), is_id(span).then(|| span.to_owned())));
        }
    }
    let (trace, rest) = cloud.map(|header| header.split_once('/').unwrap_or((header, "")))?;
    let span = rest.split(';').next().and_then(|span| span.parse::<u64>().ok()).filter(|span| *span != 0);
    is_id(trace).then(|| (trace.to_owned(), span.map(|span| format!("{span:016x}"))))
}

fn host(request: &Parts) -> &str {
    let named = request.headers.get(HOST).and_then(|value| value.to_str().ok());
    named.or_else(|| request.uri.authority().map(axum::http::uri::Authority::as_str)).unwrap_or("localhost")
}

fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn scheme(headers: &HeaderMap) -> &'static str {
    if is_https(headers) { "https" } else { "http" }
}

/// A time as Cloud Logging reads it, in microseconds.
pub(crate) fn stamp(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A time in milliseconds, to the microsecond.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_read_from_both_headers() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let parent = format!("00-{id}-b7ad6b7169203331-01");
        let expected = Some((id.to_owned(), Some("b7ad6b7169203331".to_owned())));
        assert_eq!(trace(Some(&parent), None), expected);
        let cloud = format!("{id}/255;o=1");
        assert_eq!(trace(None, Some(&cloud)), Some((id.to_owned(), Some("00000000000000ff".to_owned()))));
        assert_eq!(trace(Some("garbage"), Some("not hex")), None);
    }

    #[test]
    fn stamps_have_microseconds() {
        let time: Timestamp = "2026-11-22T13:00:00.5Z".parse().unwrap();
        assert_eq!(stamp(time), "2026-11-22T13:00:00.500000Z");
    }
}
