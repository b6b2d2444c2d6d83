//! What an error of the database means: a lock to wait for, no connection left, a connection that is no more.

use std::borrow::Cow;

/// Whether the statement failed only because another connection held a lock: it may be tried again as it is.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY and SQLITE_LOCKED are the low byte of every extended code of theirs.
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    // PostgreSQL has undone the statement: `serialization_failure`, `deadlock_detected`, `lock_not_available`.
    const UNDONE: [&str; 3] = ["40001", "40P01", "55P03"];
    let Some(code) = code(error) else { return false };
    // A code of PostgreSQL has five characters, one of SQLite has four at most.
    if code.len() == 5 {
        return UNDONE.contains(&code.as_ref());
    }
    matches!(code.parse::<u32>().map(|code| code & 0xff), Ok(BUSY | LOCKED))
}

/// Whether the database has as many connections as it takes: `too_many_connections`, which stands for the limit of the
/// server, of the database and of the role alike.
pub(super) fn is_connection_limit(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "53300")
}

/// Whether the database is there but still starting: it refuses connections, or says `cannot_connect_now`.
pub(super) fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => {
            matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)
        }
        error => code(error).is_some_and(|code| code == "57P03"),
    }
}

/// Whether the connection is of no use any more: it broke, or the server has ended it (`admin_shutdown`, `crash_shutdown`,
/// `database_dropped`, `idle_session_timeout`).
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    const ENDED: [&str; 4] = ["57P01", "57P02", "57P04", "57P05"];
    match error {
        sqlx::Error::Database(_) => code(error).is_some_and(|code| ENDED.contains(&code.as_ref())),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    let sqlx::Error::Database(error) = error else { return None };
    error.code()
}
