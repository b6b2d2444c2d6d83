//! Faults of a scenario that lower layers cannot know of, such as a region without prices, told at their places in its file.

use super::error::{Problem, ScenarioError};
use super::file::ScenarioFile;
use super::located::Location;
use std::path::Path;

/// A value of the section `service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceField {
    /// Its region.
    Region,
    /// This variable of its environment.
    Variable(String),
}

/// Something wrong with such a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFault {
    /// The value.
    pub field: ServiceField,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl ScenarioError {
    /// The error that tells `faults` of the scenario that was read from `path`, with line and column; the file is read
    /// again for that. Where a value is not in the file (any more), the file as a whole is meant.
    #[must_use]
    pub fn of_service(path: &Path, faults: &[ServiceFault]) -> Self {
        let file = std::fs::read_to_string(path).ok().and_then(|text| serde_saphyr::from_str(&text).ok());
        let problem = |fault: &ServiceFault| {
            let at = file.as_ref().and_then(|file| place(file, &fault.field));
            Problem::new(at, &fault.message, &fault.hint)
        };
        let mut problems: Vec<Problem> = faults.iter().map(problem).collect();
        problems.sort();
        Self::Invalid { path: path.to_owned(), problems }
    }
}

fn place(file: &ScenarioFile, field: &ServiceField) -> Option<Location> {
    let service = &file.service.as_ref()?.value;
    match field {
        ServiceField::Region => service.region.as_ref().map(|region| region.at),
        ServiceField::Variable(name) => service.env.get(name).map(|value| value.at),
    }
}
