//! Work that goes on after the answer, as a library's that sends its statistics does. Under request-based billing its
//! instance may have no CPU then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use jiff::Timestamp;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::log::{Log, ProcessLine, Severity};
use crate::shop::{millis, stamp};
use crate::work;

/// The answer, with the work to be done once its body has been handed to the connection, or dropped with it.
pub(crate) fn work_after(response: Response<Body>, work: Duration, log: &Log) -> Response<Body> {
    if work.is_zero() {
        return response;
    }
    let task = Task { work, log: log.clone(), runtime: Handle::current() };
    response.map(|body| Body::new(Followed { body, _task: task }))
}

/// A body like the one within.
struct Followed {
    body: Body,
    _task: Task,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Begins the work when it is dropped.
struct Task {
    work: Duration,
    log: Log,
    runtime: Handle,
}

impl Drop for Task {
    fn drop(&mut self) {
        let (work, log) = (self.work, self.log.clone());
        // A thread of its own: the answers of others must not wait for it. Once the process ends it is not begun.
        self.runtime.spawn_blocking(move || {
            let begin = Instant::now();
            work::burn(work);
            log.write(&ProcessLine {
                severity: Severity::Info,
                message: "background work done",
                time: stamp(Timestamp::now()),
                process: json!({ "cpu_ms": millis(work), "elapsed_ms": millis(begin.elapsed()) }),
            });
        });
    }
}
