//! The client that pushes: one request at a time on a connection of HTTP/1.1, which is kept for the next one. Endpoints
//! behind TLS are reached by the general client, which costs three times as much per push.

use super::config::Endpoint;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::ext::on_informational;
use hyper_util::rt::TokioIo;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout};
use url::{Host, Position, Url};

/// How long a connection may take to come about.
const CONNECT_MOST: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read at most: what it says does not matter.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A connection that was not used for so long is closed.
const IDLE_MOST: Duration = Duration::from_secs(30);

/// Connections to one endpoint that may be begun within [`CONNECTING_PACE`]: what its listener cannot hold until it accepts
/// them is dropped, and tried again by the kernel a whole second later.
const CONNECTING_MAX: usize = 64;
/// How long a connection counts as just begun. The kernel at the other end says it is there before anybody has accepted it.
const CONNECTING_PACE: Duration = Duration::from_millis(20);

type Sender = SendRequest<Full<Bytes>>;

/// Where an endpoint is, if it is reached without TLS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Address {
    host: String,
    port: u16,
    header: HeaderValue,
    path: Uri,
}

impl Address {
    /// None if the general client is needed: for TLS, and for a name and password in the address.
    pub(super) fn of(url: &Url) -> Option<Self> {
        if url.scheme() != "http" || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        let header = HeaderValue::try_from(&url[Position::BeforeHost..Position::AfterPort]).ok()?;
        let path = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).ok()?;
        Some(Self { host, port: url.port_or_known_default()?, header, path })
    }
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle {
    since: Instant,
    sender: Sender,
}

/// The connections to one endpoint.
#[derive(Debug)]
struct Place {
    /// The last used last.
    idle: Mutex<VecDeque<Idle>>,
    connecting: Arc<Semaphore>,
}

impl Place {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Sender> {
        self.idle().pop_back().map(|idle| idle.sender)
    }

    /// A connection, and whether it was kept from an earlier request. One that comes back while this waits for its turn to
    /// connect is as good.
    async fn sender(&self, address: &Address) -> Option<(Sender, bool)> {
        if let Some(kept) = self.take() {
            return Some((kept, true));
        }
        let turn = Arc::clone(&self.connecting).acquire_owned().await.ok()?;
        if let Some(kept) = self.take() {
            return Some((kept, true));
        }
        tokio::spawn(async move {
            tokio::time::sleep(CONNECTING_PACE).await;
            drop(turn);
        });
        connect(address).await.map(|new| (new, false))
    }
}

/// The client.
#[derive(Debug)]
pub(super) struct Client {
    /// By host and port.
    places: Mutex<BTreeMap<(String, u16), Arc<Place>>>,
    general: reqwest::Client,
}

impl Client {
    pub(super) fn new() -> Result<Self, reqwest::Error> {
        let general = reqwest::Client::builder()
            .no_proxy()
            // An endpoint that redirects has not acknowledged.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MOST)
            .build()?;
        Ok(Self { places: Mutex::default(), general })
    }

    /// Sends a request; the status of its answer, once that is whole or too long to be worth reading. None if there was none.
    /// In HTTP, 102 announces an answer; Pub/Sub counts it among the answers, so that it is one unless another comes with
    /// it. The general client does not tell of it.
    pub(super) async fn post(&self, endpoint: &Endpoint, mut headers: HeaderMap, body: Vec<u8>) -> Option<u16> {
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        match &endpoint.address {
            Some(address) => self.post_plainly(address, headers, body).await,
            None => self.post_generally(endpoint, headers, body).await,
        }
    }

    async fn post_plainly(&self, address: &Address, mut headers: HeaderMap, body: Vec<u8>) -> Option<u16> {
        headers.insert(HOST, address.header.clone());
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&address.path);
        *request.headers_mut() = headers;
        let processing = Arc::new(Notify::new());
        let told = Arc::clone(&processing);
        on_informational(&mut request, move |interim| {
            if interim.status() == StatusCode::PROCESSING {
                told.notify_one();
            }
        });
        let place = self.place(address);
        let (sender, response) = loop {
            let (mut sender, is_kept) = place.sender(address).await?;
            // One that was kept may have been closed at the other end meanwhile: then another one takes the request.
            let sent = match sender.ready().await {
                Ok(()) => tokio::select! {
                    biased;
                    sent = sender.try_send_request(request) => sent,
                    // The connection is not kept: another answer may follow on it.
                    () = processing.notified() => return Some(StatusCode::PROCESSING.as_u16()),
                },
                Err(_) if is_kept => continue,
                Err(_) => return None,
            };
            match sent {
                Ok(response) => break (sender, response),
                Err(mut error) => request = error.take_message().filter(|_| is_kept)?,
            }
        };
        let status = response.status().as_u16();
        if read(response.into_body()).await {
            place.idle().push_back(Idle { since: Instant::now(), sender });
        }
        Some(status)
    }

    async fn post_generally(&self, endpoint: &Endpoint, headers: HeaderMap, body: Vec<u8>) -> Option<u16> {
        let request = self.general.post(endpoint.url.clone()).headers(headers).body(body);
        let mut response = request.send().await.ok()?;
        let (status, mut bytes) = (response.status().as_u16(), 0);
        while bytes <= ANSWER_BYTES_MAX
            && let Ok(Some(part)) = response.chunk().await
        {
            bytes += part.len();
        }
        Some(status)
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<(String, u16), Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, address: &Address) -> Arc<Place> {
        let new = || Arc::new(Place { idle: Mutex::default(), connecting: Arc::new(Semaphore::new(CONNECTING_MAX)) });
        Arc::clone(self.places().entry((address.host.clone(), address.port)).or_insert_with(new))
    }

    /// Closes connections that were not used for a while.
    pub(super) fn prune(&self) {
        self.places().retain(|_, place| {
            let mut idle = place.idle();
            while idle.front().is_some_and(|idle| idle.since.elapsed() > IDLE_MOST) {
                idle.pop_front();
            }
            // One that somebody has just found is not forgotten: its connections would be kept where nobody looks.
            !idle.is_empty() || Arc::strong_count(place) > 1
        });
    }
}

async fn connect(address: &Address) -> Option<Sender> {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = timeout(CONNECT_MOST, connecting).await.ok()?.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    // How it ends, its sender learns.
    tokio::spawn(connection);
    Some(sender)
}

/// Reads an answer to its end. False if it is broken off or too long: its connection is of no more use.
async fn read(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > ANSWER_BYTES_MAX {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::proto::PushConfig;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// An endpoint that gives every request this answer, and closes each connection after so many of them without saying so.
    async fn endpoint(answer: &'static str, requests_max: usize) -> (Endpoint, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/path?query", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                for _ in 0..requests_max {
                    let mut read = Vec::new();
                    while !read.ends_with(b"body") {
                        let mut part = [0; 1_024];
                        match connection.read(&mut part).await {
                            Ok(count) if count > 0 => read.extend(&part[..count]),
                            _ => break,
                        }
                    }
                    if read.is_empty() {
                        break;
                    }
                    assert!(read.starts_with(b"POST /path?query HTTP/1.1\r\n"));
                    connection.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        let address = Address::of(&url);
        (Endpoint { url, address, config: PushConfig::default() }, connections)
    }

    async fn post(client: &Client, endpoint: &Endpoint) -> Option<u16> {
        client.post(endpoint, HeaderMap::new(), b"body".to_vec()).await
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_the_next_request_and_closed_when_there_is_none() {
        let (endpoint, connections) = endpoint("HTTP/1.1 204 No Content\r\n\r\n", 100).await;
        let client = Client::new().unwrap();
        for _ in 0..5 {
            assert_eq!(post(&client, &endpoint).await, Some(204));
        }
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        client.prune();
        assert_eq!(client.places().len(), 1, "it has only just been used");
        tokio::time::pause();
        tokio::time::advance(IDLE_MOST + Duration::from_secs(1)).await;
        client.prune();
        assert!(client.places().is_empty());
    }

    #[tokio::test]
    async fn a_kept_connection_that_was_closed_costs_no_request() {
        let (endpoint, connections) = endpoint("HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno", 1).await;
        let client = Client::new().unwrap();
        for number in 1..=3 {
            assert_eq!(post(&client, &endpoint).await, Some(500));
            assert_eq!(connections.load(Ordering::Relaxed), number);
            // Until the end of the connection is known here: what was sent on it before is an answer that never comes.
            let is_open =
                || client.places().values().any(|place| place.idle().iter().any(|idle| !idle.sender.is_closed()));
            while is_open() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn an_interim_answer_that_acknowledges_is_one_unless_another_comes_with_it() {
        let client = Client::new().unwrap();
        let (processing, connections) = endpoint("HTTP/1.1 102 Processing\r\ncontent-length: 0\r\n\r\n", 100).await;
        assert_eq!(post(&client, &processing).await, Some(102));
        assert_eq!(post(&client, &processing).await, Some(102));
        assert_eq!(connections.load(Ordering::Relaxed), 2, "what else comes on the first is nobody's answer");
        let both = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
        let (refusing, _) = endpoint(both, 100).await;
        assert_eq!(post(&client, &refusing).await, Some(500));
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (hinting, _) = endpoint(hints, 100).await;
        assert_eq!(post(&client, &hinting).await, Some(200));
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let url: Url = "http://127.0.0.1:1/".parse().unwrap();
        let endpoint = Endpoint { address: Address::of(&url), url, config: PushConfig::default() };
        assert_eq!(post(&Client::new().unwrap(), &endpoint).await, None);
    }

    #[test]
    fn plain_addresses_are_told_from_those_that_need_more() {
        let of = |url: &str| {
            let address = Address::of(&url.parse().unwrap())?;
            Some(format!("{} {} {:?} {}", address.host, address.port, address.header, address.path))
        };
        assert_eq!(of("http://a.example").as_deref(), Some("a.example 80 \"a.example\" /"));
        assert_eq!(of("http://[::1]:8080/p/q?r=s#t").as_deref(), Some("::1 8080 \"[::1]:8080\" /p/q?r=s"));
        assert_eq!(of("https://a.example"), None);
        assert_eq!(of("http://name:word@a.example"), None);
    }
}
