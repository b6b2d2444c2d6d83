//! One request and its answer: over the connection at hand, or over a new one, body read to its end.

use super::connection::{Connection, Connector, Handed};
use super::headers::Headers;
use super::outcome::Unanswered;
use super::trace::Trace;
use crate::scenario::Request;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};

/// What a body may hold before the driver gives it up: bounded memory, whatever a server sends.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

/// Builds what hyper sends; a request that HTTP cannot carry is told by its cause.
pub(super) fn build(
    request: Request,
    added: &Headers,
    trace: Option<&mut Trace>,
) -> Result<http::Request<Full<Bytes>>, &'static str> {
    let method = http::Method::from_bytes(request.method.as_bytes()).map_err(|_| "the method is not one of HTTP")?;
    // A server may take a POST without content-length for one whose body is yet to come (RFC 9110, 8.6).
    let says_empty = request.body.is_empty() && matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    let path = http::Uri::try_from(request.path).map_err(|_| "the path is not one of HTTP")?;
    let mut built = http::Request::new(Full::new(request.body));
    *built.method_mut() = method;
    *built.uri_mut() = path;
    let headers = built.headers_mut();
    headers.insert(http::header::HOST, added.authority().clone());
    if says_empty {
        headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("0"));
    }
    for (name, value) in request.headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is not one of HTTP")?;
        let value = http::HeaderValue::try_from(value).map_err(|_| "a header's value is not one of HTTP")?;
        headers.append(name, value);
    }
    added.add(headers, trace);
    Ok(built)
}

/// Sends `request` over the connection in `slot`, or over a new one when there is none or it was closed before a byte
/// of the request was written. A connection that can carry another request is put back into `slot`.
pub(super) async fn exchange(
    connector: &Connector,
    slot: &mut Option<Connection>,
    request: http::Request<Full<Bytes>>,
) -> Result<Answer, Unanswered> {
    let mut request = request;
    if let Some(mut connection) = slot.take() {
        match connection.send(request).await {
            Handed::Answered(response) => return finish(response, connection, slot).await,
            Handed::Failed(failure) => return Err(failure),
            Handed::Unsent(unsent) => request = unsent,
        }
    }
    let mut connection = connector.open().await?;
    match connection.send(request).await {
        Handed::Answered(response) => finish(response, connection, slot).await,
        Handed::Failed(failure) => Err(failure),
        Handed::Unsent(_) => Err(Unanswered::broken("connection closed before the request was sent")),
    }
}

/// Reads the body and keeps the connection.
async fn finish(
    response: http::Response<Incoming>,
    connection: Connection,
    slot: &mut Option<Connection>,
) -> Result<Answer, Unanswered> {
    let (head, body) = response.into_parts();
    let body = read(body).await?;
    *slot = Some(connection);
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
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
