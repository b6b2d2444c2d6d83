//! Loads over TLS: what a trusted server sees, and what a server that is not trusted becomes.

use super::connection::{Connector, Http1Client};
use super::fixture::{assert_balance, five_arrivals_of_two_steps, load_over};
use super::target::Target;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a server saw of a connection: the name asked for, and the protocol agreed upon.
type Seen = Arc<Mutex<Vec<(Option<String>, Option<Vec<u8>>)>>>;

/// Starts a server for `localhost` and gives its address and its certificate.
async fn secure_server(seen: Seen) -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let session = stream.get_ref().1;
            let name = session.server_name().map(str::to_owned);
            seen.lock().unwrap().push((name, session.alpn_protocol().map(<[u8]>::to_vec)));
            let answer = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    (base_url, certificate)
}

fn trusting(certificate: CertificateDer<'static>) -> impl FnOnce() -> Result<RootCertStore, String> {
    move || {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| error.to_string())?;
        Ok(roots)
    }
}

#[tokio::test]
async fn a_trusted_server_is_asked_by_its_name_for_http_1_1_over_connections_that_are_kept() {
    let seen = Seen::default();
    let (base_url, certificate) = secure_server(Arc::clone(&seen)).await;
    let target = Target::resolve_with(&base_url, trusting(certificate)).await.unwrap();
    let plan = five_arrivals_of_two_steps("20s");
    let recording =
        load_over(plan, Connector::to(target, Http1Client::default()), Duration::from_secs(30), std::future::pending())
            .await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    let seen = seen.lock().unwrap();
    assert!(seen.len() <= 5, "ten requests, {} connections", seen.len());
    assert!(seen.iter().all(|one| *one == (Some("localhost".to_owned()), Some(b"http/1.1".to_vec()))), "{seen:?}");
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_is_a_counted_failure_with_its_cause() {
    let (base_url, _) = secure_server(Seen::default()).await;
    let (_, other) = secure_server(Seen::default()).await;
    let target = Target::resolve_with(&base_url, trusting(other)).await.unwrap();
    let plan = five_arrivals_of_two_steps("20s");
    let recording =
        load_over(plan, Connector::to(target, Http1Client::default()), Duration::from_secs(30), std::future::pending())
            .await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.failed, 5);
    assert_eq!(recording.failures.len(), 1, "{:?}", recording.failures);
    assert!(recording.failures[0].cause.starts_with("TLS certificate not accepted"), "{:?}", recording.failures);
}
