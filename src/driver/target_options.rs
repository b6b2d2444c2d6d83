//! How the target is reached and who the load says it is, as the user asked for it: protocol, TLS, detours, proxy,
//! authorisation. What is read from files is checked here, before anything is sent. Secrets are never printed.

use crate::scenario::ProxyAddress;
pub use crate::scenario::{AddressOverride, Protocol};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// How the target is reached.
#[derive(Clone, Debug)]
pub struct TargetOptions {
    /// Which HTTP is spoken.
    pub protocol: Protocol,
    /// How TLS is spoken, for https.
    pub tls: TlsOptions,
    /// Addresses to use instead of what the name system says.
    pub resolve: Vec<AddressOverride>,
    /// A proxy to go through.
    pub proxy: Option<Proxy>,
    /// Who the load says it is.
    pub authorization: Authorization,
    /// Whether measured requests carry a W3C `traceparent`.
    pub traceparent: bool,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            tls: TlsOptions::default(),
            resolve: Vec::new(),
            proxy: None,
            authorization: Authorization::default(),
            traceparent: true,
        }
    }
}

/// How TLS is spoken.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// Certificates that are trusted besides the system's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Who the driver says it is, to a server that asks.
    pub identity: Option<Identity>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// The name that is asked for (SNI) and that the certificate must be for, instead of the target's host.
    pub server_name: Option<ServerName<'static>>,
}

/// A client certificate with its key.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<CertifiedKey>);

/// An HTTP proxy; requests go through a tunnel (CONNECT) that it opens to the target, for http and https alike. So the
/// requests are the same bytes as without it, and the connection is to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User and password for it.
    pub user: Option<(String, Secret)>,
}

/// Who the load says it is, in the header `authorization` of every request whose step does not set it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Nobody.
    #[default]
    None,
    /// A user and a password.
    Basic(String, Secret),
    /// Whoever bears this token.
    Bearer(Secret),
    /// Whoever bears the token in this file, which is read again every half minute: others may renew it.
    BearerFile(PathBuf),
    /// A Google ID token for this audience, by Application Default Credentials; without one, for the target's address.
    GoogleIdToken(Option<String>),
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {cause}\n\nhint: {hint}")]
pub struct TargetError {
    /// The option as it is typed.
    pub option: &'static str,
    /// What is wrong with it.
    pub cause: String,
    /// How to mend it.
    pub hint: &'static str,
}

const PEM_HINT: &str = "a PEM file holds text between lines such as -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----; \
                        `openssl x509 -inform der -in FILE` makes it from DER";

impl TlsOptions {
    /// Trusts the certificates of a PEM file, besides the system's.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn trust(&mut self, path: &Path) -> Result<(), TargetError> {
        let certificates = certificates("--cacert", path)?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| TargetError {
                option: "--cacert",
                cause: format!("{} holds a certificate that nothing can be checked against: {error}", path.display()),
                hint: "give the certificate of the authority that signed the server's",
            })?;
        }
        self.extra_roots.extend(certificates);
        Ok(())
    }

    /// Asks for `name` instead of the target's host.
    ///
    /// # Errors
    /// When it is no name.
    pub fn ask_for(&mut self, name: &str) -> Result<(), TargetError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|error| TargetError {
            option: "--sni",
            cause: format!("{name:?} is no name of a server: {error}"),
            hint: "write a host without scheme and port, such as shop.example",
        })?;
        self.server_name = Some(name);
        Ok(())
    }
}

impl Identity {
    /// Loads a certificate, with those between it and its authority, and its key, from two PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or is not PEM, or the key is not the certificate's.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TargetError> {
        let chain = certificates("--cert", certificate)?;
        let pem = read("--key", key)?;
        let key_of = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TargetError {
            option: "--key",
            cause: format!("{} holds no private key in PEM", key.display()),
            hint: "a PEM key begins with a line such as -----BEGIN PRIVATE KEY-----, and must not be encrypted",
        })?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key_of, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TargetError {
                option: "--key",
                cause: format!("{} is not the key of {}", key.display(), certificate.display()),
                hint: "give the key that the certificate was made for; the server's own certificate comes first in --cert",
            },
            other => TargetError {
                option: "--key",
                cause: format!("{} and {} cannot be used: {other}", certificate.display(), key.display()),
                hint: "RSA, ECDSA and Ed25519 keys can be used, in PKCS#8, PKCS#1 or SEC1 form",
            },
        })?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, TargetError> {
    std::fs::read(path).map_err(|error| TargetError {
        option,
        cause: format!("failed to read {}: {error}", path.display()),
        hint: "give the path of a file that this user may read",
    })
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let pem = read(option, path)?;
    let bad = |cause: String| TargetError { option, cause, hint: PEM_HINT };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(format!("{} is not PEM: {error}", path.display())))?;
    if certificates.is_empty() {
        return Err(bad(format!("{} holds no certificate in PEM", path.display())));
    }
    Ok(certificates)
}

impl Secret {
    /// A secret from where `source` says: `env:NAME` or `file:PATH`, of which the line end is left out.
    ///
    /// # Errors
    /// When it is written otherwise, is not there, or is empty.
    pub fn read(option: &'static str, source: &str) -> Result<Self, TargetError> {
        const HINT: &str = "write env:NAME for a variable of the environment or file:PATH for a file; a secret on the \
                            command line could be seen by every user of the machine";
        let bad = |cause: String| TargetError { option, cause, hint: HINT };
        let text = match source.split_once(':') {
            Some(("env", name)) => std::env::var(name).map_err(|error| {
                // The error itself would print what is in the variable.
                let why = if error == std::env::VarError::NotPresent { "is not set" } else { "is not text" };
                bad(format!("environment variable {name} {why}"))
            })?,
            Some(("file", path)) => Self::in_file(Path::new(path)).map_err(bad)?,
            // What was typed may be the secret itself.
            _ => return Err(bad("it does not say where the secret is".to_owned())),
        };
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        if text.is_empty() {
            return Err(bad(format!("{source} is empty")));
        }
        Ok(Self(text))
    }

    /// The text of a file; an error is in words without it.
    pub(super) fn in_file(path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))
    }

    /// The text itself.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Authorization {
    /// Reads `basic:USER:SOURCE` or `bearer:SOURCE`, where a source is what [`Secret::read`] takes.
    ///
    /// # Errors
    /// When it is written otherwise, or the secret is not there.
    pub fn read(text: &str) -> Result<Self, TargetError> {
        const OPTION: &str = "--auth";
        match text.split_once(':') {
            Some(("basic", rest)) if rest.contains(':') => {
                let (user, source) = rest.split_once(':').unwrap_or((rest, ""));
                Ok(Self::Basic(user.to_owned(), Secret::read(OPTION, source)?))
            }
            Some(("bearer", source)) => {
                let secret = Secret::read(OPTION, source)?;
                let path = source.strip_prefix("file:").map(PathBuf::from);
                Ok(path.map_or(Self::Bearer(secret), Self::BearerFile))
            }
            _ => Err(TargetError {
                option: OPTION,
                cause: "it names neither a user nor a bearer".to_owned(),
                hint: "write basic:USER:env:NAME, basic:USER:file:PATH, bearer:env:NAME or bearer:file:PATH",
            }),
        }
    }

    /// What kind it is, for the record.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Basic(..) => Some("basic"),
            Self::Bearer(_) | Self::BearerFile(_) => Some("bearer"),
            Self::GoogleIdToken(_) => Some("Google ID token"),
        }
    }
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<ProxyAddress>().map(Self::from)
    }
}

impl From<ProxyAddress> for Proxy {
    fn from(ProxyAddress { host, port }: ProxyAddress) -> Self {
        Self { host, port, user: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_s_source_is_named_in_errors_and_the_secret_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("word");
        std::fs::write(&path, "open sesame\r\n").unwrap();
        let source = format!("file:{}", path.display());
        let secret = Secret::read("--auth", &source).unwrap();
        assert_eq!((secret.text(), format!("{secret:?}").as_str()), ("open sesame", "Secret(..)"));
        let basic = Authorization::read(&format!("basic:Aladdin:{source}"));
        assert_eq!(basic, Ok(Authorization::Basic("Aladdin".to_owned(), secret)));
        let bearer = Authorization::read(&format!("bearer:{source}"));
        assert_eq!(bearer, Ok(Authorization::BearerFile(path.clone())));
        std::fs::write(&path, "\n").unwrap();
        let error = Secret::read("--auth", &source).unwrap_err().to_string();
        assert!(error.contains("is empty") && error.contains("word"), "{error}");
        let error = Secret::read("--auth", "sesame").unwrap_err().to_string();
        assert!(error.contains("env:NAME") && !error.contains("sesame"), "{error}");
    }
}
