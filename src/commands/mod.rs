//! What each subcommand does. Clock, seed, signals and files enter here; every command ends in an `ExitStatus`.

mod announced;
mod broker;
mod bundled;
mod connection;
mod delivery;
mod doctor;
mod error;
mod exit;
mod exports;
mod folder;
mod host;
mod interrupt;
mod local;
mod lock_wait;
mod merge;
mod output;
mod platform;
mod platform_log;
mod prices;
mod progress;
mod recording;
mod render;
mod run;
mod scaling;
mod scenario;
mod schedule;
mod service;
mod tune;
mod tuning;
mod view;
mod way;

pub use crate::autoscaler::{AutoscalerKind, Routing};
pub use broker::{BrokerCommandOptions, broker};
pub use bundled::target_service;
pub use connection::ConnectionOptions;
pub use delivery::DeliveryOptions;
pub use doctor::{DoctorOptions, doctor, doctor_server};
pub use error::CommandError;
pub use exit::{ExitStatus, Signal};
pub use exports::{Export, ExportOptions, Format};
pub use merge::{MergeOptions, merge};
pub use platform::{LimitOptions, PlatformOptions, platform};
pub use platform_log::{LogFormat, OutsideOptions};
pub use prices::prices;
pub use progress::Display;
pub use recording::recording_schema;
pub use render::render;
pub use run::{RunOptions, run};
pub use scaling::ScalingOptions;
pub use scenario::{check, schema};
pub use schedule::Schedule;
pub use tune::{CloudTarget, TuneOptions, tune};

/// Becomes another program in a cgroup: how instances are started.
#[must_use]
pub fn launch(arguments: Vec<std::ffi::OsString>) -> std::process::ExitCode {
    use std::io::Write as _;
    match crate::platform::launch::run(arguments) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // The platform reads this as the instance's last words.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Writes results to standard output. A reader that went away (`| head`) is not an error.
fn print(text: &str) -> Result<(), CommandError> {
    use std::io::Write as _;
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandError::System { action: "write to standard output", cause })
        }
        _ => Ok(()),
    }
}
