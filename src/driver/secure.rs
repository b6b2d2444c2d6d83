//! Loads over TLS: what a trusted server sees, and what each kind of server that is not trusted becomes.

use super::DriveError;
use super::connection::{Connection, Connector, Http1Client};
use super::exchange::{Span, exchange};
use super::fixture::{assert_balance, drive_with, five_arrivals_of_two_steps, load_over, server};
use super::headers::Headers;
use super::pki::{Authority, Certified, Handshake, Seen, serve};
use super::target::Target;
use super::target_options::{Identity, Protocol, TargetOptions, TlsOptions};
use crate::scenario::Request;
use crate::trial::Recording;
use bytes::Bytes;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

fn trusting(certificate: &CertificateDer<'static>) -> TargetOptions {
    let tls = TlsOptions { extra_roots: vec![certificate.clone()], ..TlsOptions::default() };
    TargetOptions { tls, ..TargetOptions::default() }
}

async fn drive_secure(port: u16, options: &TargetOptions) -> Result<Recording, DriveError> {
    drive_with(&five_arrivals_of_two_steps("20s"), &format!("https://localhost:{port}"), options).await
}

/// The load alone, without the look at the target before it.
async fn load_secure(port: u16, options: &TargetOptions) -> Recording {
    let url = format!("https://localhost:{port}");
    let target = Target::resolve_with(&url, options, RootCertStore::empty).await.unwrap();
    let plan = five_arrivals_of_two_steps("20s");
    let connector = Connector::to(target, Http1Client::default());
    let recording = load_over(plan, connector, Duration::from_secs(30), std::future::pending()).await;
    assert_balance(&recording);
    recording
}

fn only_cause(recording: &Recording) -> &str {
    assert_eq!(recording.arrivals.failed, 5);
    assert_eq!(recording.failures.len(), 1, "{:?}", recording.failures);
    &recording.failures[0].cause
}

#[tokio::test]
async fn a_trusted_server_is_asked_by_its_name_for_http_1_1_over_connections_that_are_kept() {
    let (authority, seen) = (Authority::new("ours"), Seen::default());
    let port = serve(authority.certify("localhost").server(None, BOTH), Seen::clone(&seen)).await;
    let recording = drive_secure(port, &trusting(&authority.certificate)).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    let opened = recording.target.connections["HTTP/1.1"];
    assert!(opened <= 5, "ten requests, {opened} connections");
    assert_eq!(recording.target.connect_time.count(), opened);
    assert_eq!(recording.target.tls_time.count(), opened);
    assert!(!recording.target.insecure);
    let seen = seen.lock().unwrap();
    let (name, agreed) = (Some("localhost".to_owned()), Some("http/1.1".to_owned()));
    let asked = Handshake { name, agreed, known: false, resumed: false };
    assert!(seen.len() as u64 == opened + 1 && seen.iter().all(|one| *one == asked), "{seen:?}");
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_ends_the_drive_before_the_load_with_its_cause() {
    let authority = Authority::new("ours");
    let stranger = Authority::new("stranger");
    let impostor = Authority::new("ours");
    let expired = authority.certify_as("localhost", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let coming = authority.certify_as("localhost", |params| params.not_before = rcgen::date_time_ymd(2200, 1, 1));
    for (certified, words) in [
        (stranger.certify("localhost"), ["issuer is not known", "--cacert"]),
        (impostor.certify("localhost"), ["did not sign it", "--cacert"]),
        (Certified::self_signed("localhost"), ["self-signed", "--cacert"]),
        (authority.certify("shop.example"), ["it is for shop.example, not for localhost", "--sni"]),
        (expired, ["TLS certificate not accepted", "it has expired"]),
        (coming, ["not valid yet", "clock"]),
    ] {
        let port = serve(certified.server(None, BOTH), Seen::default()).await;
        let options = trusting(&authority.certificate);
        let Err(error) = drive_secure(port, &options).await else { panic!("{words:?}: taken") };
        let text = error.to_string();
        for word in words.iter().chain(&["nothing was sent"]) {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        // A server that turns bad under load is a counted failure instead.
        let recording = load_secure(port, &options).await;
        assert!(only_cause(&recording).contains(words[0]), "{:?}", recording.failures);

        let insecure = TargetOptions { tls: TlsOptions { insecure: true, ..options.tls.clone() }, ..options };
        let recording = drive_secure(port, &insecure).await.unwrap();
        assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
        assert!(recording.target.insecure, "it is said openly");
    }
}

#[tokio::test]
async fn another_name_is_asked_for_and_checked_when_the_user_says_so() {
    let (authority, seen) = (Authority::new("ours"), Seen::default());
    let port = serve(authority.certify("shop.example").server(None, BOTH), Seen::clone(&seen)).await;
    let mut options = trusting(&authority.certificate);
    options.tls.ask_for("shop.example").unwrap();
    let recording = drive_secure(port, &options).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert!(seen.lock().unwrap().iter().all(|one| one.name.as_deref() == Some("shop.example")));

    // An address has no name to be asked for, and its certificate is for the address.
    let port = serve(authority.certify("127.0.0.1").server(None, BOTH), Seen::default()).await;
    let options = trusting(&authority.certificate);
    let plan = five_arrivals_of_two_steps("20s");
    let recording = drive_with(&plan, &format!("https://127.0.0.1:{port}"), &options).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
}

#[tokio::test]
async fn a_host_is_found_where_the_user_says_it_is_and_asked_for_by_its_name() {
    let (authority, seen) = (Authority::new("ours"), Seen::default());
    let port = serve(authority.certify("shop.example").server(None, BOTH), Seen::clone(&seen)).await;
    let mut options = trusting(&authority.certificate);
    options.resolve = vec![format!("shop.example:{port}:127.0.0.1").parse().unwrap()];
    let plan = five_arrivals_of_two_steps("20s");
    let recording = drive_with(&plan, &format!("https://shop.example:{port}"), &options).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert!(seen.lock().unwrap().iter().all(|one| one.name.as_deref() == Some("shop.example")));
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_takes_the_right_one_only() {
    let (authority, stranger, seen) = (Authority::new("ours"), Authority::new("stranger"), Seen::default());
    let server = authority.certify("localhost").server(Some(&authority), BOTH);
    let port = serve(server, Seen::clone(&seen)).await;
    let dir = tempfile::tempdir().unwrap();
    let with = |certified: &Certified| {
        let (certificate, key) = certified.files(dir.path());
        let mut options = trusting(&authority.certificate);
        options.tls.identity = Some(Identity::load(&certificate, &key).unwrap());
        options
    };
    let recording = drive_secure(port, &with(&authority.certify("customer"))).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert!(seen.lock().unwrap().iter().all(|one| one.known));

    // With TLS 1.3 a server judges it after the handshake, so only the load can tell.
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let none = TargetOptions { protocol, ..trusting(&authority.certificate) };
        let recording = drive_secure(port, &none).await.unwrap();
        assert!(only_cause(&recording).contains("asks for a client certificate"), "{:?}", recording.failures);
        for other in [&stranger, &Authority::new("ours")] {
            let other = TargetOptions { protocol, ..with(&other.certify("customer")) };
            let recording = drive_secure(port, &other).await.unwrap();
            assert!(only_cause(&recording).contains("refused the client certificate"), "{:?}", recording.failures);
        }
    }
}

#[tokio::test]
async fn the_protocol_is_the_one_asked_for_or_what_alpn_agrees_upon() {
    let authority = Authority::new("ours");
    let certified = authority.certify("localhost");
    let (both, one) = (certified.server(None, BOTH), certified.server(None, &[b"http/1.1"]));
    let silent = certified.server(None, &[]);
    let (both, one) = (serve(both, Seen::default()).await, serve(one, Seen::default()).await);
    let silent = serve(silent, Seen::default()).await;
    let options = |protocol| TargetOptions { protocol, ..trusting(&authority.certificate) };
    for (port, protocol, spoken) in [
        (both, Protocol::Http1, "HTTP/1.1"),
        (both, Protocol::Http2, "HTTP/2"),
        (both, Protocol::Auto, "HTTP/2"),
        (one, Protocol::Auto, "HTTP/1.1"),
        (silent, Protocol::Auto, "HTTP/1.1"),
    ] {
        let recording = drive_secure(port, &options(protocol)).await.unwrap();
        assert_eq!(recording.arrivals.completed, 5, "{protocol:?}: {:?}", recording.failures);
        let spoken_of: Vec<&str> = recording.target.connections.keys().map(String::as_str).collect();
        assert_eq!(spoken_of, [spoken], "{protocol:?}");
    }
    let Err(error) = drive_secure(one, &options(Protocol::Http2)).await else { panic!("taken") };
    assert!(error.to_string().contains("--http"), "{error}");
    let recording = drive_secure(silent, &options(Protocol::Http2)).await.unwrap();
    assert!(only_cause(&recording).contains("does not speak HTTP/2"), "{:?}", recording.failures);
}

/// What is agreed upon decides who speaks: the fast path for HTTP/1.1, hyper for HTTP/2 and where it is asked for.
#[tokio::test]
async fn http_1_1_that_is_agreed_upon_goes_over_the_fast_path() {
    let authority = Authority::new("ours");
    let certified = authority.certify("localhost");
    let (both, one) = (certified.server(None, BOTH), certified.server(None, &[b"http/1.1"]));
    let (both, one) = (serve(both, Seen::default()).await, serve(one, Seen::default()).await);
    let options = TargetOptions { protocol: Protocol::Auto, ..trusting(&authority.certificate) };
    for (port, client, expected) in [
        (one, Http1Client::Wire, "wire"),
        (one, Http1Client::Hyper, "hyper"),
        (both, Http1Client::Wire, "http2"),
        (both, Http1Client::Hyper, "http2"),
    ] {
        let url = format!("https://localhost:{port}");
        let target = Target::resolve_with(&url, &options, RootCertStore::empty).await.unwrap();
        let (connection, _) = Connector::to(target, client).open().await.ok().unwrap();
        let spoken = match connection {
            Connection::Wire(_) => "wire",
            Connection::Http1(_) => "hyper",
            Connection::Http2(_) => "http2",
        };
        assert_eq!(spoken, expected, "{client:?}");
    }
}

/// Without TLS nothing is agreed upon, and nobody is known to speak HTTP/2.
#[tokio::test]
async fn auto_over_plain_http_is_the_fast_path() {
    let url = server(|mut stream| async move { stream.read_to_end(&mut Vec::new()).await.map(drop) }).await;
    let options = TargetOptions { protocol: Protocol::Auto, ..TargetOptions::default() };
    let connector = Connector::to(Target::resolve(&url, &options).await.unwrap(), Http1Client::default());
    assert!(matches!(connector.open().await, Ok((Connection::Wire(_), _))));
}

/// Servers behind one name that do not agree on what they speak: every request finds its form.
#[tokio::test]
async fn servers_of_one_name_may_speak_different_versions() {
    let authority = Authority::new("ours");
    let certified = authority.certify("localhost");
    let both = serve(certified.server(None, BOTH), Seen::default()).await;
    let one = serve(certified.server(None, &[b"http/1.1"]), Seen::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Each connection is led to the other server than the one before it.
    tokio::spawn(async move {
        for port in [both, one].into_iter().cycle() {
            let Ok((mut client, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    for client in [Http1Client::Wire, Http1Client::Hyper] {
        let options = TargetOptions { protocol: Protocol::Auto, ..trusting(&authority.certificate) };
        let url = format!("https://localhost:{port}");
        let target = Target::resolve_with(&url, &options, RootCertStore::empty).await.unwrap();
        let connector = Connector::to(target, client);
        let get = Request { method: "GET".to_owned(), path: "/".to_owned(), headers: Vec::new(), body: Bytes::new() };
        // Each is prepared for what the connection before it spoke, and the next one speaks the other.
        for _ in 0..6 {
            let headers = Headers::plain(connector.authority());
            let mut request = connector.prepare(Vec::new(), get.rendered(), &headers, None).unwrap();
            let begun = Instant::now();
            let span = Span { begun, deadline: begun + Duration::from_mins(1) };
            let answer = exchange(&connector, &mut None, &mut request, span).await.unwrap();
            assert_eq!(answer.status, 200);
        }
        let opened = connector.recording().connections;
        assert_eq!((opened["HTTP/1.1"], opened["HTTP/2"]), (3, 3), "{client:?}");
    }
}

#[tokio::test]
async fn a_port_without_tls_is_told_as_such_and_a_closed_one_is_a_result() {
    let plain = server(|mut stream| async move { stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await }).await;
    let port = plain.rsplit(':').next().unwrap().parse().unwrap();
    let options = trusting(&Authority::new("ours").certificate);
    let Err(error) = drive_secure(port, &options).await else { panic!("taken") };
    assert!(error.to_string().contains("does not speak TLS on this port"), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().port();
    drop(listener);
    let recording = drive_secure(closed, &options).await.unwrap();
    assert_eq!(only_cause(&recording), "connection refused");
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_path_and_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    let (certificate, key) = authority.certify("customer").files(dir.path());
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let (_, other_key) = authority.certify("customer").files(&other);
    let garbage = dir.path().join("garbage.pem");
    let torn = dir.path().join("torn.pem");
    let missing = dir.path().join("missing.pem");
    std::fs::write(&garbage, [0x30, 0x82, 0xff, 0x00]).unwrap();
    std::fs::write(&torn, "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n").unwrap();
    let identity = |certificate: &Path, key: &Path| Identity::load(certificate, key).map(drop);
    let trust = |path: &Path| TlsOptions::default().trust(path);
    for (outcome, option, words) in [
        (trust(&missing), "--cacert", "failed to read"),
        (trust(&garbage), "--cacert", "no certificate in PEM"),
        (trust(&torn), "--cacert", "is not PEM"),
        (trust(&key), "--cacert", "no certificate in PEM"),
        (identity(&missing, &key), "--cert", "failed to read"),
        (identity(&certificate, &missing), "--key", "failed to read"),
        (identity(&key, &key), "--cert", "no certificate in PEM"),
        (identity(&certificate, &certificate), "--key", "no private key in PEM"),
        (identity(&certificate, &other_key), "--key", "is not the key of"),
    ] {
        let Err(error) = outcome else { panic!("{option}: {words}: taken") };
        let text = error.to_string();
        assert!(text.starts_with(option) && text.contains(words) && text.contains("\n\nhint: "), "{text}");
        assert!(text.contains(".pem"), "the file is named: {text}");
    }
    assert_eq!(identity(&certificate, &key), Ok(()));
    assert_eq!(trust(&authority.file(dir.path())), Ok(()));
    let loaded = Identity::load(&certificate, &key).unwrap();
    assert_eq!(format!("{loaded:?}"), "Identity(..)");
}

#[tokio::test]
async fn a_server_that_never_agrees_upon_tls_times_out_under_load() {
    let silent = server(|mut stream| async move { stream.read_to_end(&mut Vec::new()).await.map(drop) }).await;
    let url = silent.replace("http://127.0.0.1", "https://localhost");
    let options = trusting(&Authority::new("ours").certificate);
    let target = Target::resolve_with(&url, &options, RootCertStore::empty).await.unwrap();
    let plan = five_arrivals_of_two_steps("200ms");
    let connector = Connector::to(target, Http1Client::default());
    let recording = load_over(plan, connector, Duration::from_secs(30), std::future::pending()).await;
    assert_balance(&recording);
    assert_eq!(recording.answers.get("timed out"), Some(&5), "{:?}", recording.answers);
}
