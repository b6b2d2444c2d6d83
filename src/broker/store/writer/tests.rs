use super::*;
use crate::autoscaler::Micros;
use crate::broker::store::{Admin, Change, NewMessage};
use tokio::sync::{Semaphore, oneshot};

struct Bench {
    writer: Writer,
    topic: TopicId,
    subscription: SubscriptionId,
    signal: Arc<Signal>,
}

/// A writer with a topic and a subscription, and no thread.
fn bench(folder: &Path, pages_max: Option<u32>) -> Bench {
    let (mut writer, _) = Writer::open(&folder.join("broker.sqlite"), StoreOptions { pages_max }).unwrap();
    let (reply, mut replied) = oneshot::channel();
    writer.administer(Admin::CreateTopic { config: Box::default(), reply });
    let topic = replied.try_recv().unwrap().unwrap();
    let signal = Arc::new(Signal::default());
    let (reply, mut replied) = oneshot::channel();
    let (config, told) = (Box::default(), Arc::clone(&signal));
    writer.administer(Admin::CreateSubscription { topic, config, signal: told, reply });
    let subscription = replied.try_recv().unwrap().unwrap();
    Bench { writer, topic, subscription, signal }
}

/// A publish of so many messages of 10 kB, and its answer.
fn publish(topic: TopicId, count: usize) -> (Command, oneshot::Receiver<Result<Vec<Seq>, StoreError>>) {
    let (reply, replied) = oneshot::channel();
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let messages = vec![NewMessage { body: vec![7; 10_000], key: None }; count];
    (Command::Publish { topic, published: Micros(1), messages, reply, _room: room }, replied)
}

#[test]
fn acknowledgements_are_written_though_a_full_disk_refuses_the_publishes_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    let Bench { mut writer, topic, subscription, signal } = bench(dir.path(), Some(64));
    let (command, mut replied) = publish(topic, 10);
    assert!(writer.apply_all(vec![command]).is_empty());
    let settled = replied.try_recv().unwrap().unwrap().into_iter().map(Change::Settled).collect();
    let (command, mut replied) = publish(topic, 100);
    let again = writer.apply_all(vec![Command::Change { subscription, changes: settled, number: 1 }, command]);
    assert_eq!(replied.try_recv().unwrap(), Err(StoreError::Full));
    assert_eq!((again.len(), signal.backlog(), signal.changed()), (0, 0, 1));
    let (command, mut replied) = publish(topic, 10);
    writer.apply_all(vec![command]);
    assert_eq!(replied.try_recv().unwrap().unwrap().len(), 10, "there is room again");
}

#[test]
fn a_backlog_that_could_not_be_cleared_away_is_cleared_away_later() {
    let dir = tempfile::tempdir().unwrap();
    let Bench { mut writer, topic, subscription, .. } = bench(dir.path(), None);
    let (command, _replied) = publish(topic, 10);
    writer.apply_all(vec![command]);
    let (reply, mut replied) = oneshot::channel();
    writer.administer(Admin::DropBacklog { id: subscription, detached: None, reply });
    replied.try_recv().unwrap().unwrap();
    let other = rusqlite::Connection::open(dir.path().join("broker.sqlite")).unwrap();
    writer.connection.busy_timeout(Duration::ZERO).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!writer.clear(), "somebody else has the database");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(writer.clear() && writer.clearing.is_empty());
    let left: i64 = other.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
