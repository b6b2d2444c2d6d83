//! Where the load goes: the address taken apart, resolved once before the load, and how TLS is spoken to it.

use super::DriveError;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A resolved target.
pub(super) struct Target {
    /// Scheme, host and port, without a trailing slash.
    pub(super) base_url: String,
    /// What the `host` header says.
    pub(super) authority: http::HeaderValue,
    /// TLS, for https.
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
    addresses: Vec<SocketAddr>,
    /// The address that answered last: a name with a dead first address costs one refusal, not one per connection.
    preferred: AtomicUsize,
}

impl Target {
    /// Takes `url` apart and resolves its host; https is checked against the system's root certificates.
    pub(super) async fn resolve(url: &str) -> Result<Self, DriveError> {
        Self::resolve_with(url, system_roots).await
    }

    /// The same, with other root certificates.
    pub(super) async fn resolve_with(
        url: &str,
        roots: impl FnOnce() -> Result<rustls::RootCertStore, String>,
    ) -> Result<Self, DriveError> {
        let bad = |cause: String| DriveError::Address { url: url.to_owned(), cause };
        let uri: http::Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(bad(format!("its scheme is {other:?}"))),
            None => return Err(bad("it has no scheme".to_owned())),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host".to_owned()))?;
        if authority.as_str().contains('@') {
            return Err(bad("it holds a user name, which belongs into a header of the scenario".to_owned()));
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(bad("it has a path, which belongs into the steps of the scenario".to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port))
            .await
            .map_err(|error| bad(format!("its host cannot be resolved ({error})")))?
            .collect();
        if addresses.is_empty() {
            return Err(bad("its host has no address".to_owned()));
        }
        let tls = if secure { Some(tls(host, roots().map_err(bad)?).map_err(bad)?) } else { None };
        Ok(Self {
            base_url: format!("{}://{authority}", if secure { "https" } else { "http" }),
            authority: http::HeaderValue::from_str(authority.as_str()).map_err(|error| bad(error.to_string()))?,
            tls,
            addresses,
            preferred: AtomicUsize::new(0),
        })
    }

    /// Opens a TCP connection without Nagle's delay.
    pub(super) async fn connect(&self) -> std::io::Result<TcpStream> {
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

/// The root certificates that the system trusts.
fn system_roots() -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("https needs root certificates, and this system has none (install ca-certificates)".to_owned());
    }
    Ok(roots)
}

/// TLS that trusts `roots` and speaks HTTP/1.1 only.
fn tls(host: String, roots: rustls::RootCertStore) -> Result<(TlsConnector, ServerName<'static>), String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_scheme_host_or_with_a_path_is_refused_with_the_mend() {
        for url in
            ["", "localhost:8080", "ftp://localhost", "http://", "http://127.0.0.1/shop", "http://a:b@127.0.0.1", "/"]
        {
            let Err(error) = Target::resolve(url).await else { panic!("{url:?} was taken") };
            let text = error.to_string();
            assert!(text.contains("write it as http://host:port"), "{url}: {text}");
        }
    }

    #[tokio::test]
    async fn a_trailing_slash_is_no_path_and_ports_have_defaults() {
        let target = Target::resolve("http://127.0.0.1:81/").await.unwrap();
        assert_eq!(target.base_url, "http://127.0.0.1:81");
        assert_eq!(target.authority, "127.0.0.1:81");
        let target = Target::resolve("http://[::1]").await.unwrap();
        assert_eq!(target.addresses, vec!["[::1]:80".parse().unwrap()]);
    }
}
