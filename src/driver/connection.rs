//! One connection, on hyper's connection API, and how it is opened.

use super::http2::{Http2, Origin};
use super::outcome::Unanswered;
use super::target::Target;
use crate::trial::TargetRecording;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

/// Bytes that an answer's status line and headers may take: far beyond any real answer, and small enough that a server
/// that never stops sending headers cannot fill the driver's memory.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// How connections are opened.
pub(super) enum Connector {
    /// Over the network.
    Network(Box<Target>),
    /// In memory, for tests under a paused clock: gives the server's end of each new connection to the test.
    #[cfg(test)]
    Memory(Box<dyn Fn(tokio::io::DuplexStream) + Send + Sync>),
}

impl Connector {
    /// Opens connections to `target`.
    pub(super) fn network(target: Target) -> Self {
        Self::Network(Box::new(target))
    }

    /// What the `host` header says.
    pub(super) fn authority(&self) -> http::HeaderValue {
        match self {
            Self::Network(target) => target.authority.clone(),
            #[cfg(test)]
            Self::Memory(_) => http::HeaderValue::from_static("memory"),
        }
    }

    /// What was recorded of the connections that were opened.
    pub(super) fn recording(&self) -> TargetRecording {
        match self {
            Self::Network(target) => target.recording(),
            #[cfg(test)]
            Self::Memory(_) => TargetRecording::default(),
        }
    }

    /// Opens a connection, TLS included.
    pub(super) async fn open(&self) -> Result<Connection, Unanswered> {
        match self {
            Self::Network(target) => target.open().await,
            #[cfg(test)]
            Self::Memory(accept) => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                accept(theirs);
                Connection::begin(ours).await
            }
        }
    }
}

/// A connection that carries one request at a time. Dropping it closes it, whatever is under way on it.
pub(super) struct Connection {
    carrier: Carrier,
    /// How long the TCP connection took, the way through a proxy included.
    pub(super) connect_time: Duration,
    /// How long the TLS handshake took, for https.
    pub(super) tls_time: Option<Duration>,
}

/// What carries the requests.
enum Carrier {
    Http1(Http1),
    Http2(Http2),
}

/// HTTP/1.1.
struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

/// What became of handing a request to a connection.
pub(super) enum Handed {
    /// Answered: the head is here, the body follows.
    Answered(http::Response<Incoming>),
    /// The connection had been closed before a byte of the request was written: it may be sent on another one.
    Unsent(http::Request<Full<Bytes>>),
    /// The request, or a part of it, was written, and no answer came.
    Failed(Unanswered),
}

impl Connection {
    /// Begins to speak HTTP/1.1.
    pub(super) async fn begin<S>(stream: S) -> Result<Self, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Unanswered::from_hyper(&error))?;
        // What goes wrong on the connection is told to the request on it; without one it concerns nobody.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Self::over(Carrier::Http1(Http1 { sender, task })))
    }

    /// Begins to speak HTTP/2.
    pub(super) async fn begin_http2<S>(stream: S, origin: Origin) -> Result<Self, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Ok(Self::over(Carrier::Http2(Http2::begin(stream, origin).await?)))
    }

    fn over(carrier: Carrier) -> Self {
        Self { carrier, connect_time: Duration::ZERO, tls_time: None }
    }

    /// The protocol that is spoken.
    pub(super) fn protocol(&self) -> &'static str {
        match &self.carrier {
            Carrier::Http1(_) => "HTTP/1.1",
            Carrier::Http2(_) => "HTTP/2",
        }
    }

    /// Whether the connection is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        match &self.carrier {
            Carrier::Http1(http1) => http1.sender.is_closed(),
            Carrier::Http2(http2) => http2.is_closed(),
        }
    }

    /// Sends `request` and awaits the head of its answer.
    pub(super) async fn send(&mut self, request: http::Request<Full<Bytes>>) -> Handed {
        match &mut self.carrier {
            Carrier::Http1(http1) => http1.send(request).await,
            Carrier::Http2(http2) => http2.send(request).await,
        }
    }
}

impl Http1 {
    async fn send(&mut self, request: http::Request<Full<Bytes>>) -> Handed {
        if self.sender.ready().await.is_err() {
            return Handed::Unsent(request);
        }
        match self.sender.try_send_request(request).await {
            Ok(response) => Handed::Answered(response),
            Err(mut failure) => match failure.take_message() {
                Some(request) => Handed::Unsent(request),
                None => Handed::Failed(Unanswered::from_hyper(&failure.into_error())),
            },
        }
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.task.abort();
    }
}
