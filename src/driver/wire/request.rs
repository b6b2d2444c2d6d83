//! A request as the bytes that are sent, in one piece.

use super::parser::Asked;
use crate::scenario::Request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

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
        if method == "CONNECT" {
            return Err("CONNECT opens a tunnel, and no journey goes through one");
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
        let asked = if method == "HEAD" { Asked::Head } else { Asked::Other };
        Ok(Self { bytes, asked })
    }
}

impl Written {
    /// Writes a request that is in hyper's form already: host and all other fields are its own.
    pub(in crate::driver) fn of(request: http::Request<Full<Bytes>>) -> Self {
        let (head, mut body) = request.into_parts();
        // A body in memory is there at once, in one frame.
        let frame = Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop()));
        let body = match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            _ => Bytes::new(),
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut bytes = Vec::with_capacity(path.len() + 64 * (head.headers.len() + 1) + body.len());
        for part in [head.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part);
        }
        for (name, value) in &head.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        if !body.is_empty() && !head.headers.contains_key(http::header::CONTENT_LENGTH) {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        let asked = if head.method == http::Method::HEAD { Asked::Head } else { Asked::Other };
        Self { bytes, asked }
    }
}

/// A character of a token (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::exchange::build;

    fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { method: method.to_owned(), path: path.to_owned(), headers, body: Bytes::from(body) }
    }

    fn written(request: &Request) -> Result<String, &'static str> {
        let written = Written::new(request, &http::HeaderValue::from_static("shop:80"))?;
        Ok(String::from_utf8(written.bytes).unwrap())
    }

    #[test]
    fn a_request_is_its_line_its_host_its_fields_and_its_body() {
        assert_eq!(
            written(&request("GET", "/a?b=1", &[], "")).unwrap(),
            "GET /a?b=1 HTTP/1.1\r\nhost: shop:80\r\n\r\n"
        );
        assert_eq!(
            written(&request("POST", "/", &[("content-type", "text/plain"), ("cookie", "a=b")], "hello")).unwrap(),
            "POST / HTTP/1.1\r\nhost: shop:80\r\ncontent-type: text/plain\r\ncookie: a=b\r\ncontent-length: 5\r\n\r\nhello"
        );
    }

    #[test]
    fn a_request_in_hypers_form_is_written_the_same() {
        for request in [
            request("GET", "/a?b=1", &[("cookie", "a=b")], ""),
            request("POST", "/", &[("content-type", "text/plain")], "hello"),
            request("HEAD", "/", &[], ""),
        ] {
            let authority = http::HeaderValue::from_static("shop:80");
            let typed = Written::of(build(request.clone(), &authority).unwrap());
            let written = Written::new(&request, &authority).unwrap();
            assert_eq!(String::from_utf8(typed.bytes).unwrap(), String::from_utf8(written.bytes).unwrap());
            assert_eq!(typed.asked, written.asked);
        }
    }

    #[test]
    fn an_empty_body_is_told_where_one_is_expected() {
        for (method, told) in [("POST", true), ("PUT", true), ("PATCH", true), ("GET", false), ("DELETE", false)] {
            assert_eq!(
                written(&request(method, "/", &[], "")).unwrap().contains("content-length: 0\r\n"),
                told,
                "{method}"
            );
        }
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused() {
        for (method, path, header, value) in [
            ("GET", "/ HTTP/1.1\r\nhost: other", "a", "b"),
            ("GET", "/a b", "a", "b"),
            ("GET", "no-slash", "a", "b"),
            ("GET", "/\u{e4}", "a", "b"),
            ("G ET", "/", "a", "b"),
            ("", "/", "a", "b"),
            ("CONNECT", "/", "a", "b"),
            ("GET", "/", "a\r\nb", "c"),
            ("GET", "/", "a:", "b"),
            ("GET", "/", "", "b"),
            ("GET", "/", "a", "b\r\nc: d"),
            ("GET", "/", "a", "b\0"),
        ] {
            let refused = written(&request(method, path, &[(header, value)], ""));
            assert!(refused.is_err(), "{method:?} {path:?} {header:?} {value:?}: {refused:?}");
        }
    }
}
