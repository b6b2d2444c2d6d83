//! The store: products, testimonials and site configurations in an SQL database that several instances share.
//!
//! Every operation is one statement in autocommit, so a lock lives only as long as one step inside the database
//! engine: no round trip, no handler code and no waiting happens under it. That matters because an instance whose
//! CPU is throttled in the middle of a transaction makes all others wait for it. A statement runs in a task of its
//! own, which a request that its client abandons cannot stop halfway, and it takes parameters in the numbered form
//! that both SQLite and PostgreSQL read.

mod database;
mod fault;
mod pool;
mod postgres;
mod racy;
mod record;
mod sale;
mod schema;
mod seeds;
mod waits;

use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep};

pub(crate) use database::{Database, DatabaseUrlError};
pub(crate) use pool::Value;
pub(crate) use record::{Product, Record, SiteConfig, Table, Testimonial, cents_text};
pub(crate) use sale::Line;
pub(crate) use waits::LockWait;

use pool::{Pool, Row};

/// How long a statement tries to get its lock before the request fails.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(20);
/// Pauses between two tries. Short at first, because a running holder is done within microseconds; the last one is
/// repeated, and is less than a throttled holder's usual pause, so that little time is lost after its return.
const LOCK_PAUSES_MS: [u64; 5] = [1, 2, 3, 5, 8];

/// How sales change the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sales {
    /// By what is sold, however many sell at once.
    Exact,
    /// As the genuine service does: read, subtract, write all back. Sales at the same time undo each other.
    Racy,
}

#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("the database refused a statement: {0}")]
    Database(sqlx::Error),
    #[error("the database stayed locked for {} s: another process holds a transaction open", LOCK_WAIT_MAX.as_secs())]
    Locked,
    #[error("a store operation ended early: {0}")]
    Ended(#[from] tokio::task::JoinError),
    #[error("a count in a cart is out of the range of the stock column")]
    OutOfRange,
    #[error(
        "the database takes no more connections: {0}; allow fewer instances, lower DATABASE_POOL_SIZE, or raise the database's limit"
    )]
    ConnectionLimit(sqlx::Error),
    #[error(
        "failed to set up the database {shown}: {source}; give DATABASE_URL a file in a writable folder, or a database that runs and lets its user create tables"
    )]
    Setup { shown: String, source: sqlx::Error },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if fault::is_connection_limit(&error) { Self::ConnectionLimit(error) } else { Self::Database(error) }
    }
}

impl StoreError {
    /// Whether a unique column already holds the value.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// The shop's data. Clones share the connections to it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: Pool,
    sales: Sales,
}

impl Store {
    /// Creates tables and seeds where they are missing, and leaves everything else alone.
    pub(crate) async fn migrate(database: &Database) -> Result<(), StoreError> {
        let setup = |source| StoreError::Setup { shown: database.shown.clone(), source };
        schema::migrate(database).await.map_err(setup)
    }

    /// Opens the store, setting it up first when the database is empty. One connection is opened now, others as
    /// they are needed.
    pub(crate) async fn open(database: &Database, sales: Sales) -> Result<Self, StoreError> {
        let store = Self { pool: Pool::new(database), sales };
        let waits = LockWait::default();
        match store.rows(&waits, schema::IS_SET_UP, Vec::new()).await {
            Ok(rows) if !rows.is_empty() => Ok(store),
            // Other instances have all connections, so it is set up; each request will tell how it fares.
            Err(StoreError::ConnectionLimit(_)) => Ok(store),
            // No table yet, an empty one, or a file that cannot be read: setting up tells which.
            _ => {
                Self::migrate(database).await?;
                Ok(store)
            }
        }
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self, waits: &LockWait) -> Result<(), StoreError> {
        self.rows(waits, "SELECT 1", Vec::new()).await.map(|_| ())
    }

    /// All records of `R`, in the order its table has on the wire.
    pub(crate) async fn list<R: Record>(&self, waits: &LockWait) -> Result<Vec<R>, StoreError> {
        let sql = format!("SELECT * FROM {} ORDER BY {}", R::TABLE.name(), R::ORDER);
        self.records(waits, sql, Vec::new()).await
    }

    /// The records of `R` whose `column` equals `value`.
    pub(crate) async fn select<R: Record>(
        &self,
        waits: &LockWait,
        column: &'static str,
        value: Value,
    ) -> Result<Vec<R>, StoreError> {
        let sql = format!("SELECT * FROM {} WHERE {column} = $1 ORDER BY {}", R::TABLE.name(), R::ORDER);
        self.records(waits, sql, vec![value]).await
    }

    /// Adds a record; columns not given take the table's defaults.
    pub(crate) async fn insert<R: Record>(
        &self,
        waits: &LockWait,
        columns: Vec<(&'static str, Value)>,
    ) -> Result<Option<R>, StoreError> {
        let table = R::TABLE.name();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}")).collect();
        let sql = if columns.is_empty() {
            format!("INSERT INTO {table} DEFAULT VALUES RETURNING *")
        } else {
            format!("INSERT INTO {table} ({}) VALUES ({}) RETURNING *", names.join(", "), places.join(", "))
        };
        let values = columns.into_iter().map(|(_, value)| value).collect();
        let records: Vec<R> = self.records(waits, sql, values).await?;
        self.keep_one_active(waits, records).await
    }

    /// Changes the given columns only, so that two writers of different columns never undo each other.
    pub(crate) async fn update<R: Record>(
        &self,
        waits: &LockWait,
        id: i64,
        columns: Vec<(&'static str, Value)>,
    ) -> Result<Option<R>, StoreError> {
        if columns.is_empty() {
            return Ok(self.select(waits, "id", Value::Integer(id)).await?.pop());
        }
        let sets: Vec<String> =
            columns.iter().enumerate().map(|(index, (name, _))| format!("{name} = ${}", index + 1)).collect();
        let sql =
            format!("UPDATE {} SET {} WHERE id = ${} RETURNING *", R::TABLE.name(), sets.join(", "), sets.len() + 1);
        let activates = columns.iter().any(|(name, _)| *name == "active");
        let mut values: Vec<Value> = columns.into_iter().map(|(_, value)| value).collect();
        values.push(Value::Integer(id));
        let records: Vec<R> = self.records(waits, sql, values).await?;
        if activates { self.keep_one_active(waits, records).await } else { Ok(records.into_iter().next()) }
    }

    /// Removes a record and says whether it was there. Testimonials go with their product.
    pub(crate) async fn delete(&self, waits: &LockWait, table: Table, id: i64) -> Result<bool, StoreError> {
        let sql = format!("DELETE FROM {} WHERE id = $1 RETURNING id", table.name());
        Ok(!self.rows(waits, sql, vec![Value::Integer(id)]).await?.is_empty())
    }

    /// The first of `records`; when it is active, all others of its table become inactive.
    async fn keep_one_active<R: Record>(&self, waits: &LockWait, records: Vec<R>) -> Result<Option<R>, StoreError> {
        let Some(record) = records.into_iter().next() else { return Ok(None) };
        if record.active() == Some(true) {
            let sql = format!("UPDATE {} SET active = FALSE WHERE active AND id <> $1", R::TABLE.name());
            self.rows(waits, sql, vec![Value::Integer(record.id())]).await?;
        }
        Ok(Some(record))
    }

    async fn records<R: Record>(
        &self,
        waits: &LockWait,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<R>, StoreError> {
        let rows = self.rows(waits, sql, values).await?;
        Ok(rows.iter().map(R::from_row).collect::<Result<_, _>>()?)
    }

    /// Runs one statement to its end, whatever becomes of the caller, and adds the time it waited to `waits`.
    ///
    /// `sql` comes from this module alone and holds no outside text: values travel as parameters.
    async fn rows(&self, waits: &LockWait, sql: impl Into<String>, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let (store, waits, sql) = (self.clone(), waits.clone(), sql.into());
        tokio::spawn(async move { store.rows_when_unlocked(&waits, sql, values).await }).await?
    }

    async fn rows_when_unlocked(
        &self,
        waits: &LockWait,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let begin = Instant::now();
        let mut pauses = LOCK_PAUSES_MS.iter().copied();
        let mut pause_ms = LOCK_PAUSES_MS[0];
        loop {
            match self.pool.rows(waits, &sql, &values).await {
                Err(error) if fault::is_locked(&error) => {
                    if begin.elapsed() > LOCK_WAIT_MAX {
                        return Err(StoreError::Locked);
                    }
                    pause_ms = pauses.next().unwrap_or(pause_ms);
                    let pause = Instant::now();
                    sleep(Duration::from_millis(pause_ms)).await;
                    waits.add(pause.elapsed());
                }
                result => return Ok(result?),
            }
        }
    }
}
