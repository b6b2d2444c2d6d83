use super::*;
use crate::broker::proto::PubsubMessage;
use proptest::prelude::*;
use prost::Message as _;

const SECOND: u64 = 1_000_000;

fn rules() -> Rules {
    Rules { retry: Retry::Immediately, ordered: false, attempts_max: None, retention: Duration::from_hours(1) }
}

fn exponential(minimum: u64) -> Retry {
    Retry::Exponential { minimum: Duration::from_secs(minimum), maximum: Duration::from_mins(10) }
}

fn stored(seq: i64, key: &str) -> Stored {
    let message =
        PubsubMessage { data: b"x".to_vec().into(), ordering_key: key.to_owned(), ..PubsubMessage::default() };
    Stored { seq: Seq(seq), published: Micros(0), failures: 0, body: message.encode_to_vec().into() }
}

fn queue(rules: Rules, keys: &[&str]) -> Queue {
    let mut queue = Queue::new(rules, 0);
    for (seq, key) in (1..).zip(keys) {
        queue.admit(stored(seq, key));
    }
    queue
}

/// Takes what can be taken; the numbers and leases.
fn take_all(queue: &mut Queue, now: u64) -> Vec<(i64, u64)> {
    let mut taken = Vec::new();
    while let Some(Taken::Delivery(delivery)) = queue.take(Micros(now), Micros(now + 10 * SECOND)) {
        taken.push((delivery.stored.seq.0, delivery.lease));
    }
    taken
}

fn numbers(taken: &[(i64, u64)]) -> Vec<i64> {
    taken.iter().map(|(seq, _)| *seq).collect()
}

#[test]
fn messages_are_delivered_in_order_and_once_while_they_are_out() {
    let mut queue = queue(rules(), &["", "", ""]);
    let taken = take_all(&mut queue, 0);
    assert_eq!(numbers(&taken), [1, 2, 3]);
    assert_eq!(take_all(&mut queue, SECOND), []);
    assert!(queue.acknowledge(Seq(1), taken[0].1));
    assert!(!queue.acknowledge(Seq(1), taken[0].1), "only once");
    assert!(!queue.holds(Seq(1)) && queue.holds(Seq(2)));
}

#[test]
fn a_missed_deadline_is_a_failure_and_what_comes_late_does_not_count() {
    let mut queue = queue(rules(), &[""]);
    let first = take_all(&mut queue, 0)[0];
    assert_eq!(queue.next(), Some(Micros(10 * SECOND)));
    assert_eq!(queue.advance(Micros(10 * SECOND - 1)), []);
    let missed = queue.advance(Micros(10 * SECOND));
    assert_eq!(missed, [(first.1, Failure::Waits { seq: Seq(1), failures: 1 })]);
    assert!(!queue.acknowledge(Seq(1), first.1), "it came after the deadline");
    let second = take_all(&mut queue, 11 * SECOND)[0];
    assert!(!queue.acknowledge(Seq(1), first.1), "it is of the first delivery");
    assert!(queue.extend(Seq(1), second.1, Micros(60 * SECOND)));
    assert_eq!(queue.advance(Micros(59 * SECOND)), []);
    assert!(queue.acknowledge(Seq(1), second.1));
    assert_eq!(queue.next(), None);
}

#[test]
fn a_backoff_holds_a_message_back_and_a_long_one_puts_it_out_of_memory() {
    let mut short = queue(Rules { retry: exponential(1), ..rules() }, &["", ""]);
    let taken = take_all(&mut short, 0);
    assert_eq!(short.fail(Seq(1), taken[0].1, Micros(0)), Some(Failure::Waits { seq: Seq(1), failures: 1 }));
    assert_eq!(take_all(&mut short, 0), []);
    short.advance(Micros(SECOND - 1));
    assert_eq!(take_all(&mut short, SECOND - 1), []);
    short.advance(Micros(SECOND));
    assert_eq!(numbers(&take_all(&mut short, SECOND)), [1]);
    let mut long = queue(Rules { retry: exponential(10), ..rules() }, &[""]);
    let taken = take_all(&mut long, 0);
    let until = Micros(10 * SECOND);
    assert_eq!(long.fail(Seq(1), taken[0].1, Micros(0)), Some(Failure::Leaves { seq: Seq(1), failures: 1, until }));
    assert!(!long.holds(Seq(1)));
}

#[test]
fn after_its_last_attempt_a_message_is_dead_and_the_rest_goes_on() {
    let mut queue = queue(Rules { attempts_max: Some(5), ..rules() }, &[""]);
    for attempt in 1..=5 {
        let Some(Taken::Delivery(delivery)) = queue.take(Micros(0), Micros(SECOND)) else { panic!() };
        assert_eq!((delivery.stored.seq, delivery.attempt), (Seq(1), attempt));
        let failed = queue.fail(Seq(1), delivery.lease, Micros(0)).unwrap();
        match attempt {
            5 => assert_eq!(failed, Failure::Dead { seq: Seq(1), attempts: 5, published: Micros(0) }),
            _ => assert_eq!(failed, Failure::Waits { seq: Seq(1), failures: attempt }),
        }
    }
    queue.admit(stored(2, ""));
    assert_eq!(numbers(&take_all(&mut queue, 0)), [2]);
}

#[test]
fn a_message_that_fails_goes_behind_those_that_are_there_and_before_those_to_come() {
    let mut queue = queue(rules(), &["", ""]);
    let next = |queue: &mut Queue, refuses: bool| {
        let Some(Taken::Delivery(it)) = queue.take(Micros(0), Micros(SECOND)) else { panic!() };
        if refuses {
            queue.fail(it.stored.seq, it.lease, Micros(0)).unwrap();
        } else {
            queue.hand_back(it.stored.seq, it.lease);
        }
        it.stored.seq.0
    };
    assert_eq!([next(&mut queue, true), next(&mut queue, false), next(&mut queue, true)], [1, 2, 2]);
    queue.admit(stored(3, ""));
    assert_eq!([next(&mut queue, true), next(&mut queue, true), next(&mut queue, true)], [1, 2, 3]);
}

#[test]
fn a_failed_message_holds_its_key_back_and_no_other() {
    let rules = Rules { ordered: true, retry: exponential(1), ..rules() };
    let mut queue = queue(rules, &["a", "a", "b", "", "a"]);
    let taken = take_all(&mut queue, 0);
    assert_eq!(numbers(&taken), [1, 3, 4], "one of each key, and all without one");
    queue.fail(Seq(1), taken[0].1, Micros(0));
    queue.acknowledge(Seq(3), taken[1].1);
    assert_eq!(take_all(&mut queue, 0), []);
    queue.advance(Micros(SECOND));
    let again = take_all(&mut queue, SECOND);
    assert_eq!(numbers(&again), [1]);
    queue.acknowledge(Seq(1), again[0].1);
    let line = vec![stored(2, "a"), stored(5, "a")];
    queue.admit_line(StoredLine { key: Arc::from("a"), messages: line, is_all: true }, |_| false);
    let next = take_all(&mut queue, SECOND);
    assert_eq!(numbers(&next), [2]);
    queue.acknowledge(Seq(2), next[0].1);
    assert_eq!(numbers(&take_all(&mut queue, SECOND)), [5]);
}

#[test]
fn what_is_older_than_the_retention_is_dropped() {
    let mut queue = queue(rules(), &[""]);
    let hour = Micros(3_600 * SECOND);
    assert_eq!(queue.take(hour, hour), Some(Taken::Expired(Seq(1))));
    assert!(!queue.holds(Seq(1)));
}

#[test]
fn what_was_handed_back_is_no_failure() {
    let mut queue = queue(Rules { attempts_max: Some(5), ..rules() }, &[""]);
    for _ in 0..9 {
        let taken = take_all(&mut queue, 0);
        queue.hand_back(Seq(1), taken[0].1);
    }
    let Some(Taken::Delivery(delivery)) = queue.take(Micros(0), Micros(SECOND)) else { panic!() };
    assert_eq!(delivery.attempt, 1);
}

proptest! {
    /// Whatever happens in whatever order, no message is forgotten: each is in memory, or in the store behind its key, or was
    /// acknowledged, or was given back to be held or dead-lettered. And of each ordering key at most one is out, the oldest
    /// there is.
    #[test]
    fn nothing_is_forgotten_and_keys_keep_their_order(
        keys in prop::collection::vec(0..4u8, 1..40),
        steps in prop::collection::vec((0..6u8, 0..64usize, 0..5_000_000u64), 1..300),
        minimum in 0..8u64,
    ) {
        let rules = Rules { ordered: true, retry: exponential(minimum), attempts_max: Some(7), ..rules() };
        let names = ["", "a", "b", "c"];
        let keys: Vec<&str> = keys.into_iter().map(|key| names[usize::from(key)]).collect();
        let mut queue = queue(rules, &keys);
        let every = i64::try_from(keys.len()).unwrap();
        let (mut now, mut out, mut gone) = (0, Vec::<(i64, u64)>::new(), BTreeSet::new());
        for (step, which, passes) in steps {
            now += passes;
            let failures = match step {
                0..=1 => {
                    if let Some(Taken::Delivery(it)) = queue.take(Micros(now), Micros(now + 10 * SECOND)) {
                        let (seq, key) = (it.stored.seq.0, it.stored.message().ordering_key);
                        let older = (1..seq).filter(|older| !gone.contains(older));
                        let older = older.filter(|older| keys[usize::try_from(*older).unwrap() - 1] == key);
                        prop_assert!(key.is_empty() || older.count() == 0, "{seq} overtook one of its key");
                        out.push((seq, it.lease));
                    }
                    Vec::new()
                }
                2..=3 if !out.is_empty() => {
                    let (seq, lease) = out.swap_remove(which % out.len());
                    if queue.acknowledge(Seq(seq), lease) {
                        prop_assert!(gone.insert(seq));
                    }
                    Vec::new()
                }
                4 if !out.is_empty() => {
                    let (seq, lease) = out.swap_remove(which % out.len());
                    queue.fail(Seq(seq), lease, Micros(now)).into_iter().collect()
                }
                _ => queue.advance(Micros(now)).into_iter().map(|(_, failure)| failure).collect(),
            };
            for failure in failures {
                match failure {
                    Failure::Waits { seq, .. } => prop_assert!(queue.holds(seq)),
                    Failure::Leaves { seq, .. } | Failure::Dead { seq, .. } => prop_assert!(gone.insert(seq.0)),
                }
            }
            refill(&mut queue, &keys, every, &gone);
            for seq in (1..).take(keys.len()) {
                let is_held = queue.holds(Seq(seq));
                prop_assert!(is_held != gone.contains(&seq) || (!is_held && is_behind(&queue, &keys, seq)), "{seq}");
            }
        }
        // Given time and acknowledgements, all are delivered.
        for _ in 0..2_000 {
            now += 100 * SECOND;
            for (_, failure) in queue.advance(Micros(now)) {
                if let Failure::Leaves { seq, .. } | Failure::Dead { seq, .. } = failure {
                    gone.insert(seq.0);
                }
            }
            while let Some(taken) = queue.take(Micros(now), Micros(now + 10 * SECOND)) {
                match taken {
                    Taken::Delivery(it) => {
                        prop_assert!(queue.acknowledge(it.stored.seq, it.lease) && gone.insert(it.stored.seq.0));
                    }
                    Taken::Expired(seq) => prop_assert!(gone.insert(seq.0)),
                }
            }
            refill(&mut queue, &keys, every, &gone);
        }
        prop_assert_eq!((queue.room(), gone.len()), ((MESSAGES_MAX, BYTES_MAX), keys.len()));
        prop_assert!(queue.next().is_none() && queue.lines.is_empty());
    }
}

#[test]
fn of_a_key_few_messages_are_in_memory_and_of_a_blocked_one_only_the_first() {
    let mut queue = Queue::new(Rules { ordered: true, retry: exponential(60), ..rules() }, 0);
    (1..=8_000).for_each(|seq| queue.admit(stored(seq, "stuck")));
    queue.admit(stored(8_001, "other"));
    assert_eq!(queue.room().0, MESSAGES_MAX - LINE_MAX - 1);
    let taken = take_all(&mut queue, 0);
    assert_eq!(numbers(&taken), [1, 8_001]);
    assert!(!queue.has_empty_lines(), "the first is still there");
    queue.fail(Seq(1), taken[0].1, Micros(0));
    assert_eq!(queue.room().0, MESSAGES_MAX - 2, "an ordered message stays, and those behind it do not");
    queue.admit(stored(8_002, "stuck"));
    assert!(!queue.holds(Seq(8_002)), "it would overtake those in the store");
    queue.advance(Micros(60 * SECOND));
    let again = take_all(&mut queue, 60 * SECOND);
    assert!(queue.acknowledge(Seq(1), again[0].1));
    assert_eq!(queue.empty_lines(10), [(Arc::from("stuck"), Seq(1))]);
    let line = |messages, is_all| StoredLine { key: Arc::from("stuck"), messages, is_all };
    queue.admit_line(line(vec![stored(2, "stuck"), stored(3, "stuck")], false), |seq| seq == Seq(2));
    assert_eq!(numbers(&take_all(&mut queue, 60 * SECOND)), [3]);
    queue.admit_line(line(vec![], true), |_| false);
    queue.admit(stored(8_003, "stuck"));
    assert!(queue.holds(Seq(8_003)), "nothing of its key is in the store only");
}

/// What the store answers: the messages of a key after one, at most so many, up to where the subscription has read.
fn line_of(keys: &[&str], key: &Arc<str>, (after, until): (Seq, i64), gone: &BTreeSet<i64>) -> StoredLine {
    let seqs = (after.0 + 1..=until).filter(|seq| keys[usize::try_from(*seq).unwrap() - 1] == &**key);
    let messages: Vec<Stored> = seqs.filter(|seq| !gone.contains(seq)).take(3).map(|seq| stored(seq, key)).collect();
    StoredLine { key: Arc::clone(key), is_all: messages.len() < 3, messages }
}

/// Whether an older message of its key is in memory.
fn is_behind(queue: &Queue, keys: &[&str], seq: i64) -> bool {
    let key = keys[usize::try_from(seq).unwrap() - 1];
    let mut older = (1..seq).filter(|older| keys[usize::try_from(*older).unwrap() - 1] == key);
    !key.is_empty() && older.any(|older| queue.holds(Seq(older)))
}

/// Reads what waits behind each key that has nothing in memory, up to where the subscription has read.
fn refill(queue: &mut Queue, keys: &[&str], until: i64, gone: &BTreeSet<i64>) {
    for (key, after) in queue.empty_lines(10) {
        queue.admit_line(line_of(keys, &key, (after, until), gone), |_| false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However reading, refilling, deliveries and failures follow each other, each key keeps its order, memory holds no more
    /// of one than it may, and given time and acknowledgements every message is delivered once.
    #[test]
    fn what_waits_in_the_store_behind_its_key_comes_in_its_turn(
        keys in prop::collection::vec(0..3u8, 200..260),
        steps in prop::collection::vec((0..6u8, 0..64usize), 1..300),
    ) {
        let names = ["", "a", "b"];
        let keys: Vec<&str> = keys.into_iter().map(|key| names[usize::from(key)]).collect();
        let mut queue = Queue::new(Rules { ordered: true, ..rules() }, 0);
        let (mut cursor, mut out, mut gone) = (0_i64, Vec::<(i64, u64)>::new(), BTreeSet::new());
        let every = i64::try_from(keys.len()).unwrap();
        // Without chance at the end: everything is read, delivered and acknowledged.
        let end = (0..every * 4 + 2).map(|step| ([0, 1, 2, 3][usize::try_from(step % 4).unwrap()], 0));
        for (step, which) in steps.into_iter().chain(end) {
            match step {
                0 => {
                    let read = (cursor + 1..=every).take(10);
                    for seq in read {
                        queue.admit(stored(seq, keys[usize::try_from(seq).unwrap() - 1]));
                        cursor = seq;
                    }
                }
                1 => refill(&mut queue, &keys, cursor, &gone),
                2 => {
                    while let Some(Taken::Delivery(it)) = queue.take(Micros(0), Micros(SECOND)) {
                        let seq = it.stored.seq.0;
                        let key = keys[usize::try_from(seq).unwrap() - 1];
                        let mut older = (1..seq).filter(|older| keys[usize::try_from(*older).unwrap() - 1] == key);
                        prop_assert!(key.is_empty() || older.all(|older| gone.contains(&older)), "{seq} overtook another");
                        prop_assert!(!gone.contains(&seq), "{seq} is delivered again");
                        out.push((seq, it.lease));
                    }
                }
                3 if !out.is_empty() => {
                    let (seq, lease) = out.swap_remove(which % out.len());
                    prop_assert!(queue.acknowledge(Seq(seq), lease) && gone.insert(seq));
                }
                _ if !out.is_empty() => {
                    let (seq, lease) = out.swap_remove(which % out.len());
                    prop_assert!(queue.fail(Seq(seq), lease, Micros(0)).is_some());
                }
                _ => {}
            }
            for key in ["a", "b"].into_iter().filter(|_| step < 2) {
                let held = (1..=every).filter(|seq| queue.holds(Seq(*seq)));
                let held = held.filter(|seq| keys[usize::try_from(*seq).unwrap() - 1] == key).count();
                prop_assert!(held <= LINE_MAX, "{held} of {key}");
            }
        }
        prop_assert_eq!(gone.len(), keys.len());
        prop_assert!(queue.lines.is_empty());
    }
}
