//! One HTTP/2 connection on hyper's connection API, with one request at a time on it: a virtual user is a client with a
//! connection of its own, as it is with HTTP/1.1, so that no customer waits behind the bytes of another.

use super::http1::Handed;
use super::outcome::Unanswered;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::borrow::Cow;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;

/// Bytes that an answer's headers may take, as with HTTP/1.1.
const HEAD_BYTES_MAX: u32 = 256 * 1024;

/// A connection. Dropping it closes it, whatever is under way on it.
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
    /// Why the connection ended, once it has failed.
    ended: Arc<Mutex<Option<Unanswered>>>,
    origin: Origin,
    /// Whether an answer has come over it.
    used: bool,
}

/// What HTTP/2 says of the target in every request, where HTTP/1.1 has the header `host`.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
}

impl Http2 {
    pub(super) async fn begin<S>(stream: S, origin: Origin) -> Result<Self, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Unanswered::from_hyper(&error))?;
        let ended = Arc::new(Mutex::new(None));
        let cause = Arc::clone(&ended);
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                *lock(&cause) = Some(Unanswered::from_hyper(&error));
            }
        });
        Ok(Self { sender, task: task.abort_handle(), ended, origin, used: false })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends `request` and awaits the head of its answer. What a server that says farewell (GOAWAY without an error) has not
    /// begun to serve may be sent on another connection, as RFC 9113, 6.8 allows; a stream it resets has failed.
    pub(super) async fn send(&mut self, mut request: Box<http::Request<Full<Bytes>>>) -> Handed {
        if self.sender.is_closed() {
            return Handed::Unsent(request);
        }
        // A first request is not sent again, so it needs no copy.
        let copy = self.used.then(|| request.clone());
        self.aim(&mut request);
        match self.sender.try_send_request(*request).await {
            Ok(response) => {
                self.used = true;
                Handed::Answered(response)
            }
            Err(mut failure) => {
                let untouched = failure.take_message();
                let error = failure.into_error();
                match copy {
                    Some(copy) if untouched.is_some() || says_farewell(&error) => Handed::Unsent(copy),
                    // A request that never got onto the connection does not know why it ended.
                    _ if untouched.is_some() => Handed::Failed(self.cause_of_end(&error)),
                    _ => Handed::Failed(Unanswered::from_hyper(&error)),
                }
            }
        }
    }

    fn cause_of_end(&self, error: &hyper::Error) -> Unanswered {
        lock(&self.ended).clone().unwrap_or_else(|| Unanswered::from_hyper(error))
    }

    /// Turns a path and a `host` header into what HTTP/2 has for them.
    fn aim(&self, request: &mut http::Request<Full<Bytes>>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.origin.scheme.clone());
        parts.authority = Some(self.origin.authority.clone());
        if parts.path_and_query.is_none() {
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        }
        *request.uri_mut() = http::Uri::from_parts(parts).expect("scheme, authority and path make an address");
        *request.version_mut() = http::Version::HTTP_2;
        request.headers_mut().remove(http::header::HOST);
    }
}

fn lock(ended: &Mutex<Option<Unanswered>>) -> MutexGuard<'_, Option<Unanswered>> {
    ended.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The error of HTTP/2 at the root of `error`, if there is one.
fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<h2::Error>() {
            return Some(found);
        }
        source = cause.source();
    }
    None
}

fn says_farewell(error: &hyper::Error) -> bool {
    let farewell =
        |error: &h2::Error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    h2_error(error).is_some_and(farewell)
}

/// Why an exchange over HTTP/2 failed, in words that stay the same; `None` when HTTP/2 is not why.
pub(super) fn failure(error: &hyper::Error) -> Option<Cow<'static, str>> {
    let error = h2_error(error)?;
    let reason = error.reason().map_or_else(|| "no reason given".to_owned(), |reason| reason.description().to_owned());
    if error.is_io() {
        return None;
    }
    Some(match (error.is_remote(), error.is_go_away()) {
        (true, true) => format!("server closed the connection (GOAWAY: {reason})").into(),
        (true, false) => format!("server reset the stream (RST_STREAM: {reason})").into(),
        (false, _) => format!("answer is not HTTP/2 ({reason})").into(),
    })
}

#[cfg(test)]
mod tests;
