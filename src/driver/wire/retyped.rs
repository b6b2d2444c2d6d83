//! A request that was prepared for one kind of connection and finds itself on another: servers behind one name need not agree
//! on what they speak. Rare, so neither form knows of the other but here.

use super::parser::Asked;
use super::request::Written;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;

/// What separates the parts of a head, and ends it.
const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

impl Written {
    /// The request as hyper takes it; one that hyper cannot carry is told by its cause.
    pub(in crate::driver) fn typed(&self) -> Result<Request<Full<Bytes>>, &'static str> {
        const NONE: &str = "it cannot be read again";
        let end = self.bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END).ok_or(NONE)?;
        let (head, body) = (&self.bytes[..end], &self.bytes[end + HEAD_END.len()..]);
        let mut lines = Lines(Some(head));
        let mut words = lines.next().ok_or(NONE)?.split(|byte| *byte == b' ');
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(NONE) };
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(body)));
        *request.method_mut() = Method::from_bytes(method).map_err(|_| "the method is not one of HTTP")?;
        *request.uri_mut() = Uri::try_from(path).map_err(|_| "the path is not one of HTTP")?;
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':').ok_or(NONE)?;
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| "a header's name is not one of HTTP")?;
            let value = line[colon + 1..].strip_prefix(b" ").unwrap_or_default();
            let mut value = HeaderValue::from_bytes(value).map_err(|_| "a header's value is not one of HTTP")?;
            // As where the driver adds it: HTTP/2 then keeps it out of what it remembers of headers.
            value.set_sensitive(name == AUTHORIZATION && self.is_authorized());
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    /// What hyper would have sent.
    pub(in crate::driver) fn of_typed(request: Request<Full<Bytes>>) -> Self {
        let (head, body) = request.into_parts();
        let body = body.into_inner().unwrap_or_default();
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut bytes = [head.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"].concat();
        for (name, value) in &head.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), LINE_END] {
                bytes.extend_from_slice(part);
            }
        }
        if !body.is_empty() && !head.headers.contains_key(CONTENT_LENGTH) {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(LINE_END);
        bytes.extend_from_slice(&body);
        Self::ready(bytes, if head.method == Method::HEAD { Asked::Head } else { Asked::Other })
    }
}

/// The lines of a head, without their ends.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.take()?;
        let Some(end) = rest.windows(LINE_END.len()).position(|window| window == LINE_END) else { return Some(rest) };
        self.0 = Some(&rest[end + LINE_END.len()..]);
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::exchange::build;
    use crate::driver::headers::Headers;
    use crate::scenario;
    use proptest::prelude::*;

    fn sorted(written: &Written) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
        let end = written.bytes.windows(4).position(|window| window == HEAD_END).unwrap();
        let mut lines: Vec<Vec<u8>> = Lines(Some(&written.bytes[..end])).map(<[u8]>::to_vec).collect();
        let first = lines.remove(0);
        lines.sort();
        (first, lines, written.bytes[end + 4..].to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whichever form it was prepared in, the request is the same.
        #[test]
        fn a_request_is_the_same_in_both_forms(
            method in "(GET|HEAD|POST|PUT|DELETE)", path in "/[a-z0-9%?&=/._~-]{0,30}",
            headers in prop::collection::vec(("[a-z-]{1,9}", "[!-~]{1,9}( [!-~]{1,9})?"), 0..6), body in "[ -~\r\n]{0,30}",
        ) {
            let taken = ["host", "content-length", "authorization", "traceparent"];
            let headers: Vec<(String, String)> =
                headers.into_iter().filter(|(name, _)| !taken.contains(&name.as_str())).collect();
            let request = scenario::Request { method, path, headers, body: Bytes::from(body) };
            let added = Headers::plain(HeaderValue::from_static("shop:80"));
            let written = Written::new(Vec::new(), &request.rendered(), &added, None).unwrap();
            let typed = build(request.rendered(), &added, None).unwrap();
            prop_assert_eq!(sorted(&Written::of_typed(typed.clone())), sorted(&written));
            prop_assert_eq!(Written::of_typed(typed.clone()).asked, written.asked);
            let (mut again, bytes) = written.typed().unwrap().into_parts();
            let (expected, body) = typed.into_parts();
            if !expected.headers.contains_key(CONTENT_LENGTH) {
                // hyper itself adds it.
                again.headers.remove(CONTENT_LENGTH);
            }
            prop_assert_eq!((again.method, again.uri, again.headers), (expected.method, expected.uri, expected.headers));
            prop_assert_eq!(bytes.into_inner(), body.into_inner());
        }
    }

    #[test]
    fn a_path_that_hyper_does_not_take_is_told_as_it_tells_it() {
        let request = |path: &str| scenario::Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let added = Headers::plain(HeaderValue::from_static("shop:80"));
        let refused = Written::new(Vec::new(), &request("/<a>").rendered(), &added, None).unwrap().typed();
        assert_eq!(
            refused.map(drop).unwrap_err(),
            build(request("/<a>").rendered(), &added, None).map(drop).unwrap_err()
        );
    }
}
