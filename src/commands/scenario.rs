//! `tidegate scenario`: checks files, prints the schema.

use super::error::CommandError;
use super::exit::ExitStatus;
use super::service;
use crate::cost::PriceBook;
use crate::scenario::{self, LoadModel, Scenario};
use std::path::PathBuf;

/// Checks scenario files and says what each one asks; the first that is not valid ends it.
///
/// # Errors
/// When a file cannot be read or is not valid.
pub fn check(paths: &[PathBuf]) -> Result<ExitStatus, CommandError> {
    for path in paths {
        let scenario = Scenario::load(path)?;
        service::check(path, &scenario, &PriceBook::embedded())?;
        let steps: usize = scenario.journeys.iter().map(|journey| journey.steps.len()).sum();
        let seconds: f64 = scenario.stages.iter().map(|stage| stage.duration.as_secs_f64()).sum();
        super::print(&format!(
            "{}: valid: {}, {} journeys with {steps} steps, {} stages of {seconds:.0} s in all, {} SLOs\n",
            path.display(),
            scenario.name,
            scenario.journeys.len(),
            scenario.stages.len(),
            scenario.slos.len(),
        ))?;
        if let Some(url) = scenario.target.as_ref().and_then(|target| target.url.as_ref()) {
            super::print(&format!("  `run` sends it to {url}\n"))?;
        }
        if let Some(replayed) = replayed(&scenario) {
            super::print(&format!("  {replayed}\n"))?;
        }
    }
    Ok(ExitStatus::Success)
}

/// What a scenario replays, and what of the log it leaves out.
pub(super) fn replayed(scenario: &Scenario) -> Option<String> {
    let LoadModel::Replay(replay) = &scenario.load else { return None };
    let skipped = match replay.skipped {
        0 => String::new(),
        1 => ", 1 line left out because it cannot be used".to_owned(),
        skipped => format!(", {skipped} lines left out because they cannot be used"),
    };
    let Some(requests) = &replay.requests else {
        return Some(format!("replays {} arrivals of {}{skipped}", replay.recorded, replay.file));
    };
    let left_out = match requests.left_out.values().sum::<u64>() {
        0 => String::new(),
        sum => format!("; {sum} are not sent: {}", scenario::left_out_told(&requests.left_out)),
    };
    let (groups, methods) = (scenario.journeys.len(), requests.methods.join(", "));
    let sent = replay.recorded;
    Some(format!("replays {sent} requests ({methods}) of {} in {groups} groups{skipped}{left_out}", replay.file))
}

/// Prints the JSON Schema of scenario files.
///
/// # Errors
/// When standard output cannot be written.
pub fn schema() -> Result<ExitStatus, CommandError> {
    super::print(&format!("{:#}\n", scenario::schema()))?;
    Ok(ExitStatus::Success)
}
