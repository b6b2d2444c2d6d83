//! TLS with the target, on rustls: what is trusted, what is offered, and in which words a handshake fails.

use super::target_options::{Protocol, TlsOptions};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// HTTP/2 in the words of ALPN.
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// How the cause begins when a server's certificate is not accepted.
pub(super) const NOT_ACCEPTED: &str = "TLS certificate not accepted";

/// TLS that trusts `system` and the options' own roots, and offers `protocol`. Every connection makes a whole handshake: it
/// stands for a customer who was never here before, so no session is resumed.
///
/// # Errors
/// When there is nothing to trust, in words.
pub(super) fn connector(
    options: &TlsOptions,
    protocol: Protocol,
    system: impl FnOnce() -> RootCertStore,
) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if options.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let mut roots = system();
        roots.add_parsable_certificates(options.extra_roots.iter().cloned());
        if roots.is_empty() {
            let missing = "https needs root certificates, and this system has none (install ca-certificates, or give the \
                           server's authority by --cacert)";
            return Err(missing.to_owned());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_webpki_verifier(verifier.map_err(|error| error.to_string())?)
    };
    let mut config = match &options.identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)))),
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![ALPN_HTTP1.to_vec()],
        Protocol::Http2 => vec![ALPN_H2.to_vec()],
        Protocol::Auto => vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()],
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The root certificates that the system trusts; none when it has none.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Why TLS was not agreed upon, without anything particular to one connection.
pub(super) fn failure(error: &std::io::Error) -> Cow<'static, str> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(cause) => cause_of(cause),
        None => format!("TLS failed: {}", error.kind()).into(),
    }
}

/// What TLS said when it ended an exchange, if that is what ended it: since TLS 1.3 a server judges a client's certificate
/// after the handshake, so its refusal comes in place of an answer.
pub(super) fn ended(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error is not the source of itself, and its source is that of what it holds.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            // HTTP/2 keeps no more than the words.
            let in_words = || alert(&inner.to_string());
            return inner.downcast_ref::<rustls::Error>().map(cause_of).or_else(in_words);
        }
        next = error.source();
    }
    None
}

fn cause_of(error: &rustls::Error) -> Cow<'static, str> {
    match error {
        rustls::Error::InvalidCertificate(cause) => not_accepted(cause).into(),
        rustls::Error::InvalidMessage(_) => "TLS failed: the server does not speak TLS on this port".into(),
        other => alert(&other.to_string()).unwrap_or_else(|| format!("TLS failed: {other}").into()),
    }
}

/// What a server says by a fatal alert; it is one of a fixed list of words.
fn alert(text: &str) -> Option<Cow<'static, str>> {
    let alert = text.strip_prefix("received fatal alert: ")?;
    Some(match alert {
        "NoApplicationProtocol" => {
            "TLS failed: the server does not speak this version of HTTP (--http chooses it)".into()
        }
        "CertificateRequired" => {
            "TLS failed: the server asks for a client certificate (give it by --cert and --key)".into()
        }
        "UnrecognisedName" => {
            "TLS failed: the server does not know the name it was asked for (--sni asks for another)".into()
        }
        "BadCertificate"
        | "UnsupportedCertificate"
        | "CertificateRevoked"
        | "CertificateExpired"
        | "CertificateUnknown"
        | "UnknownCA"
        | "DecryptError"
        | "AccessDenied" => format!("TLS failed: the server refused the client certificate ({alert})").into(),
        other => format!("TLS failed: the server refused ({other})").into(),
    })
}

/// What is wrong with a server's certificate, and what may mend it.
fn not_accepted(cause: &CertificateError) -> String {
    use CertificateError as Bad;
    let words: Cow<'static, str> = match cause {
        Bad::UnknownIssuer => {
            "its issuer is not known (trust it by --cacert; a self-signed one is its own issuer)".into()
        }
        Bad::BadSignature => "the authority it names did not sign it (is --cacert the one in use now?)".into(),
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired".into(),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet (is this machine's clock right?)".into()
        }
        Bad::NotValidForNameContext { expected, presented } => {
            // Each is given as its kind and, in quotes, its name.
            let names: Vec<&str> = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name)).collect();
            let (names, expected) = (names.join(", "), expected.to_str());
            format!("it is for {names}, not for {expected} (--sni asks for another name)").into()
        }
        other => other.to_string().into(),
    };
    format!("{NOT_ACCEPTED}: {words}")
}

/// Accepts any certificate; signatures are checked all the same, as a client that did not would do less work.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
