//! What the driver adds to every request beside what its step says: where it goes, who sends it, and its trace. A step
//! that sets one of them itself wins.

use super::authorization::Credentials;
use super::trace::{Trace, TraceIds};
use crate::scenario::Draws;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Request};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The headers that a load adds.
#[derive(Clone)]
pub(super) struct Headers {
    authority: HeaderValue,
    /// What ends the first line of a request over HTTP/1.1, and the line that says where it goes.
    line_end: Vec<u8>,
    credentials: Credentials,
    traces: Option<TraceIds>,
}

impl Headers {
    pub(super) fn new(authority: HeaderValue, credentials: Credentials, traces: Option<TraceIds>) -> Self {
        let line_end = [b" HTTP/1.1\r\nhost: ", authority.as_bytes(), b"\r\n"].concat();
        Self { authority, line_end, credentials, traces }
    }

    /// Nothing but where requests go.
    #[cfg(any(test, fuzzing))]
    pub(super) fn plain(authority: HeaderValue) -> Self {
        Self::new(authority, Credentials::none(), None)
    }

    /// What the `host` header says.
    pub(super) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// What follows the path of a request over HTTP/1.1: the version, and the `host` header.
    pub(super) fn line_end(&self) -> &[u8] {
        &self.line_end
    }

    /// The trace of the journey with these draws, if requests carry one.
    pub(super) fn trace(&self, draws: &Draws) -> Option<Trace> {
        self.traces.map(|traces| traces.of(draws))
    }

    /// What a request is authorised by, unless its step has `set` it.
    pub(super) fn authorization(&self, set: impl FnOnce() -> bool) -> Option<HeaderValue> {
        self.credentials.current().filter(|_| !set())
    }

    /// What requests are authorised by now, if that may have changed since one was prepared.
    pub(super) fn newest(&self) -> Option<HeaderValue> {
        if self.credentials.are_refreshed() { self.credentials.current() } else { None }
    }

    /// Adds to the headers of a request what its step did not set.
    pub(super) fn add(&self, headers: &mut HeaderMap, trace: Option<&mut Trace>) {
        if let Some(authorization) = self.authorization(|| headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, authorization);
        }
        if let Some(traceparent) = trace.and_then(|trace| trace.next_unless(|| headers.contains_key(TRACEPARENT)))
            && let Ok(value) = HeaderValue::from_bytes(&traceparent)
        {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Puts the newest token into a request that was prepared when another one may have been current.
    pub(super) fn renew<B>(&self, request: &mut Request<B>) {
        // Only what the driver added is marked as sensitive.
        if let Some(newest) = self.newest()
            && let Some(old) = request.headers_mut().get_mut(AUTHORIZATION).filter(|value| value.is_sensitive())
        {
            *old = newest;
        }
    }
}

#[cfg(test)]
mod tests;
