//! How the target is reached, as it is typed.

use crate::commands::ConnectionOptions;
use crate::driver::{AddressOverride, Protocol, Proxy};
use clap::Args;
use std::path::PathBuf;

/// What every load can be told of its connections.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// HTTP version: 1.1, 2 (by ALPN for https, with prior knowledge for http), or auto (what ALPN agrees upon) [default:
    /// 1.1]
    #[arg(long, value_name = "VERSION")]
    http: Option<Protocol>,
    /// Trust the certificates in this PEM file too, besides the system's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Client certificate for servers that ask for one, in PEM, with those between it and its authority
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Accept any certificate; the recording says so
    #[arg(long)]
    insecure: bool,
    /// Go through the tunnel that this HTTP proxy opens (CONNECT), such as `http://proxy:3128`; proxies named in the
    /// environment are not used
    #[arg(long, value_name = "URL")]
    proxy: Option<Proxy>,
    /// User of the proxy and where the password is: `USER:env:NAME` or `USER:file:PATH`
    #[arg(long, value_name = "USER:SOURCE", requires = "proxy")]
    proxy_auth: Option<String>,
    /// Who the load says it is: `basic:USER:SOURCE` or `bearer:SOURCE`, where SOURCE is `env:NAME` or `file:PATH`
    #[arg(long, value_name = "KIND:SOURCE", conflicts_with = "google_id_token")]
    auth: Option<String>,
    /// Send a Google ID token, by Application Default Credentials [default audience: the target's address]
    #[arg(long, value_name = "AUDIENCE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    google_id_token: Option<String>,
    /// Send no W3C `traceparent` with measured requests
    #[arg(long)]
    no_traceparent: bool,
}

/// What only a load on one known target can be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct DetourArgs {
    /// Name to ask for in TLS (SNI), which the certificate must be for, instead of the target's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Where to find the target instead of asking the name system, such as shop.example:443:127.0.0.1; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    resolve: Vec<AddressOverride>,
}

impl From<ConnectionArgs> for ConnectionOptions {
    fn from(arguments: ConnectionArgs) -> Self {
        Self {
            protocol: arguments.http,
            cacert: arguments.cacert,
            identity: arguments.cert.zip(arguments.key),
            insecure: arguments.insecure,
            proxy: arguments.proxy,
            proxy_auth: arguments.proxy_auth,
            auth: arguments.auth,
            google_id_token: arguments.google_id_token.map(|audience| (!audience.is_empty()).then_some(audience)),
            traceparent: !arguments.no_traceparent,
            sni: None,
            resolve: Vec::new(),
        }
    }
}

impl DetourArgs {
    /// The options with these detours.
    pub(super) fn with(self, connection: ConnectionArgs) -> ConnectionOptions {
        ConnectionOptions { sni: self.sni, resolve: self.resolve, ..connection.into() }
    }
}
