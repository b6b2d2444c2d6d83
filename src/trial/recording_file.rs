//! Recordings on disk: one JSON file each, in a published and versioned form.

use super::Recording;
use crate::scenario::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the saved form; a reader refuses any other. Version 2 has the classes of journeys.
const VERSION: u32 = 2;

/// The version of a recording's form: there is but one that this tidegate reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("const" = VERSION))]
pub struct RecordingVersion(u32);

impl Default for RecordingVersion {
    fn default() -> Self {
        Self(VERSION)
    }
}

impl<'de> Deserialize<'de> for RecordingVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self(VERSION)),
            found => Err(serde::de::Error::custom(format!(
                "it has schema version {found}, and this tidegate reads version {VERSION}; use the tidegate that recorded it, \
                 or record it again"
            ))),
        }
    }
}

/// Why a recording could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It could not be read.
    #[error("failed to read {path}: {cause}; give a file that `tidegate run --json` wrote", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not a recording.
    #[error("{path}:{line}:{column}: this is no recording: {cause}; give a file that `tidegate run --json` wrote, whole", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        cause: String,
    },
}

impl Recording {
    /// The recording as it is saved: JSON that [`recording_schema`] describes, with a newline at its end.
    ///
    /// # Panics
    /// Never: names are strings, and histograms are written to memory.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a recording has a JSON form");
        text + "\n"
    }

    /// Loads a recording from the file that `tidegate run --json` wrote.
    pub fn load(path: &Path) -> Result<Self, RecordingError> {
        let text =
            std::fs::read_to_string(path).map_err(|cause| RecordingError::Read { path: path.to_owned(), cause })?;
        serde_json::from_str(&text).map_err(|error| {
            let said = error.to_string();
            // The position is told once, in front.
            let cause = said.rsplit_once(" at line ").map_or(said.as_str(), |(cause, _)| cause).to_owned();
            RecordingError::Form { path: path.to_owned(), line: error.line(), column: error.column(), cause }
        })
    }
}

/// The JSON Schema (2020-12) of a recording's file, generated from the types that write it; `docs/recording.schema.json`
/// holds it for those who read recordings with other tools.
#[must_use]
pub fn recording_schema() -> Value {
    schema_of::<Recording>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/recording.schema.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == format!("{:#}\n", recording_schema()),
            "docs/recording.schema.json is out of date: write what `tidegate recording schema` prints to it"
        );
    }

    #[test]
    fn what_is_saved_is_what_is_loaded_and_other_versions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        let recording = super::super::fixtures::trial(1, 8, 10.0, 100.0).recording;
        std::fs::write(&path, recording.to_json()).unwrap();
        assert_eq!(Recording::load(&path).unwrap(), recording);

        std::fs::write(&path, recording.to_json().replace("\"schema_version\": 2", "\"schema_version\": 1")).unwrap();
        let told = Recording::load(&path).unwrap_err().to_string();
        assert!(told.contains("run.json:2:") && told.contains("schema version 1"), "{told}");

        std::fs::write(&path, &recording.to_json()[..200]).unwrap();
        let told = Recording::load(&path).unwrap_err().to_string();
        assert!(told.contains("no recording") && told.contains("EOF"), "{told}");

        let told = Recording::load(&folder.path().join("none.json")).unwrap_err().to_string();
        assert!(told.starts_with("failed to read"), "{told}");
    }
}
