//! One HTTP/1.1 connection on hyper's connection API, driven by whoever waits for the answer: no task of its own, so that an
//! answer is heard by the journey without a message from one task to another.

use super::alarm::Alarm;
use super::outcome::Unanswered;
use super::wire::HEAD_BYTES_MAX;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// A connection. Dropping it closes it, whatever is under way on it.
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    transport: Transport,
    alarm: Alarm,
}

/// What reads and writes; `None` when the connection has ended.
struct Transport(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

/// What became of handing a request to hyper.
pub(super) enum Handed {
    /// Answered: the head is here, the body follows.
    Answered(http::Response<Incoming>),
    /// The connection had been closed before a byte of the request was written: it may be sent on another one.
    Unsent(Box<http::Request<Full<Bytes>>>),
    /// The request, or a part of it, was written, and no answer came.
    Failed(Unanswered),
}

impl Http1 {
    pub(super) async fn begin<S>(stream: S) -> Result<Self, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            // A request is one piece: writing it as a list of pieces costs 3 % of the rate of a plain GET (decision 0003).
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Unanswered::from_hyper(&error))?;
        Ok(Self { sender, transport: Transport(Some(Box::pin(connection))), alarm: Alarm::default() })
    }

    /// Whether the connection was closed, or spoke unasked, since its last answer.
    pub(super) fn is_closed(&mut self) -> bool {
        self.transport.advance(&mut Context::from_waker(Waker::noop()));
        self.sender.is_closed()
    }

    /// Sends `request`, and does with what became of it whatever `then` does, while the connection reads and writes; `None`
    /// at `deadline`.
    pub(super) async fn carry<T, F>(
        &mut self,
        request: Box<http::Request<Full<Bytes>>>,
        deadline: Instant,
        then: impl FnOnce(Handed) -> F,
    ) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let Self { sender, transport, alarm } = self;
        let mut exchange = pin!(async { then(send(sender, request).await).await });
        poll_fn(|cx| {
            // The request is handed over before the connection is asked, the answer taken after.
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            transport.advance(cx);
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            alarm.poll(cx, deadline).map(|()| None)
        })
        .await
    }
}

impl Transport {
    /// Reads and writes what can be. What goes wrong on the connection is told to the request on it; without one it
    /// concerns nobody.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|transport| transport.as_mut().poll(cx).is_ready()) {
            self.0 = None;
        }
    }
}

/// Hands `request` over and awaits the head of its answer. In its box it takes no room in the future of the exchange.
async fn send(sender: &mut SendRequest<Full<Bytes>>, request: Box<http::Request<Full<Bytes>>>) -> Handed {
    if sender.ready().await.is_err() {
        return Handed::Unsent(request);
    }
    match sender.try_send_request(*request).await {
        Ok(response) => Handed::Answered(response),
        Err(mut failure) => match failure.take_message() {
            Some(request) => Handed::Unsent(Box::new(request)),
            None => Handed::Failed(Unanswered::from_hyper(&failure.into_error())),
        },
    }
}
