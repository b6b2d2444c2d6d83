//! Entries of Cloud Logging (`LogEntry`): those of Cloud Run's and the load balancers' request logs have `httpRequest`.

use super::requests::Told;
use super::{Content, Flaw, shortened, time};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// What is looked at of an entry.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Entry<R> {
    timestamp: Option<String>,
    #[serde(rename = "httpRequest")]
    http_request: Option<R>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct AnyRequest {}

/// What is sent of a request; whatever is no text is as if it were not there.
#[derive(Deserialize)]
#[serde(expecting = "an object", rename_all = "camelCase")]
struct HttpRequest {
    request_method: Option<Value>,
    request_url: Option<Value>,
    user_agent: Option<Value>,
}

impl HttpRequest {
    fn told(&self) -> Told {
        let text =
            |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
        Told { method: text(&self.request_method), target: text(&self.request_url), agent: text(&self.user_agent) }
    }
}

/// The arrival of an entry, with its request where `requests` are asked for.
pub(super) fn arrival(entry: &[u8], requests: bool) -> Result<Content, Flaw> {
    if requests {
        return read(entry, |request: &HttpRequest| Some(request.told()));
    }
    read(entry, |_: &AnyRequest| None)
}

fn read<R: DeserializeOwned>(entry: &[u8], told: impl FnOnce(&R) -> Option<Told>) -> Result<Content, Flaw> {
    let Entry::<R> { timestamp, http_request } = serde_json::from_slice(entry).map_err(|error| {
        let text = error.to_string();
        // The place is told apart, and counts from the start of the file.
        let cause = text.split(" at line ").next().unwrap_or_default();
        Flaw { at: offset(entry, error.line(), error.column()), cause: format!("this is not a log entry: {cause}") }
    })?;
    let Some(request) = http_request else { return Ok(Content::Other) };
    let Some(timestamp) = timestamp else {
        return Err(Flaw { at: 0, cause: "this entry has `httpRequest`, but no `timestamp`".to_owned() });
    };
    let arrival = time::rfc3339(&timestamp).map(|time| Content::Arrival(time, told(&request)));
    arrival.ok_or_else(|| {
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
