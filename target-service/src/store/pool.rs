//! The connections of this process to one database, of either kind.
//!
//! The library's own pool takes a database whose connections are used up for one that is just starting, and tries
//! again in silence until its timeout is over. Here that limit must be seen at once, so the connections are kept here.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::encode::Encode;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, IntoArguments, Row as _, Type};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::database::{self, Engine};
use super::{Database, LOCK_WAIT_MAX, LockWait, fault};

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Integer(i64),
    Text(String),
    Boolean(bool),
    /// No text.
    Null,
}

/// A row that a statement gave.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column.
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, sqlx::Error>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// The connections to the database that is configured. Clones share them.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(Arc<Connections<Sqlite>>),
    Postgres(Arc<Connections<Postgres>>),
}

impl Pool {
    /// Opens nothing yet.
    pub(super) fn new(database: &Database) -> Self {
        match &database.engine {
            Engine::Sqlite(options) => {
                Self::Sqlite(Arc::new(Connections::new(database::file(options), database.connections)))
            }
            Engine::Postgres(options) => {
                Self::Postgres(Arc::new(Connections::new(options.clone(), database.connections)))
            }
        }
    }

    /// Runs one statement and adds the time until it had a connection to `waits`.
    pub(super) async fn rows(&self, waits: &LockWait, sql: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(connections) => {
                Ok(connections.rows(waits, sql, values).await?.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connections) => {
                Ok(connections.rows(waits, sql, values).await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }
}

/// The connections of one kind: as many as there are permits, opened when they are first needed.
pub(super) struct Connections<D: sqlx::Database> {
    options: <D::Connection as Connection>::Options,
    permits: Semaphore,
    idle: Mutex<Vec<D::Connection>>,
}

impl<D: sqlx::Database> std::fmt::Debug for Connections<D> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold the password.
        formatter.debug_struct("Connections").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl<D> Connections<D>
where
    D: sqlx::Database,
    D::Arguments: IntoArguments<D>,
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    for<'q> i64: Encode<'q, D> + Type<D>,
    for<'q> bool: Encode<'q, D> + Type<D>,
    for<'q> String: Encode<'q, D> + Type<D>,
    for<'q> Option<String>: Encode<'q, D> + Type<D>,
{
    fn new(options: <D::Connection as Connection>::Options, connections: u32) -> Self {
        let permits = usize::try_from(connections).unwrap_or(Semaphore::MAX_PERMITS);
        Self { options, permits: Semaphore::new(permits), idle: Mutex::default() }
    }

    async fn rows(&self, waits: &LockWait, sql: &str, values: &[Value]) -> Result<Vec<D::Row>, sqlx::Error> {
        let begin = Instant::now();
        let acquired = timeout(LOCK_WAIT_MAX, async {
            let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            Ok::<_, sqlx::Error>((permit, connection))
        });
        let acquired = acquired.await;
        waits.add(begin.elapsed());
        let (permit, mut connection) = acquired.map_err(|_| sqlx::Error::PoolTimedOut)??;
        // Fetching all rows steps the statement to its end, so its lock is gone before the answer is looked at.
        let arguments = arguments::<D>(values)?;
        let result = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(&mut connection).await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            // Whatever broke this connection has broken the others as well.
            Err(error) if fault::is_broken(error) => idle.clear(),
            _ => idle.push(connection),
        }
        drop(permit);
        drop(idle);
        result
    }
}

/// The values as the engine takes them.
pub(super) fn arguments<D>(values: &[Value]) -> Result<D::Arguments, sqlx::Error>
where
    D: sqlx::Database,
    for<'q> i64: Encode<'q, D> + Type<D>,
    for<'q> bool: Encode<'q, D> + Type<D>,
    for<'q> String: Encode<'q, D> + Type<D>,
    for<'q> Option<String>: Encode<'q, D> + Type<D>,
{
    let mut arguments = D::Arguments::default();
    for value in values {
        match value {
            Value::Integer(number) => arguments.add(*number),
            Value::Text(text) => arguments.add(text.clone()),
            Value::Boolean(truth) => arguments.add(*truth),
            Value::Null => arguments.add(None::<String>),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
