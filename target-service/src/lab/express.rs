//! What Express 5 does around a program: it reads JSON bodies, answers what no route takes, and makes pages of errors.
//!
//! Recorded from Express 5.3 with body-parser 2.4 on Node 20. Not imitated: the stack that follows an error's first line
//! (its lines are paths of the machine), V8's words for what is wrong with JSON, compressed bodies, and the headers
//! about the connection, which a front end keeps to itself.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::Value;

/// The longest JSON body, in bytes: `100kb`.
const BODY_MAX: usize = 102_400;
/// What is read of a longer body before it is refused: all that Cloud Run lets through.
const DRAIN_MAX: usize = 32 << 20;
/// Tells who answers, on every answer.
const POWERED_BY: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-powered-by"), HeaderValue::from_static("Express"));

/// An error that becomes a page: a status, and the first line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thrown {
    pub(crate) status: StatusCode,
    pub(crate) line: String,
}

impl Thrown {
    /// An error that nothing caught.
    pub(crate) fn uncaught(line: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, line: line.into() }
    }

    fn new(status: StatusCode, line: impl Into<String>) -> Self {
        Self { status, line: line.into() }
    }

    /// What JSON that cannot be read is.
    pub(crate) fn syntax(status: StatusCode, error: &serde_json::Error) -> Self {
        let what = if error.is_eof() { "Unexpected end of JSON input".to_owned() } else { error.to_string() };
        Self::new(status, format!("SyntaxError: {what}"))
    }

    pub(crate) fn page(&self) -> Response {
        page(self.status, &self.line)
    }
}

/// Whether a path is that of the one route.
pub(crate) fn is_home(path: &str) -> bool {
    path.bytes().all(|byte| byte == b'/')
}

/// The answer to what no route takes.
pub(crate) fn no_route(method: &str, path: &str) -> Response {
    if method == "OPTIONS" && is_home(path) {
        let mut response = empty(StatusCode::OK);
        *response.body_mut() = Body::from("POST");
        response.headers_mut().extend([
            (ALLOW, HeaderValue::from_static("POST")),
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ]);
        return response;
    }
    page(StatusCode::NOT_FOUND, &format!("Cannot {method} {}", encoded(path)))
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().extend([POWERED_BY]);
    response
}

/// An answer with a JSON body, with its `ETag` where that is known.
pub(crate) fn json(status: StatusCode, body: String, etag: Option<&'static str>) -> Response {
    let mut response = empty(status);
    *response.body_mut() = Body::from(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Some(etag) = etag {
        response.headers_mut().insert(ETAG, HeaderValue::from_static(etag));
    }
    response
}

fn page(status: StatusCode, text: &str) -> Response {
    let mut response = empty(status);
    *response.body_mut() = Body::from(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n<body>\n\
         <pre>{}</pre>\n</body>\n</html>\n",
        escaped(text)
    ));
    response.headers_mut().extend([
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    ]);
    response
}

/// A request's JSON; nothing when it has none: no body, or one that does not say it is JSON.
pub(crate) async fn json_body(request: Request) -> Result<Option<Value>, Thrown> {
    // Like the original, by what the headers say: a body of no bytes is one, and counts as `{}`.
    let has_body = !request.body().is_end_stream() || request.headers().contains_key("content-length");
    if !has_body || !is_json(request.headers())? {
        body(request.into_body()).await?;
        return Ok(None);
    }
    let bytes = body(request.into_body()).await?.ok_or_else(too_large)?;
    parse(&bytes).map(Some)
}

/// The bytes of a body; nothing when they are more than a program is given.
pub(crate) async fn body(mut body: Body) -> Result<Option<Vec<u8>>, Thrown> {
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    // A longer one is read to its end, or a client that is still sending might never see the answer.
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Thrown::new(StatusCode::BAD_REQUEST, "BadRequestError: request aborted"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= BODY_MAX {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
        }
        if length > DRAIN_MAX {
            break;
        }
    }
    Ok((length <= BODY_MAX).then_some(kept))
}

/// What a body that is too long is answered with.
pub(crate) fn too_large() -> Thrown {
    Thrown::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeError: request entity too large")
}

/// Whether the body is JSON by its type; an error when it is in a form that cannot be read.
fn is_json(headers: &HeaderMap) -> Result<bool, Thrown> {
    let unsupported =
        |what: String| Thrown::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("UnsupportedMediaTypeError: {what}"));
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut parts = text(CONTENT_TYPE).unwrap_or_default().split(';').map(str::trim);
    if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Ok(false);
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    if let Some(charset) = charset.filter(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(unsupported(format!("unsupported charset \"{}\"", charset.to_uppercase())));
    }
    match text(CONTENT_ENCODING) {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
            Err(unsupported(format!("unsupported content encoding \"{}\"", encoding.to_lowercase())))
        }
        _ => Ok(true),
    }
}

/// JSON that is an object or an array; nothing at all counts as an empty object.
fn parse(bytes: &[u8]) -> Result<Value, Thrown> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let inner = text.trim_start_matches([' ', '\t', '\n', '\r']);
    match inner.chars().next() {
        Some('{' | '[') | None => {
            serde_json::from_str(text).map_err(|error| Thrown::syntax(StatusCode::BAD_REQUEST, &error))
        }
        Some(first) => Err(Thrown::new(StatusCode::BAD_REQUEST, unexpected(first, inner))),
    }
}

/// What JavaScript says of a text that begins as no object and no array does; long ones are not repeated.
fn unexpected(first: char, text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    let more = if shown.len() < text.len() { "..." } else { "" };
    format!("SyntaxError: Unexpected token '{first}', \"{shown}\"{more} is not valid JSON")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("<br>"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A path with everything encoded that an address cannot hold, and nothing encoded twice.
fn encoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut encoded = String::with_capacity(path.len());
    for (index, byte) in bytes.iter().enumerate() {
        let begins_code = || bytes.get(index + 1..index + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit));
        match byte {
            b'%' if !begins_code() => encoded.push_str("%25"),
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'_' | b'a'..=b'z' | b'|' | b'~' => encoded.push(char::from(*byte)),
            _ => encoded.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    encoded
}

/// The digit of a number below 16.
fn hex(number: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(number & 15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_recorded() {
        assert_eq!(encoded("/a/<b>"), "/a/%3Cb%3E");
        assert_eq!(escaped(&encoded("/a%3Cb%3E%20'\"&%zz")), "/a%3Cb%3E%20&#39;%22&amp;%25zz");
        assert_eq!(encoded("/50%"), "/50%25");
        assert_eq!(encoded("/é`"), "/%C3%A9%60");
    }

    #[test]
    fn json_is_read_as_recorded() {
        let parsed = |text: &str| parse(text.as_bytes()).map_err(|thrown| (thrown.status.as_u16(), thrown.line));
        assert_eq!(parsed("").unwrap(), serde_json::json!({}));
        assert_eq!(parsed("\u{feff} {\"id\": 1}").unwrap(), serde_json::json!({"id": 1}));
        assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap(), serde_json::json!({"a": "\u{fffd}"}));
        let eof = |text: &str| {
            assert_eq!(parsed(text).unwrap_err(), (400, "SyntaxError: Unexpected end of JSON input".to_owned()));
        };
        eof("   ");
        eof("{\"id\": 12");
        let scalar = |text: &str, line: &str| assert_eq!(parsed(text).unwrap_err(), (400, line.to_owned()));
        scalar("5", "SyntaxError: Unexpected token '5', \"5\" is not valid JSON");
        scalar("null", "SyntaxError: Unexpected token 'n', \"null\" is not valid JSON");
        scalar("\"abc\"", "SyntaxError: Unexpected token '\"', \"\"abc\"\" is not valid JSON");
        assert!(parsed("{id: 12}").unwrap_err().1.starts_with("SyntaxError: "));
    }
}
