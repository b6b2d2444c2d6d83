//! Entries of Cloud Logging (`LogEntry`): those of Cloud Run's and the load balancers' request logs have `httpRequest`.

use super::{Content, Flaw, shortened, time};
use serde::Deserialize;

/// What is looked at of an entry.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Entry {
    timestamp: Option<String>,
    #[serde(rename = "httpRequest")]
    http_request: Option<HttpRequest>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct HttpRequest {}

/// The arrival of an entry.
pub(super) fn arrival(entry: &[u8]) -> Result<Content, Flaw> {
    let Entry { timestamp, http_request } = serde_json::from_slice(entry).map_err(|error| {
        let text = error.to_string();
        // The place is told apart, and counts from the start of the file.
        let cause = text.split(" at line ").next().unwrap_or_default();
        Flaw { at: offset(entry, error.line(), error.column()), cause: format!("this is not a log entry: {cause}") }
    })?;
    if http_request.is_none() {
        return Ok(Content::Other);
    }
    let Some(timestamp) = timestamp else {
        return Err(Flaw { at: 0, cause: "this entry has `httpRequest`, but no `timestamp`".to_owned() });
    };
    time::rfc3339(&timestamp).map(Content::Arrival).ok_or_else(|| {
        let at = entry.windows(11).position(|word| word == b"\"timestamp\"").unwrap_or_default();
        Flaw { at, cause: format!("`{}` is not a time such as 2026-11-22T16:00:00.25Z", shortened(&timestamp)) }
    })
}

/// A line and a column, both from 1, as bytes from the start.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let start = std::iter::once(0).chain(breaks).nth(line.saturating_sub(1)).unwrap_or(text.len());
    start + column.saturating_sub(1)
}
