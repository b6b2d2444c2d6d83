//! What all REST routes have in common: negotiation, methods, bodies, keys and error answers.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::shop::Call;
use crate::wire;

/// The methods of a collection, of an item, of the purchase action, and of what can only be read.
pub(crate) const COLLECTION: &str = "GET, POST, HEAD, OPTIONS";
pub(crate) const ITEM: &str = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS";
pub(crate) const READ: &str = "GET, HEAD, OPTIONS";

/// A REST route: the name its metadata gives and the methods it allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) allow: &'static str,
}

impl View {
    /// The answer that needs no look at the resource: 406, 405, or the metadata for OPTIONS.
    pub(crate) fn preamble(self, call: &Call) -> Option<Response> {
        let method = &call.request.method;
        if !accepts_json(call) {
            return Some(self.detail(StatusCode::NOT_ACCEPTABLE, "Could not satisfy the request Accept header."));
        }
        if *method == Method::OPTIONS {
            let metadata = json!({
                "name": self.name,
                "description": "",
                "renders": ["application/json", "text/html"],
                "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            });
            return Some(wire::api(StatusCode::OK, self.allow, &metadata));
        }
        if self.allow.split(", ").any(|allowed| allowed == method.as_str()) {
            return None;
        }
        let text = format!("Method \"{method}\" not allowed.");
        Some(self.detail(StatusCode::METHOD_NOT_ALLOWED, &text))
    }

    /// The JSON body of a write, or its 400 or 415.
    pub(crate) fn body(self, call: &Call) -> Result<Value, Box<Response>> {
        if call.body.is_empty() {
            return Ok(json!({}));
        }
        let content_type = call.request.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let content_type = content_type.unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            let text = format!("Unsupported media type \"{content_type}\" in request.");
            return Err(Box::new(self.detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text)));
        }
        serde_json::from_slice(&call.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let lines_before: usize =
                call.body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
            let at = lines_before + column.saturating_sub(1);
            let text = format!("JSON parse error - Expecting value: line {line} column {column} (char {at})");
            Box::new(self.detail(StatusCode::BAD_REQUEST, &text))
        })
    }

    pub(crate) fn ok(self, value: &impl serde::Serialize) -> Response {
        wire::api(StatusCode::OK, self.allow, value)
    }

    /// `{"detail": text}`.
    pub(crate) fn detail(self, status: StatusCode, text: &str) -> Response {
        wire::api(status, self.allow, &json!({ "detail": text }))
    }

    /// 400 with the errors of each field.
    pub(crate) fn invalid(self, errors: &serde_json::Map<String, Value>) -> Response {
        wire::api(StatusCode::BAD_REQUEST, self.allow, errors)
    }

    /// 404 for a key that names nothing; a key that is no number says less.
    pub(crate) fn not_found(self, model: &str, is_number: bool) -> Response {
        let text = if is_number { format!("No {model} matches the given query.") } else { "Not found.".to_owned() };
        self.detail(StatusCode::NOT_FOUND, &text)
    }
}

/// The key of a path as an id. Digits beyond 64 bits make an id that nothing has.
pub(crate) fn id(key: &str) -> Option<i64> {
    let digits = key.strip_prefix('-').unwrap_or(key);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| key.parse().unwrap_or(-1))
}

/// Browsers get JSON as well: the page that the genuine service makes for them is out of scope.
fn accepts_json(call: &Call) -> bool {
    let mut ranges = call.request.headers.get_all(ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range.is_empty() || matches!(range, "*/*" | "application/*" | "application/json" | "text/*" | "text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_make_an_id() {
        assert_eq!(id("4"), Some(4));
        assert_eq!(id("abc"), None);
        assert_eq!(id(""), None);
        assert_eq!(id("+4"), None);
        assert_eq!(id("99999999999999999999999"), Some(-1));
    }
}
