//! The body of a request on its way to an instance: streamed, and never more of it than Cloud Run takes.

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

/// "Maximum HTTP/1 request size: 32 MiB if using HTTP/1 server" (docs.cloud.google.com/run/quotas, read 2026-11-22).
/// Here all servers are HTTP/1's. That it is the body which is counted, and a chunked one as well, is an assumption.
pub(super) const REQUEST_BYTES_MOST: u64 = 32 << 20;

/// What is left of a request to be sent to an instance.
pub(super) struct Upload {
    body: Option<Incoming>,
    left: u64,
}

/// Why the rest of a request cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It is larger than a request may be; its rest is here to be read by somebody else.
    #[error("the request is larger than {REQUEST_BYTES_MOST} bytes")]
    TooLarge(Mutex<Option<Incoming>>),
    /// The client broke it off.
    #[error("the client broke off its request")]
    BrokenOff,
}

impl Upload {
    /// All of it is still to be sent.
    pub(super) fn new(body: Incoming) -> Self {
        Self { body: Some(body), left: REQUEST_BYTES_MOST }
    }
}

/// Whether a body says from the beginning that it is too large.
pub(super) fn is_too_large(body: &Incoming) -> bool {
    body.size_hint().lower() > REQUEST_BYTES_MOST
}

impl UploadError {
    /// The one of these that is the cause of another error.
    pub(super) fn behind(error: &hyper::Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// The rest of a request that is too large; there is none if it was taken before.
    pub(super) fn rest(&self) -> Option<Incoming> {
        match self {
            Self::TooLarge(rest) => rest.lock().unwrap_or_else(PoisonError::into_inner).take(),
            Self::BrokenOff => None,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match std::task::ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(UploadError::BrokenOff))),
            None => return Poll::Ready(None),
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(UploadError::TooLarge(Mutex::new(self.body.take()))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
