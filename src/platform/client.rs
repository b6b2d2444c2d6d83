//! A client's connection to an entry: how long it may be silent, and how it ends. A silent one costs one timer that is
//! set once in ten minutes; a request sets none.

use super::forward::Answer;
use super::wire::BodyError;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client may take for the head of a request, and think between two: Google's front end keeps a silent
/// connection for so long (cloud.google.com/load-balancing/docs/https, time-outs and retries, read 2026-11-22).
pub(super) const HEAD_TIME_MOST: Duration = Duration::from_secs(610);

/// A client, as long as its connection lasts.
pub(super) struct Client {
    /// Its address.
    pub(super) ip: IpAddr,
    opened: Instant,
    /// Milliseconds from `opened` to the end of its last answer; [`ANSWERING`] while a request is under way.
    silent_since: AtomicU64,
}

const ANSWERING: u64 = u64::MAX;

impl Client {
    /// One that has just come.
    pub(super) fn new(ip: IpAddr) -> Self {
        Self { ip, opened: Instant::now(), silent_since: AtomicU64::new(0) }
    }

    /// The head of a request is there.
    pub(super) fn begins(&self) {
        self.silent_since.store(ANSWERING, Ordering::Relaxed);
    }

    fn ends(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or_default();
        self.silent_since.store(since, Ordering::Relaxed);
    }

    /// When it is to be looked at next, if it sends nothing from now on; none if it has been silent for too long.
    pub(super) fn look_next(&self) -> Option<Instant> {
        let now = Instant::now();
        let since = match self.silent_since.load(Ordering::Relaxed) {
            ANSWERING => now,
            since => self.opened + Duration::from_millis(since),
        };
        Some(since + HEAD_TIME_MOST).filter(|end| *end > now)
    }
}

/// An answer to a client, which is silent from its end on.
pub(super) struct Reply {
    answer: Answer,
    client: Arc<Client>,
}

impl Reply {
    /// Its answer.
    pub(super) fn new(answer: Answer, client: Arc<Client>) -> Self {
        Self { answer, client }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.client.ends();
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().answer).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
