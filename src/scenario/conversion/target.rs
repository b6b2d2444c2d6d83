//! Where `run` sends the load, and what of it belongs to every step: headers and a timeout.

use super::super::error::Problems;
use super::super::file::TargetFile;
use super::super::located::{Located, Location};
use super::super::target::{Claim, origin_of};
use super::super::{AddressOverride, Audience, Protocol, ProxyAddress, Target};
use super::steps::{RESERVED_HEADERS, check_header_name, timeout_of};
use rustls::pki_types::ServerName;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// How long an answer may take where the file does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Headers that say who sends a request, and so hold secrets.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

const SOURCE_HINT: &str =
    "where SOURCE is env:NAME for a variable of the environment, or file:PATH: a secret is never in this file";

/// The section without what belongs to the steps. `folder` is that of the scenario file.
pub(super) fn target(file: &TargetFile, folder: &Path, problems: &mut Problems) -> Target {
    let url = file.url.as_ref().map(|url| {
        if let Err(cause) = origin_of(&url.value) {
            let message = format!("`{}` is not an address to send load to: {cause}", url.value);
            problems.add(url.at, message, "write it as http://host:port");
        }
        url.value.trim_end_matches('/').to_owned()
    });
    for path in [&file.cacert, &file.cert, &file.key].into_iter().flatten() {
        check_file(path, folder, problems);
    }
    let text = |written: &Option<Located<String>>| written.as_ref().map(|written| written.value.clone());
    Target {
        url,
        http: file.http.as_ref().and_then(|http| read::<Protocol>(http, "no version of HTTP", problems)),
        cacert: text(&file.cacert),
        identity: identity(file, problems),
        insecure: file.insecure,
        sni: file.sni.as_ref().map(|name| sni(name, problems)),
        resolve: file
            .resolve
            .iter()
            .filter_map(|entry| read::<AddressOverride>(entry, "no place for a host and its port", problems))
            .collect(),
        proxy: file.proxy.as_ref().and_then(|proxy| read::<ProxyAddress>(proxy, "no proxy", problems)),
        proxy_auth: proxy_auth(file, problems),
        auth: file.auth.as_ref().map(|auth| {
            let read = Claim::of_load(&auth.value);
            claim(auth, read.err(), "basic:USER:SOURCE or bearer:SOURCE", problems)
        }),
        google_id_token: google_id_token(file, problems),
        traceparent: file.traceparent.unwrap_or(true),
    }
}

/// A value in a notation that the command line has too.
fn read<T: FromStr<Err = String>>(written: &Located<String>, noun: &str, problems: &mut Problems) -> Option<T> {
    let parsed = written.value.parse();
    parsed.map_err(|cause| problems.add(written.at, format!("`{}` is {noun}", written.value), cause)).ok()
}

/// Notes a file that is not there: what is in it is looked at when it is used.
fn check_file(path: &Located<String>, folder: &Path, problems: &mut Problems) {
    let whole = folder.join(&path.value);
    let found = std::fs::metadata(&whole).map_err(|error| error.to_string());
    if let Err(cause) = found.and_then(|found| if found.is_file() { Ok(()) } else { Err("it is no file".to_owned()) }) {
        let message = format!("cannot read the file {}: {cause}", whole.display());
        problems.add(path.at, message, "a path goes from the folder of the scenario file");
    }
}

fn identity(file: &TargetFile, problems: &mut Problems) -> Option<(String, String)> {
    let (alone, missing) = match (&file.cert, &file.key) {
        (Some(cert), Some(key)) => return Some((cert.value.clone(), key.value.clone())),
        (Some(cert), None) => (cert, "key"),
        (None, Some(key)) => (key, "cert"),
        (None, None) => return None,
    };
    let message = format!("a client certificate and its key belong together, and `{missing}` is missing");
    problems.add(alone.at, message, "give both, in PEM: `cert: client.pem` and `key: client.key`");
    None
}

fn sni(name: &Located<String>, problems: &mut Problems) -> String {
    if let Err(error) = ServerName::try_from(name.value.as_str()) {
        let message = format!("`{}` is no name of a server: {error}", name.value);
        problems.add(name.at, message, "write a host without scheme and port, such as shop.example");
    }
    name.value.clone()
}

fn proxy_auth(file: &TargetFile, problems: &mut Problems) -> Option<String> {
    let auth = file.proxy_auth.as_ref()?;
    if file.proxy.is_none() {
        problems.add(auth.at, "`proxy_auth` is for a proxy, and there is none", "name it: `proxy: http://proxy:3128`");
    }
    Some(claim(auth, Claim::of_proxy_user(&auth.value).err(), "USER:SOURCE", problems))
}

/// A claim as written; what is wrong with it is told without it, as it may be the secret itself.
fn claim(written: &Located<String>, wrong: Option<&str>, form: &str, problems: &mut Problems) -> String {
    if let Some(cause) = wrong {
        problems.add(written.at, format!("this cannot be used: {cause}"), format!("write {form}, {SOURCE_HINT}"));
    }
    written.value.clone()
}

fn google_id_token(file: &TargetFile, problems: &mut Problems) -> Option<Audience> {
    let written = file.google_id_token.as_ref()?;
    let audience = match written.value.as_str() {
        "false" => return None,
        "true" => Audience::Target,
        audience => Audience::Named(audience.to_owned()),
    };
    if audience == Audience::Named(String::new()) {
        problems.add(
            written.at,
            "this audience is empty",
            "write `google_id_token: true` for the target's own address",
        );
    }
    if let Some(auth) = &file.auth {
        problems.add(auth.at, "`auth` and `google_id_token` stand together", "keep one of `auth`, `google_id_token`");
    }
    Some(audience)
}

/// How long an answer may take where its step does not say.
pub(super) fn timeout(file: Option<&TargetFile>, problems: &mut Problems) -> Duration {
    let written = file.and_then(|file| file.timeout.as_ref());
    written.and_then(|written| timeout_of(written, problems)).unwrap_or(TIMEOUT_DEFAULT)
}

/// Adds the headers of every request that a step has not set. They are no templates.
pub(super) fn add_headers(file: Option<&TargetFile>, headers: &mut Vec<(String, String)>) {
    for (name, value) in file.into_iter().flat_map(|file| &file.headers) {
        let name = name.to_ascii_lowercase();
        if !headers.iter().any(|(other, _)| *other == name) {
            headers.push((name, value.value.replace("${", "$${")));
        }
    }
}

/// Notes headers that not every request can carry.
pub(super) fn check_headers(file: &TargetFile, problems: &mut Problems) {
    let mut seen: Vec<String> = Vec::new();
    for (name, Located { value, at }) in &file.headers {
        let lower = name.to_ascii_lowercase();
        if let Some((message, hint)) = refused(&lower, name) {
            problems.add(*at, message, hint);
        } else if seen.contains(&lower) {
            problems.add(*at, format!("the header `{name}` stands here twice"), "keep one of the two");
        }
        check_header_name(name, *at, problems);
        check_value(name, value, *at, problems);
        seen.push(lower);
    }
}

fn refused(lower: &str, name: &str) -> Option<(String, &'static str)> {
    if SECRET_HEADERS.contains(&lower) {
        let hint = "say who the load is by `auth`, which names a variable of the environment or a file";
        return Some((format!("the header `{name}` holds a secret, and none belongs into this file"), hint));
    }
    if lower == "content-type" {
        return Some((format!("the header `{name}` belongs to a body"), "set it in the steps that have one"));
    }
    RESERVED_HEADERS
        .contains(&lower)
        .then(|| (format!("the header `{name}` is set by tidegate itself"), "leave it out"))
}

fn check_value(name: &str, value: &str, at: Location, problems: &mut Problems) {
    if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        let message = format!("the header `{name}` has a value that HTTP forbids");
        problems.add(at, message, "use ASCII on one line");
    }
}
