//! `tidegate merge`: the recordings of a plan's shards, put together into one recording and one verdict.

use super::error::CommandError;
use super::exit::ExitStatus;
use super::exports::{self, Export};
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
    /// Other formats that it is written in.
    pub exports: Vec<Export>,
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
    exports::write(&options.exports, &recording)?;
    let Some(scenario) = scenario else {
        super::print(&format!(
            "{}no verdict: give the scenario with --scenario to have its promises judged\n",
            report::run_table(&recording)
        ))?;
        return Ok(ExitStatus::Success);
    };
    let mut text = report::run_summary(&recording, &scenario);
    let broken = tuner::broken_slos(&scenario.slos, &recording);
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

#[cfg(test)]
mod tests {
    use super::super::exports::Format;
    use super::*;
    use crate::driver::{Flight, JourneyEnd, Outcome, Recorder, Shape};
    use crate::trial::{Shard, StatusClass};
    use std::time::Duration;

    const SCENARIO: &str = "name: smoke
journeys: [{name: look, steps: [{name: list, get: /}]}]
load: {open: {arrivals: constant, unit: requests_per_second}}
slos: [p95 < 50ms]
stages: [{name: steady, hold: 10, duration: 40s, warm_up: 20s}]";

    /// What the driver of shard `number` of two recorded, twice as fast as the scenario says: ten requests a second, each
    /// of `ms` milliseconds and sent `late_us` late.
    fn shard(dir: &Path, number: u32, ms: u64, late_us: u64) -> PathBuf {
        let scenario = Arc::new(Scenario::from_yaml(Path::new("smoke.yaml"), SCENARIO).unwrap());
        let mut recorder = Recorder::new(Shape::of(&Plan::new(scenario, 1, 2.0)));
        recorder.keep_interval_histograms();
        for index in 0..200 {
            let due = Duration::from_millis(index * 100 + u64::from(number));
            let sent = due + Duration::from_micros(late_us);
            let flight = Flight { step: 0, due, sent, blocked: Duration::ZERO };
            recorder.arrive(0, due);
            recorder.send(&flight);
            let done = due + Duration::from_millis(ms);
            recorder.settle(&flight, done, Outcome::Answered(200), None);
            recorder.end_journey(0, due, JourneyEnd::Completed(done, StatusClass::Success));
        }
        let mut recording = recorder.conclude(false);
        recording.shard = Some(Shard { number, of: 2 });
        recording.seed = Some(1);
        let path = dir.join(format!("{number}.json"));
        std::fs::write(&path, recording.to_json()).unwrap();
        path
    }

    fn options(dir: &Path, recordings: Vec<PathBuf>) -> MergeOptions {
        let scenario = dir.join("smoke.yaml");
        std::fs::write(&scenario, SCENARIO).unwrap();
        MergeOptions { recordings, json: None, exports: Vec::new(), scenario: Some(scenario), partial: false }
    }

    #[test]
    fn shards_give_one_recording_and_one_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let (json, csv) = (dir.path().join("all.json"), dir.path().join("all.csv"));
        let mut options = options(dir.path(), vec![shard(dir.path(), 2, 40, 10), shard(dir.path(), 1, 10, 10)]);
        options.json = Some(json.clone());
        options.exports = vec![Export { format: Format::Csv, path: csv.clone() }];
        assert_eq!(merge(&options).unwrap(), ExitStatus::Success);
        let whole = Recording::load(&json).unwrap();
        // Half of each shard is warm-up.
        assert_eq!((whole.arrivals.completed, whole.overall.response_time.count()), (400, 200));
        assert!(std::fs::read_to_string(csv).unwrap().contains("\nstep,list,,400,400,0,0,200,0,0,0,25,"));

        shard(dir.path(), 2, 60, 10);
        assert_eq!(merge(&options).unwrap(), ExitStatus::Unmet, "p95 is that of the whole");
        options.scenario = None;
        assert_eq!(merge(&options).unwrap(), ExitStatus::Success, "nothing is promised");
    }

    #[test]
    fn one_late_driver_makes_the_whole_untrusted_though_the_others_hide_it() {
        let dir = tempfile::tempdir().unwrap();
        let late = shard(dir.path(), 1, 10, 3_000);
        let scenario = Arc::new(Scenario::from_yaml(Path::new("smoke.yaml"), SCENARIO).unwrap());
        let mut parts = vec![Part { file: "1.json".to_owned(), recording: Recording::load(&late).unwrap() }];
        let quiet = Recording::load(&shard(dir.path(), 2, 10, 10)).unwrap();
        parts.push(Part { file: "2.json".to_owned(), recording: quiet.clone() });
        let reasons = distrust(&scenario, &quiet, &parts);
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].starts_with("1.json: the driver was late: "), "{reasons:?}");
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let one = shard(dir.path(), 1, 10, 10);
        let refused = |options: &MergeOptions| merge(options).unwrap_err().to_string();
        assert!(refused(&options(dir.path(), vec![one.clone()])).starts_with("shard 2 of 2 is missing"));
        let mut other = options(dir.path(), vec![one]);
        std::fs::write(dir.path().join("smoke.yaml"), SCENARIO.replace("name: list", "name: buy")).unwrap();
        let told = refused(&other);
        assert!(told.contains("1.json is no recording of") && told.contains("smoke.yaml"), "{told}");
        (other.scenario, other.partial) = (None, true);
        other.exports = vec![Export { format: Format::Hlog, path: dir.path().join("a.hlog") }];
        assert!(refused(&other).contains("told while a run goes on"));
    }
}
