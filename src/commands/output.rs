//! Where a result goes when a program will read it.

use super::error::CommandError;
use serde::Serialize;
use std::path::PathBuf;

/// A file, or standard output.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sink {
    File(PathBuf),
    StandardOutput,
}

impl From<PathBuf> for Sink {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::StandardOutput } else { Self::File(path) }
    }
}

impl Sink {
    /// Refuses a file that cannot be written, before anything is measured that would then be lost.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let Self::File(path) = self else { return Ok(()) };
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map(drop).map_err(|cause| CommandError::File { action: "write", path: path.clone(), cause })
    }

    /// Writes `value`, and a line break.
    ///
    /// # Errors
    /// When it cannot be written. A reader of standard output that went away is not an error.
    pub(super) fn write_json(&self, value: &impl Serialize) -> Result<(), CommandError> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| CommandError::Usage(error.to_string()))?;
        text.push('\n');
        self.write(&text)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// When it cannot be written. A reader of standard output that went away is not an error.
    pub(super) fn write(&self, text: &str) -> Result<(), CommandError> {
        match self {
            Self::StandardOutput => super::print(text),
            Self::File(path) => std::fs::write(path, text).map_err(|cause| CommandError::File {
                action: "write",
                path: path.clone(),
                cause,
            }),
        }
    }
}
