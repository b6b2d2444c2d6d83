//! Where a result goes when a program will read it.

use super::error::CommandError;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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
    /// Refuses a file that cannot be written, before anything is measured that would then be lost. It is left as it is.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let Self::File(path) = self else { return Ok(()) };
        try_to_write(path).map(drop).map_err(|cause| CommandError::File { action: "write", path: path.clone(), cause })
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

/// Learns whether a file can be written, and leaves it as it is. Gives the file, to be written from its beginning, if it is
/// there: what reads a pipe takes its closing for the end. One that is not there is made, and taken away again.
pub(super) fn try_to_write(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(made) => {
            drop(made);
            std::fs::remove_file(path).map(|()| None)
        }
        // Also a link to what is not there.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map(Some)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_file_leaves_it_as_it_is_and_a_place_without_one_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("old.json"), "kept").unwrap();
        Sink::File(path("old.json")).check().unwrap();
        assert_eq!(std::fs::read_to_string(path("old.json")).unwrap(), "kept");
        Sink::File(path("new.json")).check().unwrap();
        assert!(!path("new.json").exists());
        for wrong in [path("none/new.json"), dir.path().to_owned()] {
            let told = Sink::File(wrong.clone()).check().unwrap_err().to_string();
            assert!(told.starts_with(&format!("failed to write {}: ", wrong.display())), "{told}");
        }
    }
}
