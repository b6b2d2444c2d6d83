//! Where a run is told in the formats of other tools: files that are tried before the load begins, an endpoint for
//! Prometheus, an OpenTelemetry collector. Whatever of it fails, the run and the others go on.

mod collector;
mod endpoint;
mod file;
mod option;
#[cfg(test)]
mod tests;

use super::error::CommandError;
use crate::driver::Extras;
use crate::scenario::Scenario;
use crate::trial::{Live, Recording};
use collector::Collector;
use file::ExportFile;
pub use option::{Export, ExportOptions, Format};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Seconds of a run that may wait for a slow disk.
const WAITING_MAX: usize = 16;

/// The run so far, for those who look at it now and then.
#[derive(Clone, Debug, Default)]
struct State(Arc<Mutex<Live>>);

impl State {
    fn absorb(&self, interval: &Live) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).absorb(interval);
    }

    fn read<T>(&self, read: impl FnOnce(&Live) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything that was asked for, open and ready.
#[derive(Debug)]
pub(super) struct Exports {
    state: State,
    /// Files that are written when the run has ended.
    at_end: Vec<ExportFile>,
    live: Option<mpsc::Sender<Live>>,
    ended: oneshot::Sender<()>,
    /// Gives back the files that were written while the run went on.
    following: JoinHandle<Vec<ExportFile>>,
    collector: Option<Collector>,
    endpoint: Option<SocketAddr>,
}

impl Exports {
    /// Tries all files and opens all addresses, before anything is sent to the target.
    ///
    /// # Errors
    /// When a file cannot be written, an address cannot be listened at, or a step is none of the scenario's.
    pub(super) async fn open(options: &ExportOptions, scenario: &Scenario, target: &str) -> Result<Self, CommandError> {
        let mut files = Vec::new();
        for export in &options.files {
            files.push(ExportFile::prepare(export, &scenario.step_names())?);
        }
        let (live_files, at_end): (Vec<_>, Vec<_>) = files.into_iter().partition(ExportFile::is_live);
        let state = State::default();
        let endpoint = match options.prometheus {
            Some(address) => Some(endpoint::serve(address, state.clone()).await?),
            None => None,
        };
        let collector = match &options.otlp {
            Some(url) => Some(Collector::begin(url, &scenario.name, target, state.clone())?),
            None => None,
        };
        let watched = !live_files.is_empty()
            || at_end.iter().any(ExportFile::is_of_state)
            || options.prometheus.is_some()
            || collector.is_some();
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (ended, end) = oneshot::channel();
        let following = tokio::spawn(follow(receiver, end, live_files, state.clone()));
        Ok(Self { state, at_end, live: watched.then_some(sender), ended, following, collector, endpoint })
    }

    /// Where Prometheus finds the state of the run, if that was asked for.
    pub(super) fn endpoint(&self) -> Option<SocketAddr> {
        self.endpoint
    }

    /// What the driver must keep and tell for it.
    pub(super) fn extras(&self, interval_histograms: bool) -> Extras {
        Extras { interval_histograms, live: self.live.clone(), posts: None }
    }

    /// Writes what is left to write when the run has ended. Everything is tried, whatever fails; of a run that was stopped before
    /// anything was sent, files are left as they were.
    ///
    /// # Errors
    /// The first failure; `say` is told of all of them, and of a collector that did not take the last metrics.
    pub(super) async fn finish(self, recording: &Recording, say: impl Fn(&str)) -> Result<(), CommandError> {
        // The receiver may have ended with a panic of its task only; then there is nothing to end.
        let _ = self.ended.send(());
        let mut files = self.following.await.unwrap_or_default();
        files.extend(self.at_end);
        if !recording.is_of_nothing() {
            for file in &mut files {
                file.write_end(recording, &self.state);
            }
        }
        if let Some(collector) = self.collector
            && let Err(cause) = collector.finish().await
        {
            say(&format!("the collector did not take the last metrics: {cause}"));
        }
        let mut failures = files.into_iter().filter_map(ExportFile::failure);
        let first = failures.next();
        for failure in failures {
            say(&failure.to_string());
        }
        first.map_or(Ok(()), Err)
    }
}

/// Writes a recording that was not told while it was made: in the formats of whole recordings only.
///
/// # Errors
/// When a format is told second by second, or a file cannot be written.
pub(super) fn write(exports: &[Export], recording: &Recording) -> Result<(), CommandError> {
    let steps: Vec<&str> = recording.steps.iter().map(|step| step.name.as_str()).collect();
    for export in exports {
        let mut file = ExportFile::prepare(export, &steps)?;
        if file.is_live() || file.is_of_state() {
            return Err(CommandError::Usage(format!(
                "--export {}: this format is told while a run goes on; give csv, json, hgrm or hgrm:STEP",
                export.path.display()
            )));
        }
        file.write_end(recording, &State::default());
        file.failure().map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Takes in every interval until the run has ended and all that was told of it is taken in.
async fn follow(
    mut intervals: mpsc::Receiver<Live>,
    mut end: oneshot::Receiver<()>,
    mut files: Vec<ExportFile>,
    state: State,
) -> Vec<ExportFile> {
    let mut over = false;
    loop {
        let interval = tokio::select! {
            biased;
            interval = intervals.recv() => interval,
            _ = &mut end, if !over => {
                // What is in the channel already is still given out.
                intervals.close();
                over = true;
                continue;
            }
        };
        let Some(interval) = interval else { return files };
        // A second's lines are a few KiB: written here, on a thread that sends nothing to the target.
        for file in &mut files {
            file.write_interval(&interval);
        }
        state.absorb(&interval);
    }
}
