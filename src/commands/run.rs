//! `tidegate run`: one load test against anything.

use super::connection::{self, ConnectionOptions};
use super::error::CommandError;
use super::exit::ExitStatus;
use super::exports::{ExportOptions, Exports};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::schedule::Schedule;
use crate::driver::{self, Options};
use crate::report;
use crate::scenario::{Plan, Scenario};
use crate::tuner;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What `run` is asked.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Where requests go.
    pub target: String,
    /// How it is reached.
    pub connection: ConnectionOptions,
    /// Seed of the plan.
    pub seed: u64,
    /// Divides stage lengths.
    pub time_factor: f64,
    /// Where the recording is saved as JSON, if anywhere.
    pub json: Option<PathBuf>,
    /// Which part of the plan is sent, and when.
    pub schedule: Schedule,
    /// Where it is told besides the terminal.
    pub exports: ExportOptions,
}

/// Answers under way at the end of the plan are awaited this long.
const DRAIN: Duration = Duration::from_secs(30);

/// Sends the scenario's load once and tells what came of it.
///
/// # Errors
/// When the scenario or the address is not valid, or a set-up step fails.
pub async fn run(options: RunOptions) -> Result<ExitStatus, CommandError> {
    let scenario = Arc::new(Scenario::load(&options.scenario)?);
    let now = jiff::Timestamp::now();
    let plan = options.schedule.apply(Plan::new(Arc::clone(&scenario), options.seed, options.time_factor), now)?;
    let target = options.connection.load()?;
    let progress = Progress::new();
    let interrupt = Interrupt::listen({
        let progress = progress.clone();
        move |_| progress.say("stopping: answers under way are awaited (again to end at once)")
    })
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    progress.begin(&scenario.name);
    options.connection.announce(&progress);
    progress.say(&format!("{}: {:.0} s of load on {}", scenario.name, plan.duration().as_secs_f64(), options.target));
    options.schedule.told(now).iter().for_each(|line| progress.say(line));
    let exports = Exports::open(&options.exports, &scenario, &options.target).await?;
    if let Some(address) = exports.endpoint() {
        progress.say(&format!("Prometheus finds the state of the run at http://{address}/metrics"));
    }
    let (sender, mut receiver) = watch::channel(driver::Progress::default());
    let start_at = options.schedule.start_at;
    let drive_options =
        Options { base_url: options.target.clone(), target, drain: DRAIN, start_at, extras: exports.extras(true) };
    let driving = driver::drive(&plan, &drive_options, sender, interrupt.stop());
    tokio::pin!(driving);
    let recording = loop {
        tokio::select! {
            recording = &mut driving => break recording?,
            Ok(()) = receiver.changed() => progress.load(&receiver.borrow_and_update(), None),
        }
    };
    progress.clear();
    connection::tell(&recording.target, &progress);
    let mut text = report::run_summary(&recording, &scenario);
    let broken = tuner::broken_slos(&scenario.slos, &recording);
    for (slo, measured) in &broken {
        text = format!("{text}SLO not met: {}: {measured}\n", slo.text);
    }
    super::print(&text)?;
    for warning in &recording.warnings {
        progress.say(&format!("warning: {warning}"));
    }
    if let Some(path) = &options.json {
        std::fs::write(path, recording.to_json()).map_err(|cause| CommandError::File {
            action: "write",
            path: path.clone(),
            cause,
        })?;
    }
    exports.finish(&recording, |text| progress.say(text)).await?;
    if let Some(status) = interrupt.status() {
        return Ok(status);
    }
    let reasons = crate::study::distrust(&plan, &recording);
    if reasons.is_empty() {
        return Ok(if broken.is_empty() { ExitStatus::Success } else { ExitStatus::Unmet });
    }
    for reason in &reasons {
        progress.say(&format!("INVALID: {reason}"));
    }
    Ok(ExitStatus::Untrusted)
}
