//! The thread that reads messages back into memory.

use super::{LinesWanted, Outlook, Reply, Seq, StoreError, Stored, StoredLine, SubscriptionId, schema};
use crate::autoscaler::Micros;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, ToSql, params};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

/// What the reader is asked.
pub(super) enum Query {
    Fresh { subscription: SubscriptionId, after: Seq, messages: usize, bytes: usize, reply: Reply<Vec<Stored>> },
    Held { subscription: SubscriptionId, now: Micros, messages: usize, bytes: usize, reply: Reply<Vec<Stored>> },
    Lines { subscription: SubscriptionId, wanted: LinesWanted, reply: Reply<Vec<StoredLine>> },
    Oldest { subscription: SubscriptionId, reply: Reply<Option<Micros>> },
    Outlook { subscription: SubscriptionId, reply: Reply<Outlook> },
}

const FRESH: &str =
    "SELECT b.seq, m.published, b.failures, m.body FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
    WHERE b.subscription = ?1 AND b.seq > ?2 AND b.due = 0 ORDER BY b.seq LIMIT ?3";
const HELD: &str = "SELECT b.seq, m.published, b.failures, m.body FROM backlog b INDEXED BY held CROSS JOIN messages m
    ON m.seq = b.seq WHERE b.subscription = ?1 AND b.due > 0 AND b.due <= ?2 ORDER BY b.due, b.seq LIMIT ?3";
const LINE: &str = "SELECT b.seq, m.published, b.failures, m.body FROM messages m INDEXED BY keyed CROSS JOIN backlog b
    ON b.subscription = ?1 AND b.seq = m.seq WHERE m.topic = (SELECT topic FROM subscriptions WHERE id = ?1) AND m.key = ?2
    AND m.seq > ?3 AND m.seq <= ?4 AND b.due = 0 ORDER BY m.seq LIMIT ?5";
const NEXT_DUE: &str =
    "SELECT due FROM backlog INDEXED BY held WHERE subscription = ?1 AND due > 0 ORDER BY due LIMIT 1";
const UNACKED: &str = "SELECT m.published FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
    WHERE b.subscription = ?1 AND b.due >= 0 ORDER BY b.seq LIMIT 1";
const OLDEST: &str = "SELECT b.seq, m.published FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
    WHERE b.subscription = ?1 ORDER BY b.seq LIMIT 1";

/// The reading side.
pub(super) struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: schema::open_to_read(path)?, path: path.to_owned() })
    }

    /// Answers until nobody can ask any more.
    pub(super) fn run(self, queries: &Receiver<Query>) {
        // Whoever asked and went away needs no answer.
        for query in queries {
            match query {
                Query::Fresh { subscription, after, messages, bytes, reply } => {
                    let _ = reply.send(self.read(FRESH, (subscription, &after.0), (messages, bytes)));
                }
                Query::Held { subscription, now, messages, bytes, reply } => {
                    let _ = reply.send(self.read(HELD, (subscription, &whole(now)), (messages, bytes)));
                }
                Query::Lines { subscription, wanted, reply } => {
                    let lines = self.lines(subscription, wanted).map_err(|error| schema::told(&self.path, &error));
                    let _ = reply.send(lines);
                }
                Query::Oldest { subscription, reply } => {
                    let oldest = self.oldest(subscription).map_err(|error| schema::told(&self.path, &error));
                    let _ = reply.send(oldest);
                }
                Query::Outlook { subscription, reply } => {
                    let outlook = self.outlook(subscription).map_err(|error| schema::told(&self.path, &error));
                    let _ = reply.send(outlook);
                }
            }
        }
    }

    fn read(
        &self,
        sql: &str,
        (subscription, bound): (SubscriptionId, &dyn ToSql),
        (messages, bytes): (usize, usize),
    ) -> Result<Vec<Stored>, StoreError> {
        let limit = i64::try_from(messages).unwrap_or(i64::MAX);
        let read = |mut statement: rusqlite::CachedStatement<'_>| {
            collect(&mut statement, &[&subscription.0, bound, &limit], bytes)
        };
        self.connection.prepare_cached(sql).and_then(read).map_err(|error| schema::told(&self.path, &error))
    }

    fn lines(&self, subscription: SubscriptionId, wanted: LinesWanted) -> rusqlite::Result<Vec<StoredLine>> {
        let LinesWanted { keys, until, each, most: (mut messages_left, mut bytes_left) } = wanted;
        let mut statement = self.connection.prepare_cached(LINE)?;
        let mut lines = Vec::new();
        for (key, after) in keys {
            let most = each.min(messages_left);
            if most == 0 || bytes_left == 0 {
                break;
            }
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let parameters: [&dyn ToSql; 5] = [&subscription.0, &&*key, &after.0, &until.0, &limit];
            let messages = collect(&mut statement, &parameters, bytes_left)?;
            let bytes = messages.iter().map(|it| it.body.len()).sum::<usize>();
            let is_all = messages.len() < most && bytes < bytes_left;
            messages_left -= messages.len();
            bytes_left = bytes_left.saturating_sub(bytes);
            lines.push(StoredLine { key, messages, is_all });
        }
        Ok(lines)
    }

    fn oldest(&self, subscription: SubscriptionId) -> rusqlite::Result<Option<Micros>> {
        let mut statement = self.connection.prepare_cached(UNACKED)?;
        statement.query_row([subscription.0], |row| row.get(0).map(micros)).optional()
    }

    fn outlook(&self, subscription: SubscriptionId) -> rusqlite::Result<Outlook> {
        let due: Option<i64> = self
            .connection
            .prepare_cached(NEXT_DUE)?
            .query_row(params![subscription.0], |row| row.get(0))
            .optional()?;
        let oldest = self
            .connection
            .prepare_cached(OLDEST)?
            .query_row(params![subscription.0], |row| Ok((Seq(row.get(0)?), micros(row.get(1)?))))
            .optional()?;
        Ok(Outlook { next_due: due.map(micros), oldest })
    }
}

/// Reads rows until they are so many bytes; the first one always.
fn collect(
    statement: &mut Statement<'_>,
    parameters: &[&dyn ToSql],
    bytes_max: usize,
) -> rusqlite::Result<Vec<Stored>> {
    let mut rows = statement.query(parameters)?;
    let (mut stored, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let one = one(row)?;
        bytes += one.body.len();
        stored.push(one);
        if bytes >= bytes_max {
            break;
        }
    }
    Ok(stored)
}

fn one(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let body: Vec<u8> = row.get(3)?;
    Ok(Stored { seq: Seq(row.get(0)?), published: micros(row.get(1)?), failures: row.get(2)?, body: body.into() })
}

/// As the database keeps instants.
pub(super) fn whole(time: Micros) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn micros(time: i64) -> Micros {
    Micros(u64::try_from(time).unwrap_or(0))
}
