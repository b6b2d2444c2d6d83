//! Which database, how to connect to it, and which of its errors mean "locked".

use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use thiserror::Error;

/// Where the store is and how many connections this process may have to it.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) connections: u32,
    options: SqliteConnectOptions,
}

/// A `DATABASE_URL` that names no database of a supported kind.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DatabaseUrlError {
    #[error("{0:?} is not a SQLite file; write sqlite://path/to/file.db")]
    NotSqlite(String),
    #[error("{0:?} is a database in memory, which other instances cannot share; write sqlite://path/to/file.db")]
    InMemory(String),
}

impl Database {
    /// Reads `sqlite:file`, `sqlite://file` (relative) and `sqlite:///file` (absolute).
    pub(crate) fn parse(url: &str, connections: u32) -> Result<Self, DatabaseUrlError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(DatabaseUrlError::NotSqlite(url.to_owned()));
        };
        if rest.contains(":memory:") || rest.contains("mode=memory") {
            return Err(DatabaseUrlError::InMemory(url.to_owned()));
        }
        let file = rest.strip_prefix("//").unwrap_or(rest).split('?').next().unwrap_or_default();
        match SqliteConnectOptions::from_str(url) {
            Ok(options) if !file.is_empty() => Ok(Self { url: url.to_owned(), connections, options }),
            _ => Err(DatabaseUrlError::NotSqlite(url.to_owned())),
        }
    }

    /// How every connection is opened. WAL is not set here: it is a lasting property of the file, given to it when
    /// it is set up, and setting it needs a lock that nobody can wait for.
    pub(super) fn options(&self, busy_timeout: Duration) -> SqliteConnectOptions {
        self.options
            .clone()
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(busy_timeout)
    }
}

/// Whether the statement failed only because another connection held a lock: it may be tried again as it is.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED are the low byte of every extended code of theirs.
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    let sqlx::Error::Database(error) = error else { return false };
    let code = error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    matches!(code, Some(BUSY | LOCKED))
}
