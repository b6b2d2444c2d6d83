//! JSON lines on stdout in the shape Cloud Logging reads.
//!
//! Lines go through a bounded queue to a thread of their own, so a slow reader of stdout never stops the executor.
//! Each write holds whole lines. When the queue is full, lines are dropped and counted.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;

/// Lines that may wait for the reader: about 16 MiB.
const QUEUE_LINES: usize = 32_768;
/// A write is not made longer than this by adding further lines.
const WRITE_BYTES: usize = 32_768;

/// Where lines go. Clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    queue: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    /// Lines in the queue, or taken from it and not written yet.
    waiting: Arc<AtomicU64>,
}

/// How long the end of the process waits for a reader that takes the last lines.
const FINISH_WAIT: Duration = Duration::from_millis(300);

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    done: Receiver<()>,
}

impl Log {
    /// Starts the writing thread.
    pub(crate) fn start() -> std::io::Result<(Self, Writer)> {
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let (finished, done) = sync_channel(1);
        let waiting = Arc::<AtomicU64>::default();
        let left = Arc::clone(&waiting);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_all(&lines, &left);
            // Nobody listens when the process ends without waiting.
            let _ = finished.send(());
        })?;
        Ok((Self { queue, dropped: Arc::default(), waiting }, Writer { done }))
    }

    /// Puts a line into the queue.
    pub(crate) fn write(&self, line: &impl Serialize) {
        // Lines are structs of this crate, which serialise without fail.
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        self.put(bytes);
    }

    /// Puts a line of plain text into the queue.
    pub(crate) fn say(&self, text: &str) {
        self.put(format!("{text}\n").into_bytes());
    }

    /// Blocks until every line so far is out, or `time` is over: for a process that is about to end without a farewell.
    pub(crate) fn wait(&self, time: Duration) {
        const LOOK: Duration = Duration::from_millis(1);
        let mut left = time;
        while self.waiting.load(Ordering::Acquire) > 0 && !left.is_zero() {
            std::thread::sleep(LOOK);
            left = left.saturating_sub(LOOK);
        }
    }

    fn put(&self, line: Vec<u8>) {
        self.waiting.fetch_add(1, Ordering::Release);
        if self.queue.try_send(line).is_err() {
            self.waiting.fetch_sub(1, Ordering::Release);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost because nobody read stdout in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Waits until every line so far is out, but not for a reader that does not read.
    pub(crate) fn finish(self, log: &Log) {
        // An empty line is the end. A full queue means that nobody reads, and then there is nothing to wait for.
        if log.queue.try_send(Vec::new()).is_ok() {
            let _ = self.done.recv_timeout(FINISH_WAIT);
        }
    }
}

fn write_all(lines: &Receiver<Vec<u8>>, waiting: &AtomicU64) {
    let mut ended = false;
    while !ended && let Ok(mut bytes) = lines.recv() {
        ended = bytes.is_empty();
        let mut count = u64::from(!ended);
        while !ended && bytes.len() < WRITE_BYTES {
            match lines.try_recv() {
                Ok(line) if line.is_empty() => ended = true,
                Ok(line) => {
                    bytes.extend_from_slice(&line);
                    count += 1;
                }
                Err(_) => break,
            }
        }
        // A closed stdout leaves nobody to tell; the service goes on.
        let _ = std::io::stdout().lock().write_all(&bytes);
        waiting.fetch_sub(count, Ordering::Release);
    }
}

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    /// INFO below 400, WARNING below 500, ERROR from there on.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Info,
            400..500 => Self::Warning,
            _ => Self::Error,
        }
    }
}

/// The three errors of the shop that alerts are set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StockError {
    /// A cart asks for more than there is.
    Insufficient,
    /// A single purchase finds nothing.
    Count,
    /// A sale took the last unit.
    SoldOut,
}

/// A [`StockError`] as a line, its fields in the recorded order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StockLine {
    pub(crate) error: StockError,
    pub(crate) product: i64,
    pub(crate) requested: i128,
    pub(crate) fulfilled: i64,
}

impl Serialize for StockLine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let attempted = "A purchase was attempted where there was insufficient inventory to fulfil the order.";
        let (error, text, method) = match self.error {
            StockError::Insufficient => ("INSUFFICIENT_PRODUCT_ERROR", attempted, "CartItemSerializer.validate()"),
            StockError::Count => ("INVENTORY_COUNT_ERROR", attempted, "ProductViewSet.purchase()"),
            StockError::SoldOut => (
                "INVENTORY_SOLDOUT_ERROR",
                "A purchase just caused a product to sell out. More inventory will be required.",
                "ProductViewSet.purchase()",
            ),
        };
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("severity", &Severity::Error)?;
        map.serialize_entry("error", error)?;
        map.serialize_entry("message", &format!("{error}: {text}"))?;
        if self.error == StockError::Insufficient {
            map.serialize_entry("product", &self.product)?;
            map.serialize_entry("method", method)?;
        } else {
            map.serialize_entry("method", method)?;
            map.serialize_entry("product", &self.product)?;
        }
        map.serialize_entry("countRequested", &self.requested)?;
        map.serialize_entry("countFulfilled", &self.fulfilled)?;
        map.end()
    }
}

/// The line of one request.
#[derive(Debug, Serialize)]
pub(crate) struct RequestLine<'a> {
    pub(crate) severity: Severity,
    pub(crate) message: String,
    /// The end of the request.
    pub(crate) time: String,
    /// Its start, in microseconds: the end less `latency`.
    #[serde(rename = "startTime")]
    pub(crate) start_time: String,
    #[serde(rename = "httpRequest")]
    pub(crate) http_request: HttpRequest<'a>,
    #[serde(rename = "logging.googleapis.com/trace", skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<String>,
    #[serde(rename = "logging.googleapis.com/spanId", skip_serializing_if = "Option::is_none")]
    pub(crate) span_id: Option<String>,
    /// Waiting for a database connection and for database locks, in milliseconds.
    pub(crate) lock_wait_ms: f64,
    /// The client went away before the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) abandoned: bool,
}

/// The fields Cloud Logging knows of a request; sizes are strings there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRequest<'a> {
    pub(crate) request_method: &'a str,
    pub(crate) request_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_size: Option<String>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_ip: Option<String>,
    pub(crate) latency: String,
    pub(crate) protocol: &'static str,
}

/// A request that failed for a reason that alerts are set on.
#[derive(Debug, Serialize)]
pub(crate) struct FaultLine<'a> {
    pub(crate) severity: Severity,
    pub(crate) error: &'static str,
    pub(crate) message: &'a str,
    pub(crate) time: String,
    pub(crate) path: &'a str,
}

/// A line about the process: its start, its end, a failure.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessLine<'a, D: Serialize> {
    pub(crate) severity: Severity,
    pub(crate) message: &'a str,
    pub(crate) time: String,
    pub(crate) process: D,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_errors_are_written_as_recorded() {
        let line = |error, product, requested, fulfilled| {
            serde_json::to_string(&StockLine { error, product, requested, fulfilled }).unwrap()
        };
        assert_eq!(
            line(StockError::Insufficient, 2, 100, 4),
            r#"{"severity":"ERROR","error":"INSUFFICIENT_PRODUCT_ERROR","message":"INSUFFICIENT_PRODUCT_ERROR: A purchase was attempted where there was insufficient inventory to fulfil the order.","product":2,"method":"CartItemSerializer.validate()","countRequested":100,"countFulfilled":4}"#
        );
        assert_eq!(
            line(StockError::Count, 5, 1, 0),
            r#"{"severity":"ERROR","error":"INVENTORY_COUNT_ERROR","message":"INVENTORY_COUNT_ERROR: A purchase was attempted where there was insufficient inventory to fulfil the order.","method":"ProductViewSet.purchase()","product":5,"countRequested":1,"countFulfilled":0}"#
        );
        assert_eq!(
            line(StockError::SoldOut, 5, 1, 0),
            r#"{"severity":"ERROR","error":"INVENTORY_SOLDOUT_ERROR","message":"INVENTORY_SOLDOUT_ERROR: A purchase just caused a product to sell out. More inventory will be required.","method":"ProductViewSet.purchase()","product":5,"countRequested":1,"countFulfilled":0}"#
        );
    }

    #[test]
    fn severity_follows_the_status() {
        assert_eq!(Severity::of_status(200), Severity::Info);
        assert_eq!(Severity::of_status(400), Severity::Warning);
        assert_eq!(Severity::of_status(501), Severity::Error);
    }
}
