//! `tidegate broker`: the local Pub/Sub in a process of its own.

use super::error::CommandError;
use super::exit::ExitStatus;
use super::interrupt::Interrupt;
use crate::autoscaler::Micros;
use crate::broker::{self, BrokerOptions};
use jiff::Timestamp;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

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
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CommandError::Usage(format!(
            "the broker cannot listen on {address}: {error}\n\nhint: if another program has the port, choose another by --port, or --port 0 for any free one"
        ))
    })?;
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
    let told = {
        let (interrupt, announce) = (interrupt.clone(), options.announce);
        async move {
            if announce {
                tokio::select! {
                    () = interrupt.wait() => {}
                    () = end_of_input() => {}
                }
            } else {
                interrupt.wait().await;
            }
        }
    };
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

/// Comes back when whoever started this process is gone.
async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while matches!(input.read(&mut bytes).await, Ok(read) if read > 0) {}
}
