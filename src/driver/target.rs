//! Where the load goes: the address taken apart, resolved once before the load, and how a connection to it is opened.

use super::DriveError;
use super::http2::Origin;
use super::outcome::{OWN_FAILURES, Outcome, Unanswered};
use super::phases::Phases;
use super::proxy::Tunnel;
use super::target_options::{Protocol, Proxy, TargetError, TargetOptions};
use super::tls;
use crate::scenario::origin_of;
use crate::trial::TargetRecording;
use http::uri::Scheme;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A target that has taken no connection after this long is not there. One that has, and has not agreed upon TLS after as long
/// again, is left to the load, whose steps have timeouts.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A resolved target.
pub(super) struct Target {
    /// Scheme, host and port, without a trailing slash.
    pub(super) base_url: String,
    /// What the `host` header says.
    pub(super) authority: http::HeaderValue,
    origin: Origin,
    protocol: Protocol,
    /// TLS and the name that is asked for, for https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The way through a proxy, if there is one: `addresses` are then the proxy's.
    tunnel: Option<Tunnel>,
    addresses: Vec<SocketAddr>,
    /// The address that answered last: a name with a dead first address costs one refusal, not one per connection.
    preferred: AtomicUsize,
    opened: Mutex<TargetRecording>,
}

/// A stream to the target, what is spoken on it, and how long it took to get there.
pub(super) struct Reached {
    pub(super) stream: Stream,
    /// What HTTP/2 says of the target, when that was agreed upon; HTTP/1.1 otherwise.
    pub(super) origin: Option<Origin>,
    /// Connect, the way through the proxy included, and TLS.
    pub(super) phases: Phases,
}

/// What carries the bytes.
pub(super) enum Stream {
    /// For http.
    Plain(TcpStream),
    /// For https.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Target {
    /// Takes `url` apart and resolves its host; https is checked against the system's root certificates and the options'.
    pub(super) async fn resolve(url: &str, options: &TargetOptions) -> Result<Self, DriveError> {
        Self::resolve_with(url, options, tls::system_roots).await
    }

    /// The same, with other root certificates than the system's.
    pub(super) async fn resolve_with(
        url: &str,
        options: &TargetOptions,
        system: impl FnOnce() -> RootCertStore,
    ) -> Result<Self, DriveError> {
        let bad = |cause: String| DriveError::Address { url: url.to_owned(), cause };
        let (scheme, authority) = origin_of(url).map_err(bad)?;
        let secure = scheme == Scheme::HTTPS;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let detour = detour(options, &host, port)?;
        let (addresses, tunnel) = match (&options.proxy, detour) {
            (None, Some(address)) => (vec![address], None),
            (None, None) => (looked_up(&host, port).await.map_err(|cause| unnamed(url, &host, port, cause))?, None),
            (Some(proxy), detour) => {
                let destination = detour.map_or_else(|| format!("{}:{port}", authority.host()), |to| to.to_string());
                (proxy_addresses(proxy).await?, Some(Tunnel::new(proxy, &destination)))
            }
        };
        let tls = if secure {
            let connector = tls::connector(&options.tls, options.protocol, system).map_err(bad)?;
            let name = match &options.tls.server_name {
                Some(name) => name.clone(),
                None => ServerName::try_from(host).map_err(|error| bad(error.to_string()))?,
            };
            Some((connector, name))
        } else {
            None
        };
        Ok(Self {
            base_url: format!("{scheme}://{authority}"),
            authority: http::HeaderValue::from_str(authority.as_str()).map_err(|error| bad(error.to_string()))?,
            origin: Origin { scheme, authority },
            protocol: options.protocol,
            tls,
            tunnel,
            addresses,
            preferred: AtomicUsize::new(0),
            opened: Mutex::new(TargetRecording {
                insecure: secure && options.tls.insecure,
                proxy: options.proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host, proxy.port)),
                authorization: options.authorization.kind().map(str::to_owned),
                ..TargetRecording::default()
            }),
        })
    }

    /// Opens a connection and closes it, to learn before the load what would fail every request: a certificate that is not
    /// accepted, a proxy that refuses, and, where the target `must_connect`, that nobody takes a connection. Without that a
    /// target that takes none is a result, not an error. No request is sent.
    pub(super) async fn probe(&self, must_connect: bool) -> Result<(), DriveError> {
        if self.tls.is_none() && self.tunnel.is_none() && !must_connect {
            return Ok(());
        }
        let began = Instant::now();
        let mut tried = Vec::new();
        let connecting = timeout(PROBE_TIMEOUT, self.take(&mut tried)).await;
        let stream = match connecting.unwrap_or_else(|_| Err(Unanswered::timed_out("connecting timed out"))) {
            Ok(stream) => stream,
            // What the driver's own host lacks is told by the load. Behind a proxy, words about that stand before it.
            Err(missing) if must_connect && !OWN_FAILURES.iter().any(|own| missing.cause.ends_with(own)) => {
                return Err(self.unreachable(&missing, &tried, &self.mend_of_connecting()));
            }
            Err(_) => return Ok(()),
        };
        match timeout(PROBE_TIMEOUT, self.go_on(stream, began)).await {
            Ok(Err(refused)) => Err(self.unreachable(&refused, &tried, self.mend_of_refusal(&refused))),
            _ => Ok(()),
        }
    }

    fn unreachable(&self, why: &Unanswered, tried: &[SocketAddr], hint: &str) -> DriveError {
        let list = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut told = list(tried);
        if self.tunnel.is_some() {
            told.insert_str(0, "the proxy at ");
        }
        let left: Vec<SocketAddr> = self.addresses.iter().filter(|address| !tried.contains(address)).copied().collect();
        if why.outcome == Outcome::TimedOut && !left.is_empty() {
            told = format!("{told}; no time was left for {}", list(&left));
        }
        let (url, cause) = (self.base_url.clone(), why.cause.clone().into_owned());
        DriveError::Unreachable { url, tried: told, cause, hint: hint.to_owned() }
    }

    /// How to mend that nobody takes a connection.
    fn mend_of_connecting(&self) -> String {
        if self.tunnel.is_some() {
            return "start the proxy, or correct --proxy".to_owned();
        }
        format!(
            "start the service, or correct the target's address; this machine reaches it when `curl -v {}` connects",
            self.base_url
        )
    }

    /// How to mend that connections are taken and then refused.
    fn mend_of_refusal(&self, refused: &Unanswered) -> &'static str {
        if refused.cause.starts_with(tls::NOT_ACCEPTED) {
            "give the server a certificate that this machine trusts, or say what to trust by --cacert FILE; --insecure takes any"
        } else if self.tunnel.is_some() {
            "mend what is said, at the proxy or the target; --proxy and --proxy-auth say how the load goes through"
        } else {
            "check scheme and port of the target's address, and what the server asks of those who connect"
        }
    }

    /// Whether every connection speaks HTTP/2.
    pub(super) fn speaks_http2_only(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    /// Opens a stream: TCP, the way through the proxy, TLS, and the protocol that was agreed upon.
    pub(super) async fn open(&self) -> Result<Reached, Unanswered> {
        match self.reach().await {
            Ok(reached) if self.protocol == Protocol::Http2 && reached.origin.is_none() => {
                Err(Unanswered::broken("the server does not speak HTTP/2 (--http auto takes what it speaks)"))
            }
            reached => reached,
        }
    }

    /// What was recorded of the connections that were opened.
    pub(super) fn recording(&self) -> TargetRecording {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records a connection that speaks `protocol`, and how long it took to open it.
    pub(super) fn note(&self, protocol: &str, phases: &Phases) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match opened.connections.get_mut(protocol) {
            Some(count) => *count += 1,
            None => drop(opened.connections.insert(protocol.to_owned(), 1)),
        }
        if let Some(connect_time) = phases.connect {
            opened.connect_time.record(connect_time);
        }
        if let Some(tls_time) = phases.tls {
            opened.tls_time.record(tls_time);
        }
    }

    async fn reach(&self) -> Result<Reached, Unanswered> {
        let began = Instant::now();
        let stream = self.take(&mut Vec::new()).await?;
        self.go_on(stream, began).await
    }

    /// Opens a TCP connection to the target, or to the proxy before it; enters what it `tried`.
    async fn take(&self, tried: &mut Vec<SocketAddr>) -> Result<TcpStream, Unanswered> {
        self.connect(tried).await.map_err(|error| {
            let mut cause = Unanswered::refused(&error);
            if self.tunnel.is_some() {
                cause.cause = format!("the proxy takes no connection: {}", cause.cause).into();
            }
            cause
        })
    }

    /// The way through the proxy, and TLS, over a TCP connection that was asked for when it `began`.
    async fn go_on(&self, mut stream: TcpStream, began: Instant) -> Result<Reached, Unanswered> {
        if let Some(tunnel) = &self.tunnel {
            tunnel.open(&mut stream).await?;
        }
        let connected = Instant::now();
        let mut phases = Phases { connect: Some(connected.saturating_duration_since(began)), ..Phases::default() };
        let Some((tls, name)) = &self.tls else {
            // Without TLS nothing is agreed upon: HTTP/2 is spoken when it was asked for.
            let origin = (self.protocol == Protocol::Http2).then(|| self.origin.clone());
            return Ok(Reached { stream: Stream::Plain(stream), origin, phases });
        };
        match tls.connect(name.clone(), stream).await {
            Ok(stream) => {
                phases.tls = Some(connected.elapsed());
                let agreed = stream.get_ref().1.alpn_protocol() == Some(tls::ALPN_H2);
                let origin = agreed.then(|| self.origin.clone());
                Ok(Reached { stream: Stream::Secure(Box::new(stream)), origin, phases })
            }
            Err(error) => Err(Unanswered::broken(tls::failure(&error))),
        }
    }

    /// Opens a TCP connection without Nagle's delay.
    async fn connect(&self, tried: &mut Vec<SocketAddr>) -> std::io::Result<TcpStream> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = None;
        for attempt in 0..self.addresses.len() {
            let index = (first + attempt) % self.addresses.len();
            tried.push(self.addresses[index]);
            match TcpStream::connect(self.addresses[index]).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(stream);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
    }
}

/// Where the options say that host and port are, if they say it.
fn detour(options: &TargetOptions, host: &str, port: u16) -> Result<Option<SocketAddr>, DriveError> {
    let found = options.resolve.iter().find(|entry| entry.port == port && entry.host.eq_ignore_ascii_case(host));
    match found {
        Some(entry) => Ok(Some(SocketAddr::new(entry.address, port))),
        None if options.resolve.is_empty() => Ok(None),
        None => Err(DriveError::Target(TargetError {
            option: "--resolve",
            cause: format!("none is for {host}:{port}, where the load goes"),
            hint: "write the host and the port as in the target's address, such as --resolve shop.example:443:127.0.0.1",
        })),
    }
}

/// Why the load goes nowhere: its host has no address.
fn unnamed(url: &str, host: &str, port: u16, cause: String) -> DriveError {
    DriveError::Unnamed {
        url: url.trim_end_matches('/').to_owned(),
        host: host.to_owned(),
        port,
        cause,
        hint: "correct the target's address, or how this machine looks up names".to_owned(),
    }
}

async fn proxy_addresses(proxy: &Proxy) -> Result<Vec<SocketAddr>, DriveError> {
    looked_up(&proxy.host, proxy.port).await.map_err(|cause| {
        DriveError::Target(TargetError {
            option: "--proxy",
            cause: format!("{}:{}: {cause}", proxy.host, proxy.port),
            hint: "write http://HOST:PORT with a host that this machine knows",
        })
    })
}

/// The addresses of a name, or what the resolver said: that there is no such name, or that it could not be asked.
async fn looked_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let said = |error: std::io::Error| error.to_string();
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(said)?.collect();
    if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolve(url: &str) -> Result<Target, DriveError> {
        Target::resolve(url, &TargetOptions::default()).await
    }

    #[tokio::test]
    async fn an_address_without_scheme_host_or_with_a_path_is_refused_with_the_mend() {
        for url in
            ["", "localhost:8080", "ftp://localhost", "http://", "http://127.0.0.1/shop", "http://a:b@127.0.0.1", "/"]
        {
            let Err(error) = resolve(url).await else { panic!("{url:?} was taken") };
            let text = error.to_string();
            assert!(text.contains("write it as http://host:port"), "{url}: {text}");
        }
    }

    #[tokio::test]
    async fn a_trailing_slash_is_no_path_and_ports_have_defaults() {
        let target = resolve("http://127.0.0.1:81/").await.unwrap();
        assert_eq!(target.base_url, "http://127.0.0.1:81");
        assert_eq!(target.authority, "127.0.0.1:81");
        let target = resolve("http://[::1]").await.unwrap();
        assert_eq!(target.addresses, vec!["[::1]:80".parse().unwrap()]);
    }

    #[tokio::test]
    async fn an_override_is_where_the_target_is_and_one_for_another_host_is_a_mistake() {
        let options = |entry: &str| TargetOptions { resolve: vec![entry.parse().unwrap()], ..TargetOptions::default() };
        let target = Target::resolve("http://shop.invalid:8080", &options("Shop.invalid:8080:[::1]")).await.unwrap();
        assert_eq!(target.addresses, vec!["[::1]:8080".parse().unwrap()]);
        assert_eq!(target.authority, "shop.invalid:8080", "the host is still asked for by its name");
        for entry in ["shop.invalid:81:127.0.0.1", "other.invalid:8080:127.0.0.1"] {
            let Err(error) = Target::resolve("http://shop.invalid:8080", &options(entry)).await else {
                panic!("{entry}")
            };
            let text = error.to_string();
            assert!(text.contains("--resolve") && text.contains("shop.invalid:8080"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_target_that_must_connect_is_tried_by_a_connection_without_a_request() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = resolve(&url).await.unwrap();
        let (tried, accepted) = tokio::join!(target.probe(true), listener.accept());
        tried.unwrap();
        let mut said = Vec::new();
        accepted.unwrap().0.read_to_end(&mut said).await.unwrap();
        assert!(said.is_empty(), "{said:?}");
        assert!(target.recording().connections.is_empty(), "no connection of the load");
        drop(listener);
        target.probe(false).await.unwrap();
        let told = target.probe(true).await.unwrap_err().to_string();
        for word in [&*url, "connection refused", "tried 127.0.0.1:", "nothing was sent", "\n\nhint: start the service"]
        {
            assert!(told.contains(word), "{word:?} is not in: {told}");
        }
    }

    #[tokio::test]
    async fn of_a_name_that_is_not_resolved_the_words_of_the_resolver_are_told() {
        use std::net::ToSocketAddrs as _;
        // What follows the colon may be another thing the next time, such as that no server answers.
        let said = ("shop.invalid", 81).to_socket_addrs().map(drop).unwrap_err().to_string();
        let said = format!("the name shop.invalid was not resolved: {}", said.split(':').next().unwrap_or_default());
        let told = resolve("http://shop.invalid:81").await.map(drop).unwrap_err().to_string();
        for word in ["http://shop.invalid:81", &said, "nothing was sent", "\n\nhint: "] {
            assert!(told.contains(word), "{word:?} is not in: {told}");
        }
        assert!(!told.contains("--"), "not every command that drives a load has the option: {told}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_there_was_no_time_for_is_not_told_as_tried() {
        // Its one place for those who wait to be taken is taken: a further connection is neither made nor refused.
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(0).unwrap();
        let first = full.local_addr().unwrap();
        let _waiting = TcpStream::connect(first).await.unwrap();
        let second: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mut target = resolve(&format!("http://{first}")).await.unwrap();
        target.addresses.push(second);
        let told = target.probe(true).await.unwrap_err().to_string();
        let words = format!("connecting timed out (tried {first}; no time was left for {second}); nothing was sent");
        assert!(told.contains(&words), "{words:?} is not in: {told}");
        target.addresses.swap(0, 1);
        let told = target.probe(true).await.unwrap_err().to_string();
        assert!(told.contains(&format!("(tried {second}, {first}); nothing")), "{told}");
    }
}
