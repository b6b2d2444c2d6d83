//! The options of `tidegate broker`.

use crate::commands::BrokerCommandOptions;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct BrokerArgs {
    /// Port of the Pub/Sub API, gRPC and REST; 0 for any free one
    #[arg(long, default_value_t = 8085)]
    port: u16,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Folder that keeps topics, subscriptions and messages; without it they go with the process
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Divide backoffs, retention and expiration by this, never ack deadlines
    #[arg(long, default_value_t = 1.0, value_parser = super::time_factor)]
    time_factor: f64,
    /// Announce the endpoint as one JSON line, and end when standard input does
    #[arg(long, hide = true)]
    announce: bool,
}

impl From<BrokerArgs> for BrokerCommandOptions {
    fn from(arguments: BrokerArgs) -> Self {
        let BrokerArgs { port, listen, data, time_factor, announce } = arguments;
        Self { listen, port, data, time_factor, announce }
    }
}
