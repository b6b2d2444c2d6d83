//! A request as the bytes that are sent, in one piece.

use super::parser::Asked;
use crate::scenario::Request;

/// A path that is longer is refused, as `http::Uri` refuses it.
const PATH_BYTES_MAX: usize = u16::MAX as usize - 1;

/// A request ready to be sent.
#[derive(Clone, Debug)]
pub(in crate::driver) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) asked: Asked,
}

impl Written {
    /// Writes `request` for the target that the `host` header names; a request that HTTP cannot carry is told by its cause.
    pub(in crate::driver) fn new(request: &Request, authority: &http::HeaderValue) -> Result<Self, &'static str> {
        let Request { method, path, headers, body } = request;
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err("the method is not one of HTTP");
        }
        // Anything else could end the request line early, or be read as a second request.
        if !path.starts_with('/') || path.len() > PATH_BYTES_MAX || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the path is not one of HTTP");
        }
        let of_headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let fixed = method.len() + path.len() + authority.len() + of_headers;
        let mut bytes = Vec::with_capacity(fixed + body.len() + 64);
        for part in [method.as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\nhost: ", authority.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
        for (name, value) in headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err("a header's name is not one of HTTP");
            }
            if !value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
                return Err("a header's value is not one of HTTP");
            }
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        // A server may take a POST without content-length for one whose body is yet to come (RFC 9110, 8.6).
        if !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let asked = match method.as_str() {
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        };
        Ok(Self { bytes, asked })
    }
}

/// A character of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
