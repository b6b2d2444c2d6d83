//! Where a load goes and how it gets there, as far as a scenario says it, and the small notations that it and the command
//! line share. Secrets are never here: only where they are.

use core::net::IpAddr;
use http::uri::{Authority, Scheme};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// Where `run` sends the load, and how it gets there. What is left out is up to the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where requests go: scheme, host and port.
    pub url: Option<String>,
    /// Which HTTP is spoken.
    pub http: Option<Protocol>,
    /// Certificates to trust besides the system's: a path, from the folder of the scenario file.
    pub cacert: Option<String>,
    /// Client certificate and key: paths, from the folder of the scenario file.
    pub identity: Option<(String, String)>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// Name to ask for in TLS.
    pub sni: Option<String>,
    /// Addresses instead of what the name system says.
    pub resolve: Vec<AddressOverride>,
    /// A proxy to go through.
    pub proxy: Option<ProxyAddress>,
    /// Its user, and where the password is: `USER:env:NAME` or `USER:file:PATH`.
    pub proxy_auth: Option<String>,
    /// Who the load says it is, and where the secret is: `basic:USER:SOURCE` or `bearer:SOURCE`.
    pub auth: Option<String>,
    /// Whom a Google ID token is for, if one is sent.
    pub google_id_token: Option<Audience>,
    /// Whether measured requests carry a `traceparent`.
    pub traceparent: bool,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The target's address.
    Target,
    /// This one.
    Named(String),
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed upon by ALPN for https, with prior knowledge for http.
    Http2,
    /// What ALPN agrees upon for https, HTTP/2 where the server speaks it; HTTP/1.1 for http.
    Auto,
}

/// A host and port that are to be found at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressOverride {
    /// Host as in the target's address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Where it is.
    pub address: IpAddr,
}

/// Where an HTTP proxy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyAddress {
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Who somebody is, and where the secret is that proves it: `basic:USER:env:NAME`, `bearer:file:PATH`, `USER:env:NAME`.
/// Errors are in words without what was typed, which may be the secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// All before the source, its colon included.
    pub who: &'a str,
    /// `env:NAME` or `file:PATH`.
    pub source: &'a str,
}

impl<'a> Claim<'a> {
    /// Reads `basic:USER:SOURCE` or `bearer:SOURCE`.
    ///
    /// # Errors
    /// When it is written otherwise.
    pub fn of_load(text: &'a str) -> Result<Self, &'static str> {
        let source = match text.split_once(':') {
            Some(("basic", rest)) => rest.split_once(':').map(|(_, source)| source),
            Some(("bearer", source)) => Some(source),
            _ => None,
        };
        Self::with(text, source.ok_or("it names neither a user nor a bearer")?)
    }

    /// Reads `USER:SOURCE`.
    ///
    /// # Errors
    /// When it is written otherwise.
    pub fn of_proxy_user(text: &'a str) -> Result<Self, &'static str> {
        let (_, source) = text.split_once(':').ok_or("it does not say where the password is")?;
        Self::with(text, source)
    }

    fn with(text: &'a str, source: &'a str) -> Result<Self, &'static str> {
        match source.split_once(':') {
            Some(("env" | "file", place)) if !place.is_empty() => {
                Ok(Self { who: &text[..text.len() - source.len()], source })
            }
            _ => Err("it does not say where the secret is"),
        }
    }

    /// The same with a path that is taken from `folder`.
    #[must_use]
    pub fn from_folder(&self, folder: &Path) -> String {
        match self.source.strip_prefix("file:") {
            Some(path) => format!("{}file:{}", self.who, folder.join(path).display()),
            None => format!("{}{}", self.who, self.source),
        }
    }
}

/// Scheme and authority of an address that load can be sent to.
///
/// # Errors
/// What is wrong with it, in words.
pub fn origin_of(url: &str) -> Result<(Scheme, Authority), String> {
    let uri: http::Uri = url.parse().map_err(|error| format!("{error}"))?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::HTTP,
        Some("https") => Scheme::HTTPS,
        Some(other) => return Err(format!("its scheme is {other:?}")),
        None => return Err("it has no scheme".to_owned()),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("it holds a user name, which belongs into --auth".to_owned());
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err("it has a path, which belongs into the steps of the scenario".to_owned());
    }
    Ok((scheme, authority.clone()))
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1.1" => Ok(Self::Http1),
            "2" => Ok(Self::Http2),
            "auto" => Ok(Self::Auto),
            _ => Err("it is 1.1, 2 or auto".to_owned()),
        }
    }
}

impl FromStr for AddressOverride {
    type Err = String;

    /// Reads `HOST:PORT:ADDR`; addresses of IPv6 may stand in brackets, as a host they must.
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write HOST:PORT:ADDR, such as shop.example:443:127.0.0.1";
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:").ok_or(FORM)?,
            None => text.split_once(':').ok_or(FORM)?,
        };
        let (port, address) = rest.split_once(':').ok_or(FORM)?;
        let port = port.parse().map_err(|_| format!("{port:?} is no port; {FORM}"))?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse().map_err(|_| format!("{address:?} is no IP address; {FORM}"))?;
        if host.is_empty() {
            return Err(FORM.to_owned());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, address })
    }
}

impl FromStr for ProxyAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write http://HOST:PORT";
        let uri: http::Uri = text.parse().map_err(|error| format!("{error}; {FORM}"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("the driver speaks http with a proxy, whatever it speaks with the target; {FORM}"));
        };
        if authority.as_str().contains('@') {
            return Err("a user and a password belong into --proxy-auth USER:env:NAME or USER:file:PATH".to_owned());
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(format!("a proxy has no path; {FORM}"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(FORM.to_owned());
        }
        let port = authority.port_u16().ok_or_else(|| format!("it has no port; {FORM}"))?;
        Ok(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_host_port_and_address_with_or_without_brackets() {
        let read = |text: &str| text.parse::<AddressOverride>();
        let entry = |host: &str, port, address: &str| {
            Ok(AddressOverride { host: host.to_owned(), port, address: address.parse().unwrap() })
        };
        assert_eq!(read("Shop.example:443:127.0.0.1"), entry("shop.example", 443, "127.0.0.1"));
        assert_eq!(read("shop:80:::1"), entry("shop", 80, "::1"));
        assert_eq!(read("[2001:db8::1]:80:[::1]"), entry("2001:db8::1", 80, "::1"));
        for wrong in
            ["", "shop", "shop:443", ":443:::1", "shop:x:127.0.0.1", "shop:70000:::1", "shop:443:other", "[::1:80"]
        {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("HOST:PORT:ADDR"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_claim_says_who_and_where_the_secret_is_and_never_what() {
        let claim = |who, source| Ok(Claim { who, source });
        assert_eq!(Claim::of_load("basic:me:env:WORD"), claim("basic:me:", "env:WORD"));
        assert_eq!(Claim::of_load("bearer:file:a:b/token"), claim("bearer:", "file:a:b/token"));
        assert_eq!(Claim::of_proxy_user("me:file:word"), claim("me:", "file:word"));
        for wrong in ["", "me", "bearer", "bearer:sesame", "bearer:env:", "basic:env:WORD", "digest:me:env:WORD"] {
            let told = Claim::of_load(wrong).unwrap_err();
            assert!(!told.contains("sesame") && !told.contains("WORD"), "{wrong}: {told}");
        }
        for wrong in ["", "me", "me:sesame", "me:file:"] {
            assert!(Claim::of_proxy_user(wrong).is_err(), "{wrong}");
        }
        let folder = Path::new("scenarios");
        let moved = |text| Claim::of_load(text).unwrap().from_folder(folder);
        assert_eq!(moved("bearer:file:token"), "bearer:file:scenarios/token");
        assert_eq!(moved("basic:me:file:/run/word"), "basic:me:file:/run/word");
        assert_eq!(moved("bearer:env:TOKEN"), "bearer:env:TOKEN");
    }
}
