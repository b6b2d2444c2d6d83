//! The local broker as a child process of a run: it can be reached only as Pub/Sub.

use super::CommandError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

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
}

#[derive(Deserialize)]
struct Stats {
    subscriptions: BTreeMap<String, Figures>,
}

/// A running broker. Dropping it closes its standard input, which ends it.
#[derive(Debug)]
pub(super) struct LocalBroker {
    child: Child,
    /// `HOST:PORT`.
    pub(super) host: String,
}

const START_MAX: Duration = Duration::from_secs(30);
const FIGURES_MAX: Duration = Duration::from_secs(10);
const STOP_MAX: Duration = Duration::from_secs(15);

impl LocalBroker {
    /// Starts it with its store in `data`, and waits until it serves.
    pub(super) async fn start(tidegate: &Path, data: &Path, time_factor: f64) -> Result<Self, CommandError> {
        let mut child = Command::new(tidegate)
            .args(["broker", "--announce", "--port", "0", "--time-factor", &time_factor.to_string(), "--data"])
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A group of its own: Ctrl-C reaches tidegate alone, which then ends its broker in order.
            .process_group(0)
            .spawn()
            .map_err(|error| CommandError::BrokerProcess(format!("could not be started: {error}")))?;
        match tokio::time::timeout(START_MAX, announcement(&mut child)).await {
            Ok(Some(Ready { endpoint })) => {
                let host = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
                Ok(Self { child, host })
            }
            // It has said why on standard error, which is ours too.
            Ok(None) => Err(CommandError::BrokerProcess("ended before it served; its own message is above".to_owned())),
            Err(_) => Err(CommandError::BrokerProcess(format!("did not serve within {} s", START_MAX.as_secs()))),
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) -> Result<(), CommandError> {
        drop(self.child.stdin.take());
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CommandError::BrokerProcess(format!("ended with {status}"))),
            Ok(Err(error)) => Err(CommandError::BrokerProcess(format!("could not be awaited: {error}"))),
            Err(_) => {
                Err(CommandError::BrokerProcess(format!("did not stop within {} s and was killed", STOP_MAX.as_secs())))
            }
        }
    }
}

/// What the local broker at `HOST:PORT` tells of its subscriptions, by full name; nothing when it does not tell.
pub(super) async fn figures(host: &str) -> BTreeMap<String, Figures> {
    let client = reqwest::Client::builder().no_proxy().timeout(FIGURES_MAX).build().unwrap_or_default();
    let Ok(answer) = client.get(format!("http://{host}/stats")).send().await else { return BTreeMap::new() };
    answer.json::<Stats>().await.map(|stats| stats.subscriptions).unwrap_or_default()
}

async fn announcement(child: &mut Child) -> Option<Ready> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(ready) = serde_json::from_str(&line) {
            return Some(ready);
        }
    }
    None
}
