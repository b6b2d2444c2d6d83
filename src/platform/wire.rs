//! A kept-alive connection to an instance, driven by the task of the request that uses it: no task of its own, and no
//! hand-over between threads. Dropping it closes the connection at once, so that a slot is never free while the
//! instance may still hold the request.

use super::traffic::{Counted, Traffic};
use super::upload::{Upload, UploadError};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// The connection.
pub(super) struct Wire {
    sender: SendRequest<Upload>,
    connection: Connection<TokioIo<Counted<TcpStream>>, Upload>,
    closed: bool,
    /// The request's time-out; kept here so that its memory is reused.
    deadline: Pin<Box<Sleep>>,
}

/// Why no answer came.
pub(super) enum WireError {
    /// The request's time is over.
    TimedOut,
    /// The connection broke before anything of the request was written: it can be sent again.
    Unsent(Box<Request<Upload>>),
    /// The connection broke under the request.
    Broken,
    /// The request is larger than one may be; what is left of it.
    TooLarge(Option<Incoming>),
    /// The client did not send the whole of it.
    BrokenOff,
    /// What came back is not HTTP.
    Garbage,
}

impl Wire {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr, traffic: &Arc<Traffic>) -> io::Result<Box<Self>> {
        Self::over(TcpStream::connect(address).await?, traffic).await
    }

    /// Uses a stream that is already there.
    pub(super) async fn over(stream: TcpStream, traffic: &Arc<Traffic>) -> io::Result<Box<Self>> {
        stream.set_nodelay(true)?;
        let stream = Counted::new(stream, Arc::clone(traffic));
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let deadline = Box::pin(tokio::time::sleep_until(Instant::now()));
        Ok(Box::new(Self { sender, connection, closed: false, deadline }))
    }

    /// Whether the connection can take a request now.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.closed && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of its answer, until `deadline`.
    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, WireError> {
        self.deadline.as_mut().reset(deadline);
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(explain));
            }
            self.deadline.as_mut().poll(cx).map(|()| Err(WireError::TimedOut))
        })
        .await
    }

    /// The next frame of the answer's body; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.drive(cx);
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyError::Broken)));
        }
        self.deadline.as_mut().poll(cx).map(|()| Some(Err(BodyError::TimedOut)))
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.closed {
            self.closed = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }
}

/// Why an answer's body ended early; the client sees its connection cut.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The instance or the connection to it broke.
    #[error("the instance broke off its answer")]
    Broken,
    /// The request's time is over.
    #[error("the request timed out in the middle of its answer")]
    TimedOut,
}

fn explain(mut error: TrySendError<Request<Upload>>) -> WireError {
    if let Some(request) = error.take_message() {
        return WireError::Unsent(Box::new(request));
    }
    match UploadError::behind(error.error()) {
        Some(UploadError::BrokenOff) => WireError::BrokenOff,
        Some(too_large) => WireError::TooLarge(too_large.rest()),
        None if error.error().is_parse() => WireError::Garbage,
        None => WireError::Broken,
    }
}
