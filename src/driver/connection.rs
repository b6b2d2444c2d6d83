//! One HTTP/1.1 connection on hyper's connection API, and how it is opened.

use super::outcome::Unanswered;
use super::target::Target;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

/// Bytes that an answer's status line and headers may take: far beyond any real answer, and small enough that a server
/// that never stops sending headers cannot fill the driver's memory.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// How connections are opened.
pub(super) enum Connector {
    /// Over the network.
    Network(Target),
    /// In memory, for tests under a paused clock: gives the server's end of each new connection to the test.
    #[cfg(test)]
    Memory(Box<dyn Fn(tokio::io::DuplexStream) + Send + Sync>),
}

impl Connector {
    /// What the `host` header says.
    pub(super) fn authority(&self) -> http::HeaderValue {
        match self {
            Self::Network(target) => target.authority.clone(),
            #[cfg(test)]
            Self::Memory(_) => http::HeaderValue::from_static("memory"),
        }
    }

    /// Opens a connection, TLS included.
    pub(super) async fn open(&self) -> Result<Connection, Unanswered> {
        match self {
            Self::Network(target) => {
                let stream = target.connect().await.map_err(|error| Unanswered::refused(&error))?;
                match &target.tls {
                    None => Connection::begin(stream).await,
                    Some((tls, name)) => match tls.connect(name.clone(), stream).await {
                        Ok(stream) => Connection::begin(stream).await,
                        Err(error) => Err(Unanswered::broken(tls_failure(&error))),
                    },
                }
            }
            #[cfg(test)]
            Self::Memory(accept) => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                accept(theirs);
                Connection::begin(ours).await
            }
        }
    }
}

/// Why TLS was not agreed upon: rustls names the cause without anything particular to one connection.
fn tls_failure(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(cause)) => format!("TLS certificate not accepted: {cause:?}"),
        Some(cause) => format!("TLS failed: {cause}"),
        None => format!("TLS failed: {}", error.kind()),
    }
}

/// A connection that carries one request at a time. Dropping it closes it, whatever is under way on it.
pub(super) struct Connection {
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
    async fn begin<S>(stream: S) -> Result<Self, Unanswered>
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
        Ok(Self { sender, task })
    }

    /// Whether the connection is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `request` and awaits the head of its answer.
    pub(super) async fn send(&mut self, request: http::Request<Full<Bytes>>) -> Handed {
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
