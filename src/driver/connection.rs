//! How connections are opened, and what speaks HTTP over them: the fast path for HTTP/1.1, or hyper's connection API.

use super::answer::Content;
use super::exchange::build;
use super::headers::Headers;
use super::http1::Http1;
use super::http2::Http2;
use super::outcome::Unanswered;
use super::phases::Phases;
use super::target::{Reached, Stream, Target};
use super::trace::Trace;
use super::wire::{self, Scratch, Wire, Written};
use crate::scenario::Rendered;
use crate::trial::TargetRecording;
use bytes::Bytes;
use http_body_util::Full;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(any(test, fuzzing))]
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

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
    /// What speaks HTTP/1.1.
    client: Http1Client,
    /// Whether the connection that was opened last speaks HTTP/2: the next request is prepared for one like it.
    http2: AtomicBool,
    scratch: Scratch,
}

/// Where connections lead.
enum Route {
    /// Over the network.
    Network(Box<Target>),
    /// In memory, for tests under a paused clock: gives the server's end of each new connection to the test.
    #[cfg(any(test, fuzzing))]
    Memory(Box<dyn Fn(tokio::io::DuplexStream) + Send + Sync>),
}

impl Connector {
    /// Connections over the network.
    pub(super) fn to(target: Target, client: Http1Client) -> Self {
        let http2 = AtomicBool::new(target.speaks_http2_only());
        Self { route: Route::Network(Box::new(target)), client, http2, scratch: Scratch::default() }
    }

    /// Connections in memory.
    #[cfg(any(test, fuzzing))]
    pub(super) fn in_memory(
        accept: impl Fn(tokio::io::DuplexStream) + Send + Sync + 'static,
        client: Http1Client,
    ) -> Self {
        let http2 = AtomicBool::new(false);
        Self { route: Route::Memory(Box::new(accept)), client, http2, scratch: Scratch::default() }
    }

    /// Prepares requests for HTTP/2 until the next connection is opened over the network, whatever is spoken.
    #[cfg(any(test, fuzzing))]
    pub(super) fn expect_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    /// Whether connections lead to a test in this process.
    #[cfg(test)]
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.route, Route::Memory(_))
    }

    /// What the `host` header says.
    pub(super) fn authority(&self) -> http::HeaderValue {
        match &self.route {
            Route::Network(target) => target.authority.clone(),
            #[cfg(any(test, fuzzing))]
            Route::Memory(_) => http::HeaderValue::from_static("memory"),
        }
    }

    /// What was recorded of the connections that were opened.
    pub(super) fn recording(&self) -> TargetRecording {
        match &self.route {
            Route::Network(target) => target.recording(),
            #[cfg(any(test, fuzzing))]
            Route::Memory(_) => TargetRecording::default(),
        }
    }

    /// Prepares `request`, with what is `added` to it, for the connections of this connector, in the `memory` of an earlier
    /// one where that is of use; a request that HTTP cannot carry is told by its cause.
    pub(super) fn prepare(
        &self,
        memory: Vec<u8>,
        request: Rendered<'_>,
        added: &Headers,
        mut trace: Option<&mut Trace>,
    ) -> Result<Outgoing, &'static str> {
        if let Some(trace) = &mut trace {
            trace.begin_request();
        }
        match self.client {
            Http1Client::Wire if !self.http2.load(Ordering::Relaxed) => {
                Written::new(memory, &request, added, trace).map(Outgoing::Written)
            }
            _ => build(request, added, trace).map(Box::new).map(Outgoing::Typed),
        }
    }

    /// Opens a connection, TLS included, and tells how long each took.
    pub(super) async fn open(&self) -> Result<(Connection, Phases), Unanswered> {
        match &self.route {
            Route::Network(target) => {
                let Reached { stream, origin, phases } = target.open().await?;
                self.http2.store(origin.is_some(), Ordering::Relaxed);
                let connection = match (stream, origin) {
                    (Stream::Plain(stream), None) => self.begin(stream, wire::Stream::Tcp).await?,
                    (Stream::Secure(stream), None) => self.begin(stream, |stream| wire::Stream::Other(stream)).await?,
                    (Stream::Plain(stream), Some(origin)) => Connection::Http2(Http2::begin(stream, origin).await?),
                    (Stream::Secure(stream), Some(origin)) => Connection::Http2(Http2::begin(stream, origin).await?),
                };
                target.note(connection.protocol(), &phases);
                Ok((connection, phases))
            }
            #[cfg(any(test, fuzzing))]
            Route::Memory(accept) => {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                accept(theirs);
                let phases = Phases { connect: Some(Duration::ZERO), ..Phases::default() };
                Ok((self.begin(ours, |stream| wire::Stream::Other(Box::new(stream))).await?, phases))
            }
        }
    }

    /// Begins to speak HTTP/1.1 over `stream`; `kind` tells how the fast path carries it.
    async fn begin<S>(&self, stream: S, kind: impl FnOnce(S) -> wire::Stream) -> Result<Connection, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.client {
            Http1Client::Wire => Ok(Connection::Wire(Wire::new(kind(stream)))),
            Http1Client::Hyper => Http1::begin(stream).await.map(Connection::Http1),
        }
    }

    /// What the fast path reads into.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Takes back what an answer holds, once it was judged.
    pub(super) fn take_back(&self, content: Content) {
        if let Content::Raw(message) = content {
            self.scratch.take_back(message);
        }
    }
}

/// A request in the form that the connections of its connector carry.
#[derive(Default)]
pub(super) enum Outgoing {
    /// As bytes, for the fast path.
    Written(Written),
    /// As hyper takes it.
    Typed(Box<http::Request<Full<Bytes>>>),
    /// It was given to hyper.
    #[default]
    Gone,
}

impl Outgoing {
    /// The memory of one that was sent, for another one.
    pub(super) fn into_memory(self) -> Vec<u8> {
        if let Self::Written(written) = self { written.into_memory() } else { Vec::new() }
    }

    /// Puts it into the form that `connection` carries; told by its cause when it cannot be in that form.
    pub(super) fn suit(&mut self, connection: &Connection) -> Result<(), &'static str> {
        let suited = match (connection, &mut *self) {
            (Connection::Wire(_), Self::Typed(typed)) => {
                let typed = std::mem::take(&mut **typed);
                Self::Written(Written::of_typed(typed))
            }
            (Connection::Http1(_) | Connection::Http2(_), Self::Written(written)) => {
                Self::Typed(Box::new(written.typed()?))
            }
            _ => return Ok(()),
        };
        *self = suited;
        Ok(())
    }

    /// Puts in the newest of what `added` holds, as it may have been prepared long ago.
    pub(super) fn renew(&mut self, added: &Headers) {
        match self {
            Self::Written(written) => written.renew(added),
            Self::Typed(typed) => added.renew(typed),
            Self::Gone => {}
        }
    }
}

/// A connection that carries one request at a time. Dropping it closes it, whatever is under way on it.
pub(super) enum Connection {
    /// HTTP/1.1 on the fast path.
    Wire(Wire),
    /// HTTP/1.1 on hyper.
    Http1(Http1),
    /// HTTP/2.
    Http2(Http2),
}

impl Connection {
    /// Whether its last exchange left it in order, as far as it is known without asking it.
    pub(super) fn is_free(&self) -> bool {
        if let Self::Wire(wire) = self { wire.is_free() } else { true }
    }

    /// Whether it is known to carry no further request.
    pub(super) fn is_closed(&mut self) -> bool {
        match self {
            Self::Wire(wire) => wire.is_closed(),
            Self::Http1(http1) => http1.is_closed(),
            Self::Http2(http2) => http2.is_closed(),
        }
    }

    /// The protocol that is spoken.
    fn protocol(&self) -> &'static str {
        match self {
            Self::Wire(_) | Self::Http1(_) => "HTTP/1.1",
            Self::Http2(_) => "HTTP/2",
        }
    }
}
