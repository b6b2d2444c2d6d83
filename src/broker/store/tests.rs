use super::*;

const NOW: Micros = Micros(1_795_000_000_000_000);
const ALL: (usize, usize) = (1_000, 1 << 30);

fn topic(name: &str) -> proto::Topic {
    proto::Topic { name: name.to_owned(), ..proto::Topic::default() }
}

fn messages(from: u32, count: u32) -> Vec<NewMessage> {
    let message =
        |number: u32| proto::PubsubMessage { data: number.to_string().into_bytes().into(), ..Default::default() };
    (from..from + count).map(|number| NewMessage::of(&message(number))).collect()
}

fn data(stored: &[Stored]) -> Vec<String> {
    stored.iter().map(|it| String::from_utf8(it.message().data.to_vec()).unwrap()).collect()
}

async fn subscribe(store: &Store, topic: TopicId) -> (SubscriptionId, Arc<Signal>) {
    let signal = Arc::new(Signal::default());
    let config = proto::Subscription::default();
    (store.create_subscription(topic, config, Arc::clone(&signal)).await.unwrap(), signal)
}

/// Waits until a change is committed.
async fn committed(signal: &Signal, number: u64) {
    while signal.changed() < number {
        tokio::time::timeout(std::time::Duration::from_mins(1), signal.bell.notified()).await.unwrap();
    }
}

/// Waits until so many messages are left to acknowledge.
async fn remaining(signal: &Signal, messages: u64) {
    while signal.backlog() != messages {
        tokio::time::timeout(std::time::Duration::from_mins(1), signal.bell.notified()).await.unwrap();
    }
}

/// Every message that is kept, whoever waits for it.
fn kept(folder: &Path) -> i64 {
    let connection = rusqlite::Connection::open(folder.join("broker.sqlite")).unwrap();
    connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_message_is_kept_for_every_subscription_until_the_last_has_settled_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, contents) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert!(contents.topics.is_empty());
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let nobody = store.publish(orders, NOW, messages(0, 1)).await.unwrap();
    let ((first, one), (second, two)) = (subscribe(&store, orders).await, subscribe(&store, orders).await);
    let ids = store.publish(orders, NOW, messages(1, 3)).await.unwrap();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && nobody[0] < ids[0]);
    assert_eq!((one.backlog(), two.backlog(), one.published()), (3, 3, ids[2]));
    let read = store.fresh(first, Seq(0), ALL).await.unwrap();
    assert_eq!(data(&read), ["1", "2", "3"], "what came before the subscription is not for it");
    assert_eq!((read[0].seq, read[0].published, read[0].failures), (ids[0], NOW, 0));
    assert_eq!(data(&store.fresh(first, ids[0], (1, 1)).await.unwrap()), ["2"]);
    store.change(first, 1, vec![Change::Settled(ids[0]), Change::Settled(ids[1])]).unwrap();
    committed(&one, 1).await;
    assert_eq!((one.backlog(), two.backlog(), kept(dir.path())), (1, 3, 3));
    store.change(second, 1, vec![Change::Settled(ids[0]), Change::Settled(ids[0])]).unwrap();
    committed(&two, 1).await;
    assert_eq!((two.backlog(), kept(dir.path())), (2, 2), "settled by both");
}

#[tokio::test]
async fn a_held_message_is_out_of_sight_until_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let (id, signal) = subscribe(&store, orders).await;
    let ids = store.publish(orders, NOW, messages(0, 3)).await.unwrap();
    let later = Micros(NOW.0 + 10);
    let held = Change::Held { seq: ids[1], failures: 4, until: later };
    store.change(id, 1, vec![held, Change::Failed { seq: ids[0], failures: 2 }]).unwrap();
    committed(&signal, 1).await;
    let fresh = store.fresh(id, Seq(0), ALL).await.unwrap();
    assert_eq!((data(&fresh), fresh[0].failures), (vec!["0".to_owned(), "2".to_owned()], 2));
    assert_eq!(store.held(id, NOW, ALL).await.unwrap(), []);
    let due = store.held(id, later, ALL).await.unwrap();
    assert_eq!((data(&due), due[0].failures), (vec!["1".to_owned()], 4));
    let outlook = store.outlook(id).await.unwrap();
    assert_eq!((outlook.next_due, outlook.oldest), (Some(later), Some((ids[0], NOW))));
    store.change(id, 2, vec![Change::Taken(ids[1])]).unwrap();
    committed(&signal, 2).await;
    assert_eq!(store.held(id, later, ALL).await.unwrap(), []);
    assert_eq!(store.fresh(id, Seq(0), ALL).await.unwrap().len(), 3);
}

#[tokio::test]
async fn everything_is_there_again_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let (orders, gone) =
        (store.create_topic(topic("orders")).await.unwrap(), store.create_topic(topic("gone")).await.unwrap());
    store.delete_topic(gone, Vec::new()).await.unwrap();
    let (id, _) = subscribe(&store, orders).await;
    let (deleted, _) = subscribe(&store, orders).await;
    let ids = store.publish(orders, NOW, messages(0, 5)).await.unwrap();
    store.drop_backlog(deleted, None).await.unwrap();
    store.change(id, 1, vec![Change::Settled(ids[0])]).unwrap();
    drop(store);
    let (store, contents) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(contents.topics, [TopicRecord { id: orders, config: topic("orders") }]);
    let [record] = &contents.subscriptions[..] else { panic!("{contents:?}") };
    assert_eq!((record.id, record.signal.backlog()), (id, 4));
    assert_eq!(data(&store.fresh(id, Seq(0), ALL).await.unwrap()), ["1", "2", "3", "4"]);
    let more = store.publish(orders, NOW, messages(5, 1)).await.unwrap();
    assert!(more[0] > ids[4], "no id is given twice");
}

#[tokio::test]
async fn a_dead_letter_moves_with_what_is_said_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let (orders, dead) =
        (store.create_topic(topic("orders")).await.unwrap(), store.create_topic(topic("dead")).await.unwrap());
    let ((id, signal), (grave, buried)) = (subscribe(&store, orders).await, subscribe(&store, dead).await);
    let ids = store.publish(orders, NOW, messages(7, 1)).await.unwrap();
    let attributes: proto::Words = [("why".to_owned(), "poison".to_owned())].into();
    let change = Change::DeadLettered { seq: ids[0], topic: dead, attributes: attributes.clone(), now: NOW };
    store.change(id, 1, vec![change]).unwrap();
    committed(&signal, 1).await;
    while buried.backlog() == 0 {
        tokio::time::timeout(std::time::Duration::from_mins(1), buried.bell.notified()).await.unwrap();
    }
    assert_eq!((signal.backlog(), buried.backlog()), (0, 1));
    let read = store.fresh(grave, Seq(0), ALL).await.unwrap();
    assert_eq!((data(&read), read[0].message().attributes), (vec!["7".to_owned()], attributes.clone()));
    let (_another, _) = subscribe(&store, orders).await;
    let ids = store.publish(orders, NOW, messages(8, 1)).await.unwrap();
    let change = Change::DeadLettered { seq: ids[0], topic: dead, attributes, now: NOW };
    store.change(id, 2, vec![Change::Settled(ids[0]), change]).unwrap();
    committed(&signal, 2).await;
    assert_eq!(
        (buried.backlog(), kept(dir.path())),
        (1, 2),
        "it was settled before, and another subscription waits for it"
    );
}

#[tokio::test]
async fn what_is_too_old_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let (id, signal) = subscribe(&store, orders).await;
    store.publish(orders, NOW, messages(0, 3)).await.unwrap();
    store.publish(orders, Micros(NOW.0 + 1), messages(3, 1)).await.unwrap();
    store.change(id, 1, vec![Change::Expired { before: Micros(NOW.0 + 1) }]).unwrap();
    remaining(&signal, 1).await;
    assert_eq!(data(&store.fresh(id, Seq(0), ALL).await.unwrap()), ["3"]);
    assert_eq!(kept(dir.path()), 1);
}

#[tokio::test]
async fn however_much_is_too_old_it_is_dropped_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let (id, signal) = subscribe(&store, orders).await;
    store.publish(orders, NOW, messages(0, 7_000)).await.unwrap();
    store.publish(orders, Micros(NOW.0 + 1), messages(7_000, 1)).await.unwrap();
    // Told once: whoever looks after the subscriptions does so once a second.
    store.change(id, 0, vec![Change::Expired { before: Micros(NOW.0 + 1) }]).unwrap();
    remaining(&signal, 1).await;
    assert_eq!((data(&store.fresh(id, Seq(0), ALL).await.unwrap()), kept(dir.path())), (vec!["7000".to_owned()], 1));
}

#[tokio::test]
async fn a_topic_is_deleted_with_the_change_of_all_its_subscriptions_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions { pages_max: Some(64) }).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let ((first, _), (second, _)) = (subscribe(&store, orders).await, subscribe(&store, orders).await);
    let orphan = |label: usize| proto::Subscription {
        topic: "_deleted-topic_".to_owned(),
        labels: [("label".to_owned(), "x".repeat(label))].into(),
        ..Default::default()
    };
    // The second one does not fit on the disk.
    let refused = store.delete_topic(orders, vec![(first, orphan(1)), (second, orphan(1 << 20))]).await;
    assert_eq!(refused, Err(StoreError::Full));
    drop(store);
    let (store, contents) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(contents.topics.len(), 1);
    assert!(contents.subscriptions.iter().all(|it| it.config.topic.is_empty()), "{contents:?}");
    store.delete_topic(orders, vec![(first, orphan(1)), (second, orphan(1))]).await.unwrap();
    drop(store);
    let (_store, contents) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert!(contents.topics.is_empty());
    assert!(contents.subscriptions.iter().all(|it| it.config.topic == "_deleted-topic_"), "{contents:?}");
}

/// A disk that has no room for more: what does not fit is refused, what was taken stays, and when there is room again it
/// goes on.
#[tokio::test]
async fn on_a_full_disk_a_publish_is_refused_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions { pages_max: Some(64) }).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let (id, signal) = subscribe(&store, orders).await;
    let big = |number: u32| vec![NewMessage { body: vec![u8::try_from(number % 250).unwrap(); 10_000], key: None }];
    let (mut taken, mut refused) = (Vec::new(), 0);
    for number in 0..100 {
        match store.publish(orders, NOW, big(number)).await {
            Ok(ids) => taken.extend(ids),
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                refused += 1;
            }
        }
    }
    assert!(taken.len() > 5 && refused > 5, "{} taken, {refused} refused", taken.len());
    let read = store.fresh(id, Seq(0), ALL).await.unwrap();
    assert_eq!(read.iter().map(|it| it.seq).collect::<Vec<_>>(), taken, "exactly what was taken");
    store.change(id, 1, taken.iter().copied().map(Change::Settled).collect()).unwrap();
    committed(&signal, 1).await;
    assert!(store.publish(orders, NOW, big(1)).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn publishers_that_are_faster_than_the_disk_are_refused_before_they_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let waiting = store.waiting.try_acquire_many(u32::try_from(WAITING_BYTES_MAX).unwrap()).unwrap();
    assert_eq!(store.publish(orders, NOW, messages(0, 1)).await, Err(StoreError::Busy));
    drop(waiting);
    assert!(store.publish(orders, NOW, messages(0, 1)).await.is_ok());
}

#[tokio::test]
async fn one_broker_at_a_time_holds_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/on/the/way");
    let (store, _) = Store::open(&folder, StoreOptions::default()).unwrap();
    let second = Store::open(&folder, StoreOptions::default()).unwrap_err();
    assert!(second.to_string().contains("another broker is at work there"), "{second}");
    drop(store);
    assert!(Store::open(&folder, StoreOptions::default()).is_ok());
}

fn keyed(key: &str, number: u32) -> NewMessage {
    let data = number.to_string().into_bytes().into();
    NewMessage::of(&proto::PubsubMessage { data, ordering_key: key.to_owned(), ..Default::default() })
}

fn wanted(keys: &[(&str, Seq)], until: Seq, each: usize, most: (usize, usize)) -> LinesWanted {
    let keys = keys.iter().map(|(key, after)| (Arc::from(*key), *after)).collect();
    LinesWanted { keys, until, each, most }
}

#[tokio::test]
async fn messages_are_found_by_their_ordering_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let (orders, others) =
        (store.create_topic(topic("orders")).await.unwrap(), store.create_topic(topic("others")).await.unwrap());
    let ((id, signal), (other, _)) = (subscribe(&store, orders).await, subscribe(&store, others).await);
    let mixed = (0..9).map(|number| keyed(["a", "b", ""][number as usize % 3], number)).collect();
    let ids = store.publish(orders, NOW, mixed).await.unwrap();
    store.publish(others, NOW, vec![keyed("a", 100)]).await.unwrap();
    let (all, none) = (ids[8], Seq(0));
    let of = async |wanted| store.lines(id, wanted).await.unwrap();
    let lines = of(wanted(&[("a", none), ("b", ids[1]), ("c", none)], all, 10, ALL)).await;
    let told: Vec<_> = lines.iter().map(|line| (&*line.key, data(&line.messages).join(" "), line.is_all)).collect();
    assert_eq!(told, [("a", "0 3 6".to_owned(), true), ("b", "4 7".to_owned(), true), ("c", String::new(), true)]);
    let lines = of(wanted(&[("a", none), ("b", none)], ids[3], 10, (3, 1 << 20))).await;
    let told: Vec<_> = lines.iter().map(|line| (data(&line.messages).join(" "), line.is_all)).collect();
    assert_eq!(told, [("0 3".to_owned(), true), ("1".to_owned(), false)], "three of all, no later than 3");
    let lines = of(wanted(&[("a", none), ("b", none)], all, 2, (10, 1))).await;
    assert_eq!((lines.len(), data(&lines[0].messages).join(" "), lines[0].is_all), (1, "0".to_owned(), false));
    let held = Change::Held { seq: ids[3], failures: 1, until: Micros(NOW.0 + 1) };
    store.change(id, 1, vec![Change::Settled(ids[0]), held]).unwrap();
    committed(&signal, 1).await;
    assert_eq!(data(&of(wanted(&[("a", none)], all, 10, ALL)).await[0].messages), ["6"], "one is settled, one is held");
    assert_eq!(
        data(&store.lines(other, wanted(&[("a", none)], Seq(i64::MAX), 10, ALL)).await.unwrap()[0].messages),
        ["100"]
    );
}

/// What version 1 had of what was changed since.
const TABLES_OF_VERSION_1: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (id INTEGER PRIMARY KEY AUTOINCREMENT, deleted INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, state INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY, topic INTEGER NOT NULL, published INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE backlog (
    subscription INTEGER NOT NULL, seq INTEGER NOT NULL, due INTEGER NOT NULL, failures INTEGER NOT NULL,
    PRIMARY KEY (subscription, seq)) WITHOUT ROWID;
CREATE INDEX held ON backlog (subscription, due, seq) WHERE due > 0;
INSERT INTO topics VALUES (1, 0, x''), (2, 0, x'');
INSERT INTO subscriptions VALUES (1, 1, 0, x'');
INSERT INTO meta VALUES ('reserved', 100);
PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_store_of_version_1_is_brought_up_to_date_with_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("broker.sqlite")).unwrap();
    connection.execute_batch(TABLES_OF_VERSION_1).unwrap();
    for (seq, key) in [(1, "a"), (2, ""), (3, "a")] {
        let insert = "INSERT INTO messages VALUES (?1, 1, 7, ?2)";
        connection.execute(insert, rusqlite::params![seq, keyed(key, seq).body]).unwrap();
        connection.execute("INSERT INTO backlog VALUES (1, ?1, 0, 0)", [seq]).unwrap();
    }
    drop(connection);
    for _ in 0..2 {
        let (store, contents) = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let (id, backlog) = (contents.subscriptions[0].id, contents.subscriptions[0].signal.backlog());
        assert_eq!((backlog, data(&store.fresh(id, Seq(0), ALL).await.unwrap()).join(" ")), (3, "1 2 3".to_owned()));
        let lines = store.lines(id, wanted(&[("a", Seq(0)), ("", Seq(0))], Seq(99), 10, ALL)).await.unwrap();
        assert_eq!((data(&lines[0].messages).join(" "), lines[1].messages.len()), ("1 3".to_owned(), 0));
    }
}

#[tokio::test]
async fn a_seek_acknowledges_what_was_before_and_brings_back_what_is_retained() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let orders = store.create_topic(topic("orders")).await.unwrap();
    let signal = Arc::new(Signal::default());
    let config = proto::Subscription { retain_acked_messages: true, ..Default::default() };
    let id = store.create_subscription(orders, config.clone(), Arc::clone(&signal)).await.unwrap();
    let early = store.publish(orders, NOW, messages(0, 2_500)).await.unwrap();
    let late = store.publish(orders, Micros(NOW.0 + 10), messages(2_500, 2_500)).await.unwrap();
    let settled = [&early[..10], &late[..20]].concat().into_iter().map(Change::Settled);
    let held = Change::Held { seq: late[20], failures: 3, until: Micros(NOW.0 + 99) };
    store.change(id, 1, settled.chain([held]).collect()).unwrap();
    committed(&signal, 1).await;
    assert_eq!((signal.backlog(), kept(dir.path())), (4_970, 5_000));
    assert_eq!(store.outlook(id).await.unwrap().oldest, Some((early[0], NOW)), "for its age, it is there");
    store.seek(id, Micros(NOW.0 + 10)).await.unwrap();
    assert_eq!((signal.backlog(), kept(dir.path())), (2_500, 5_000));
    assert_eq!(store.oldest(id).await.unwrap(), Some(Micros(NOW.0 + 10)));
    let fresh = store.fresh(id, Seq(0), (10_000, 1 << 30)).await.unwrap();
    assert_eq!((fresh.len(), fresh[0].seq), (2_499, late[0]), "all but the held one");
    // Without retention it only goes forward, and what is old is dropped either way.
    store.update_subscription(id, proto::Subscription { retain_acked_messages: false, ..config }).await.unwrap();
    store.seek(id, Micros(0)).await.unwrap();
    assert_eq!(signal.backlog(), 2_500);
    store.change(id, 0, vec![Change::Expired { before: Micros(NOW.0 + 1) }]).unwrap();
    store.seek(id, Micros(u64::MAX)).await.unwrap();
    while kept(dir.path()) > 0 {
        tokio::time::timeout(std::time::Duration::from_mins(1), signal.bell.notified()).await.unwrap();
    }
    assert_eq!(signal.backlog(), 0);
}
