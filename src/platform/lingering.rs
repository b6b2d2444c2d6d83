//! The rest of a request that was refused: read and thrown away for a while. A connection that is closed while its
//! client still sends is reset, and the answer may be lost with it.

use hyper::body::{Body, Incoming};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// As long as nginx waits for more of what it throws away (`lingering_timeout`).
const MOST: Duration = Duration::from_secs(5);

/// What a client still sends.
pub(super) struct Lingering {
    rest: Incoming,
    until: Pin<Box<Sleep>>,
}

impl Lingering {
    /// From now on.
    pub(super) fn over(rest: Incoming) -> Self {
        Self { rest, until: Box::pin(tokio::time::sleep(MOST)) }
    }

    /// Ready when the client has sent all of it, or has had its time.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.until.as_mut().poll(cx).is_pending() {
            match std::task::ready!(Pin::new(&mut self.rest).poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}
