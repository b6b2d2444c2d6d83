//! The local broker as a child process of a run: it can be reached only as Pub/Sub.

use super::super::announced::Announced;
use super::CommandError;
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
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Figures {
    /// Deliveries of a message after its first.
    #[serde(default)]
    pub(super) redelivered: u64,
    /// Messages that were given up.
    #[serde(default, rename = "dead_letter_message_count")]
    pub(super) dead_lettered: u64,
    /// Messages that are not acknowledged yet.
    #[serde(default, rename = "num_undelivered_messages")]
    pub(super) undelivered: u64,
}

#[derive(Deserialize)]
struct Stats {
    subscriptions: BTreeMap<String, Figures>,
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

/// What the local broker at `HOST:PORT` tells of its subscriptions, by full name; nothing when it does not tell.
pub(super) async fn figures(host: &str) -> BTreeMap<String, Figures> {
    ask(&client(), host).await
}

/// The same by a client that is used again.
pub(super) async fn ask(client: &reqwest::Client, host: &str) -> BTreeMap<String, Figures> {
    let Ok(answer) = client.get(format!("http://{host}/stats")).send().await else { return BTreeMap::new() };
    answer.json::<Stats>().await.map(|stats| stats.subscriptions).unwrap_or_default()
}

/// A client for that.
pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(FIGURES_MAX).build().unwrap_or_default()
}
