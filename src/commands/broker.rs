//! `tidegate broker`: the local Pub/Sub in a process of its own.

use super::announced;
use super::error::CommandError;
use super::exit::ExitStatus;
use super::interrupt::Interrupt;
use crate::autoscaler::Micros;
use crate::broker::{self, BrokerOptions};
use jiff::Timestamp;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What `broker` is asked.
#[derive(Clone, Debug)]
pub struct BrokerCommandOptions {
    /// Where it listens.
    pub listen: IpAddr,
    /// Port; 0 for any free one.
    pub port: u16,
    /// Folder of its store; none for one that goes with the process.
    pub data: Option<PathBuf>,
    /// Divides backoffs, retention and expiration.
    pub time_factor: f64,
    /// One JSON line when it serves, and the end of standard input ends it.
    pub announce: bool,
}

/// Serves Pub/Sub until Ctrl-C, SIGTERM or, when another program started it, the end of standard input.
///
/// # Errors
/// When the port is taken or the store cannot be opened.
pub async fn broker(options: BrokerCommandOptions) -> Result<ExitStatus, CommandError> {
    let interrupt =
        Interrupt::listen(|_| {}).map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    let address = SocketAddr::from((options.listen, options.port));
    let listener =
        announced::listen(address).await.map_err(|told| CommandError::Usage(format!("the broker {told}")))?;
    let address = listener.local_addr().map_err(|cause| CommandError::System { action: "read the port", cause })?;
    let folder = tempfile::tempdir().map_err(|cause| CommandError::System { action: "make a folder", cause })?;
    let data = options.data.clone().unwrap_or_else(|| folder.path().to_owned());
    let now = Micros(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0));
    let endpoint = format!("http://{address}");
    if options.announce {
        super::print(&format!("{}\n", json!({"endpoint": endpoint})))?;
    } else {
        super::print(&hint(&endpoint, &address.to_string(), options.data.is_some()))?;
    }
    let told = announced::told_to_end(interrupt.clone(), options.announce);
    broker::serve(listener, BrokerOptions { data, time_factor: options.time_factor, now }, told).await?;
    Ok(interrupt.status().unwrap_or(ExitStatus::Success))
}

fn hint(endpoint: &str, host: &str, durable: bool) -> String {
    let kept = if durable { "" } else { "Without --data what is published is gone with the process. " };
    format!(
        "broker at {endpoint}\nPub/Sub v1 (gRPC and REST) is served there, for any project; for example:\n  \
         PUBSUB_EMULATOR_HOST={host} your-program\nFigures of its subscriptions are at {endpoint}/stats. {kept}Ctrl-C ends it.\n"
    )
}
