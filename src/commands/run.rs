//! `tidegate run`: one load test against anything.

use super::connection::{self, ConnectionOptions};
use super::delivery::{self, DeliveryOptions};
use super::error::CommandError;
use super::exit::ExitStatus;
use super::exports::{ExportOptions, Exports};
use super::interrupt::Interrupt;
use super::output::Sink;
use super::progress::{Display, Progress};
use super::schedule::Schedule;
use super::view;
use super::way::Way;
use crate::driver::{self, Options};
use crate::scenario::{Plan, Scenario};
use crate::trial::Recording;
use crate::{report, study, tuner};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What `run` is asked.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Where requests go, instead of where the scenario says.
    pub target: Option<String>,
    /// How it is reached.
    pub connection: ConnectionOptions,
    /// Seed of the plan.
    pub seed: u64,
    /// Divides stage lengths.
    pub time_factor: f64,
    /// Where the recording is saved as JSON, if anywhere; `-` is standard output.
    pub json: Option<PathBuf>,
    /// What is shown meanwhile.
    pub display: Display,
    /// Which part of the plan is sent, and when.
    pub schedule: Schedule,
    /// Where it is told besides the terminal.
    pub exports: ExportOptions,
    /// What concerns deliveries.
    pub delivery: DeliveryOptions,
}

/// Answers under way at the end of the plan are awaited this long.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// What the user is told besides when nothing of a run can be saved.
pub(super) const NOTHING_SENT: &str = "nothing was sent: no file was written";

/// Sends the scenario's load once and tells what came of it.
///
/// # Errors
/// When the scenario or the address is not valid, or a set-up step fails.
pub async fn run(options: RunOptions) -> Result<ExitStatus, CommandError> {
    let scenario = Arc::new(Scenario::load(&options.scenario)?);
    let starts_it = delivery::starts_it(&options, &scenario);
    delivery::check_pubsub(options.delivery.pubsub.as_ref(), starts_it)?;
    delivery::check_limits(options.delivery.limits, starts_it)?;
    if delivery::concerns(&options, &scenario) {
        let options = if starts_it {
            options
        } else {
            let way = Way::of(&options, &scenario)?;
            RunOptions { target: Some(way.url), connection: way.connection, ..options }
        };
        return Box::pin(delivery::run(options, scenario)).await;
    }
    delivery::check_without(&options, &scenario)?;
    let now = jiff::Timestamp::now();
    let plan = options.schedule.apply(Plan::new(Arc::clone(&scenario), options.seed, options.time_factor), now)?;
    let way = Way::of(&options, &scenario)?;
    let target = way.load()?;
    if let Some(path) = &options.json {
        Sink::from(path.clone()).check()?;
    }
    let exports = Exports::open(&options.exports, &scenario, &way.url).await?;
    let progress = Progress::of_run(options.display, &scenario.name, &way.url);
    let (sender, mut receiver) = watch::channel(driver::Progress::default());
    let (stopping, standing) = (progress.clone(), receiver.clone());
    let interrupt = Interrupt::listen_to_the_last(
        move |_| stopping.say(words_of_stopping(standing.borrow().in_flight)),
        view::give_back,
    )
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    way.connection.announce(&progress);
    progress.announce_load(&scenario.name, plan.duration(), &way.url);
    if let Some(replayed) = super::scenario::replayed(&scenario) {
        progress.say(&replayed);
    }
    options.schedule.told(now).iter().for_each(|line| progress.say(line));
    if let Some(address) = exports.endpoint() {
        progress.say(&format!("Prometheus finds the state of the run at http://{address}/metrics"));
    }
    let start_at = options.schedule.start_at;
    let extras = exports.extras(true);
    let drive_options =
        Options { base_url: way.url.clone(), target, must_connect: true, drain: DRAIN, start_at, extras };
    let driving = driver::drive(&plan, &drive_options, sender, interrupt.stop());
    tokio::pin!(driving);
    let recording = loop {
        tokio::select! {
            recording = &mut driving => break recording,
            Ok(()) = receiver.changed() => progress.load(&receiver.borrow_and_update(), None),
        }
    };
    // Before anything else is told, errors too: the terminal is as it was.
    progress.clear();
    let recording = recording.map_err(|error| way.told(error.into()))?;
    connection::tell(&recording.target, &progress);
    conclude(&options, &plan, &recording, &progress)?;
    exports.finish(&recording, |text| progress.say(text)).await?;
    Ok(interrupt.status().unwrap_or_else(|| status_of(&plan, &recording, &progress)))
}

/// What the user is told at the first Ctrl-C, while so many requests are in flight.
fn words_of_stopping(in_flight: u64) -> &'static str {
    if in_flight > 0 {
        "stopping: answers under way are awaited (again to end at once)"
    } else {
        "stopping (again to end at once)"
    }
}

/// Tells and saves what was measured.
fn conclude(options: &RunOptions, plan: &Plan, recording: &Recording, progress: &Progress) -> Result<(), CommandError> {
    let scenario = plan.scenario();
    let text = report::run_summary(recording, scenario);
    let sink = options.json.clone().map(Sink::from);
    let to_file = sink.as_ref().filter(|sink| **sink != Sink::StandardOutput);
    let to_file = to_file.filter(|_| !recording.is_of_nothing());
    // Saved before it is told: a terminal that went away takes no words, and that must lose nothing.
    to_file.map_or(Ok(()), |sink| sink.write_json(recording))?;
    if sink == Some(Sink::StandardOutput) {
        // Standard output is the program's that reads it; people are told beside it.
        progress.say(text.trim_end());
    } else {
        super::print(&text)?;
    }
    if recording.is_of_nothing() {
        progress.say(NOTHING_SENT);
    }
    for warning in &recording.warnings {
        progress.say(&format!("warning: {warning}"));
    }
    sink.filter(|sink| *sink == Sink::StandardOutput).map_or(Ok(()), |sink| sink.write_json(recording))
}

/// How a run that nobody interrupted ends, told with what speaks against it.
fn status_of(plan: &Plan, recording: &Recording, progress: &Progress) -> ExitStatus {
    for caution in study::cautions(recording) {
        progress.say(&format!("caution: {caution}"));
    }
    let reasons = study::distrust(plan, recording);
    for reason in &reasons {
        progress.insist(&format!("INVALID: {reason}"));
    }
    let broken = recording.aborted.is_some() || !tuner::broken_slos(&plan.scenario().slos, recording).is_empty();
    match (reasons.is_empty(), broken) {
        (false, _) => ExitStatus::Untrusted,
        (true, true) => ExitStatus::Unmet,
        (true, false) => ExitStatus::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Aborted, Books};
    use std::path::Path;

    #[test]
    fn a_run_that_a_rule_ended_ends_with_three_or_with_five_when_the_driver_was_why() {
        let text = "name: small
journeys: [{name: one, steps: [{name: get, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, ramp: {from: 20, to: 20}, duration: 1s}]";
        let scenario = Scenario::from_yaml(Path::new("small.yaml"), text).unwrap();
        let plan = Plan::new(Arc::new(scenario), 1, 1.0);
        let mut recording = Recording::default();
        recording.overall.response_time.record(Duration::from_millis(10));
        recording.arrivals = Books { planned: 20, completed: 1, failed: 0, dropped: 19 };
        let status = |driver_at_fault: Option<bool>| {
            let aborted = driver_at_fault.map(|driver_at_fault| Aborted { driver_at_fault, ..Aborted::default() });
            let recording = Recording { aborted, ..recording.clone() };
            status_of(&plan, &recording, &Progress::of_run(Display::Quiet, "", ""))
        };
        assert_eq!(status(None), ExitStatus::Success);
        assert_eq!(status(Some(false)), ExitStatus::Unmet);
        assert_eq!(status(Some(true)), ExitStatus::Untrusted);
    }
}
