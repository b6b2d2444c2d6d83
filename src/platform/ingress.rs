//! The front door: a port per service and per tag. It holds no more than the way to the revisions; who may enter an
//! instance, the revision's state machine decides.

use super::affinity;
use super::client::{Client, HEAD_TIME_MOST, Reply};
use super::forward::{Answer, forward, page, refuse};
use super::gate::Gate;
use super::revision::{Revision, lock};
use super::trace::TraceId;
use super::upload::is_too_large;
use super::world::Refusal;
use http::header::Entry as Field;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
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
    split: Mutex<Split>,
    gate: Arc<Gate>,
    count: AtomicU64,
    /// Set before those who wait for it are told.
    is_closed: AtomicBool,
    /// High half of the trace ids this entry gives.
    trace_high: u64,
}

/// Shares of the requests, in percent.
type Split = Vec<(u32, Arc<Revision>)>;

impl Entry {
    /// Opens a port on this address, behind the service's gate.
    pub(super) async fn open(listen: IpAddr, gate: Arc<Gate>) -> io::Result<Self> {
        let listener = TcpListener::bind((listen, 0)).await?;
        let address = listener.local_addr()?;
        let opened = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default();
        let trace_high = opened.rotate_left(16) ^ u64::from(address.port());
        let shared = Arc::new(Shared {
            split: Mutex::default(),
            gate,
            count: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            trace_high,
        });
        let (closing, closed) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), closed));
        Ok(Self { shared, address, closing, accepting })
    }

    /// Sends the requests that come from now on to these revisions, by percent.
    pub(super) fn route(&self, split: Split) {
        *lock(&self.shared.split) = split;
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
        self.shared.is_closed.store(true, Ordering::Relaxed);
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
    let client = Arc::new(Client::new(peer));
    let service = service_fn(|request| {
        let (shared, client) = (Arc::clone(&shared), Arc::clone(&client));
        async move {
            client.begins();
            let answer = serve(&shared, client.ip, request).await;
            Ok::<_, Infallible>(answer.map(|answer| Reply::new(answer, client)))
        }
    });
    // No timer: hyper would make one for every request.
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut told = std::pin::pin!(closed.wait_for(|closed| *closed));
    let mut alarm = std::pin::pin!(tokio::time::sleep(HEAD_TIME_MOST));
    let (mut is_watched, mut is_told) = (false, false);
    // How a client's connection ends is the client's business: its requests are counted by their slots.
    std::future::poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // Whoever has been polled once wakes this task when it is ready: until then it need not be asked.
            let is_closed = !is_told && shared.is_closed.load(Ordering::Relaxed);
            if is_watched && !is_closed && !alarm.is_elapsed() {
                return Poll::Pending;
            }
            is_watched = true;
            if !is_told && told.as_mut().poll(cx).is_ready() {
                (is_told, is_watched) = (true, false);
                connection.as_mut().graceful_shutdown();
            } else if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            } else {
                let Some(next) = client.look_next() else { return Poll::Ready(()) };
                alarm.as_mut().reset(next);
            }
        }
    })
    .await;
}

async fn serve(shared: &Shared, peer: IpAddr, mut request: Request<Incoming>) -> Response<Answer> {
    let number = shared.count.fetch_add(1, Ordering::Relaxed);
    let Some(revision) = shared.pick(number) else { return page(StatusCode::NOT_FOUND) };
    // Boxed: who calls an open service does not carry the future of a check that is not made.
    if !shared.gate.is_open()
        && let Some(refused) = Box::pin(shared.gate.refuse(request.headers(), request.uri().path())).await
    {
        return refused;
    }
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
        let split = lock(&self.split);
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
    match headers.entry(&X_FORWARDED_FOR) {
        Field::Occupied(mut before) => {
            let text = before.get().to_str().map_or_else(|_| peer.to_string(), |text| format!("{text}, {peer}"));
            if let Ok(value) = HeaderValue::from_str(&text) {
                before.insert(value);
            }
        }
        Field::Vacant(vacant) if peer == IpAddr::V4(Ipv4Addr::LOCALHOST) => {
            vacant.insert(HeaderValue::from_static("127.0.0.1"));
        }
        Field::Vacant(vacant) => {
            if let Ok(value) = HeaderValue::from_str(&peer.to_string()) {
                vacant.insert(value);
            }
        }
    }
    headers.entry(&X_FORWARDED_PROTO).or_insert_with(|| HeaderValue::from_static("http"));
    let (cloud, parent) = (headers.get(&X_CLOUD_TRACE_CONTEXT), headers.get(&TRACEPARENT));
    let (has_cloud, has_parent) = (cloud.is_some(), parent.is_some());
    if has_cloud && has_parent {
        return;
    }
    // The header that is there names the trace for the one that is not.
    let given = cloud.and_then(TraceId::of_cloud_context).or_else(|| parent.and_then(TraceId::of_parent));
    // A span id must not be zero.
    let (high, span) = (trace.0, trace.1 + 1);
    let id = given.unwrap_or_else(|| TraceId::new(high, span));
    if !has_cloud && let Some(value) = id.cloud_context(span) {
        headers.insert(&X_CLOUD_TRACE_CONTEXT, value);
    }
    if !has_parent && let Some(value) = id.parent(span) {
        headers.insert(&TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::gate::Gates;
    use crate::platform::journal::Journal;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn opened() -> io::Result<Entry> {
        Entry::open(IpAddr::V4(Ipv4Addr::LOCALHOST), Gates::new(None, Journal::default()).of("x")).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_request_is_let_go_and_one_that_thinks_is_not() {
        let entry = opened().await.unwrap();
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

    #[tokio::test(start_paused = true)]
    async fn a_client_is_let_go_when_it_has_been_silent_for_so_long_since_its_last_answer() {
        let entry = opened().await.unwrap();
        let mut stream = TcpStream::connect(entry.address).await.unwrap();
        let (mut answer, mut last) = (Vec::new(), Instant::now());
        for pause in [300, 400, 609] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            answer.clear();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            while !answer.ends_with(b"</html>\n") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "after {pause} s");
            }
            last = Instant::now();
        }
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let silent = last.elapsed();
        assert!((HEAD_TIME_MOST..HEAD_TIME_MOST + Duration::from_secs(1)).contains(&silent), "{silent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_port_is_closed_silent_clients_are_let_go_at_once() {
        let entry = opened().await.unwrap();
        let mut fresh = TcpStream::connect(entry.address).await.unwrap();
        let mut used = TcpStream::connect(entry.address).await.unwrap();
        used.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"</html>\n") {
            assert!(used.read_buf(&mut answer).await.unwrap() > 0);
        }
        let started = Instant::now();
        drop(entry);
        for stream in [&mut fresh, &mut used] {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
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
                let entry = opened().await.unwrap();
                exchange(entry.address, &bytes).await;
                exchange(entry.address, &[head.as_bytes(), &bytes].concat()).await;
                exchange(entry.address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await
            });
            prop_assert!(next.starts_with(b"HTTP/1.1 404 "), "{:?}", String::from_utf8_lossy(&next));
        }
    }
}
