//! Flags that say in which formats, and where to, a run is told.

use crate::commands::{Export, ExportOptions};
use clap::Args;
use std::net::SocketAddr;

/// Results in the formats of other tools.
#[derive(Debug, Args)]
#[command(next_help_heading = "Exports")]
pub(super) struct ExportArgs {
    /// Write the results in this format too: csv, json, hgrm (of all requests, or hgrm:STEP), prometheus; or, second by
    /// second while running: ndjson, hlog. Repeatable
    #[arg(long, value_name = "FORMAT=FILE")]
    export: Vec<Export>,
    /// Serve the state of the run for Prometheus at this address, such as 127.0.0.1:9464, under /metrics
    #[arg(long, value_name = "ADDR")]
    prometheus: Option<SocketAddr>,
    /// Send the state of the run to this OpenTelemetry collector every 10 seconds and at the end, such as
    /// `http://127.0.0.1:4318`
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
}

impl From<ExportArgs> for ExportOptions {
    fn from(arguments: ExportArgs) -> Self {
        let ExportArgs { export, prometheus, otlp } = arguments;
        Self { files: export, prometheus, otlp }
    }
}
