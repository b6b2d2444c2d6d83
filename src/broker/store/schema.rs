//! The tables, and the names of their columns in Rust.

use super::{StoreError, StoreOptions};
use crate::broker::proto;
use prost::Message as _;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi, params};
use std::path::Path;

/// `backlog` has one row for each message that a subscription still has to deliver; `due` is above zero while the message
/// is held, that is: out of memory until then, and -1 if it was acknowledged and is retained. `messages.key` is the ordering key, NULL without one. `meta.reserved`: ids
/// below are given out or lost.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (id INTEGER PRIMARY KEY AUTOINCREMENT, deleted INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, state INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, published INTEGER NOT NULL, body BLOB NOT NULL, key TEXT);
CREATE TABLE IF NOT EXISTS backlog (
    subscription INTEGER NOT NULL, seq INTEGER NOT NULL, due INTEGER NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (subscription, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held ON backlog (subscription, due, seq) WHERE due > 0;
CREATE INDEX IF NOT EXISTS keyed ON messages (topic, key, seq) WHERE key IS NOT NULL;
";

/// Pages that a write-ahead log may have before it is moved into the database: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4_096;

/// The version of these tables.
const VERSION: i32 = 2;

/// The writer's connection; makes the tables if they are not there.
pub(super) fn open(path: &Path, options: StoreOptions) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(|error| told(path, &error))?;
    let prepare = |connection: &Connection| -> rusqlite::Result<i32> {
        connection.pragma_update(None, "locking_mode", "NORMAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Whatever a killed or unsynced broker left in the log is written to the database and synced. What a full disk does
        // not take stays in the log, and is read there.
        match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DiskFull) => return Err(error),
            _ => {}
        }
        if version < VERSION {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            if version == 1 {
                add_keys(connection)?;
            }
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "user_version", VERSION)?;
            connection.execute_batch("COMMIT")?;
        }
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

/// Version 2 has the ordering keys of messages in a column of their own.
fn add_keys(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("ALTER TABLE messages ADD COLUMN key TEXT")?;
    let mut write = connection.prepare("UPDATE messages SET key = ?2 WHERE seq = ?1")?;
    let mut read = connection.prepare("SELECT seq, body FROM messages")?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let key = proto::PubsubMessage::decode(&body[..]).unwrap_or_default().ordering_key;
        if !key.is_empty() {
            write.execute(params![seq, key])?;
        }
    }
    Ok(())
}

/// The reader's connection.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| told(path, &error))?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|error| told(path, &error))?;
    Ok(connection)
}

/// Whether the disk did not take what it was given to sync. The kernel may then hold for written what is not, and a later
/// sync succeeds without it, so that nothing more can be promised.
pub(super) fn is_failed_sync(error: &rusqlite::Error) -> bool {
    let failed = [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC];
    error.sqlite_error().is_some_and(|error| failed.contains(&error.extended_code))
}

/// An error of SQLite's as the store's.
pub(super) fn told(path: &Path, error: &rusqlite::Error) -> StoreError {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        // The index of the log, which lies beside it, could not be made longer.
        _ if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) => StoreError::Full,
        _ if is_failed_sync(error) => StoreError::Unsynced { path: path.to_owned(), cause: error.to_string() },
        _ => StoreError::Failed { path: path.to_owned(), cause: error.to_string() },
    }
}
