//! An OpenTelemetry collector that is sent the state of the run: now and then, and once more at the end. A collector that
//! does not answer costs the run nothing, and since every push holds the whole run so far, a lost one is made good by
//! the next.

use super::State;
use crate::commands::error::CommandError;
use crate::report::{self, Otlp};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is sent, as most collectors expect.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer is awaited.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The collector and the pushes to it.
#[derive(Debug)]
pub(super) struct Collector {
    push: Arc<Push>,
    pushing: JoinHandle<()>,
}

#[derive(Debug)]
struct Push {
    client: reqwest::Client,
    url: reqwest::Url,
    scenario: String,
    target: String,
    state: State,
}

impl Collector {
    /// Begins to push to the collector at `url`.
    ///
    /// # Errors
    /// When that is no address.
    pub(super) fn begin(url: &str, scenario: &str, target: &str, state: State) -> Result<Self, CommandError> {
        let cannot = |cause: String| {
            CommandError::Usage(format!(
                "--otlp {url}: {cause}; give the collector's address, such as http://127.0.0.1:4318"
            ))
        };
        let mut address: reqwest::Url = url.parse().map_err(|error| cannot(format!("this is no address: {error}")))?;
        if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
            return Err(cannot("metrics are sent over HTTP".to_owned()));
        }
        // The specification has the path of the signal added to the base address.
        let base = address.path().trim_end_matches('/').to_owned();
        address.set_path(&format!("{base}/v1/metrics"));
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| cannot(format!("no client for it: {error}")))?;
        let push =
            Arc::new(Push { client, url: address, scenario: scenario.to_owned(), target: target.to_owned(), state });
        let pushing = tokio::spawn({
            let push = Arc::clone(&push);
            async move {
                let mut ticks = interval(EVERY);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                // The first tick comes at once, before there is anything to tell.
                ticks.tick().await;
                loop {
                    ticks.tick().await;
                    // The next push, and at last the final one, hold all that this one held.
                    let _ = push.send().await;
                }
            }
        });
        Ok(Self { push, pushing })
    }

    /// Sends the whole run.
    ///
    /// # Errors
    /// In words, when the collector did not take it.
    pub(super) async fn finish(self) -> Result<(), String> {
        self.pushing.abort();
        self.push.send().await
    }
}

impl Push {
    async fn send(&self) -> Result<(), String> {
        let body = self.state.read(|live| report::otlp(&Otlp { scenario: &self.scenario, target: &self.target, live }));
        let request = self.client.post(self.url.clone()).header("content-type", "application/x-protobuf").body(body);
        match request.send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("{} answered {}", self.url, response.status())),
            Err(error) => Err(format!("{error}")),
        }
    }
}
