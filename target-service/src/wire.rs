//! Answers as bytes: the two spacings of JSON, the HTML pages, and the headers that every answer carries.

use std::io;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::ser::Formatter;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What `Vary` says of an answer made with a look at cookies, and of one made without.
pub(crate) const VARY_COOKIE: HeaderValue = HeaderValue::from_static("Cookie, origin");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("origin");
const VARY_API: HeaderValue = HeaderValue::from_static("Accept, Cookie, origin");

/// An answer of the REST routes: compact JSON, with the methods that the route allows.
pub(crate) fn api(status: StatusCode, allow: &'static str, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = new(status, Body::from(body), JSON, VARY_API);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// An answer of the REST routes without a body.
pub(crate) fn api_empty(status: StatusCode, allow: &'static str) -> Response {
    let mut response = new(status, Body::empty(), JSON, VARY_API);
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// An answer of the plain views: JSON with blanks after commas and colons, in ASCII.
pub(crate) fn plain(status: StatusCode, value: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, Spaced);
    // Values of this crate have string keys only and a vector takes every byte.
    let _ = value.serialize(&mut serializer);
    new(status, Body::from(body), JSON, VARY_COOKIE)
}

/// A page that says no more than its title, as the errors outside the REST routes are.
pub(crate) fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let body = format!(
        "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>{title}</title>\n</head>\n<body>\n  \
         <h1>{title}</h1><p>{text}</p>\n</body>\n</html>\n"
    );
    html(status, body)
}

pub(crate) fn html(status: StatusCode, body: impl Into<Body>) -> Response {
    new(status, body.into(), HTML, VARY_ORIGIN)
}

pub(crate) fn not_found_page() -> Response {
    page(StatusCode::NOT_FOUND, "Not Found", "The requested resource was not found on this server.")
}

pub(crate) fn server_error_page() -> Response {
    page(StatusCode::INTERNAL_SERVER_ERROR, "Server Error (500)", "")
}

/// 301 to the path with its slash; the query stays.
pub(crate) fn add_slash(path: &str, query: Option<&str>) -> Response {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = html(StatusCode::MOVED_PERMANENTLY, String::new());
    if let Ok(location) = HeaderValue::from_str(&format!("{path}/{query}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Puts on the headers that every answer has, except those of the health checks and of preflights.
pub(crate) fn secure(headers: &mut HeaderMap) {
    const SECURITY: [(HeaderName, HeaderValue); 4] = [
        (HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    headers.extend(SECURITY);
}

fn new(status: StatusCode, body: Body, content_type: HeaderValue, vary: HeaderValue) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(VARY, vary);
    response
}

/// `{"a": 1, "b": [1, 2]}`, with everything beyond ASCII escaped.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0_u16; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn body(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn plain_json_has_blanks_and_ascii_only() {
        let value = serde_json::json!({"items": [{"id": 4}, {}], "é🥑": "a\"b"});
        let expected = r#"{"items": [{"id": 4}, {}], "\u00e9\ud83e\udd51": "a\"b"}"#;
        assert_eq!(body(plain(StatusCode::OK, &value)).await, expected);
    }

    #[tokio::test]
    async fn the_error_page_has_its_recorded_length() {
        assert_eq!(body(server_error_page()).await.len(), 145);
    }
}
