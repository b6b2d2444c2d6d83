//! Where the load goes: the address taken apart, resolved once before the load, and how a connection to it is opened.

use super::DriveError;
use super::http2::Origin;
use super::outcome::Unanswered;
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

/// A target that has not agreed upon TLS after this long is left to the load, whose steps have timeouts.
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

/// Why the target was not reached.
enum Unreached {
    /// It, or the proxy, took no connection: it may be down, or overloaded.
    Connecting(Unanswered),
    /// It, or the proxy, was there and refused.
    Refusing(Unanswered),
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
            (None, None) => (looked_up(&host, port).await.map_err(bad)?, None),
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
    /// accepted, a proxy that refuses. A target that takes no connection is a result, not an error; over plain http
    /// nothing can be learnt.
    pub(super) async fn probe(&self) -> Result<(), DriveError> {
        if self.tls.is_none() && self.tunnel.is_none() {
            return Ok(());
        }
        match timeout(PROBE_TIMEOUT, self.reach()).await {
            Ok(Err(Unreached::Refusing(refused))) => {
                Err(DriveError::Refused { url: self.base_url.clone(), cause: refused.cause.into_owned() })
            }
            _ => Ok(()),
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
            Ok(reached) => Ok(reached),
            Err(Unreached::Connecting(cause) | Unreached::Refusing(cause)) => Err(cause),
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

    async fn reach(&self) -> Result<Reached, Unreached> {
        let began = Instant::now();
        let mut stream = self.connect().await.map_err(|error| {
            let mut cause = Unanswered::refused(&error);
            if self.tunnel.is_some() {
                cause.cause = format!("the proxy takes no connection: {}", cause.cause).into();
            }
            Unreached::Connecting(cause)
        })?;
        if let Some(tunnel) = &self.tunnel {
            tunnel.open(&mut stream).await.map_err(Unreached::Refusing)?;
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
            Err(error) => Err(Unreached::Refusing(Unanswered::broken(tls::failure(&error)))),
        }
    }

    /// Opens a TCP connection without Nagle's delay.
    async fn connect(&self) -> std::io::Result<TcpStream> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failure = None;
        for attempt in 0..self.addresses.len() {
            let index = (first + attempt) % self.addresses.len();
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

async fn proxy_addresses(proxy: &Proxy) -> Result<Vec<SocketAddr>, DriveError> {
    looked_up(&proxy.host, proxy.port).await.map_err(|cause| {
        DriveError::Target(TargetError {
            option: "--proxy",
            cause: format!("{}:{}: {cause}", proxy.host, proxy.port),
            hint: "write http://HOST:PORT with a host that this machine knows",
        })
    })
}

async fn looked_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| format!("its host cannot be resolved ({error})"))?
        .collect();
    if addresses.is_empty() { Err("its host has no address".to_owned()) } else { Ok(addresses) }
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
}
