//! Where `run` sends its load and how it gets there, as it is typed: the words of the command line's options.

use crate::scenario::located::Located;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where `run` sends the load, and how it gets there. An option of the command line wins. Paths of files go from the folder
/// of the scenario file; secrets are never in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct TargetFile {
    /// Where requests go, such as `https://shop.example`; `--target` puts it aside, and with it `sni` and `resolve`.
    pub(in crate::scenario) url: Option<Located<String>>,
    /// Headers of every request, as they are, unless its step sets them; those of `tune` too.
    #[serde(default)]
    pub(in crate::scenario) headers: BTreeMap<String, Located<String>>,
    /// How long the whole answer to a step may take that does not say so itself; in `tune` too. `30s` if left out.
    pub(in crate::scenario) timeout: Option<Located<String>>,
    /// HTTP version: `1.1` (if left out), `2` or `auto`, what ALPN agrees upon.
    #[schemars(schema_with = "http_version")]
    #[serde(default)]
    pub(in crate::scenario) http: Option<Located<String>>,
    /// Trust the certificates in this PEM file too, besides the system's.
    pub(in crate::scenario) cacert: Option<Located<String>>,
    /// Client certificate in PEM, with those between it and its authority; beside it `key`.
    pub(in crate::scenario) cert: Option<Located<String>>,
    /// Its private key, in PEM.
    pub(in crate::scenario) key: Option<Located<String>>,
    /// Whether any certificate is accepted; the recording says so.
    #[serde(default)]
    pub(in crate::scenario) insecure: bool,
    /// Name to ask for in TLS (SNI), which the certificate must be for, instead of the target's host.
    pub(in crate::scenario) sni: Option<Located<String>>,
    /// Where to find the target instead of asking the name system: `HOST:PORT:ADDR`.
    #[serde(default)]
    pub(in crate::scenario) resolve: Vec<Located<String>>,
    /// Go through the tunnel that this HTTP proxy opens (CONNECT); `--proxy` puts it aside, and with it `proxy_auth`.
    pub(in crate::scenario) proxy: Option<Located<String>>,
    /// User of the proxy and where the password is: `USER:env:NAME` or `USER:file:PATH`.
    pub(in crate::scenario) proxy_auth: Option<Located<String>>,
    /// Who the load says it is: `basic:USER:SOURCE` or `bearer:SOURCE`, where SOURCE is `env:NAME` or `file:PATH`.
    pub(in crate::scenario) auth: Option<Located<String>>,
    /// Send a Google ID token, by Application Default Credentials: `true` for the target's address, or an audience.
    #[schemars(schema_with = "audience_or_boolean")]
    #[serde(default)]
    pub(in crate::scenario) google_id_token: Option<Located<String>>,
    /// Whether measured requests carry a W3C `traceparent`; they do if left out.
    pub(in crate::scenario) traceparent: Option<bool>,
}

fn http_version(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "enum": ["1.1", "2", "auto", 1.1, 2, null] })
}

fn audience_or_boolean(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["string", "boolean", "null"] })
}
