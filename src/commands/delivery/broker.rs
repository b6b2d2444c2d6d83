//! The local broker as a child process of a run: it can be reached only as Pub/Sub.

use super::super::announced::Announced;
use super::CommandError;
use crate::trial::{PublishRefusals, PushBooks, SubscriptionRecording};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// What the broker announces on its standard output once it serves.
#[derive(Debug, Deserialize)]
struct Ready {
    endpoint: String,
}

/// What the broker tells of a subscription.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Figures {
    /// Deliveries of a message after its first.
    pub(super) redelivered: u64,
    missed_deadlines: u64,
    late_acknowledgements: u64,
    expired: u64,
    dead_letter_message_count: u64,
    num_undelivered_messages: u64,
    push_request_count: Pushes,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Pushes {
    sent: u64,
    ack: u64,
    refused_by_status: BTreeMap<u16, u64>,
    unreachable: u64,
    deadline_exceeded: u64,
}

/// What the broker tells.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Stats {
    /// By full name.
    pub(super) subscriptions: BTreeMap<String, Figures>,
    pub(super) publishes_refused: PublishRefusals,
}

impl Figures {
    /// For the record of the subscription `name`, which pushes to the service `push_to`.
    pub(super) fn recorded(&self, name: &str, push_to: &str) -> SubscriptionRecording {
        let pushes = &self.push_request_count;
        SubscriptionRecording {
            name: name.to_owned(),
            push_to: push_to.to_owned(),
            pushes: PushBooks {
                sent: pushes.sent,
                acknowledged: pushes.ack,
                refused: pushes.refused_by_status.clone(),
                unreachable: pushes.unreachable,
                late: pushes.deadline_exceeded,
            },
            redeliveries: self.redelivered,
            expired_deadlines: self.missed_deadlines,
            late_acknowledgements: self.late_acknowledgements,
            dead_lettered: self.dead_letter_message_count,
            expired_messages: self.expired,
            undelivered: self.num_undelivered_messages,
        }
    }
}

/// A running broker. Dropping it closes its standard input, which ends it.
#[derive(Debug)]
pub(super) struct LocalBroker {
    child: Announced,
    /// `HOST:PORT`.
    pub(super) host: String,
}

const FIGURES_MAX: Duration = Duration::from_secs(10);

impl LocalBroker {
    /// Starts it with its store in `data`, and waits until it serves.
    pub(super) async fn start(tidegate: &Path, data: &Path, time_factor: f64) -> Result<Self, CommandError> {
        let mut command = Command::new(tidegate);
        command
            .args(["broker", "--announce", "--port", "0", "--time-factor", &time_factor.to_string(), "--data"])
            .arg(data);
        let (child, Ready { endpoint }) = Announced::start(&mut command, CommandError::BrokerProcess).await?;
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Ok(Self { child, host })
    }

    /// Ends it in order.
    pub(super) async fn stop(self) -> Result<(), CommandError> {
        self.child.stop("").await
    }
}

/// What the local broker at `HOST:PORT` tells; `None` when it does not.
pub(super) async fn stats(client: &reqwest::Client, host: &str) -> Option<Stats> {
    client.get(format!("http://{host}/stats")).send().await.ok()?.json().await.ok()
}

/// A client for that.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(FIGURES_MAX).build().unwrap_or_default()
}
