//! The thread that writes. It takes whatever waits, applies it in one transaction, and syncs that once if a publisher or
//! an administrator waits for it; changes of backlogs alone are left to the page cache, which a killed process does
//! not take with it.

mod admin;
mod rows;
mod seek;
#[cfg(test)]
mod tests;

use super::{
    Command, Contents, Reply, Seq, Signal, StoreError, StoreOptions, SubscriptionId, SubscriptionRecord, TopicId,
    TopicRecord, schema,
};
use crate::autoscaler::Micros;
use crate::broker::filter::Filter;
use crate::broker::proto;
use prost::Message as _;
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::time::Instant;

/// Messages of one transaction, about: beyond that the next ones wait for the next.
const BATCH_MESSAGES: usize = 20_000;
/// Changes that nobody waits for may wait so long for company.
const LAZY: Duration = Duration::from_millis(10);
/// After a failure, changes are tried again this much later.
const RETRY: Duration = Duration::from_millis(200);
/// Ids are reserved so many at a time; a crash loses the rest of them.
const RESERVED: i64 = 100_000;
/// Rows of backlogs that one transaction clears away: a millisecond's work, for which publishers may have to wait.
const CLEARED: usize = 250;

/// `subscriptions.state`: the backlog of one that is deleted or detached is cleared away bit by bit.
const LIVE: i64 = 0;
const DELETED: i64 = 1;

/// The writing side, and what it must know to route messages.
pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    next: i64,
    reserved: i64,
    /// The subscriptions of each topic, those included that are being cleared away.
    routes: BTreeMap<TopicId, Vec<SubscriptionId>>,
    subscriptions: BTreeMap<SubscriptionId, Route>,
    /// Deleted or detached, with rows left.
    clearing: Vec<SubscriptionId>,
    /// Those with messages that may be too old, and before when they were published then.
    expiring: BTreeMap<SubscriptionId, Micros>,
    /// The first is under way.
    seeking: VecDeque<Seeking>,
    syncs: bool,
    /// Why nothing more is taken: a sync failed.
    unsynced: Option<StoreError>,
}

struct Route {
    topic: TopicId,
    live: bool,
    /// What was acknowledged is kept until it is too old.
    retains: bool,
    /// What does not pass it is acknowledged by the broker: it never gets into the backlog.
    filter: Option<Filter>,
    signal: Arc<Signal>,
}

impl Route {
    fn of(topic: TopicId, config: &proto::Subscription, signal: Arc<Signal>) -> Self {
        // It was read when the subscription was made.
        let filter = Filter::parse(&config.filter).unwrap_or_default();
        Self { topic, live: true, retains: config.retain_acked_messages, filter, signal }
    }
}

/// A seek, of which the messages up to one are done.
struct Seeking {
    id: SubscriptionId,
    time: Micros,
    done: i64,
    /// Later messages were published meanwhile.
    until: i64,
    reply: Reply<()>,
}

/// What a transaction did, told once it is committed.
#[derive(Default)]
struct Done {
    published: Vec<(Reply<Vec<Seq>>, Vec<Seq>)>,
    /// What was added to and taken from the backlogs.
    backlogs: BTreeMap<SubscriptionId, Delta>,
}

#[derive(Default)]
struct Delta {
    added: u64,
    removed: u64,
    last: i64,
    changed: u64,
}

impl Writer {
    pub(super) fn open(path: &Path, options: StoreOptions) -> Result<(Self, Contents), StoreError> {
        let connection = schema::open(path, options)?;
        let mut writer = Self {
            connection,
            path: path.to_owned(),
            next: 0,
            reserved: 0,
            routes: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            clearing: Vec::new(),
            expiring: BTreeMap::new(),
            seeking: VecDeque::new(),
            syncs: true,
            unsynced: None,
        };
        let contents = writer.load().map_err(|error| schema::told(path, &error))?;
        Ok((writer, contents))
    }

    fn load(&mut self) -> rusqlite::Result<Contents> {
        let connection = &self.connection;
        let reserved = "SELECT value FROM meta WHERE name = 'reserved'";
        self.reserved = connection.query_row(reserved, [], |row| row.get(0)).optional()?.unwrap_or(1);
        self.next = self.reserved;
        let mut contents = Contents::default();
        let mut statement = connection.prepare("SELECT id, config FROM topics WHERE deleted = 0 ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, config): (_, Vec<u8>) = (TopicId(row.get(0)?), row.get(1)?);
            contents.topics.push(TopicRecord { id, config: proto::Topic::decode(&config[..]).unwrap_or_default() });
        }
        let mut statement = connection.prepare("SELECT id, topic, state, config FROM subscriptions ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, topic) = (SubscriptionId(row.get(0)?), TopicId(row.get(1)?));
            let (state, config): (i64, Vec<u8>) = (row.get(2)?, row.get(3)?);
            let config = proto::Subscription::decode(&config[..]).unwrap_or_default();
            let signal = Arc::new(Signal::default());
            let live = state == LIVE && !config.detached;
            self.routes.entry(topic).or_default().push(id);
            self.subscriptions.insert(id, Route { live, ..Route::of(topic, &config, Arc::clone(&signal)) });
            if live {
                let count = "SELECT count(*) FROM backlog WHERE subscription = ?1 AND due >= 0";
                let count: i64 = connection.query_row(count, [id.0], |row| row.get(0))?;
                signal.backlog.store(u64::try_from(count).unwrap_or(0), Ordering::Release);
            } else {
                self.clearing.push(id);
            }
            if state == LIVE {
                contents.subscriptions.push(SubscriptionRecord { id, config, signal });
            }
        }
        Ok(contents)
    }

    /// Writes until nobody can tell it anything any more.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let (mut waiting, mut cleared) = (Vec::new(), true);
        loop {
            let patience = match (waiting.is_empty() && cleared, self.has_to_clear()) {
                (false, _) => RETRY,
                (true, true) => Duration::ZERO,
                (true, false) => Duration::from_hours(1),
            };
            let first = match commands.recv_timeout(patience) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    // What nobody waits for is written if it can be; otherwise it is delivered again.
                    let _ = self.apply(waiting);
                    return;
                }
            };
            let mut admin = None;
            let mut next = first;
            let (mut messages, mut urgent) = (0, false);
            // What is being cleared away need not wait for company.
            let patient_until = Instant::now() + if self.has_to_clear() { Duration::ZERO } else { LAZY };
            while let Some(command) = next {
                match command {
                    Command::Admin(it) => {
                        admin = Some(it);
                        break;
                    }
                    Command::Publish { messages: ref published, .. } => {
                        messages += published.len();
                        urgent = true;
                    }
                    Command::Change { ref changes, .. } => messages += changes.len(),
                }
                waiting.push(command);
                let patience = patient_until.saturating_duration_since(Instant::now());
                let patience = if urgent { Duration::ZERO } else { patience };
                next = if messages < BATCH_MESSAGES { commands.recv_timeout(patience).ok() } else { None };
            }
            waiting = self.apply_all(waiting);
            if let Some(admin) = admin {
                self.administer(admin);
            }
            cleared = self.clear();
        }
    }

    /// Applies what waits. Changes do not share the fate of publishes: those that a full disk refuses would hold up the
    /// acknowledgements that make room on it, for as long as somebody publishes.
    fn apply_all(&mut self, commands: Vec<Command>) -> Vec<Command> {
        if let Some(error) = &self.unsynced {
            // What was to be settled is delivered again after a restart.
            for command in commands {
                if let Command::Publish { reply, .. } = command {
                    let _ = reply.send(Err(error.clone()));
                }
            }
            return Vec::new();
        }
        let mixed = commands.iter().any(Command::is_publish);
        let again = self.apply(commands);
        if mixed { self.apply(again) } else { again }
    }

    /// Applies commands in one transaction. Gives back what is to be tried again: the changes nobody waits for, if the
    /// database takes nothing now.
    fn apply(&mut self, commands: Vec<Command>) -> Vec<Command> {
        if commands.is_empty() {
            return commands;
        }
        let urgent = commands.iter().any(Command::is_publish);
        let (mut done, mut again, mut replies) = (Done::default(), Vec::new(), Vec::new());
        let mut applied = self.begin(urgent);
        for command in commands {
            match command {
                Command::Publish { topic, published, messages, reply, .. } => {
                    if applied.is_ok() {
                        match self.publish(topic, published, &messages, &mut done) {
                            Ok(ids) => done.published.push((reply, ids)),
                            Err(error) => {
                                applied = Err(error);
                                replies.push(reply);
                            }
                        }
                    } else {
                        replies.push(reply);
                    }
                }
                Command::Change { subscription, changes, number } => {
                    if applied.is_ok() {
                        applied = self.change(subscription, &changes, number, &mut done);
                    }
                    // What has no number is asked for again by whoever wants it.
                    if number > 0 {
                        again.push(Command::Change { subscription, changes, number });
                    }
                }
                Command::Admin(_) => {}
            }
        }
        match applied.and_then(|()| self.commit()) {
            Ok(()) => {
                self.tell(done);
                Vec::new()
            }
            Err(error) => {
                let error = self.roll_back(&error);
                let published = done.published.into_iter().map(|(reply, _)| reply);
                for reply in published.chain(replies) {
                    // A publisher that went away is not told.
                    let _ = reply.send(Err(error.clone()));
                }
                again
            }
        }
    }

    fn begin(&mut self, urgent: bool) -> rusqlite::Result<()> {
        if self.syncs != urgent {
            self.connection.pragma_update(None, "synchronous", if urgent { "FULL" } else { "NORMAL" })?;
            self.syncs = urgent;
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    fn roll_back(&mut self, error: &rusqlite::Error) -> StoreError {
        // SQLite has rolled back by itself after some errors: then there is nothing to roll back.
        let _ = self.connection.execute_batch("ROLLBACK");
        // Ids that were reserved in the transaction were not.
        self.reserved = self.reserved.min(self.next);
        let told = schema::told(&self.path, error);
        if schema::is_failed_sync(error) {
            self.unsynced = Some(told.clone());
        }
        told
    }

    fn tell(&self, done: Done) {
        for (id, delta) in done.backlogs {
            let Some(route) = self.subscriptions.get(&id) else { continue };
            let signal = &route.signal;
            signal.backlog.fetch_add(delta.added, Ordering::AcqRel);
            signal.backlog.fetch_sub(delta.removed, Ordering::AcqRel);
            signal.published.fetch_max(u64::try_from(delta.last).unwrap_or(0), Ordering::AcqRel);
            signal.changed.fetch_max(delta.changed, Ordering::AcqRel);
            signal.bell.notify_one();
        }
        for (reply, ids) in done.published {
            let _ = reply.send(Ok(ids));
        }
    }
}
