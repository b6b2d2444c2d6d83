//! What is wrong with a scenario's services that only shows when all of tidegate is there: a region that has no prices,
//! settings that a bundled service would not start with. Told before anything is started.

use super::bundled;
use super::error::CommandError;
use crate::cost::PriceBook;
use crate::scenario::{Scenario, ScenarioError, Service, ServiceFault, ServiceField, ServiceSource};
use std::path::Path;

/// Checks the service of the scenario that was read from `path`, or all services of its system, against the prices of `book`.
///
/// # Errors
/// All that is wrong, with its places in the file.
pub(super) fn check(path: &Path, scenario: &Scenario, book: &PriceBook) -> Result<(), CommandError> {
    let mut faults = Vec::new();
    if let Some(service) = &scenario.service {
        if let Err(error) = book.prices(&service.region) {
            faults.push(fault(ServiceField::Region, &error.to_string()));
        }
        faults.extend(refused(service, ServiceField::Variable));
    }
    for (name, member) in scenario.system.iter().flat_map(|system| &system.services) {
        let of_member = |variable| ServiceField::OfMember { service: name.clone(), variable };
        faults.extend(refused(&member.service, of_member));
    }
    if faults.is_empty() { Ok(()) } else { Err(ScenarioError::of_service(path, &faults).into()) }
}

/// What of its environment a bundled service would not start with; any other service is its owner's to judge.
fn refused(service: &Service, field: impl Fn(String) -> ServiceField) -> Vec<ServiceFault> {
    if !matches!(service.source, ServiceSource::Bundled(_)) {
        return Vec::new();
    }
    let refusal = |(name, value): (&String, &String)| {
        bundled::refused_setting(name, value).map(|refusal| fault(field(name.clone()), &refusal))
    };
    service.env.iter().filter_map(refusal).collect()
}

fn fault(field: ServiceField, told: &str) -> ServiceFault {
    let (message, hint) = told.split_once("; ").unwrap_or((told, "scenarios/README.md describes the section"));
    ServiceFault { field, message: message.to_owned(), hint: hint.to_owned() }
}
