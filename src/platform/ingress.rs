//! The front door: a port per service and per tag. It holds no more than the way to the revisions; who may enter an
//! instance, the revision's state machine decides.

use super::affinity;
use super::forward::{Answer, forward, page, refuse};
use super::revision::{Revision, lock};
use super::upload::is_too_large;
use super::world::Refusal;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// A port and where its requests go. Dropping it closes the port; requests under way still end.
pub(super) struct Entry {
    shared: Arc<Shared>,
    address: SocketAddr,
    closing: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

struct Shared {
    split: Mutex<Arc<Split>>,
    count: AtomicU64,
    /// High half of the trace ids this entry gives.
    trace_high: u64,
}

/// How long a client may take for the head of a request, and think between two: Google's front end keeps a silent
/// connection for so long (cloud.google.com/load-balancing/docs/https, time-outs and retries, read 2026-11-22).
const HEAD_TIME_MOST: Duration = Duration::from_secs(610);

/// Shares of the requests, in percent.
type Split = Vec<(u32, Arc<Revision>)>;

impl Entry {
    /// Opens a port on this address.
    pub(super) async fn open(listen: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((listen, 0)).await?;
        let address = listener.local_addr()?;
        let opened = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
        let trace_high = opened.rotate_left(16) ^ u64::from(address.port());
        let shared = Arc::new(Shared { split: Mutex::new(Arc::new(Vec::new())), count: AtomicU64::new(0), trace_high });
        let (closing, closed) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), closed));
        Ok(Self { shared, address, closing, accepting })
    }

    /// Sends the requests that come from now on to these revisions, by percent.
    pub(super) fn route(&self, split: Split) {
        *lock(&self.shared.split) = Arc::new(split);
    }

    /// The address, `http://127.0.0.1:PORT`; a port on every address is named by the loopback one.
    pub(super) fn url(&self) -> String {
        let loopback = match self.address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let ip = if self.address.ip().is_unspecified() { loopback } else { self.address.ip() };
        format!("http://{}", SocketAddr::new(ip, self.address.port()))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.accepting.abort();
        self.closing.send_replace(true);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, closed: watch::Receiver<bool>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::spawn(serve_connection(stream, peer.ip(), Arc::clone(&shared), closed.clone()));
            }
            // No file descriptor is left, or the client is gone already: the next one may have more luck.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: IpAddr, shared: Arc<Shared>, mut closed: watch::Receiver<bool>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(serve(&shared, peer, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MOST);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a client's connection ends is the client's business: its requests are counted by their slots.
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = async { drop(closed.wait_for(|closed| *closed).await) } => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn serve(shared: &Shared, peer: IpAddr, mut request: Request<Incoming>) -> Response<Answer> {
    let number = shared.count.fetch_add(1, Ordering::Relaxed);
    let Some(revision) = shared.pick(number) else { return page(StatusCode::NOT_FOUND) };
    if is_too_large(request.body()) {
        return refuse(request);
    }
    let deadline = Instant::now() + revision.spec.request_timeout;
    mark(request.headers_mut(), peer, (shared.trace_high, number));
    let session = affinity::wanted(request.headers(), &revision.spec);
    let slot = match revision.try_acquire(session) {
        Some(slot) => Ok(slot),
        None => revision.acquire(deadline).await,
    };
    match slot {
        Ok(slot) => {
            let cookie = slot.session_cookie(session);
            let mut response = forward(slot, request, deadline).await;
            response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
            response
        }
        Err(refusal) => page(refusal.status()),
    }
}

impl Shared {
    /// Splits exactly: of any hundred requests in a row each revision gets its percentage.
    fn pick(&self, number: u64) -> Option<Arc<Revision>> {
        let split = Arc::clone(&lock(&self.split));
        if let [(_, only)] = split.as_slice() {
            return Some(Arc::clone(only));
        }
        // 37 has no factor in common with 100: the shares interleave instead of coming in blocks.
        let place = u32::try_from(number.wrapping_mul(37) % 100).unwrap_or_default();
        let mut sum = 0;
        split.iter().find_map(|(percent, revision)| {
            sum += percent;
            (place < sum).then(|| Arc::clone(revision))
        })
    }
}

impl Refusal {
    /// The status of the answer.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoRoom => StatusCode::TOO_MANY_REQUESTS,
            Self::NoInstance => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_CLOUD_TRACE_CONTEXT: HeaderName = HeaderName::from_static("x-cloud-trace-context");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What Google's front end adds to a request.
fn mark(headers: &mut HeaderMap, peer: IpAddr, trace: (u64, u64)) {
    let forwarded = match headers.get(&X_FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(before) => HeaderValue::from_str(&format!("{before}, {peer}")).ok(),
        None if peer == IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(HeaderValue::from_static("127.0.0.1")),
        None => HeaderValue::from_str(&peer.to_string()).ok(),
    };
    if let Some(forwarded) = forwarded {
        headers.insert(&X_FORWARDED_FOR, forwarded);
    }
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (cloud, parent) = (text(&X_CLOUD_TRACE_CONTEXT), text(&TRACEPARENT));
    let (has_cloud, has_parent) = (cloud.is_some(), parent.is_some());
    if has_cloud && has_parent {
        return;
    }
    // The header that is there names the trace for the one that is not.
    let given = cloud.and_then(|text| trace_id(text.split('/').next()));
    let given = given.or_else(|| parent.and_then(|text| trace_id(text.split('-').nth(1))));
    // A span id must not be zero.
    let (high, span) = (trace.0, trace.1 + 1);
    let id = given.unwrap_or_else(|| format!("{high:016x}{span:016x}"));
    if !has_cloud && let Ok(value) = HeaderValue::from_str(&format!("{id}/{span};o=1")) {
        headers.insert(&X_CLOUD_TRACE_CONTEXT, value);
    }
    if !has_parent && let Ok(value) = HeaderValue::from_str(&format!("00-{id}-{span:016x}-01")) {
        headers.insert(&TRACEPARENT, value);
    }
}

/// A trace id: 32 hexadecimal digits.
fn trace_id(text: Option<&str>) -> Option<String> {
    let id = text?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_request_is_let_go_and_one_that_thinks_is_not() {
        let entry = Entry::open(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
        let mut slow = TcpStream::connect(entry.address).await.unwrap();
        let mut thinking = TcpStream::connect(entry.address).await.unwrap();
        let started = Instant::now();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        tokio::time::sleep(Duration::from_mins(10)).await;
        thinking.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        thinking.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 404 "), "nothing is routed there: {answer:?}");
        answer.clear();
        let _ = slow.read_to_end(&mut answer).await;
        assert_eq!(answer, b"");
        assert!(started.elapsed() < Duration::from_secs(1000));
    }

    fn marked(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        mark(&mut headers, IpAddr::V4(Ipv4Addr::LOCALHOST), (0xabc, 6));
        headers
    }

    #[test]
    fn a_request_without_a_trace_gets_one_in_both_forms() {
        let headers = marked(&[]);
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-cloud-trace-context"], "0000000000000abc0000000000000007/7;o=1");
        assert_eq!(headers["traceparent"], "00-0000000000000abc0000000000000007-0000000000000007-01");
    }

    #[test]
    fn a_trace_that_is_there_is_kept_and_said_in_the_other_form() {
        let id = "105445aa7843bc8bf206b12000100000";
        let from_cloud = marked(&[("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=1")]);
        assert!(from_cloud["traceparent"].to_str().unwrap().contains(id));
        let from_parent = marked(&[("traceparent", "00-105445aa7843bc8bf206b12000100000-00000000000000aa-01")]);
        assert_eq!(from_parent["traceparent"], "00-105445aa7843bc8bf206b12000100000-00000000000000aa-01");
        assert!(from_parent["x-cloud-trace-context"].to_str().unwrap().starts_with(id));
        let appended = marked(&[("x-forwarded-for", "10.0.0.9"), ("x-forwarded-proto", "https")]);
        assert_eq!(appended["x-forwarded-for"], "10.0.0.9, 127.0.0.1");
        assert_eq!(appended["x-forwarded-proto"], "https");
    }

    /// Sends these bytes, ends the sending, and gives what came back.
    async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn whatever_one_client_sends_the_next_is_served(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            head in "(GET|POST|X) /[ -~]{0,20} HTTP/1.[01]\r\n(host: x\r\n|content-length: [0-9]{0,22}\r\n|transfer-encoding: chunked\r\n|[a-z:]{0,9}\r\n){0,4}\r\n",
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let next = runtime.block_on(async {
                let entry = Entry::open(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
                exchange(entry.address, &bytes).await;
                exchange(entry.address, &[head.as_bytes(), &bytes].concat()).await;
                exchange(entry.address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await
            });
            prop_assert!(next.starts_with(b"HTTP/1.1 404 "), "{:?}", String::from_utf8_lossy(&next));
        }
    }
}
