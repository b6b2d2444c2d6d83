//! Deliveries of a run, as they are typed.

use super::limits::LimitArgs;
use crate::commands::DeliveryOptions;
use clap::Args;
use std::path::PathBuf;

/// Where a scenario's reports are delivered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Deliveries")]
pub(super) struct DeliveryArgs {
    /// Pub/Sub to use instead of the local broker, such as Google's emulator [default: `PUBSUB_EMULATOR_HOST`, if it is set]
    #[arg(long, value_name = "HOST:PORT", value_parser = host)]
    pubsub: Option<String>,
    /// Where a consumer of the target tells what was delivered to it, such as
    /// `email-service=http://127.0.0.1:8081/deliveries`. Repeatable; without one deliveries are not judged
    #[arg(long, value_name = "CONSUMER=URL", value_parser = observer, requires = "target")]
    observer: Vec<(String, String)>,
    /// Folder of the record and report of a run with deliveries [default: reports/<scenario>-<time>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Do not wait for what Cloud Monitoring tells after the verdict of a run with deliveries, up to three minutes late: the report's instances over time
    /// then end early
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let is_host = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if is_host { Ok(text.to_owned()) } else { Err("write it as HOST:PORT, such as localhost:8085".to_owned()) }
}

fn observer(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((consumer, url))
            if !consumer.is_empty() && (url.starts_with("http://") || url.starts_with("https://")) =>
        {
            Ok((consumer.to_owned(), url.to_owned()))
        }
        _ => Err("write it as CONSUMER=URL, such as email-service=http://127.0.0.1:8081/deliveries".to_owned()),
    }
}

impl From<DeliveryArgs> for DeliveryOptions {
    fn from(DeliveryArgs { pubsub, observer, out, no_wait, limits }: DeliveryArgs) -> Self {
        Self { pubsub, observers: observer, out, no_wait, limits: limits.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_observers_are_checked_as_they_are_typed() {
        assert!(host("localhost:8085").is_ok() && host("[::1]:8085").is_ok());
        for wrong in ["localhost", "http://localhost:8085", ":8085", "localhost:0", "localhost:99999", ""] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
        let told = observer("email=http://h/deliveries?a=b");
        assert_eq!(told, Ok(("email".to_owned(), "http://h/deliveries?a=b".to_owned())));
        for wrong in ["http://h/", "email", "=http://h", "email=h:80"] {
            assert!(observer(wrong).is_err(), "{wrong}");
        }
    }
}
