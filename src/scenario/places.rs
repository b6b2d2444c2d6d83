//! Faults of a scenario that lower layers cannot know of, such as a region without prices, told at their places in its file.

use super::error::{Problem, ScenarioError};
use super::file::{ScenarioFile, TargetFile};
use super::located::Location;
use std::path::Path;

/// A value of the section `service`, or of a service under `services`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceField {
    /// Its region.
    Region,
    /// This variable of its environment.
    Variable(String),
    /// A variable of the environment of one of several services.
    OfMember {
        /// The service.
        service: String,
        /// The variable.
        variable: String,
    },
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
    /// The error that tells what is wrong with the value `key` of the section `target` of the scenario that was read from
    /// `path`, with line and column; the file is read again for that.
    #[must_use]
    pub fn of_target(path: &Path, key: &str, message: &str, hint: &str) -> Self {
        let file =
            std::fs::read_to_string(path).ok().and_then(|text| serde_saphyr::from_str::<ScenarioFile>(&text).ok());
        let at = file.and_then(|file| place_in_target(&file.target?.value, key));
        Self::Invalid { path: path.to_owned(), problems: vec![Problem::new(at, message, hint)] }
    }

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

fn place_in_target(target: &TargetFile, key: &str) -> Option<Location> {
    let value = match key {
        "url" => target.url.as_ref(),
        "cacert" => target.cacert.as_ref(),
        "cert" => target.cert.as_ref(),
        "key" => target.key.as_ref(),
        "sni" => target.sni.as_ref(),
        "resolve" => target.resolve.first(),
        "proxy" => target.proxy.as_ref(),
        "proxy_auth" => target.proxy_auth.as_ref(),
        "auth" => target.auth.as_ref(),
        _ => None,
    };
    value.map(|value| value.at)
}

fn place(file: &ScenarioFile, field: &ServiceField) -> Option<Location> {
    let service = || file.service.as_ref().map(|service| &service.value);
    match field {
        ServiceField::Region => service()?.region.as_ref().map(|region| region.at),
        ServiceField::Variable(name) => service()?.env.get(name).map(|value| value.at),
        ServiceField::OfMember { service, variable } => {
            file.services.get(service)?.value.env.get(variable).map(|value| value.at)
        }
    }
}
