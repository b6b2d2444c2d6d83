//! The fast HTTP/1.1 path held against hyper: the same bytes from a server, cut in the same places, must become the
//! same answer or the same failure, and leave the connection as usable. Built for tests and for the fuzz target only.

use super::answer::Content;
use super::connection::{Connector, Http1Client};
use super::exchange::{Span, exchange};
use super::headers::Headers;
use crate::scenario::{Fields as _, Request};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Turns that everybody gets before what does not move counts as waiting for more.
const TURNS: usize = 64;

/// What a server sends as its answer to one request.
#[derive(Clone)]
pub struct Case {
    /// The method of the request.
    pub method: &'static str,
    /// The bytes, cut as they are written.
    pub pieces: Vec<Vec<u8>>,
    /// Whether the server closes the connection after the last piece.
    pub closes: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A whole answer.
    Answered {
        /// Its status.
        status: u16,
        /// Its header fields, names in lower case, in the order of their first appearance.
        headers: Vec<(String, Vec<u8>)>,
        /// Its body.
        body: Bytes,
        /// Whether the connection can carry another request.
        kept: bool,
    },
    /// A failure with its label and its cause.
    Failed(String, String),
    /// More is waited for.
    Waiting,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pieces: Vec<_> = self.pieces.iter().map(|piece| piece.escape_ascii().to_string()).collect();
        write!(f, "{}, closes: {}, {pieces:?}", self.method, self.closes)
    }
}

impl Case {
    /// A case out of any bytes: the first two say how the request asks, how the connection ends and where the rest is cut.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (flags, cuts, stream) = match bytes {
            [flags, cuts, stream @ ..] => (*flags, usize::from(*cuts), stream),
            _ => (0, 0, bytes),
        };
        let pieces = if cuts == 0 { vec![stream.to_vec()] } else { stream.chunks(cuts).map(<[u8]>::to_vec).collect() };
        Self { method: ["GET", "HEAD", "POST"][usize::from(flags >> 1) % 3], pieces, closes: flags & 1 == 1 }
    }

    /// What becomes of it on both paths: the fast one first.
    ///
    /// # Panics
    /// When the operating system gives no event loop.
    #[must_use]
    pub fn verdicts(&self) -> (Verdict, Verdict) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an event loop without sockets");
        let verdict = |client| runtime.block_on(self.verdict(client, false));
        (verdict(Http1Client::Wire), verdict(Http1Client::Hyper))
    }

    /// What becomes of it on the fast path when the request was prepared for HTTP/2, and HTTP/1.1 was agreed upon.
    #[cfg(test)]
    fn verdict_of_retyped(&self) -> Verdict {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an event loop without sockets");
        runtime.block_on(self.verdict(Http1Client::Wire, true))
    }

    async fn verdict(&self, client: Http1Client, expects_http2: bool) -> Verdict {
        let (accept, mut accepted) = mpsc::unbounded_channel();
        let connector = Connector::in_memory(
            move |stream| {
                // The server below is gone once the verdict is found.
                let _ = accept.send(stream);
            },
            client,
        );
        if expects_http2 {
            connector.expect_http2();
        }
        let (told, all_sent) = oneshot::channel();
        let Self { pieces, closes, .. } = self.clone();
        let server = tokio::spawn(async move {
            let stream = accepted.recv().await;
            let held = serve(stream, &pieces, closes).await;
            let _ = told.send(());
            // What is open stays open until this task is ended.
            let () = std::future::pending().await;
            drop(held);
        });
        let request =
            Request { method: self.method.to_owned(), path: "/".to_owned(), headers: Vec::new(), body: Bytes::new() };
        let mut slot = None;
        // Nothing takes time here: what does not move has been given its turns.
        let begun = Instant::now();
        let span = Span { begun, deadline: begun + Duration::from_hours(1) };
        let exchanged = async {
            match connector.prepare(Vec::new(), request.rendered(), &Headers::plain(connector.authority()), None) {
                Ok(mut request) => Some(exchange(&connector, &mut slot, &mut request, span).await),
                Err(_) => None,
            }
        };
        let waiting = async {
            let _ = all_sent.await;
            turns(TURNS).await;
        };
        let answer = tokio::select! {
            biased;
            answer = exchanged => answer,
            () = waiting => None,
        };
        let verdict = match answer {
            None => Verdict::Waiting,
            Some(Err(failure)) => Verdict::Failed(failure.outcome.to_string(), failure.cause.into_owned()),
            Some(Ok(answer)) => {
                turns(TURNS).await;
                let map = answer.content.to_map();
                assert_told_alike(&answer.content, &map);
                let headers = map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
                Verdict::Answered {
                    status: answer.status,
                    headers: headers.collect(),
                    body: Bytes::copy_from_slice(answer.content.body()),
                    kept: slot.is_some_and(|mut connection| !connection.is_closed()),
                }
            }
        };
        server.abort();
        verdict
    }
}

/// Lets everybody else move.
async fn turns(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Reads a request without a body and sends `pieces`; gives the connection back when it stays open.
async fn serve(stream: Option<DuplexStream>, pieces: &[Vec<u8>], closes: bool) -> Option<DuplexStream> {
    let mut stream = stream?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    for piece in pieces {
        stream.write_all(piece).await.ok()?;
        // Enough for the other end to have read this piece before the next one comes.
        turns(4).await;
    }
    (!closes).then_some(stream)
}

/// A field is found in what came as it is in the map.
fn assert_told_alike(fields: &Content, map: &http::HeaderMap) {
    let asked = ["location", "set-cookie", "content-encoding", "nowhere"].map(str::to_owned);
    for name in map.keys().map(ToString::to_string).chain(asked) {
        let mut told: Vec<Vec<u8>> = Vec::new();
        fields.each(&name, &mut |value| told.push(value.to_vec()));
        let expected: Vec<Vec<u8>> = map.get_all(&name).iter().map(|value| value.as_bytes().to_vec()).collect();
        assert_eq!(told, expected, "{name}");
        assert_eq!(fields.first(&name), expected.first().map(Vec::as_slice), "{name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What answers are made of, and what they should not be made of.
    const FRAGMENTS: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 404 Not Found\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 Not Modified\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 200 \xfc\r\n",
        b"HTTP/1.1 099 Low\r\n",
        b"HTTP/1.1 999 High\r\n",
        b"HTTP/1.1 20 Short\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"content-length: 5\r\n",
        b"Content-Length: 5\r\n",
        b"content-length: 5, 5\r\n",
        b"content-length: 5,6\r\n",
        b"content-length: 6\r\n",
        b"content-length: 0\r\n",
        b"content-length: +5\r\n",
        b"content-length: -5\r\n",
        b"content-length: \r\n",
        b"content-length: 5 \r\n",
        b"content-length: 0x5\r\n",
        b"content-length: 18446744073709551615\r\n",
        b"content-length: 18446744073709551613\r\n",
        b"content-length: 99999999999999999999999\r\n",
        b"content-length: 16777217\r\n",
        b"transfer-encoding: chunked\r\n",
        b"Transfer-Encoding: Chunked\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: chunked, gzip\r\n",
        b"transfer-encoding: chunked\xff\r\n",
        b"transfer-encoding:\r\n",
        b"connection: close\r\n",
        b"connection: Keep-Alive\r\n",
        b"connection: x, close , y\r\n",
        b"connection: close\xff\r\n",
        b"set-cookie: a=b; Path=/\r\n",
        b"Set-Cookie:c=d\r\n",
        b"x-empty:\r\n",
        b"x-spaces: \t  a  b \t \r\n",
        b"x-bytes: \x80\xff\r\n",
        b"x-control: a\x01b\r\n",
        b"x-null: a\0b\r\n",
        b"x-return: a\rb\r\n",
        b"x-bare: a\n",
        b"space : before colon\r\n",
        b"no colon\r\n",
        b": no name\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"hello",
        b"hello",
        b"5\r\nhello\r\n",
        b"5;name=value\r\nhello\r\n",
        b"5 \t ;x\r\nhello\r\n",
        b"05\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5;x\ny\r\nhello\r\n",
        b"A\r\n0123456789\r\n",
        b"5\r\nhelloworld\r\n",
        b"0\r\n\r\n",
        b"0\r\n\r\n",
        b"000\r\n\r\n",
        b"0\r\nx-trailer: y\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n\n\r\n\r\n",
        b"0\r\nx: a\rb\r\n\r\n",
        b"0\r\r\n",
        b"ffffffffffffffff\r\n",
        b"10000000000000000\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"<html>hello</html>",
    ];

    /// Bytes that are an answer, nearly one, or nothing of the kind.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let pick = |from: &'static [usize]| prop::sample::select(from).prop_map(|index| FRAGMENTS[index].to_vec());
        let any_of = || prop::sample::select(FRAGMENTS).prop_map(<[u8]>::to_vec);
        let fields = || prop::collection::vec(prop::sample::select(&FRAGMENTS[17..49]).prop_map(<[u8]>::to_vec), 0..4);
        let bodies = || prop::collection::vec(prop::sample::select(&FRAGMENTS[59..]).prop_map(<[u8]>::to_vec), 0..4);
        let regular = (pick(&[0, 0, 0, 2, 3, 4, 5, 6, 7, 8]), fields(), bodies()).prop_map(|(status, fields, body)| {
            let again = if status.ends_with(b"\r\n\r\n") { FRAGMENTS[0] } else { b"" };
            [status, again.to_vec(), fields.concat(), b"\r\n".to_vec(), body.concat()].concat()
        });
        let chunked = bodies().prop_map(|body| {
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), body.concat()].concat()
        });
        let irregular = prop::collection::vec(any_of(), 0..10).prop_map(|fragments| fragments.concat());
        let noise = prop::collection::vec(any::<u8>(), 0..60);
        let base = prop_oneof![8 => regular, 4 => chunked, 4 => irregular, 1 => noise];
        let mutation = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>(), 0u8..3));
        (base, mutation).prop_map(|(mut bytes, mutation)| {
            if let Some((at, byte, kind)) = mutation
                && !bytes.is_empty()
            {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        })
    }

    fn case() -> impl Strategy<Value = Case> {
        let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
        let method = prop::sample::select(&["GET", "GET", "GET", "HEAD", "POST"]);
        (stream(), cuts, any::<bool>(), 0usize..20, method).prop_map(|(bytes, cuts, closes, single, method)| {
            // Now and then, byte by byte.
            if single == 0 {
                return Case { method, pieces: bytes.iter().map(|byte| vec![*byte]).collect(), closes };
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                if cut > from {
                    pieces.push(bytes[from..cut].to_vec());
                }
                from = cut;
            }
            Case { method, pieces, closes }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn both_paths_make_the_same_of_any_answer(case in case()) {
            let (wire, hyper) = case.verdicts();
            prop_assert_eq!(wire, hyper, "{}", String::from_utf8_lossy(&case.pieces.concat()));
        }

        #[test]
        fn the_fuzz_target_holds_for_bytes_that_begin_like_an_answer(flags in any::<u8>(), cuts in 0u8..40, bytes in stream()) {
            let case = Case::from_bytes(&[vec![flags, cuts], bytes].concat());
            let (wire, hyper) = case.verdicts();
            prop_assert_eq!(wire, hyper);
        }

        #[test]
        fn an_answer_is_the_same_when_its_request_was_prepared_for_http_2(case in case()) {
            let (wire, _) = case.verdicts();
            prop_assert_eq!(case.verdict_of_retyped(), wire);
        }

        #[test]
        fn however_a_regular_answer_is_cut_it_stays_the_same(case in case()) {
            let whole = Case { pieces: vec![case.pieces.concat()], ..case.clone() };
            let (cut, _) = case.verdicts();
            let (uncut, _) = whole.verdicts();
            if let (Verdict::Answered { .. }, Verdict::Answered { .. }) = (&cut, &uncut) {
                prop_assert_eq!(cut, uncut);
            }
        }
    }
}
