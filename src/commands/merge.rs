//! `tidegate merge`: the recordings of a plan's shards, put together into one recording and one verdict.

use super::error::CommandError;
use super::exit::ExitStatus;
use crate::report;
use crate::scenario::{Plan, Scenario};
use crate::trial::{Invalid, Part, Recording};
use crate::{study, trial, tuner};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What `merge` is asked.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// The recordings of the shards.
    pub recordings: Vec<PathBuf>,
    /// Where the merged recording is saved as JSON, if anywhere.
    pub json: Option<PathBuf>,
    /// The scenario whose promises are judged, if any.
    pub scenario: Option<PathBuf>,
    /// Whether shards may be missing.
    pub partial: bool,
}

/// Merges the recordings, saves the result and tells what came of the whole run.
///
/// # Errors
/// When a file cannot be read or written, or the recordings are not the shards of one run, each once.
pub fn merge(options: &MergeOptions) -> Result<ExitStatus, CommandError> {
    let mut parts = Vec::new();
    for path in &options.recordings {
        parts.push(Part { file: path.display().to_string(), recording: Recording::load(path)? });
    }
    let scenario = options.scenario.as_deref().map(Scenario::load).transpose()?.map(Arc::new);
    if let Some(scenario) = &scenario {
        fits(scenario, &parts, options.scenario.as_deref())?;
    }
    let shards = parts.clone();
    let recording = trial::merge(parts, options.partial)?;
    if let Some(path) = &options.json {
        std::fs::write(path, recording.to_json()).map_err(|cause| CommandError::File {
            action: "write",
            path: path.clone(),
            cause,
        })?;
    }
    let Some(scenario) = scenario else {
        super::print(&format!(
            "{}no verdict: give the scenario with --scenario to have its promises judged\n",
            report::run_table(&recording)
        ))?;
        return Ok(ExitStatus::Success);
    };
    let mut text = report::run_summary(&recording, &scenario);
    let broken = tuner::broken_slos(&scenario.slos, &recording);
    for (slo, measured) in &broken {
        let _ = writeln!(text, "SLO not met: {}: {measured}", slo.text);
    }
    let reasons = distrust(&scenario, &recording, &shards);
    for reason in &reasons {
        let _ = writeln!(text, "INVALID: {reason}");
    }
    super::print(&text)?;
    Ok(match (reasons.is_empty(), broken.is_empty()) {
        (false, _) => ExitStatus::Untrusted,
        (true, false) => ExitStatus::Unmet,
        (true, true) => ExitStatus::Success,
    })
}

/// Refuses a scenario that the recordings are not of.
fn fits(scenario: &Scenario, parts: &[Part], path: Option<&Path>) -> Result<(), CommandError> {
    let names = scenario.step_names();
    for part in parts {
        let recorded: Vec<&str> = part.recording.steps.iter().map(|step| step.name.as_str()).collect();
        let stages = part.recording.stages.iter().map(|stage| stage.name.as_str());
        if recorded != names || !stages.eq(scenario.stages.iter().map(|stage| stage.name.as_str())) {
            let path = path.unwrap_or(Path::new("")).display();
            return Err(CommandError::Usage(format!(
                "{} is no recording of {path}: its steps or stages are not the scenario's; give the scenario that was run",
                part.file
            )));
        }
    }
    Ok(())
}

/// Everything that speaks against trusting the whole run: what speaks against the whole, and what speaks against one
/// driver of it, which the others may hide in the whole.
fn distrust(scenario: &Arc<Scenario>, recording: &Recording, shards: &[Part]) -> Vec<String> {
    // Stages were divided by the same factor in all shards, which their measured lengths tell.
    let planned: f64 =
        scenario.stages.iter().map(|stage| stage.duration.saturating_sub(stage.warm_up).as_secs_f64()).sum();
    let measured: f64 = recording.stages.iter().map(|stage| stage.measured_s).sum();
    let time_factor = if measured > 0.0 { (planned / measured).clamp(1.0, 1000.0) } else { 1.0 };
    let plan = Plan::new(Arc::clone(scenario), recording.seed.unwrap_or(1), time_factor);
    let mut reasons: Vec<String> = study::distrust(&plan, recording).iter().map(ToString::to_string).collect();
    for part in shards {
        let own = study::distrust(&plan, &part.recording);
        let own = own.iter().filter(|reason| {
            matches!(reason, Invalid::Late { .. } | Invalid::HostSaturated { .. } | Invalid::Interrupted)
        });
        reasons.extend(own.map(|reason| format!("{}: {reason}", part.file)));
    }
    reasons
}
