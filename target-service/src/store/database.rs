//! Which database, and how to connect to it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use thiserror::Error;

use super::postgres;

/// Where the store is and how many connections this process may have to it.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) connections: u32,
    /// The address without anything secret, for messages.
    pub(crate) shown: String,
    pub(super) engine: Engine,
}

/// How connections are opened. It holds the password, so it has no `Debug`.
#[derive(Clone)]
pub(super) enum Engine {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Database").field(&self.shown).finish()
    }
}

/// A `DATABASE_URL` that names no database of a supported kind. The messages hold no password.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DatabaseUrlError {
    #[error(
        "{0:?} is neither a SQLite file nor a PostgreSQL database; write sqlite://path/to/file.db or postgres://user:password@host/database"
    )]
    Unknown(String),
    #[error("{0:?} is a database in memory, which other instances cannot share; write sqlite://path/to/file.db")]
    InMemory(String),
    #[error(
        "{shown:?} is not an address of PostgreSQL: {cause}; write postgres://user:password@host/database, or postgres://user:password@/database?host=/cloudsql/PROJECT:REGION:INSTANCE for a socket"
    )]
    Postgres { shown: String, cause: String },
    #[error(
        "a password of its own is of no use to the SQLite file {0:?}; unset DATABASE_PASSWORD and DATABASE_PASSWORD_FILE"
    )]
    Password(String),
}

impl Database {
    /// Reads `sqlite:file`, `sqlite://file` (relative) and `sqlite:///file` (absolute), and the forms of
    /// [`postgres::options`]. `password`, when there is one, replaces the one in the address.
    pub(crate) fn parse(url: &str, password: Option<&str>, connections: u32) -> Result<Self, DatabaseUrlError> {
        if postgres::is_address(url) {
            let options = postgres::options(url, password)
                .map_err(|cause| DatabaseUrlError::Postgres { shown: kind_only(url), cause })?;
            return Ok(Self { connections, shown: postgres::shown(&options), engine: Engine::Postgres(options) });
        }
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(DatabaseUrlError::Unknown(kind_only(url)));
        };
        if rest.contains(":memory:") || rest.contains("mode=memory") {
            return Err(DatabaseUrlError::InMemory(url.to_owned()));
        }
        if password.is_some() {
            return Err(DatabaseUrlError::Password(url.to_owned()));
        }
        let file = rest.strip_prefix("//").unwrap_or(rest).split('?').next().unwrap_or_default();
        match SqliteConnectOptions::from_str(url) {
            Ok(options) if !file.is_empty() => {
                Ok(Self { connections, shown: url.to_owned(), engine: Engine::Sqlite(options) })
            }
            _ => Err(DatabaseUrlError::Unknown(url.to_owned())),
        }
    }
}

/// How every connection to a file is opened. WAL is not set here: it is a lasting property of the file, given to it
/// when it is set up, and setting it needs a lock that nobody can wait for. The store waits for locks itself, off the
/// connection and measured, so the engine must not.
pub(super) fn file(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .clone()
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(Duration::ZERO)
}

/// An address that cannot be read, as messages may show it: where its password is cannot be known, so no more than
/// its first word.
fn kind_only(url: &str) -> String {
    let word: String = url.chars().take_while(char::is_ascii_alphanumeric).collect();
    if url[word.len()..].starts_with("://") { format!("{word}://…") } else { "…".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        for (url, shown) in [
            ("mysql://shop:hunter2@db/shop", "mysql://…"),
            ("postgres://shop:hunter2@db:port/shop", "postgres://…"),
            ("postgres://shop:@hunter2", "postgres://…"),
            ("postgres://shop:hun@ter/hunter2?@db:5432/store", "postgres://…"),
            ("postgres://db/store?password=hunter2@hunter2", "postgres://…"),
            ("hunter2:shop@db", "…"),
            ("", "…"),
        ] {
            let error = Database::parse(url, None, 2).unwrap_err().to_string();
            assert!(error.contains(&format!("{shown:?}")) && !error.contains("hunter2"), "{url}: {error}");
        }
        let database = Database::parse("postgres://shop:hunter2@db/store", Some("hunter3"), 2).unwrap();
        assert_eq!(format!("{database:?}"), "Database(\"postgres://db:5432/store\")");
    }

    #[test]
    fn addresses_are_shown_by_host_or_socket() {
        let shown = |url| Database::parse(url, None, 2).unwrap().shown;
        assert_eq!(shown("postgres://shop:hunter2@db:6432/store"), "postgres://db:6432/store");
        let socket = "postgres://shop:hunter2@/store?host=/cloudsql/p:r:i";
        assert_eq!(shown(socket), "postgres:///store?host=/cloudsql/p:r:i");
        assert_eq!(shown("sqlite:///tmp/shop.db"), "sqlite:///tmp/shop.db");
    }

    #[test]
    fn a_file_takes_no_password() {
        let error = Database::parse("sqlite://shop.db", Some("hunter2"), 2).unwrap_err();
        assert_eq!(error, DatabaseUrlError::Password("sqlite://shop.db".to_owned()));
    }
}
