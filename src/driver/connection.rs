//! How connections are opened, and what speaks HTTP/1.1 over them: the fast path, or hyper's connection API.

use super::exchange::build;
use super::outcome::Unanswered;
use super::phases::Phases;
use super::target::Target;
use super::wire::{HEAD_BYTES_MAX, Scratch, Stream, Wire, Written};
use crate::scenario::Request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
#[cfg(any(test, fuzzing))]
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Which client speaks HTTP/1.1 on the measured path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http1Client {
    /// tidegate's own, on httparse.
    #[default]
    Wire,
    /// hyper, the reference.
    Hyper,
}

/// How connections are opened.
pub(super) struct Connector {
    route: Route,
    client: Http1Client,
    scratch: Scratch,
}

/// Where connections lead.
enum Route {
    /// Over the network.
    Network(Target),
    /// In memory, for tests under a paused clock: gives the server's end of each new connection to the test.
    #[cfg(any(test, fuzzing))]
    Memory(Box<dyn Fn(tokio::io::DuplexStream) + Send + Sync>),
}

impl Connector {
    /// Connections over the network.
    pub(super) fn to(target: Target, client: Http1Client) -> Self {
        Self { route: Route::Network(target), client, scratch: Scratch::default() }
    }

    /// Connections in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn in_memory(
        accept: impl Fn(tokio::io::DuplexStream) + Send + Sync + 'static,
        client: Http1Client,
    ) -> Self {
        Self { route: Route::Memory(Box::new(accept)), client, scratch: Scratch::default() }
    }

    /// Whether connections lead to a test in this process.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.route, Route::Memory(_))
    }

    /// Scheme, host and port of the target.
    pub(super) fn base_url(&self) -> &str {
        match &self.route {
            Route::Network(target) => &target.base_url,
            #[cfg(any(test, fuzzing))]
            Route::Memory(_) => "http://memory",
        }
    }

    /// Prepares `request` for the connections of this connector; a request that HTTP cannot carry is told by its cause.
    pub(super) fn prepare(&self, request: Request) -> Result<Outgoing, &'static str> {
        let authority = match &self.route {
            Route::Network(target) => &target.authority,
            #[cfg(any(test, fuzzing))]
            Route::Memory(_) => &http::HeaderValue::from_static("memory"),
        };
        match self.client {
            Http1Client::Wire => Written::new(&request, authority).map(Outgoing::Written),
            Http1Client::Hyper => build(request, authority).map(Box::new).map(Outgoing::Typed),
        }
    }

    /// Opens a connection, TLS included, and tells how long each took.
    pub(super) async fn open(&self) -> Result<(Connection, Phases), Unanswered> {
        match &self.route {
            Route::Network(target) => {
                let begun = Instant::now();
                let stream = target.connect().await.map_err(|error| Unanswered::refused(&error))?;
                let connected = Instant::now();
                let mut phases = Phases { connect: Some(connected - begun), ..Phases::default() };
                let Some((tls, name)) = &target.tls else {
                    return Ok((self.begin(stream, Stream::Tcp).await?, phases));
                };
                match tls.connect(name.clone(), stream).await {
                    Ok(stream) => {
                        phases.tls = Some(connected.elapsed());
                        Ok((self.begin(stream, |stream| Stream::Other(Box::new(stream))).await?, phases))
                    }
                    Err(error) => Err(Unanswered::broken(tls_failure(&error))),
                }
            }
            #[cfg(any(test, fuzzing))]
            Route::Memory(accept) => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                accept(theirs);
                let phases = Phases { connect: Some(Duration::ZERO), ..Phases::default() };
                Ok((self.begin(ours, |stream| Stream::Other(Box::new(stream))).await?, phases))
            }
        }
    }

    /// Begins to speak HTTP/1.1 over `stream`; `kind` tells how the fast path carries it.
    async fn begin<S>(&self, stream: S, kind: impl FnOnce(S) -> Stream) -> Result<Connection, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.client {
            Http1Client::Wire => Ok(Connection::Wire(Wire::new(kind(stream)))),
            Http1Client::Hyper => Hyper::begin(stream).await.map(Connection::Hyper),
        }
    }

    /// Whether `connection` is known to be closed.
    pub(super) fn is_closed(&self, connection: &mut Connection) -> bool {
        match connection {
            Connection::Wire(wire) => wire.is_closed(&self.scratch),
            Connection::Hyper(hyper) => hyper.sender.is_closed(),
        }
    }

    /// What the fast path reads into.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
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

/// A request in the form that the connections of its connector carry.
pub(super) enum Outgoing {
    /// As bytes, for the fast path.
    Written(Written),
    /// As hyper takes it.
    Typed(Box<http::Request<Full<Bytes>>>),
}

/// A connection that carries one request at a time. Dropping it closes it, whatever is under way on it.
pub(super) enum Connection {
    /// The fast path.
    Wire(Wire),
    /// On hyper.
    Hyper(Hyper),
}

/// A connection on hyper's connection API.
pub(super) struct Hyper {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
}

/// What became of handing a request to hyper.
pub(super) enum Handed {
    /// Answered: the head is here, the body follows.
    Answered(http::Response<Incoming>),
    /// The connection had been closed before a byte of the request was written: it may be sent on another one.
    Unsent(http::Request<Full<Bytes>>),
    /// The request, or a part of it, was written, and no answer came.
    Failed(Unanswered),
}

impl Hyper {
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

impl Drop for Hyper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
