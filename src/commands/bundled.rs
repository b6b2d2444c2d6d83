//! The service that tidegate carries: the only place that names its crate, so that one `cargo run` is enough.

use crate::scenario::ServiceSource;
use std::ffi::OsString;
use std::path::Path;
use std::process::{ExitCode, Stdio};

/// Runs the bundled service with these arguments (the first is its name); returns when it has ended.
#[must_use]
pub fn target_service(arguments: Vec<OsString>) -> ExitCode {
    let name = OsString::from("tidegate target-service");
    target_service::main_with(std::iter::once(name).chain(arguments))
}

/// Why the bundled service would not start with this variable in its environment, if it would not.
pub(super) fn refused_setting(name: &str, value: &str) -> Option<String> {
    target_service::refused_setting(name, value)
}

/// The program and arguments that an instance of `source` runs.
pub(super) fn command_of(source: &ServiceSource, tidegate: &Path) -> Vec<String> {
    match source {
        ServiceSource::Bundled(name) => {
            vec![tidegate.display().to_string(), "target-service".to_owned(), name.clone()]
        }
        ServiceSource::Command(command) => command.clone(),
    }
}

/// Prepares the bundled shop's database once, before any instance starts.
///
/// # Errors
/// What the migration said.
pub(super) async fn migrate(tidegate: &Path, database_url: &str) -> Result<(), String> {
    let output = tokio::process::Command::new(tidegate)
        .args(["target-service", "migrate"])
        .env("DATABASE_URL", database_url)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", output.status, words.trim()))
}
