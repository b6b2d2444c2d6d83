//! One request and its answer: over the connection at hand, or over a new one, body read to its end.

use super::answer::{Answer, Content};
use super::connection::{Connection, Connector, Outgoing};
use super::headers::Headers;
use super::http1::Handed;
use super::outcome::Unanswered;
use super::phases::Phases;
use super::trace::Trace;
use super::wire::{BODY_BYTES_MAX, Lost};
use crate::scenario::Rendered;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

/// Builds what hyper sends; a request that HTTP cannot carry is told by its cause.
pub(super) fn build(
    request: Rendered<'_>,
    added: &Headers,
    trace: Option<&mut Trace>,
) -> Result<http::Request<Full<Bytes>>, &'static str> {
    let method = http::Method::from_bytes(request.method.as_bytes()).map_err(|_| "the method is not one of HTTP")?;
    // A server may take a POST without content-length for one whose body is yet to come (RFC 9110, 8.6).
    let says_empty = request.body.is_empty() && matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    let path = http::Uri::try_from(request.path).map_err(|_| "the path is not one of HTTP")?;
    let mut built = http::Request::new(Full::new(request.body.into_bytes()));
    *built.method_mut() = method;
    *built.uri_mut() = path;
    let headers = built.headers_mut();
    headers.insert(http::header::HOST, added.authority().clone());
    if says_empty {
        headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("0"));
    }
    for (name, value) in &request.headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is not one of HTTP")?;
        let value =
            http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| "a header's value is not one of HTTP")?;
        headers.append(name, value);
    }
    added.add(headers, trace);
    Ok(built)
}

/// When a request is sent, and when its answer must be whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
}

/// Sends `request` over the connection in `slot`, or over a new one when there is none or it was closed before a byte
/// of the request was written. A connection that can carry another request stays in `slot`, and one whose exchange is given
/// up may, but carries no other. What is not whole by the end of `span` timed out. After an answer `request` is left for its
/// memory; after a failure it is not to be sent again.
pub(super) async fn exchange(
    connector: &Connector,
    slot: &mut Option<Connection>,
    request: &mut Outgoing,
    span: Span,
) -> Result<Answer, Unanswered> {
    if slot.is_some() {
        match over(connector, slot, request, span).await {
            Ok(answer) => return Ok(answer),
            Err(Lost::Failed(failure)) => return Err(failure),
            Err(Lost::Unsent(_)) => {}
        }
    }
    // Opening is rare: in a box, it takes no room in every virtual user's memory.
    let opened = Box::pin(timeout_at(span.deadline, connector.open())).await;
    let (connection, opening) = opened.unwrap_or_else(|_| Err(too_late()))?;
    *slot = Some(connection);
    match over(connector, slot, request, Span { begun: Instant::now(), ..span }).await {
        Ok(mut answer) => {
            (answer.phases.connect, answer.phases.tls) = (opening.connect, opening.tls);
            Ok(answer)
        }
        Err(Lost::Failed(cause) | Lost::Unsent(cause)) => Err(cause),
    }
}

/// The failure of whatever was not answered by its deadline.
pub(super) fn too_late() -> Unanswered {
    Unanswered::timed_out("no whole answer within the step's timeout")
}

/// Sends `request` over the connection in `slot`. One that was not sent is left for another connection.
async fn over(
    connector: &Connector,
    slot: &mut Option<Connection>,
    request: &mut Outgoing,
    span: Span,
) -> Result<Answer, Lost> {
    if let Some(connection) = slot.as_ref() {
        request.suit(connection).map_err(|cause| Lost::Failed(Unanswered::broken(format!("not sent: {cause}"))))?;
    }
    // The usual case stays where it is, and is not moved about.
    if let (Some(Connection::Wire(wire)), Outgoing::Written(written)) = (slot.as_mut(), &*request) {
        let ended = wire.carry(written, span, connector.scratch()).await;
        if !wire.is_free() {
            *slot = None;
        }
        return ended;
    }
    let (ended, kept) = typed(slot.take(), request, span).await;
    *slot = kept;
    ended
}

/// Sends `request` over a connection of hyper, and gives that back if it can carry another one.
async fn typed(
    connection: Option<Connection>,
    request: &mut Outgoing,
    span: Span,
) -> (Result<Answer, Lost>, Option<Connection>) {
    let late = || Sent::Failed(too_late());
    let (sent, connection) = match (connection, std::mem::take(request)) {
        (Some(Connection::Http1(mut http1)), Outgoing::Typed(typed)) => {
            let carried = http1.carry(typed, span.deadline, |handed| whole(handed, span.begun));
            (Box::pin(carried).await.unwrap_or_else(late), Connection::Http1(http1))
        }
        (Some(Connection::Http2(mut http2)), Outgoing::Typed(typed)) => {
            let carried = async { whole(http2.send(typed).await, span.begun).await };
            (Box::pin(timeout_at(span.deadline, carried)).await.unwrap_or_else(|_| late()), Connection::Http2(http2))
        }
        // Each request has just been put into the form of its connection.
        _ => {
            let broken = Unanswered::broken("the request is not in the form of its connection");
            return (Err(Lost::Failed(broken)), None);
        }
    };
    match sent {
        Sent::Answered(answer) => (Ok(answer), Some(connection)),
        Sent::Unsent(unsent) => {
            *request = Outgoing::Typed(unsent);
            (Err(Lost::Unsent(Unanswered::broken("connection closed before the request was sent"))), None)
        }
        Sent::Failed(failure) => (Err(Lost::Failed(failure)), None),
    }
}

/// What became of a request on a connection of hyper.
enum Sent {
    Answered(Answer),
    /// Nothing of it was written: it may be sent on another one.
    Unsent(Box<http::Request<Full<Bytes>>>),
    Failed(Unanswered),
}

/// The rest of an exchange over hyper that `begun` then: hyper tells of the head when it has come, and not when the request
/// was written.
async fn whole(handed: Handed, begun: Instant) -> Sent {
    let response = match handed {
        Handed::Answered(response) => response,
        Handed::Unsent(unsent) => return Sent::Unsent(unsent),
        Handed::Failed(failure) => return Sent::Failed(failure),
    };
    let first_byte = Instant::now();
    let (head, body) = response.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(failure) => return Sent::Failed(failure),
    };
    let done = Instant::now();
    let phases = Phases { first_byte: Some(first_byte - begun), body: Some(done - first_byte), ..Phases::default() };
    let content = Content::Typed(Box::new(head.headers), body);
    Sent::Answered(Answer { status: head.status.as_u16(), content, phases, done })
}

/// Reads a body to its end, up to the bound; a body of one piece is not copied.
async fn read(mut body: Incoming) -> Result<Bytes, Unanswered> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Unanswered::broken("body too large"));
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unanswered::from_hyper(&error))?;
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + rest.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Unanswered::broken("body too large"));
        }
        if first.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::connection::Http1Client;
    use crate::scenario::Request;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// From now on.
    fn within(length: Duration) -> Span {
        let begun = Instant::now();
        Span { begun, deadline: begun + length }
    }

    /// Answers 30 ms after each request has come, and takes 20 ms from the first byte of an answer to its last.
    async fn slowly(mut stream: DuplexStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        loop {
            request.push(stream.read_u8().await?);
            if request.ends_with(b"\r\n\r\n") {
                request.clear();
                tokio::time::sleep(30 * MS).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await?;
                tokio::time::sleep(20 * MS).await;
                stream.write_all(b"ok").await?;
            }
        }
    }

    fn prepared(connector: &Connector) -> Outgoing {
        let (method, path) = ("GET".to_owned(), "/".to_owned());
        let get = Request { method, path, headers: Vec::new(), body: Bytes::new() };
        connector.prepare(Vec::new(), get.rendered(), &Headers::plain(connector.authority()), None).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn phases_tell_the_opening_only_of_the_request_that_opened_and_where_the_answer_took_its_time() {
        for client in [Http1Client::Wire, Http1Client::Hyper] {
            let accept = |stream| drop(tokio::spawn(slowly(stream)));
            let connector = Connector::in_memory(accept, client);
            let mut slot = None;
            for connect in [Some(Duration::ZERO), None] {
                let mut request = prepared(&connector);
                let answer = exchange(&connector, &mut slot, &mut request, within(SECOND)).await.unwrap();
                let expected = Phases { connect, tls: None, first_byte: Some(30 * MS), body: Some(20 * MS) };
                assert_eq!(answer.phases, expected, "{client:?}");
            }
        }
    }

    /// Takes as much as the connection holds every 10 ms, and answers 30 ms after it has taken all of the request.
    async fn by_and_by(mut stream: DuplexStream, mut length: usize) -> std::io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        while length > 0 {
            tokio::time::sleep(10 * MS).await;
            let taken = piece.len().min(length);
            length -= stream.read_exact(&mut piece[..taken]).await?;
        }
        tokio::time::sleep(30 * MS).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        std::future::pending().await
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_the_first_byte_begins_with_the_write_that_took_the_last_of_the_request() {
        const REQUEST: usize = 160 * 1024;
        let accept = |stream| drop(tokio::spawn(by_and_by(stream, REQUEST)));
        let connector = Connector::in_memory(accept, Http1Client::Wire);
        let (method, path) = ("POST".to_owned(), "/".to_owned());
        let body = Bytes::from(vec![
            b'x';
            REQUEST - "POST / HTTP/1.1\r\nhost: memory\r\ncontent-length: 163783\r\n\r\n".len()
        ]);
        let post = Request { method, path, headers: Vec::new(), body };
        let mut request =
            connector.prepare(Vec::new(), post.rendered(), &Headers::plain(connector.authority()), None).unwrap();
        let answer = exchange(&connector, &mut None, &mut request, within(SECOND)).await.unwrap();
        // Two and a half times what the connection holds: the last of it was taken when there was room for it, after 20 ms, and read
        // 10 ms later.
        assert_eq!((answer.phases.first_byte, answer.phases.body), (Some(40 * MS), Some(Duration::ZERO)));
    }

    /// Answers at once, with a body that ends 40 ms later with the connection, 20 ms after its last byte.
    async fn until_closed(mut stream: DuplexStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        tokio::time::sleep(20 * MS).await;
        stream.write_all(b"ok").await?;
        tokio::time::sleep(20 * MS).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_done_when_its_end_was_read() {
        for client in [Http1Client::Wire, Http1Client::Hyper] {
            for (length, keeps_open) in [(50, true), (40, false)] {
                let accept = move |stream| {
                    if keeps_open {
                        drop(tokio::spawn(slowly(stream)));
                    } else {
                        drop(tokio::spawn(until_closed(stream)));
                    }
                };
                let connector = Connector::in_memory(accept, client);
                let (begun, mut request) = (Instant::now(), prepared(&connector));
                let answer = exchange(&connector, &mut None, &mut request, within(SECOND)).await.unwrap();
                assert_eq!((answer.done - begun, answer.content.body()), (length * MS, &b"ok"[..]), "{client:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_exchange_was_given_up_carries_no_other() {
        for client in [Http1Client::Wire, Http1Client::Hyper] {
            let connector = Connector::in_memory(|stream| drop(tokio::spawn(slowly(stream))), client);
            let mut slot = None;
            let mut request = prepared(&connector);
            exchange(&connector, &mut slot, &mut request, within(SECOND)).await.unwrap();
            // Before the head, within the body, and right after the sending.
            for length in [10, 40, 0] {
                let mut given_up = prepared(&connector);
                let given_up = exchange(&connector, &mut slot, &mut given_up, within(SECOND));
                let cut = tokio::time::timeout(length * MS, given_up).await;
                assert!(cut.is_err(), "{client:?}");
                let mut request = prepared(&connector);
                let begun = Instant::now();
                let answer = exchange(&connector, &mut slot, &mut request, within(SECOND)).await.unwrap();
                let told = (answer.phases.connect, answer.content.body(), begun.elapsed());
                assert_eq!(told, (Some(Duration::ZERO), &b"ok"[..], 50 * MS), "{client:?}, given up after {length} ms");
            }
        }
    }

    /// Answers each request in one piece.
    async fn at_once(mut stream: DuplexStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        loop {
            request.push(stream.read_u8().await?);
            if request.ends_with(b"\r\n\r\n") {
                request.clear();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            }
        }
    }

    #[tokio::test]
    async fn an_answer_comes_into_the_memory_of_the_one_before_once_that_was_judged() {
        let connector = Connector::in_memory(|stream| drop(tokio::spawn(at_once(stream))), Http1Client::Wire);
        let (mut places, mut others) = (Vec::new(), Vec::new());
        let (mut slots, mut kept) = ([None, None], None);
        for turn in 0..6 {
            let mut request = prepared(&connector);
            let answer = exchange(&connector, &mut slots[turn % 2], &mut request, within(60 * SECOND)).await.unwrap();
            assert_eq!(answer.content.body(), b"ok");
            places.push(answer.content.body().as_ptr());
            if turn == 2 {
                // Somebody is not done with this one: it stays as it is, and the next comes elsewhere.
                kept = Some(answer.content);
            } else {
                connector.take_back(answer.content);
            }
            // Whatever was let go of is taken by somebody else.
            others.push(Vec::<u8>::with_capacity(32 * 1024));
        }
        assert_eq!((places[0], places[1], places[3]), (places[1], places[2], places[4]));
        assert_ne!(places[2], places[3]);
        assert_eq!(kept.unwrap().body(), b"ok");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_holds_for_each_request_of_a_connection_whatever_the_one_before_it_had() {
        for client in [Http1Client::Wire, Http1Client::Hyper] {
            let accept = |stream| drop(tokio::spawn(slowly(stream)));
            let connector = Connector::in_memory(accept, client);
            let mut slot = None;
            // Longer, shorter, and longer again than the last, all in time; then one that is not.
            for (length, in_time) in [(60, true), (900, true), (55, true), (70, true), (40, false), (60, true)] {
                let begun = Instant::now();
                let mut request = prepared(&connector);
                let answer = exchange(&connector, &mut slot, &mut request, within(length * MS)).await;
                assert_eq!(answer.is_ok(), in_time, "{client:?}: {length} ms: {answer:?}");
                if !in_time {
                    assert_eq!(answer.unwrap_err(), too_late());
                    assert_eq!(begun.elapsed().as_millis(), u128::from(length));
                    assert!(slot.is_none(), "a connection with an answer under way carries no other request");
                }
                tokio::time::sleep(200 * MS).await;
            }
        }
    }
}
