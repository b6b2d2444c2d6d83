//! Why a command could not do its work. Each message says what is wrong, where, and how to mend it.

use super::exit::ExitStatus;
use crate::broker::BrokerError;
use crate::cloud::CloudError;
use crate::cost::PriceError;
use crate::driver::DriveError;
use crate::platform::{FleetError, ServeError};
use crate::report::ReportError;
use crate::scenario::ScenarioError;
use crate::study::StudyError;
use crate::trial::{MergeError, RecordingError, StoreError};
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The scenario file is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The price file is not valid, or lacks what is needed.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// The options do not fit together or do not fit the scenario.
    #[error("{0}")]
    Usage(String),
    /// The local platform.
    #[error("the local platform {0}")]
    Platform(String),
    /// The local broker.
    #[error("the local broker {0}")]
    BrokerProcess(String),
    /// The local platform's instances, run in this process.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The local platform's endpoints, run in this process.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The local Pub/Sub, run in this process.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The cloud's APIs.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The study.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// The load.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A record could not be saved or loaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The study's folder takes no more, and what was measured is elsewhere.
    #[error(
        "{error}\n\nhint: everything that was measured is in {path}; make room, copy it over the one that could not be saved, and go on with --resume",
        path = path.display()
    )]
    Rescued {
        /// Why its own folder did not take it.
        error: StoreError,
        /// Where it is.
        path: PathBuf,
    },
    /// The report could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A service on Cloud Run is not what it was.
    #[error(
        "{error}; the service was NOT put back{told}\n\nhint: repeat the command line with --resume, which puts it back \
         first; what it was is in {path}",
        told = before.as_ref().map(|before| format!(" after this: {before}")).unwrap_or_default(),
        path = path.display()
    )]
    NotUndone {
        /// Why it could not be put back.
        error: CloudError,
        /// Where it is written down what it was.
        path: PathBuf,
        /// What had ended the study before, if anything.
        before: Option<Box<CommandError>>,
    },
    /// The bundled service's database could not be prepared.
    #[error("the shop's database could not be prepared at {database_url}: {cause}")]
    Migrate {
        /// Where.
        database_url: String,
        /// What the migration said.
        cause: String,
    },
    /// A recording could not be loaded.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// Recordings could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A file or folder.
    #[error("failed to {action} {path}: {cause}; {mend}", path = path.display(), mend = mend(cause))]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// Something of the operating system's that is not a file.
    #[error("failed to {action}: {cause}")]
    System {
        /// What was tried, as a verb.
        action: &'static str,
        /// Why not.
        cause: std::io::Error,
    },
}

/// How to mend what the system refused to do with a file or folder.
fn mend(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match cause.kind() {
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => "make it writable for this user, or name another place",
        Kind::StorageFull | Kind::QuotaExceeded => "free some space there, or name another place",
        Kind::NotFound => "make the folder it lies in, or name another place",
        _ => "name another place",
    }
}

impl CommandError {
    /// How a command that met this error ends.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Scenario(_)
            | Self::Prices(_)
            | Self::Usage(_)
            | Self::Recording(_)
            | Self::Merge(_)
            | Self::Drive(DriveError::Address { .. } | DriveError::Target(_)) => ExitStatus::Usage,
            _ => ExitStatus::Failure,
        }
    }
}
