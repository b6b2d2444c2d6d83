//! The options of the platform towards those outside: where it listens, and what it logs.

use crate::commands::{LogFormat, OutsideOptions};
use crate::platform::IdentityKeys;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug, Args)]
pub(super) struct OutsideArgs {
    /// Address to listen on, for the APIs and for services; whoever reaches it can run programs here
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// Keys of those who may make ID tokens, as a file or an address of JSON Web Keys: services are private then unless
    /// they say otherwise, as on Cloud Run
    #[arg(long, value_name = "FILE|URL")]
    identity_keys: Option<String>,
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
        Self {
            listen: arguments.listen,
            identity: arguments.identity_keys.as_deref().map(IdentityKeys::of),
            log_format,
        }
    }
}
