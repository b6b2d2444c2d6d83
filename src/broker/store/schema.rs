//! The tables, and the names of their columns in Rust.

use super::{StoreError, StoreOptions};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::Path;

/// `backlog` has one row for each message that a subscription still has to deliver; `due` is above zero while the message
/// is held, that is: out of memory until then. `meta.reserved`: ids below are given out or lost.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (id INTEGER PRIMARY KEY AUTOINCREMENT, deleted INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, state INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, published INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS backlog (
    subscription INTEGER NOT NULL, seq INTEGER NOT NULL, due INTEGER NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (subscription, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held ON backlog (subscription, due, seq) WHERE due > 0;
";

/// Pages that a write-ahead log may have before it is moved into the database: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;

/// The version of these tables.
const VERSION: i32 = 1;

/// The writer's connection; makes the tables if they are not there.
pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(|error| told(path, &error))?;
    let prepare = |connection: &Connection| -> rusqlite::Result<i32> {
        connection.pragma_update(None, "locking_mode", "NORMAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        if let Some(pages) = options.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(version)
    };
    let version = prepare(&connection).map_err(|error| told(path, &error))?;
    if version > VERSION {
        let cause = format!("it was written by a newer tidegate (version {version}, this one knows {VERSION})");
        return Err(StoreError::Failed { path: path.to_owned(), cause });
    }
    Ok(connection)
}

/// The reader's connection.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| told(path, &error))?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|error| told(path, &error))?;
    Ok(connection)
}

/// An error of SQLite's as the store's.
pub(super) fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => StoreError::Failed { path: path.to_owned(), cause: error.to_string() },
    }
}
