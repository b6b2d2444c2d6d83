//! The cookies of one journey: name, value and path, and deletion by `Max-Age`. Domains, dates and the `Secure` flag
//! are ignored: a journey speaks with one target, for seconds.

use super::fields::{Fields, text};
use std::borrow::Cow;

/// A jar.
#[derive(Clone, Debug, Default)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    /// Name and value with `=` between them, as they are sent back.
    pair: String,
    /// Bytes of the name.
    name: usize,
    path: Cow<'static, str>,
}

impl Cookie {
    fn name(&self) -> &str {
        &self.pair[..self.name]
    }

    fn value(&self) -> &str {
        &self.pair[self.name + 1..]
    }
}

impl Cookies {
    /// Keeps or deletes what an answer to a request for `request_path` says.
    pub(super) fn keep(&mut self, headers: &dyn Fields, request_path: &str) {
        headers.each("set-cookie", &mut |value| {
            if let Some(text) = text(value) {
                self.keep_one(text, request_path);
            }
        });
    }

    fn keep_one(&mut self, text: &str, request_path: &str) {
        let (pair, mut rest) = cut(text, b';');
        let (name, Some(value)) = cut(pair, b'=') else { return };
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        if name.is_empty() {
            return;
        }
        let mut path = None;
        let mut gone = false;
        while let Some(attributes) = rest {
            let attribute;
            (attribute, rest) = cut(attributes, b';');
            let (key, value) = cut(attribute, b'=');
            let (key, value) = (key.trim_ascii(), value.unwrap_or_default().trim_ascii());
            if key.eq_ignore_ascii_case("path") && value.starts_with('/') {
                path = Some(value);
            } else if key.eq_ignore_ascii_case("max-age") {
                gone = value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
            }
        }
        let path = path.unwrap_or_else(|| default_path(request_path));
        self.0.retain(|cookie| cookie.name() != name || cookie.path != path);
        if !gone {
            // Nearly every cookie is for the whole site.
            let path = if path == "/" { Cow::Borrowed("/") } else { Cow::Owned(path.to_owned()) };
            self.0.push(Cookie { pair: [name, "=", value].concat(), name: name.len(), path });
        }
    }

    /// The value of the cookie of this name that was kept last.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|cookie| cookie.name() == name).map(Cookie::value)
    }

    /// The `cookie` header of a request for `request_path`, if it has any; longer paths first (RFC 6265 section 5.4).
    pub(super) fn header(&self, request_path: &str) -> Option<Cow<'_, str>> {
        let request_path = without_query(request_path);
        let mut matching = self.0.iter().filter(|cookie| path_matches(request_path, &cookie.path));
        let first = matching.next()?;
        let Some(second) = matching.next() else { return Some(Cow::Borrowed(&first.pair)) };
        let mut cookies: Vec<&Cookie> = [first, second].into_iter().chain(matching).collect();
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<&str> = cookies.iter().map(|cookie| cookie.pair.as_str()).collect();
        Some(Cow::Owned(pairs.join("; ")))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is before the first `mark`, an ASCII character, and what is behind it if it is there.
fn cut(text: &str, mark: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn without_query(path: &str) -> &str {
    cut(path, b'?').0
}

/// The directory of the request (RFC 6265 section 5.1.4).
fn default_path(request_path: &str) -> &str {
    match without_query(request_path).rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory,
        _ => "/",
    }
}

/// RFC 6265 section 5.1.4.
fn path_matches(request_path: &str, cookie_path: &str) -> bool {
    match request_path.strip_prefix(cookie_path) {
        Some(rest) => rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http::header::SET_COOKIE;

    fn jar(answers: &[(&str, &str)]) -> Cookies {
        let mut cookies = Cookies::default();
        for (request_path, set_cookie) in answers {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, set_cookie.parse().unwrap());
            cookies.keep(&headers, request_path);
        }
        cookies
    }

    #[test]
    fn a_cookie_is_sent_back_where_its_path_says() {
        let cookies = jar(&[
            ("/api/csrf_token", "csrftoken=abc; Max-Age=31449600; Path=/; SameSite=Lax"),
            ("/api/csrf_token?x=/y/", "narrow=1"),
        ]);
        assert_eq!(cookies.header("/api/checkout").as_deref(), Some("narrow=1; csrftoken=abc"));
        assert_eq!(cookies.header("/apiary").as_deref(), Some("csrftoken=abc"));
    }

    #[test]
    fn a_later_value_replaces_and_max_age_zero_deletes() {
        let cookies = jar(&[("/", "a=1; Path=/"), ("/", "a=2; Path=/"), ("/", "b=1")]);
        assert_eq!(cookies.header("/").as_deref(), Some("a=2; b=1"));
        let cookies = jar(&[("/", "a=1; Path=/"), ("/", "a=; Path=/; Max-Age=0")]);
        assert_eq!(cookies.header("/"), None);
    }

    #[test]
    fn the_value_kept_last_is_told() {
        let cookies = jar(&[("/", "a=1; Path=/"), ("/", "b=2"), ("/x/", "a=3; Path=/x")]);
        assert_eq!((cookies.value("a"), cookies.value("b"), cookies.value("c")), (Some("3"), Some("2"), None));
    }

    #[test]
    fn what_is_no_cookie_is_ignored() {
        assert_eq!(jar(&[("/", "nonsense"), ("/", "=x"), ("/", "")]).header("/"), None);
    }
}
