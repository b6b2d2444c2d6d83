//! What was typed: the subcommands, their help, and the exit code of each way to end.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::time::Instant;

use crate::serve;
use crate::settings::{self, Settings};
use crate::store::Store;

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
    let settings = match Settings::read(|name| std::env::var_os(name)) {
        Ok(settings) => settings,
        Err(error) => return fail(2, &error.to_string()),
    };
    let runtime = match runtime(settings.executor_threads) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("failed to start the executor: {error}")),
    };
    let result = match arguments.command {
        Command::Shop => runtime.block_on(serve::run(settings, started)).map_err(|error| error.to_string()),
        Command::Migrate => runtime.block_on(migrate(&settings)),
    };
    // A request that was not done in time must not delay the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(1, &message),
    }
}

async fn migrate(settings: &Settings) -> Result<(), String> {
    Store::migrate(&settings.database).await.map_err(|error| error.to_string())
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
    fn both_subcommands_parse() {
        let parse = |name: &str| Arguments::try_parse_from(["target-service", name]).map(|arguments| arguments.command);
        assert_eq!(parse("shop").unwrap(), Command::Shop);
        assert_eq!(parse("migrate").unwrap(), Command::Migrate);
        assert!(parse("shpo").is_err());
    }
}
