//! The deliveries that succeeded, kept in a SQLite file. What was told to be kept is there whatever becomes of the
//! process: a delivery is answered after it has been written.
//!
//! One statement writes all that came while the one before it was being written, so that their number costs little. The
//! file is in WAL mode with `synchronous=NORMAL`: what is written survives the process, not the machine, which would lose
//! the last moments. Several processes can write to one file, and the numbers follow the order in which they did.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::sleep;

use super::push::Push;

/// Deliveries that a page holds at most.
pub(crate) const PAGE: i64 = 10_000;
/// Deliveries that one statement writes at most.
const BATCH: usize = 1_000;
/// Deliveries that may wait to be written; further ones wait to wait.
const QUEUE: usize = 4_096;
/// How long a lock of another process is awaited.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often setting up is tried while another process sets up the same file.
const SETUP_TRIES: usize = 200;

/// What a delivery is told when the task that writes them has ended.
const ENDED: &str = "the deliveries are no longer written";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  key TEXT,
  attempt INTEGER NOT NULL,
  done_unix_us INTEGER NOT NULL
)";
const INSERT: &str = "INSERT INTO delivery (id, message_id, key, attempt, done_unix_us)
  SELECT value ->> 'id', value ->> 'message_id', value ->> 'key', value ->> 'attempt', value ->> 'done_unix_us'
  FROM json_each($1) ORDER BY key";
const SELECT: &str =
    "SELECT seq, id, message_id, key, attempt, done_unix_us FROM delivery WHERE seq > $1 ORDER BY seq LIMIT $2";

/// Why the file could not be used.
#[derive(Debug, Error)]
#[error("failed to keep deliveries in {path:?}: {source}; give DELIVERIES a file in a folder that can be written to")]
pub(crate) struct OpenError {
    path: PathBuf,
    source: sqlx::Error,
}

/// A delivery that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Delivery {
    /// Its number in the file, from 1.
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) message_id: String,
    pub(crate) key: Option<String>,
    pub(crate) attempt: i64,
    pub(crate) done_unix_us: i64,
}

/// A page of deliveries, in the order of their numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    /// The number after which the next page begins.
    pub(crate) next: i64,
    pub(crate) deliveries: Vec<Delivery>,
}

/// A delivery on its way into the file.
#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    message_id: String,
    key: Option<String>,
    attempt: u64,
    done_unix_us: i64,
    #[serde(skip)]
    written: oneshot::Sender<Result<(), String>>,
}

/// The file of deliveries. Clones share it.
#[derive(Clone)]
pub(crate) struct Deliveries {
    entries: mpsc::Sender<Entry>,
    reader: Arc<Mutex<SqliteConnection>>,
}

impl Deliveries {
    /// Opens the file, which is made when it is missing.
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(LOCK_WAIT);
        let mut writer = options.connect().await.map_err(failed)?;
        set_up(&mut writer).await.map_err(failed)?;
        let reader = options.connect().await.map_err(failed)?;
        let (entries, queue) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(writer, queue));
        Ok(Self { entries, reader: Arc::new(Mutex::new(reader)) })
    }

    /// Keeps a delivery; it has been written when this returns. An error says why it has not.
    pub(crate) async fn keep(&self, push: &Push, done_unix_us: i64) -> Result<(), String> {
        let (written, is_written) = oneshot::channel();
        let entry = Entry {
            id: push.id.clone(),
            message_id: push.message_id.clone(),
            key: push.ordering_key.clone(),
            attempt: push.attempt,
            done_unix_us,
            written,
        };
        self.entries.send(entry).await.map_err(|_| ENDED)?;
        is_written.await.map_err(|_| ENDED)?
    }

    /// The deliveries whose numbers are above `after`, as many as a page holds.
    pub(crate) async fn page(&self, after: i64) -> Result<Page, sqlx::Error> {
        let mut reader = self.reader.lock().await;
        let rows = sqlx::query(SELECT).bind(after).bind(PAGE).fetch_all(&mut *reader).await?;
        let deliveries = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
        Ok(Page { next: deliveries.last().map_or(after, |last| last.seq), deliveries })
    }
}

fn delivery(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    Ok(Delivery {
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        message_id: row.try_get("message_id")?,
        key: row.try_get("key")?,
        attempt: row.try_get("attempt")?,
        done_unix_us: row.try_get("done_unix_us")?,
    })
}

/// Makes the table where it is missing. WAL is a lasting property of the file, and the engine waits for no lock when it
/// sets it: another instance that does the same at the same time makes this one try again.
async fn set_up(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut tries = 0;
    loop {
        let result = async {
            sqlx::query("PRAGMA journal_mode = WAL").fetch_all(&mut *connection).await?;
            sqlx::query(TABLE).execute(&mut *connection).await
        };
        match result.await {
            Err(sqlx::Error::Database(error)) if tries < SETUP_TRIES && error.message().contains("locked") => {
                tries += 1;
                sleep(Duration::from_millis(25)).await;
            }
            result => return result.map(|_| ()),
        }
    }
}

/// Writes what comes, all that waits at once, until nobody is left who could send more.
async fn write_all(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Entry>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let result = write(&mut connection, &batch).await.map_err(|error| error.to_string());
        for entry in batch.drain(..) {
            // Whoever waited may have gone away; the delivery is there all the same.
            let _ = entry.written.send(result.clone());
        }
    }
}

async fn write(connection: &mut SqliteConnection, batch: &[Entry]) -> Result<(), sqlx::Error> {
    let entries = serde_json::to_string(batch).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(INSERT).bind(entries).execute(connection).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(id: &str) -> Push {
        Push { id: id.to_owned(), message_id: format!("m{id}"), ordering_key: None, attempt: 1 }
    }

    #[tokio::test]
    async fn what_is_kept_is_there_for_whoever_opens_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deliveries.db");
        let deliveries = Deliveries::open(&path).await.unwrap();
        let keyed = Push { ordering_key: Some("k\"\u{e9}".to_owned()), attempt: 5, ..push("1") };
        deliveries.keep(&keyed, 1_700_000_000_000_001).await.unwrap();
        deliveries.keep(&push("1"), 1_700_000_000_000_002).await.unwrap();
        // The first is still open, as it is when its process was killed.
        let again = Deliveries::open(&path).await.unwrap();
        let page = again.page(0).await.unwrap();
        assert_eq!(page.next, 2);
        let first = Delivery {
            seq: 1,
            id: "1".to_owned(),
            message_id: "m1".to_owned(),
            key: Some("k\"\u{e9}".to_owned()),
            attempt: 5,
            done_unix_us: 1_700_000_000_000_001,
        };
        assert_eq!(page.deliveries[0], first);
        assert_eq!((page.deliveries[1].seq, &page.deliveries[1].key), (2, &None));
        let rest = again.page(2).await.unwrap();
        assert_eq!((rest.next, rest.deliveries.len()), (2, 0));
    }

    #[tokio::test]
    async fn two_processes_share_a_file_that_both_make() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deliveries.db");
        let (one, other) = tokio::join!(Deliveries::open(&path), Deliveries::open(&path));
        let (one, other) = (one.unwrap(), other.unwrap());
        let write = |deliveries: Deliveries, from: u32| async move {
            for number in from..from + 100 {
                deliveries.keep(&push(&number.to_string()), 0).await.unwrap();
            }
        };
        tokio::join!(write(one.clone(), 0), write(other, 1_000));
        let page = one.page(0).await.unwrap();
        let numbers: Vec<i64> = page.deliveries.iter().map(|delivery| delivery.seq).collect();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<&str> = page.deliveries.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(ids.len(), 200);
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let deliveries = Deliveries::open(&folder.path().join("deliveries.db")).await.unwrap();
        let count = usize::try_from(PAGE).unwrap() + 5;
        let tasks: Vec<_> = (0..count)
            .map(|number| {
                let deliveries = deliveries.clone();
                tokio::spawn(async move { deliveries.keep(&push(&number.to_string()), 0).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let first = deliveries.page(0).await.unwrap();
        assert_eq!((first.next, first.deliveries.len()), (PAGE, 10_000));
        let second = deliveries.page(first.next).await.unwrap();
        assert_eq!((second.next, second.deliveries.len()), (PAGE + 5, 5));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_is_told_with_its_mend() {
        let error = Deliveries::open(Path::new("/no/such/folder/deliveries.db")).await.err().unwrap().to_string();
        assert!(error.starts_with("failed to keep deliveries in \"/no/such/folder/deliveries.db\""), "{error}");
        assert!(error.ends_with("give DELIVERIES a file in a folder that can be written to"), "{error}");
    }
}
