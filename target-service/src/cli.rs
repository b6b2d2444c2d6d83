//! What was typed: the subcommands, their help, and the exit code of each way to end.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::time::Instant;

use crate::lab::{self, ConsumerSettings, ReportSettings};
use crate::serve;
use crate::settings::{self, Settings, SettingsError};
use crate::store::{Store, StoreError};

#[derive(Debug, Parser)]
#[command(name = "target-service", version, about = "The bundled service under test", after_help = settings::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Command {
    /// Serve the shop on HOST:PORT until SIGTERM or SIGINT; an empty database is set up first.
    #[command(after_help = settings::HELP)]
    Shop,
    /// Create the tables and the seeds in the database and end; does nothing where they exist.
    #[command(after_help = settings::HELP)]
    Migrate,
    /// Serve lab reports: publish to Pub/Sub what is posted to /, until SIGTERM or SIGINT.
    #[command(after_help = lab::HELP_REPORT)]
    LabReport,
    /// Serve pushes of lab reports as the e-mail service does, until SIGTERM or SIGINT.
    #[command(after_help = lab::HELP_CONSUMER)]
    Email,
    /// Serve pushes of lab reports as the SMS service does, until SIGTERM or SIGINT.
    #[command(after_help = lab::HELP_CONSUMER)]
    Sms,
}

pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let started = Instant::now();
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Shop => {
            with(shop_settings(), |settings| settings.executor_threads, |settings| serve::run(settings, started))
        }
        Command::Migrate => with(shop_settings(), |settings| settings.executor_threads, migrate),
        Command::LabReport => {
            let settings = ReportSettings::read(|name| std::env::var_os(name));
            with(settings, |settings| settings.common.executor_threads, lab::report)
        }
        Command::Email => consumer("email"),
        Command::Sms => consumer("sms"),
    }
}

fn shop_settings() -> Result<Settings, SettingsError> {
    Settings::read(|name| std::env::var_os(name))
}

fn consumer(program: &str) -> ExitCode {
    let settings = ConsumerSettings::read(program, |name| std::env::var_os(name));
    with(settings, |settings| settings.common.executor_threads, lab::consumer)
}

/// Does what a subcommand does with its settings, on an executor of as many threads as they say.
fn with<S, E: Display>(
    settings: Result<S, SettingsError>,
    threads: impl FnOnce(&S) -> usize,
    work: impl AsyncFnOnce(S) -> Result<(), E>,
) -> ExitCode {
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error.to_string()),
    };
    let runtime = match runtime(threads(&settings)) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("failed to start the executor: {error}")),
    };
    let result = runtime.block_on(work(settings));
    // A request that was not done in time must not delay the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

async fn migrate(settings: Settings) -> Result<(), StoreError> {
    Store::migrate(&settings.database).await
}

fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    if threads == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
    }
}

/// Tells the cause on stderr; a closed stderr leaves nobody to tell.
fn fail(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_subcommand_parses() {
        let parse = |name: &str| Arguments::try_parse_from(["target-service", name]).map(|arguments| arguments.command);
        assert_eq!(parse("shop").unwrap(), Command::Shop);
        assert_eq!(parse("migrate").unwrap(), Command::Migrate);
        assert_eq!(parse("lab-report").unwrap(), Command::LabReport);
        assert_eq!((parse("email").unwrap(), parse("sms").unwrap()), (Command::Email, Command::Sms));
        assert!(parse("shpo").is_err());
    }
}
