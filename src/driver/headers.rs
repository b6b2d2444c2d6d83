//! What the driver adds to every request beside what its step says: where it goes, who sends it, and its trace. A step
//! that sets one of them itself wins.

use super::authorization::Credentials;
use super::trace::{Trace, TraceIds};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use rand_chacha::ChaCha8Rng;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The headers that a load adds.
#[derive(Clone)]
pub(super) struct Headers {
    authority: HeaderValue,
    credentials: Credentials,
    traces: Option<TraceIds>,
}

impl Headers {
    pub(super) fn new(authority: HeaderValue, credentials: Credentials, traces: Option<TraceIds>) -> Self {
        Self { authority, credentials, traces }
    }

    /// What the `host` header says.
    pub(super) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The trace of the journey with these draws, if requests carry one.
    pub(super) fn trace(&self, draws: &ChaCha8Rng) -> Option<Trace> {
        self.traces.map(|traces| traces.of(draws))
    }

    /// Adds to the headers of a request what its step did not set.
    pub(super) fn add(&self, headers: &mut HeaderMap, trace: Option<&mut Trace>) {
        if let Some(authorization) = self.credentials.current()
            && !headers.contains_key(AUTHORIZATION)
        {
            headers.insert(AUTHORIZATION, authorization);
        }
        if let Some(trace) = trace
            && !headers.contains_key(TRACEPARENT)
            && let Ok(value) = HeaderValue::from_bytes(&trace.next())
        {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// Puts the newest token into a request that was prepared when another one may have been current.
    pub(super) fn renew<B>(&self, request: &mut Request<B>) {
        // Only what the driver added is marked as sensitive.
        if self.credentials.are_refreshed()
            && let Some(old) = request.headers_mut().get_mut(AUTHORIZATION).filter(|value| value.is_sensitive())
            && let Some(new) = self.credentials.current()
        {
            *old = new;
        }
    }
}

#[cfg(test)]
mod tests;
