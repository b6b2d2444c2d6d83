//! One file that a run is written to. It is tried before the load begins, as it was until there is something to write, and
//! given up at its first failure.

use super::State;
use super::option::{Export, Format};
use crate::commands::error::CommandError;
use crate::commands::output::try_to_write;
use crate::report;
use crate::trial::{Live, Recording};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// The file, until something fails.
#[derive(Debug)]
pub(super) struct ExportFile {
    format: Format,
    path: PathBuf,
    /// None while it is not there.
    file: Option<File>,
    /// Whether it holds this run: the log of histograms begins with a head.
    begun: bool,
    failure: Option<io::Error>,
}

impl ExportFile {
    /// Learns whether the file can be written, and leaves it as it is.
    ///
    /// # Errors
    /// When it cannot, or tells of a step that is none of `steps`.
    pub(super) fn prepare(export: &Export, steps: &[&str]) -> Result<Self, CommandError> {
        let Export { format, path } = export.clone();
        if let Format::Hgrm(Some(step)) = &format
            && !steps.contains(&step.as_str())
        {
            let names = steps.join(", ");
            return Err(CommandError::Usage(format!(
                "--export hgrm:{step}: there is no step {step:?}; the steps are {names}"
            )));
        }
        let file =
            try_to_write(&path).map_err(|cause| CommandError::File { action: "write", path: path.clone(), cause })?;
        Ok(Self { format, path, file, begun: false, failure: None })
    }

    /// Whether it is written while the run goes on.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.format, Format::Ndjson | Format::Hlog)
    }

    /// Whether it is made of what was told while the run went on.
    pub(super) fn is_of_state(&self) -> bool {
        self.format == Format::Prometheus
    }

    /// Writes an interval, so that whoever follows the file sees it at once.
    pub(super) fn write_interval(&mut self, interval: &Live) {
        let bytes = match self.format {
            Format::Ndjson => Ok(report::ndjson_line(interval).into_bytes()),
            Format::Hlog if self.begun => report::hlog_lines(interval),
            Format::Hlog => report::hlog_head(&interval.started_at).and_then(|mut head| {
                head.extend(report::hlog_lines(interval)?);
                Ok(head)
            }),
            _ => return,
        };
        self.write(bytes);
    }

    /// Writes a run that has ended.
    pub(super) fn write_end(&mut self, recording: &Recording, state: &State) {
        let bytes = match &self.format {
            Format::Csv => report::csv(recording).map_err(io::Error::other),
            Format::Json => Ok(recording.to_json().into_bytes()),
            Format::Hgrm(None) => Ok(report::hgrm(&recording.overall.response_time).into_bytes()),
            Format::Hgrm(Some(name)) => {
                let step = recording.steps.iter().find(|step| step.name == *name);
                Ok(step.map(|step| report::hgrm(&step.times.response_time)).unwrap_or_default().into_bytes())
            }
            Format::Prometheus => Ok(state.read(report::prometheus).into_bytes()),
            // All that there was of it is written.
            Format::Ndjson | Format::Hlog => Ok(Vec::new()),
        };
        self.write(bytes);
    }

    fn write(&mut self, bytes: io::Result<Vec<u8>>) {
        if self.failure.is_none() {
            self.failure = bytes.and_then(|bytes| self.begin()?.write_all(&bytes)).err();
        }
    }

    /// The file, which holds nothing of what was there before.
    fn begin(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => {
                // A pipe or a device holds nothing.
                if !self.begun && file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                file
            }
            None => File::create(&self.path)?,
        };
        self.begun = true;
        Ok(self.file.insert(file))
    }

    /// Why it is not whole, if it is not.
    pub(super) fn failure(self) -> Option<CommandError> {
        let Self { path, failure, .. } = self;
        failure.map(|cause| CommandError::File { action: "write all of", path, cause })
    }
}
