//! The options of the platform towards those outside: where it listens, and what it logs.

use crate::commands::{LogFormat, OutsideOptions};
use clap::Args;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug, Args)]
pub(super) struct OutsideArgs {
    /// Address to listen on, for the APIs and for services; whoever reaches it can run programs here
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// How to log what happens, on standard error: a line of text or of JSON (as Cloud Logging reads it) each
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

impl From<OutsideArgs> for OutsideOptions {
    fn from(arguments: OutsideArgs) -> Self {
        let log_format = arguments.log_format.map(|format| match format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        Self { listen: arguments.listen, log_format }
    }
}
