//! A request as the bytes that are sent, in one piece.

use super::parser::Asked;
use crate::driver::headers::{Headers, TRACEPARENT};
use crate::driver::trace::Trace;
use crate::scenario::Rendered;
use http::header::{AUTHORIZATION, HeaderName};
use std::borrow::Cow;
use std::ops::Range;

/// A path that is longer is refused, as `http::Uri` refuses it.
const PATH_BYTES_MAX: usize = u16::MAX as usize - 1;
/// Room for the length of the body and a `traceparent`, so that writing them takes no more memory.
const ADDED_BYTES: usize = 128;
/// Room for most requests, so that one after another can be written into the same memory.
const USUAL_BYTES: usize = 512;
/// What a virtual user may keep from one request to the next.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// A request ready to be sent. It may hold a secret, so nothing prints it.
#[derive(Clone)]
pub(in crate::driver) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) asked: Asked,
    /// Where the authorisation stands that the driver added, as a newer one may come before this is sent.
    authorization: Option<Range<usize>>,
}

impl Written {
    /// Writes `request` with what is `added` to it into `memory`, whatever is in it; a request that HTTP cannot carry is told by
    /// its cause.
    pub(in crate::driver) fn new(
        memory: Vec<u8>,
        request: &Rendered<'_>,
        added: &Headers,
        trace: Option<&mut Trace>,
    ) -> Result<Self, &'static str> {
        let Rendered { method, path, headers, body } = request;
        check_target(method, path)?;
        let line_end = added.line_end();
        let of_headers: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let fixed = method.len() + path.len() + line_end.len() + of_headers;
        let mut bytes = memory;
        bytes.clear();
        bytes.reserve((fixed + body.len() + ADDED_BYTES).max(USUAL_BYTES));
        for part in [method.as_bytes(), b" ", path.as_bytes(), line_end] {
            bytes.extend_from_slice(part);
        }
        for (name, value) in headers {
            if !is_token(name.as_bytes()) {
                return Err("a header's name is not one of HTTP");
            }
            if !(is_within(value.as_bytes(), b' ') || value.bytes().all(is_of_value)) {
                return Err("a header's value is not one of HTTP");
            }
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        // A server may take a POST without content-length for one whose body is yet to come (RFC 9110, 8.6).
        if !body.is_empty() || matches!(*method, "POST" | "PUT" | "PATCH") {
            bytes.extend_from_slice(b"content-length: ");
            bytes.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        let authorization = add(&mut bytes, headers, added, trace);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        let asked = if *method == "HEAD" { Asked::Head } else { Asked::Other };
        Ok(Self { bytes, asked, authorization })
    }

    /// Bytes that are a request.
    pub(super) fn ready(bytes: Vec<u8>, asked: Asked) -> Self {
        Self { bytes, asked, authorization: None }
    }

    /// The memory that it is in, unless that is too much to keep.
    pub(in crate::driver) fn into_memory(self) -> Vec<u8> {
        if self.bytes.capacity() <= KEPT_BYTES_MAX { self.bytes } else { Vec::new() }
    }

    /// Whether the driver has added an authorisation.
    pub(super) fn is_authorized(&self) -> bool {
        self.authorization.is_some()
    }

    /// Puts in the newest authorisation, where the driver has added one.
    pub(in crate::driver) fn renew(&mut self, added: &Headers) {
        if let Some(place) = &mut self.authorization
            && let Some(newest) = added.newest()
            && self.bytes[place.clone()] != *newest.as_bytes()
        {
            self.bytes.splice(place.clone(), newest.as_bytes().iter().copied());
            place.end = place.start + newest.len();
        }
    }
}

/// Adds authorisation and trace where the step has not set its own; gives the place of the authorisation.
fn add(
    bytes: &mut Vec<u8>,
    given: &[(&str, Cow<'_, str>)],
    added: &Headers,
    trace: Option<&mut Trace>,
) -> Option<Range<usize>> {
    let sets = |name: &HeaderName| given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name.as_str()));
    let authorization = added.authorization(|| sets(&AUTHORIZATION)).map(|value| {
        bytes.extend_from_slice(b"authorization: ");
        let start = bytes.len();
        bytes.extend_from_slice(value.as_bytes());
        let end = bytes.len();
        bytes.extend_from_slice(b"\r\n");
        start..end
    });
    if let Some(traceparent) = trace.and_then(|trace| trace.next_unless(|| sets(&TRACEPARENT))) {
        for part in [b"traceparent: ".as_slice(), &traceparent, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    authorization
}

/// What the request line says.
fn check_target(method: &str, path: &str) -> Result<(), &'static str> {
    if !is_token(method.as_bytes()) {
        return Err("the method is not one of HTTP");
    }
    if method == "CONNECT" {
        return Err("CONNECT opens a tunnel, and no journey goes through one");
    }
    // Anything else could end the request line early, or be read as a second request.
    if !path.starts_with('/') || path.len() > PATH_BYTES_MAX || !is_within(path.as_bytes(), b'!') {
        return Err("the path is not one of HTTP");
    }
    Ok(())
}

/// The characters of a token (RFC 9110, 5.6.2), by their bytes.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let (marks, mut at) = (b"!#$%&'*+-.^_`|~", 0);
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether these bytes are a token.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether this byte may be in the value of a header field (RFC 9110, 5.5).
fn is_of_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Whether all of these bytes are within `lowest` and the last visible character of ASCII: eight at once. A byte below
/// `lowest` borrows from its highest bit, and one behind the last, or beyond ASCII, sets it (Warren, Hacker's Delight, 6-1).
/// What one such byte does to the next is of no account, as it has told already.
fn is_within(bytes: &[u8], lowest: u8) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let beyond = |word: u64| word | word.wrapping_add(ONES) | word.wrapping_sub(ONES * u64::from(lowest));
    let (words, rest) = bytes.as_chunks();
    let found = words.iter().fold(0, |found, word| found | beyond(u64::from_le_bytes(*word)));
    found & (ONES << 7) == 0 && rest.iter().all(|byte| (lowest..=b'~').contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::authorization::Credentials;
    use crate::driver::target_options::Authorization;
    use crate::scenario::Request;
    use bytes::Bytes;

    fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { method: method.to_owned(), path: path.to_owned(), headers, body: Bytes::from(body) }
    }

    fn written(request: &Request) -> Result<String, &'static str> {
        let written = Written::new(
            Vec::new(),
            &request.rendered(),
            &Headers::plain(http::HeaderValue::from_static("shop:80")),
            None,
        )?;
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

    /// A token that changes its length, as the parts behind it must stay whole.
    #[tokio::test]
    async fn the_newest_authorisation_is_put_in_before_sending_and_a_step_s_own_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let credentials = Credentials::obtain(&Authorization::BearerFile(path.clone()), "http://shop").await.unwrap();
        let added = Headers::new(http::HeaderValue::from_static("shop"), credentials, None);
        let mut written =
            Written::new(Vec::new(), &request("POST", "/", &[], "body").rendered(), &added, None).unwrap();
        let mut own =
            Written::new(Vec::new(), &request("GET", "/", &[("Authorization", "Mine")], "").rendered(), &added, None)
                .unwrap();
        tokio::time::pause();
        for token in ["old", "a longer one", "new"] {
            std::fs::write(&path, token).unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(31)).await;
            written.renew(&added);
            own.renew(&added);
            let expected = format!(
                "POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 4\r\nauthorization: Bearer {token}\r\n\r\nbody"
            );
            assert_eq!(String::from_utf8(written.bytes.clone()).unwrap(), expected);
            let expected = "GET / HTTP/1.1\r\nhost: shop\r\nAuthorization: Mine\r\n\r\n";
            assert_eq!(String::from_utf8(own.bytes.clone()).unwrap(), expected);
        }
    }

    #[test]
    fn what_may_be_in_a_path_is_told_byte_by_byte_wherever_it_stands() {
        for length in 1..30 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    assert_eq!(is_within(&bytes, b'!'), byte.is_ascii_graphic(), "{byte} at {at} of {length}");
                    assert_eq!(is_within(&bytes, b' '), byte.is_ascii_graphic() || byte == b' ');
                }
            }
        }
        assert!(is_within(b"", b'!'));
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
