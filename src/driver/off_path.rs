//! Requests off the measured path. They take the same way as those of the load: the same protocol, TLS, proxy and
//! authorisation, over a connection of their own.

use super::answer::{Answer, Content};
use super::connection::{Connection, Connector};
use super::exchange::{Span, exchange};
use super::headers::Headers;
use super::load::later;
use super::outcome::Outcome;
use crate::scenario::Request;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A client off the measured path.
pub(super) struct Client {
    connector: Arc<Connector>,
    headers: Headers,
    base_url: String,
    connection: Option<Connection>,
}

/// A whole answer and what it cost.
pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) content: Content,
    /// From the sending to the last byte.
    pub(super) service_time: Duration,
}

impl Client {
    pub(super) fn new(connector: Arc<Connector>, headers: Headers, base_url: &str) -> Self {
        Self { connector, headers, base_url: base_url.to_owned(), connection: None }
    }

    /// Where requests go.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends `request` and reads the whole answer.
    pub(super) async fn ask(&mut self, request: Request, timeout: Duration) -> Result<Asked, String> {
        let mut request = self
            .connector
            .prepare(Vec::new(), request.rendered(), &self.headers, None)
            .map_err(|cause| format!("not sent: {cause}"))?;
        let sent = Instant::now();
        let span = Span { begun: sent, deadline: later(sent, timeout) };
        let answering = exchange(&self.connector, &mut self.connection, &mut request, span);
        let Answer { status, content, .. } = answering.await.map_err(|unanswered| match unanswered.outcome {
            // Nobody looks for the label of an outcome here, so the words must say all.
            Outcome::TimedOut => format!("timed out: no whole answer within {timeout:?}"),
            _ => unanswered.cause.into_owned(),
        })?;
        Ok(Asked { status, content, service_time: sent.elapsed() })
    }
}
