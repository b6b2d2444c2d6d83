//! Requests off the measured path, where convenience counts and speed does not.

use super::DriveError;
use super::wire::BODY_BYTES_MAX;
use crate::scenario::Request;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// A client that behaves as the measured path does: HTTP/1.1, no redirects followed, no proxy.
pub(super) struct Client {
    client: reqwest::Client,
    base_url: String,
}

/// A whole answer and what it cost.
pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
    /// From the sending to the last byte.
    pub(super) service_time: Duration,
}

impl Client {
    pub(super) fn new(base_url: &str) -> Result<Self, DriveError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .build()
            .map_err(|error| DriveError::Driver { cause: because(&error) })?;
        Ok(Self { client, base_url: base_url.trim_end_matches('/').to_owned() })
    }

    /// Sends `request` and reads the whole answer.
    pub(super) async fn ask(&self, request: Request, timeout: Duration) -> Result<Asked, String> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut builder = self.client.request(method, format!("{}{}", self.base_url, request.path)).timeout(timeout);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        let sent = Instant::now();
        let mut answer = builder.send().await.map_err(|error| because(&error))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| because(&error))? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return Err(format!("body too large: over {BODY_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Asked { status, headers, body: body.into(), service_time: sent.elapsed() })
    }
}

/// An error with the errors behind it, which is where reqwest keeps the cause.
fn because(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
