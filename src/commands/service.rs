//! What is wrong with a scenario's service that only shows when all of tidegate is there: a region that has no prices,
//! settings that the bundled service would not start with. Told before anything is started.

use super::bundled;
use super::error::CommandError;
use crate::cost::PriceBook;
use crate::scenario::{ScenarioError, Service, ServiceFault, ServiceField, ServiceSource};
use std::path::Path;

/// Checks the `service` section of the scenario that was read from `path`, against the prices of `book`.
///
/// # Errors
/// All that is wrong, with its places in the file.
pub(super) fn check(path: &Path, service: &Service, book: &PriceBook) -> Result<(), CommandError> {
    let mut faults = Vec::new();
    let mut add = |field: ServiceField, told: &str| {
        let (message, hint) = told.split_once("; ").unwrap_or((told, "scenarios/README.md describes the section"));
        faults.push(ServiceFault { field, message: message.to_owned(), hint: hint.to_owned() });
    };
    if let Err(error) = book.prices(&service.region) {
        add(ServiceField::Region, &error.to_string());
    }
    if matches!(service.source, ServiceSource::Bundled(_)) {
        for (name, value) in &service.env {
            if let Some(refusal) = bundled::refused_setting(name, value) {
                add(ServiceField::Variable(name.clone()), &refusal);
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ScenarioError::of_service(path, &faults).into()) }
}
