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

/// A name is taken for a misspelt one that differs from it in so many letters at most …
const SLIPS_MOST: usize = 2;
/// … and has so many at least: short words are near to many.
const LETTERS_LEAST: usize = 6;

/// Why the bundled service would not start with this variable in its environment, or would not look at it though a name that
/// is nearly the same sets something.
pub(super) fn refused_setting(name: &str, value: &str) -> Option<String> {
    target_service::refused_setting(name, value).or_else(|| {
        let known = target_service::settings();
        let slips = |known: &&String| strsim::osa_distance(name, known);
        let near = known.iter().filter(|known| known.len() >= LETTERS_LEAST).min_by_key(slips)?;
        let is_misspelt = !known.contains(name) && slips(&near) <= SLIPS_MOST;
        is_misspelt.then(|| format!("the bundled services have no setting {name}; did you mean `{near}`?"))
    })
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

#[cfg(test)]
mod tests {
    use super::refused_setting;

    #[test]
    fn a_name_that_is_nearly_a_setting_s_is_refused_and_others_are_the_service_s_own() {
        for (typed, meant) in [("WAIT_MSS", "WAIT_MS"), ("CPU_WORK_MS", "CPU_WORK_US"), ("WORKER", "WORKERS")] {
            let refusal = refused_setting(typed, "5").unwrap();
            assert!(refusal.contains(typed) && refusal.ends_with(&format!("; did you mean `{meant}`?")), "{refusal}");
        }
        for (name, value) in [("COST", "5"), ("RUST_LOG", "debug"), ("WAIT_MS", "5"), ("DATABASE_PASSWORD", "x")] {
            assert_eq!(refused_setting(name, value), None);
        }
    }
}
