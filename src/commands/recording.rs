//! `tidegate recording`: prints the schema of recordings.

use super::error::CommandError;
use super::exit::ExitStatus;
use crate::trial;

/// Prints the JSON Schema of recordings.
///
/// # Errors
/// When standard output cannot be written.
pub fn recording_schema() -> Result<ExitStatus, CommandError> {
    super::print(&format!("{:#}\n", trial::recording_schema()))?;
    Ok(ExitStatus::Success)
}
