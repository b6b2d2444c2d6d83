//! Certificates made for a test, and servers on loopback that show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(super) struct Certified {
    pub(super) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// What a server saw of its connections.
pub(super) type Seen = Arc<Mutex<Vec<Handshake>>>;

/// What a server saw of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// The name asked for.
    pub(super) name: Option<String>,
    /// The protocol agreed upon.
    pub(super) agreed: Option<String>,
    /// Whether the client showed a certificate.
    pub(super) known: bool,
    /// Whether it went on with an earlier session.
    pub(super) resumed: bool,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `name`, valid today.
    pub(super) fn certify(&self, name: &str) -> Certified {
        self.certify_as(name, |_| {})
    }

    /// The same with something changed.
    pub(super) fn certify_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certified {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Certified { certificate, key: key.serialize_der() }
    }

    /// Its certificate as a PEM file.
    pub(super) fn file(&self, dir: &Path) -> PathBuf {
        written(dir, "ca.pem", &pem("CERTIFICATE", &self.certificate))
    }
}

impl Certified {
    /// A certificate that nobody but itself has signed.
    pub(super) fn self_signed(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }

    /// Certificate and key as PEM files.
    pub(super) fn files(&self, dir: &Path) -> (PathBuf, PathBuf) {
        let certificate = written(dir, "cert.pem", &pem("CERTIFICATE", &self.certificate));
        (certificate, written(dir, "key.pem", &pem("PRIVATE KEY", &self.key)))
    }

    /// What a server needs to show this certificate, and to ask for one of `clients` if there are any.
    pub(super) fn server(&self, clients: Option<&Authority>, protocols: &[&[u8]]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = builder.with_single_cert(vec![self.certificate.clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Starts a server that answers `{}` to whatever it is asked, in the protocol agreed upon, and gives its port.
pub(super) async fn serve(config: ServerConfig, seen: Seen) -> u16 {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let stream = match acceptor.accept(stream).into_fallible().await {
                    Ok(stream) => stream,
                    Err((_, mut stream)) => {
                        // Closing with bytes unread would reset the connection, and the alert with it.
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                        return;
                    }
                };
                let session = stream.get_ref().1;
                let agreed = session.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
                let known = session.peer_certificates().is_some_and(|chain| !chain.is_empty());
                let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                let name = session.server_name().map(str::to_owned);
                seen.lock().unwrap().push(Handshake { name, agreed: agreed.clone(), known, resumed });
                let answer = hyper::service::service_fn(|_| async {
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
                });
                if agreed.as_deref() == Some("h2") {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
                }
            });
        }
    });
    port
}
