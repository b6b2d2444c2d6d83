//! Why the store did not do what it was told.

use std::path::PathBuf;

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(in crate::broker) enum StoreError {
    /// There is no room.
    #[error(
        "the disk of the broker's store is full: nothing was taken; make room there, or give --data a folder elsewhere"
    )]
    Full,
    /// Anything else of the database's or the system's.
    #[error("the broker's store at {path} failed: {cause}")]
    Failed {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        cause: String,
    },
    /// The disk did not sync: nothing more is promised.
    #[error(
        "the broker's store at {path} could not be synced ({cause}): nothing more is taken; start the broker again once the disk is sound"
    )]
    Unsynced {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        cause: String,
    },
    /// Publishers are faster than the disk.
    #[error(
        "more is being published than the disk of the broker's store takes: nothing was taken; publish again in a while"
    )]
    Busy,
    /// The broker is ending.
    #[error("the broker is ending")]
    Closed,
}
