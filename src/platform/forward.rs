//! One request through one instance: sent on an idle connection or a new one, its answer streamed back.

use super::lingering::Lingering;
use super::page::escape;
use super::slot::Slot;
use super::upload::Upload;
use super::wire::{BodyError, Wire, WireError};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// The body of an answer.
pub(super) enum Answer {
    /// The ingress's own words.
    Own(Full<Bytes>),
    /// The same, when the rest of the request was thrown away.
    Late(Box<Lingering>, Full<Bytes>),
    /// An instance's.
    Streamed(Box<Exchange>),
}

/// An answer under way. The order of the fields is the order in which they are dropped: when the client goes away, the
/// connection to the instance is closed first and the slot is freed after that.
pub(super) struct Exchange {
    body: Incoming,
    wire: Option<Box<Wire>>,
    slot: Option<Slot>,
}

/// Headers that belong to one connection, not to the request.
const HOP_BY_HOP: [HeaderName; 4] = [header::CONNECTION, header::UPGRADE, header::TE, header::EXPECT];
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// "Maximum HTTP/1 response size: 32 MiB if not using Transfer-Encoding: chunked or streaming mechanisms"
/// (docs.cloud.google.com/run/quotas, read 2026-11-22).
const ANSWER_BYTES_MOST: u64 = 32 << 20;

/// Refuses a request that is larger than one may be, before anybody is troubled with it.
pub(super) fn refuse(request: Request<Incoming>) -> Response<Answer> {
    // Who asks first whether to send it is not told to.
    let is_sent = !request.headers().contains_key(header::EXPECT);
    too_large(Some(request.into_body()).filter(|_| is_sent))
}

fn too_large(rest: Option<Incoming>) -> Response<Answer> {
    let refused = page(StatusCode::PAYLOAD_TOO_LARGE);
    refused.map(|answer| match (answer, rest) {
        (Answer::Own(text), Some(rest)) => Answer::Late(Box::new(Lingering::over(rest)), text),
        (answer, _) => answer,
    })
}

/// Sends the request through the slot's instance. The answer holds the slot until its body has ended.
pub(super) async fn forward(mut slot: Slot, request: Request<Incoming>, deadline: Instant) -> Response<Answer> {
    let mut request = request.map(Upload::new);
    strip(request.headers_mut());
    *request.version_mut() = Version::HTTP_11;
    slot.forwarded();
    let (mut wire, mut request) = match slot.instance().idle_wire().await {
        Some(mut wire) => match wire.send(request, deadline).await {
            // Nothing was written to a connection that had died while it was idle: once more on a new one.
            Err(WireError::Unsent(request)) => (None, Some(*request)),
            result => (Some((wire, result)), None),
        },
        None => (None, Some(request)),
    };
    if let Some(request) = request.take() {
        let Ok(mut fresh) = slot.instance().connect().await else {
            slot.unreached();
            return page(StatusCode::SERVICE_UNAVAILABLE);
        };
        let result = fresh.send(request, deadline).await;
        wire = Some((fresh, result));
    }
    let Some((wire, result)) = wire else { return page(StatusCode::SERVICE_UNAVAILABLE) };
    let failure = match result {
        Ok(response) => return stream(response, wire, slot),
        Err(WireError::TooLarge(rest)) => {
            drop(wire);
            slot.finish(StatusCode::PAYLOAD_TOO_LARGE);
            return too_large(rest);
        }
        // Nobody reads the answer, and the slot counts it so.
        Err(WireError::BrokenOff) => return page(StatusCode::BAD_REQUEST),
        Err(WireError::TimedOut) => StatusCode::GATEWAY_TIMEOUT,
        Err(WireError::Garbage) => StatusCode::BAD_GATEWAY,
        // Cloud Run ends the requests of an instance so whose liveness probe failed.
        Err(WireError::Broken | WireError::Unsent(_)) if slot.instance().is_condemned() => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // The instance died, or closed the connection, with the request in its hands.
        Err(WireError::Broken | WireError::Unsent(_)) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    // The connection is closed before the slot is free.
    drop(wire);
    slot.finish(failure);
    page(failure)
}

fn stream(response: Response<Incoming>, wire: Box<Wire>, mut slot: Slot) -> Response<Answer> {
    let (mut head, body) = response.into_parts();
    if body.size_hint().lower() > ANSWER_BYTES_MOST {
        drop(wire);
        slot.complain("Response size was too large. Please consider reducing response size.");
        slot.finish(StatusCode::INTERNAL_SERVER_ERROR);
        return page(StatusCode::INTERNAL_SERVER_ERROR);
    }
    strip(&mut head.headers);
    head.version = Version::HTTP_11;
    slot.answered(head.status);
    let mut exchange = Box::new(Exchange { body, wire: Some(wire), slot: Some(slot) });
    if exchange.body.is_end_stream() {
        exchange.complete();
    }
    Response::from_parts(head, Answer::Streamed(exchange))
}

fn strip(headers: &mut HeaderMap) {
    // Most have none: looking through all names costs less than looking for each of these.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name) || name == KEEP_ALIVE || name == PROXY_CONNECTION) {
        return;
    }
    if let Some(named) = headers.get(header::CONNECTION).cloned() {
        let named = named.to_str().unwrap_or_default();
        for name in named.split(',').map(str::trim).filter(|name| !name.eq_ignore_ascii_case("keep-alive")) {
            // `content-length` and the like cannot be made hop-by-hop by a client.
            if !matches!(name, "" | "close" | "content-length" | "transfer-encoding" | "host") {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(&KEEP_ALIVE);
    headers.remove(&PROXY_CONNECTION);
}

impl Exchange {
    /// The instance has finished with the request: its connection may serve the next one.
    fn complete(&mut self) {
        if let (Some(wire), Some(slot)) = (self.wire.take(), self.slot.take()) {
            slot.instance().keep(wire);
            drop(slot);
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(None) };
        let frame = std::task::ready!(wire.poll_body(&mut self.body, cx));
        match &frame {
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => self.complete(),
            Some(Err(_)) => {
                self.wire = None;
                self.slot = None;
            }
        }
        Poll::Ready(frame)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(full) => Pin::new(full).poll_frame(cx).map_err(|never| match never {}),
            Self::Late(lingering, full) => {
                std::task::ready!(lingering.poll_end(cx));
                Pin::new(full).poll_frame(cx).map_err(|never| match never {})
            }
            Self::Streamed(exchange) => exchange.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(full) | Self::Late(_, full) => full.is_end_stream(),
            Self::Streamed(exchange) => exchange.wire.is_none() || exchange.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(full) | Self::Late(_, full) => full.size_hint(),
            Self::Streamed(exchange) => exchange.body.size_hint(),
        }
    }
}

/// An answer of the ingress itself, in the shape of Google's front end.
pub(super) fn page(status: StatusCode) -> Response<Answer> {
    let (kind, text) = match status {
        StatusCode::TOO_MANY_REQUESTS => ("text/html", "Rate exceeded.".to_owned()),
        StatusCode::GATEWAY_TIMEOUT => ("text/plain", "upstream request timeout".to_owned()),
        StatusCode::NOT_FOUND => {
            ("text/html; charset=UTF-8", html(status, "The requested URL was not found on this server."))
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("text/html; charset=UTF-8", html(status, "Your client issued a request that was too large."))
        }
        StatusCode::SERVICE_UNAVAILABLE => (
            "text/html; charset=UTF-8",
            html(status, "The service you requested is not available yet.<p>Please try again in 30 seconds."),
        ),
        StatusCode::BAD_GATEWAY => (
            "text/html; charset=UTF-8",
            html(
                status,
                "The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.",
            ),
        ),
        _ => (
            "text/html; charset=UTF-8",
            html(status, "The server encountered an error and could not complete your request."),
        ),
    };
    let mut response = Response::new(Answer::Own(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer to somebody who may not call the service, in the words of Google's front end.
pub(super) fn forbidden(status: StatusCode, path: &str) -> Response<Answer> {
    let path = escape(path);
    let text = if status == StatusCode::FORBIDDEN {
        format!("Your client does not have permission to get URL <code>{path}</code> from this server.")
    } else {
        format!("Your client does not have permission to the requested URL <code>{path}</code>.")
    };
    let mut response = Response::new(Answer::Own(Full::from(html(status, &text))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    response
}

fn html(status: StatusCode, text: &str) -> String {
    let reason = match status {
        // Google's front end has kept the name that RFC 2616 gave it.
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        _ => status.canonical_reason().unwrap_or("Error"),
    };
    let title = if status.is_server_error() { "Server Error" } else { reason };
    format!(
        "\n<html><head>\n<meta http-equiv=\"content-type\" content=\"text/html;charset=utf-8\">\n<title>{} {title}</title>\n\
         </head>\n<body text=#000000 bgcolor=#ffffff>\n<h1>Error: {title}</h1>\n<h2>{text}</h2>\n<h2></h2>\n</body></html>\n",
        status.as_u16(),
    )
}
