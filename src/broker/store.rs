//! What the broker must not forget, in one SQLite database: topics, subscriptions, messages, and which subscription
//! still has to deliver which message. A writer thread puts whatever waits into one transaction and syncs it once (group
//! commit); a reader thread reads beside it. Why SQLite: docs/decisions/0005-the-brokers-store.md.

mod error;
mod folder;
mod message;
mod reader;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use error::StoreError;
pub(super) use message::{LinesWanted, NewMessage, Seq, Stored, StoredLine, timestamp};

use super::proto;
use crate::autoscaler::Micros;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::{Notify, Semaphore, oneshot};

/// A topic's key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TopicId(pub(super) i64);

/// A subscription's key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubscriptionId(pub(super) i64);

/// A topic as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TopicRecord {
    pub(super) id: TopicId,
    pub(super) config: proto::Topic,
}

/// A subscription as it is kept.
#[derive(Clone, Debug)]
pub(super) struct SubscriptionRecord {
    pub(super) id: SubscriptionId,
    pub(super) config: proto::Subscription,
    pub(super) signal: Arc<Signal>,
}

/// How the writer tells a subscription what it has committed.
#[derive(Debug, Default)]
pub(super) struct Signal {
    /// Messages that wait to be acknowledged.
    backlog: AtomicU64,
    /// The number of the last change that is committed.
    changed: AtomicU64,
    /// The last message that was published to it.
    published: AtomicU64,
    /// Rung after each commit that concerns it.
    pub(super) bell: Notify,
}

impl Signal {
    /// Messages that wait to be acknowledged.
    pub(super) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Acquire)
    }

    /// The number of the last change that is committed.
    pub(super) fn changed(&self) -> u64 {
        self.changed.load(Ordering::Acquire)
    }

    /// The last message that was published to it since the broker was started.
    pub(super) fn published(&self) -> Seq {
        Seq(i64::try_from(self.published.load(Ordering::Acquire)).unwrap_or(i64::MAX))
    }
}

/// A change of one subscription's backlog. None is synced by itself: what a crash of the machine takes back of these is
/// delivered again.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Acknowledged, expired or dropped: it is not delivered to this subscription any more. It is kept if the subscription
    /// retains what was acknowledged.
    Settled(Seq),
    /// It failed, and stays in memory.
    Failed { seq: Seq, failures: u32 },
    /// It leaves memory until then.
    Held { seq: Seq, failures: u32, until: Micros },
    /// It came back into memory.
    Taken(Seq),
    /// What was published before this is dropped, bit by bit between other changes.
    Expired { before: Micros },
    /// It goes to the dead letter topic, with these attributes, and is settled.
    DeadLettered { seq: Seq, topic: TopicId, attributes: proto::Words, now: Micros },
}

/// What the writer is told.
enum Command {
    Publish {
        topic: TopicId,
        published: Micros,
        messages: Vec<NewMessage>,
        reply: Reply<Vec<Seq>>,
        _room: tokio::sync::OwnedSemaphorePermit,
    },
    Change {
        subscription: SubscriptionId,
        changes: Vec<Change>,
        number: u64,
    },
    Admin(Admin),
}

impl Command {
    /// Whether somebody waits for it to be synced.
    fn is_publish(&self) -> bool {
        matches!(self, Self::Publish { .. })
    }
}

/// A change of what there is.
enum Admin {
    CreateTopic {
        config: Box<proto::Topic>,
        reply: Reply<TopicId>,
    },
    UpdateTopic {
        id: TopicId,
        config: Box<proto::Topic>,
        reply: Reply<()>,
    },
    /// Its subscriptions are kept as they are given: they have no topic any more.
    DeleteTopic {
        id: TopicId,
        subscriptions: Vec<(SubscriptionId, proto::Subscription)>,
        reply: Reply<()>,
    },
    CreateSubscription {
        topic: TopicId,
        config: Box<proto::Subscription>,
        signal: Arc<Signal>,
        reply: Reply<SubscriptionId>,
    },
    UpdateSubscription {
        id: SubscriptionId,
        config: Box<proto::Subscription>,
        reply: Reply<()>,
    },
    /// What was published before the time is acknowledged; later messages that are kept though they were are so no more.
    Seek {
        id: SubscriptionId,
        time: Micros,
        reply: Reply<()>,
    },
    /// Its backlog goes with it. A detached subscription keeps its name, a deleted one does not.
    DropBacklog {
        id: SubscriptionId,
        detached: Option<Box<proto::Subscription>>,
        reply: Reply<()>,
    },
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What there was when the store was opened.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) topics: Vec<TopicRecord>,
    pub(super) subscriptions: Vec<SubscriptionRecord>,
}

/// Bytes of publishes that may wait for the writer: beyond that publishers wait.
const QUEUED_BYTES_MAX: usize = 64 << 20;
/// Bytes of publishes that may be there at all: beyond that publishers are refused.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// How the store is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoreOptions {
    /// The database may have so many pages of 4 KiB: a disk that fills up, for tests.
    pub(super) pages_max: Option<u32>,
}

/// The store. Dropping it ends its threads, after what they were told before.
pub(super) struct Store {
    commands: Option<Sender<Command>>,
    queries: Option<Sender<reader::Query>>,
    room: Arc<Semaphore>,
    waiting: Semaphore,
    threads: Vec<JoinHandle<()>>,
    _lock: std::fs::File,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or makes the store in a folder, which is made if need be.
    pub(super) fn open(folder: &Path, options: StoreOptions) -> Result<(Self, Contents), StoreError> {
        let path = folder.join("broker.sqlite");
        let failed = |cause: String| StoreError::Failed { path: path.clone(), cause };
        let lock = folder::occupy(folder).map_err(|error| failed(error.to_string()))?;
        let (writer, contents) = writer::Writer::open(&path, options)?;
        let reader = reader::Reader::open(&path)?;
        let (commands, commanded) = channel();
        let (queries, asked) = channel();
        let thread = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| failed(error.to_string()))
        };
        let threads = vec![
            thread("broker-writer", Box::new(move || writer.run(&commanded)))?,
            thread("broker-reader", Box::new(move || reader.run(&asked)))?,
        ];
        let room = Arc::new(Semaphore::new(QUEUED_BYTES_MAX));
        let waiting = Semaphore::new(WAITING_BYTES_MAX);
        let (commands, queries) = (Some(commands), Some(queries));
        Ok((Self { commands, queries, room, waiting, threads, _lock: lock }, contents))
    }

    fn send(&self, command: Command) -> Result<(), StoreError> {
        self.commands.as_ref().and_then(|commands| commands.send(command).ok()).ok_or(StoreError::Closed)
    }

    async fn admin<T>(&self, admin: impl FnOnce(Reply<T>) -> Admin) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        self.send(Command::Admin(admin(reply)))?;
        replied.await.map_err(|_| StoreError::Closed)?
    }

    async fn query<T>(&self, query: impl FnOnce(Reply<T>) -> reader::Query) -> Result<T, StoreError> {
        let (reply, replied) = oneshot::channel();
        let queries = self.queries.as_ref().ok_or(StoreError::Closed)?;
        queries.send(query(reply)).map_err(|_| StoreError::Closed)?;
        replied.await.map_err(|_| StoreError::Closed)?
    }

    /// Keeps messages for every subscription of a topic. Once this has answered, no crash loses them.
    pub(super) async fn publish(
        &self,
        topic: TopicId,
        published: Micros,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Seq>, StoreError> {
        let bytes: usize = messages.iter().map(|message| message.body.len() + 64).sum();
        let bytes = u32::try_from(bytes.min(QUEUED_BYTES_MAX)).unwrap_or(u32::MAX);
        let _waiting = self.waiting.try_acquire_many(bytes).map_err(|_| StoreError::Busy)?;
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.map_err(|_| StoreError::Closed)?;
        let (reply, replied) = oneshot::channel();
        self.send(Command::Publish { topic, published, messages, reply, _room: room })?;
        replied.await.map_err(|_| StoreError::Closed)?
    }

    /// Changes a subscription's backlog, soon; its signal tells when.
    pub(super) fn change(
        &self,
        subscription: SubscriptionId,
        number: u64,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        self.send(Command::Change { subscription, changes, number })
    }

    pub(super) async fn create_topic(&self, config: proto::Topic) -> Result<TopicId, StoreError> {
        self.admin(|reply| Admin::CreateTopic { config: Box::new(config), reply }).await
    }

    pub(super) async fn update_topic(&self, id: TopicId, config: proto::Topic) -> Result<(), StoreError> {
        self.admin(|reply| Admin::UpdateTopic { id, config: Box::new(config), reply }).await
    }

    /// Deletes a topic and changes its subscriptions, all or nothing.
    pub(super) async fn delete_topic(
        &self,
        id: TopicId,
        subscriptions: Vec<(SubscriptionId, proto::Subscription)>,
    ) -> Result<(), StoreError> {
        self.admin(|reply| Admin::DeleteTopic { id, subscriptions, reply }).await
    }

    pub(super) async fn create_subscription(
        &self,
        topic: TopicId,
        config: proto::Subscription,
        signal: Arc<Signal>,
    ) -> Result<SubscriptionId, StoreError> {
        self.admin(|reply| Admin::CreateSubscription { topic, config: Box::new(config), signal, reply }).await
    }

    pub(super) async fn update_subscription(
        &self,
        id: SubscriptionId,
        config: proto::Subscription,
    ) -> Result<(), StoreError> {
        self.admin(|reply| Admin::UpdateSubscription { id, config: Box::new(config), reply }).await
    }

    /// Acknowledges what was published to a subscription before a time; what came later and is kept though it was acknowledged
    /// is so no more. Bit by bit: what is published meanwhile is not touched.
    pub(super) async fn seek(&self, id: SubscriptionId, time: Micros) -> Result<(), StoreError> {
        self.admin(|reply| Admin::Seek { id, time, reply }).await
    }

    /// Deletes a subscription, or only its backlog if it is detached: then it is kept as `detached` says.
    pub(super) async fn drop_backlog(
        &self,
        id: SubscriptionId,
        detached: Option<proto::Subscription>,
    ) -> Result<(), StoreError> {
        self.admin(|reply| Admin::DropBacklog { id, detached: detached.map(Box::new), reply }).await
    }

    /// The next messages after one that were never held, in order, at most so many and about so many bytes.
    pub(super) async fn fresh(
        &self,
        subscription: SubscriptionId,
        after: Seq,
        (messages, bytes): (usize, usize),
    ) -> Result<Vec<Stored>, StoreError> {
        self.query(|reply| reader::Query::Fresh { subscription, after, messages, bytes, reply }).await
    }

    /// Messages with these ordering keys that were never held, in order. A key that is not in the answer was not looked for:
    /// those before it were enough.
    pub(super) async fn lines(
        &self,
        subscription: SubscriptionId,
        wanted: LinesWanted,
    ) -> Result<Vec<StoredLine>, StoreError> {
        self.query(|reply| reader::Query::Lines { subscription, wanted, reply }).await
    }

    /// Held messages that are due, the longest due first.
    pub(super) async fn held(
        &self,
        subscription: SubscriptionId,
        now: Micros,
        (messages, bytes): (usize, usize),
    ) -> Result<Vec<Stored>, StoreError> {
        self.query(|reply| reader::Query::Held { subscription, now, messages, bytes, reply }).await
    }

    /// When the oldest message that waits to be acknowledged was published.
    pub(super) async fn oldest(&self, subscription: SubscriptionId) -> Result<Option<Micros>, StoreError> {
        self.query(|reply| reader::Query::Oldest { subscription, reply }).await
    }

    /// When the next held message is due, and when the oldest message that is kept was published.
    pub(super) async fn outlook(&self, subscription: SubscriptionId) -> Result<Outlook, StoreError> {
        self.query(|reply| reader::Query::Outlook { subscription, reply }).await
    }
}

/// What lies before a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outlook {
    /// When the next held message is due.
    pub(super) next_due: Option<Micros>,
    /// The oldest message that is kept, acknowledged or not, and when it was published.
    pub(super) oldest: Option<(Seq, Micros)>,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.commands.take();
        self.queries.take();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}
