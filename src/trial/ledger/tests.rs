//! Laws that hold whatever happens in whatever order, and figures that a person can work out.

use super::super::delivery::{DeliveryRecording, FaultRecording};
use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ledger(consumers: &[&str], planned: u64) -> Ledger {
    Ledger::new(&consumers.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), planned)
}

fn arrived(number: u64, at: Duration) -> Arrived<'static> {
    Arrived { number: Some(number), at, key: None }
}

fn answer(acknowledged: bool) -> Result<(), StatusClass> {
    if acknowledged { Ok(()) } else { Err(StatusClass::ClientError) }
}

fn terms(faults: Vec<FaultRecording>) -> Terms {
    Terms { within: 10 * S, looked_until: 100 * S, time_factor: 1.0, faults, ..Terms::default() }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Post(u64),
    Settle(u64, bool),
    Deliver(usize, Option<u64>, u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0_u64..20, any::<bool>(), any::<bool>()).prop_map(|(number, settled, acknowledged)| {
        let mut events = vec![Event::Post(number)];
        events.extend(settled.then_some(Event::Settle(number, acknowledged)));
        events
    });
    let posts = proptest::collection::vec(one, 0..20);
    let deliveries = proptest::collection::vec(
        (0_usize..2, proptest::option::weighted(0.9, 0_u64..25), 0_u64..200_000_000)
            .prop_map(|(consumer, number, at)| Event::Deliver(consumer, number, at)),
        0..60,
    );
    (posts, deliveries)
        .prop_map(|(posts, deliveries)| {
            // An arrival posts once.
            let mut seen = std::collections::BTreeSet::new();
            let posts = posts.into_iter().filter(|events| {
                let Some(Event::Post(number)) = events.first() else { return false };
                seen.insert(*number)
            });
            posts.flatten().chain(deliveries).collect::<Vec<Event>>()
        })
        .prop_shuffle()
}

proptest! {
    /// In whatever order posts, answers and deliveries become known: nothing is hidden, and the order changes no count.
    #[test]
    fn whatever_the_order_nothing_is_hidden(events in events(), reversed in any::<bool>()) {
        let run = |events: &[Event]| {
            let mut ledger = ledger(&["email", "sms"], 20);
            for event in events {
                match *event {
                    Event::Post(number) => ledger.post(number, s(number), true),
                    Event::Settle(number, acknowledged) => ledger.settle(number, s(number + 1), answer(acknowledged)),
                    Event::Deliver(consumer, number, at) =>
                        ledger.deliver(consumer, &Arrived { number, at: Duration::from_micros(at), key: None }),
                }
            }
            ledger.conclude(terms(Vec::new()))
        };
        let told = run(&events);
        prop_assert!(told.balances(), "{told:?}");
        for consumer in &told.consumers {
            let sum = |value: fn(&crate::trial::DeliveryInterval) -> u64| consumer.series.iter().map(value).sum::<u64>();
            prop_assert_eq!(sum(|interval| interval.acknowledged), told.posts.acknowledged);
            prop_assert_eq!(sum(|interval| interval.delivered), consumer.books.delivered);
            prop_assert_eq!(sum(|interval| interval.duplicates), consumer.books.duplicates);
            prop_assert_eq!(consumer.series.last().unwrap().backlog, consumer.books.lost);
            prop_assert!(consumer.books.late <= consumer.books.delivered);
        }
        let mut other = events.clone();
        if reversed { other.reverse() } else { other.sort_by_key(|event| format!("{event:?}")) }
        let again = run(&other);
        prop_assert_eq!(again.posts, told.posts);
        for (one, other) in told.consumers.iter().zip(&again.consumers) {
            prop_assert_eq!(one.books, other.books);
            prop_assert_eq!(&one.delivery_time, &other.delivery_time);
            prop_assert_eq!(&one.series, &other.series);
        }
    }
}

#[test]
fn what_was_acknowledged_and_not_delivered_is_lost_and_nothing_else_is() {
    let mut ledger = ledger(&["email"], 5);
    for number in 0..4 {
        ledger.post(number, s(number), true);
    }
    ledger.settle(0, 100 * MS, Ok(()));
    ledger.settle(1, S + 100 * MS, Ok(()));
    ledger.settle(2, 2 * S + 100 * MS, Err(StatusClass::ServerError));
    // The fourth was never answered, the fifth never sent.
    ledger.deliver(0, &arrived(0, 500 * MS));
    ledger.deliver(0, &arrived(0, 700 * MS));
    ledger.deliver(0, &arrived(2, 3 * S));
    ledger.deliver(0, &arrived(9, 3 * S));
    ledger.deliver(0, &Arrived { number: None, at: S, key: None });
    assert_eq!(ledger.standing(), (2, vec![1]));
    let told = ledger.conclude(terms(Vec::new()));
    assert_eq!((told.posts.posted, told.posts.acknowledged, told.posts.failed), (4, 2, 2));
    let failed = BTreeMap::from([(StatusClass::ServerError, 1), (StatusClass::NoAnswer, 1)]);
    assert_eq!(told.failed_by_class, failed, "and why");
    let books = told.consumers[0].books;
    assert_eq!((books.delivered, books.lost, books.duplicates), (1, 1, 1));
    assert_eq!((books.unacknowledged, books.foreign, books.deliveries), (1, 2, 5));
    assert_eq!(told.lost(), 1);
    assert_eq!(told.consumers[0].delivery_time.max().as_millis(), 500, "the first delivery counts");
}

/// A report a second for 60 s, answered at once; e-mails are down from 20 s to 50 s and healed 12 s later.
fn outage() -> DeliveryRecording {
    let mut ledger = ledger(&["email", "sms"], 60);
    for number in 0..60 {
        let due = s(number);
        ledger.post(number, due, true);
        ledger.settle(number, due + MS, Ok(()));
        ledger.deliver(1, &arrived(number, due + 20 * MS));
        let waits = (20..50).contains(&number);
        ledger.deliver(0, &arrived(number, if waits { s(50 + (number - 20) * 12 / 29) } else { due + 30 * MS }));
    }
    let fault = FaultRecording {
        text: "email down".to_owned(),
        service: "email".to_owned(),
        from_s: 20.0,
        until_s: 50.0,
        ..FaultRecording::default()
    };
    ledger.conclude(Terms { looked_until: 65 * S, ..terms(vec![fault]) })
}

#[test]
fn an_outage_has_its_backlog_its_late_reports_and_its_healing() {
    let told = outage();
    let [email, sms] = told.consumers.as_slice() else { panic!("{told:?}") };
    assert_eq!((email.books.lost, email.books.delivered, sms.books.delivered), (0, 60, 60));
    assert_eq!(email.healed_s, Some(12.0));
    assert_eq!((sms.healed_s, told.healed_s()), (None, Some(12.0)));
    assert_eq!(email.series[19].backlog, 0);
    assert_eq!(email.series[20].backlog, 1);
    assert_eq!(email.series[49].backlog, 30);
    assert_eq!(email.series.last().unwrap().backlog, 0);
    assert!(sms.series.iter().all(|interval| interval.backlog == 0));
    // Thirty reports are too few to compare.
    assert_eq!((sms.claim(), email.claim(), told.post_ratio), (None, None, None));
    // Delivered more than 10 s after they were due: those of 20 to 44.
    let late = (20..50).filter(|number| 50 + (number - 20) * 12 / 29 - number > 10).count() as u64;
    assert_eq!((email.books.late, sms.books.late), (late, 0));
    assert_eq!(told.post_time_inside.count(), 30);
    // Due at 50 to 61: while the 30 reports that had waited were delivered.
    assert_eq!((email.inside.count(), email.healing.count(), email.outside.count()), (30, 10, 20));
    assert_eq!(told.post_time_healing.count(), 10);
}

#[test]
fn posts_that_fail_have_no_time_and_without_a_fault_there_is_nothing_to_compare() {
    let mut ledger = ledger(&["email"], 60);
    for number in 0..60 {
        ledger.post(number, s(number), true);
        let slow = if (20..50).contains(&number) { 3 } else { 1 };
        ledger.settle(number, s(number) + slow * MS, answer(number % 2 == 0));
        ledger.deliver(0, &arrived(number, s(number) + 5 * MS));
    }
    let fault = FaultRecording { service: "fax".to_owned(), from_s: 20.0, until_s: 50.0, ..FaultRecording::default() };
    // Half of them fail, always: there is no p95 then, and whoever fails as often as otherwise noticed nothing.
    let told = ledger.conclude(terms(vec![fault]));
    let missing = told.post_missing.unwrap();
    assert_eq!((missing.inside.missing, missing.inside.of, missing.outside.missing), (15, 30, 15));
    assert_eq!((told.post_ratio, told.posts_while_it_lasted().claim()), (None, None));
    assert_eq!((told.post_time_inside.count(), told.post_time_outside.count()), (15, 15), "of those that did not fail");
    let told = ledger.conclude(terms(Vec::new()));
    assert_eq!((told.post_ratio, told.post_missing), (None, None));
}

#[test]
fn every_report_that_was_posted_has_its_fate() {
    let mut ledger = ledger(&["email", "sms"], 4);
    for number in 0..3 {
        ledger.post(number, s(number), true);
    }
    ledger.settle(0, 100 * MS, Ok(()));
    ledger.settle(1, 2 * S, Err(StatusClass::ServerError));
    ledger.deliver(1, &arrived(0, 3 * S));
    ledger.deliver(0, &arrived(1, 4 * S));
    let fates: Vec<Fate> = ledger.fates().collect();
    let told = |number, answered, answer, delivered| Fate { number, due: s(number), answered, answer, delivered };
    assert_eq!(
        fates,
        [
            told(0, Some(100 * MS), Ok(()), vec![None, Some(3 * S)]),
            told(1, Some(2 * S), Err(StatusClass::ServerError), vec![Some(4 * S), None]),
            // The third was never answered, the fourth never sent.
            told(2, None, Err(StatusClass::NoAnswer), vec![None, None]),
        ]
    );
}

#[test]
fn a_consumer_that_lacks_a_report_has_not_healed() {
    let mut ledger = ledger(&["email"], 3);
    for number in 0..3 {
        ledger.post(number, s(number), true);
        ledger.settle(number, s(number) + MS, Ok(()));
    }
    ledger.deliver(0, &arrived(0, S));
    ledger.deliver(0, &arrived(2, 3 * S));
    let fault = FaultRecording { service: "email".to_owned(), until_s: 1.5, ..FaultRecording::default() };
    let told = ledger.conclude(terms(vec![fault]));
    assert_eq!((told.consumers[0].healed_s, told.lost()), (None, 1));
}

#[test]
fn order_is_kept_within_a_key_and_nobody_asks_for_more() {
    let mut ledger = ledger(&["email"], 6);
    for number in 0..6 {
        ledger.post(number, s(number), true);
        ledger.settle(number, s(number), Ok(()));
    }
    for (number, key) in [(2, Some("a")), (1, Some("b")), (0, Some("a")), (3, Some("b")), (5, None), (4, None)] {
        ledger.deliver(0, &Arrived { number: Some(number), at: 7 * S, key });
    }
    let told = &ledger.conclude(terms(Vec::new())).consumers[0];
    assert_eq!((told.books.out_of_order, told.out_of_order()), (1, Some(1)));
    assert_eq!(told.order, Some(OrderBooks { watched: 4, unwatched: 0 }));
}

#[test]
fn without_ordering_keys_no_order_is_claimed_and_keys_beyond_those_watched_are_told() {
    let mut unordered = ledger(&["email"], 2);
    unordered.deliver(0, &arrived(1, S));
    unordered.deliver(0, &arrived(0, 2 * S));
    let told = &unordered.conclude(terms(Vec::new())).consumers[0];
    assert_eq!((told.out_of_order(), told.books.out_of_order), (None, 0));
    let most = KEYS_MAX as u64;
    let mut many = ledger(&["email"], most + 3);
    for number in 0..most + 3 {
        let key = format!("key {number}");
        many.deliver(0, &Arrived { number: Some(number), at: S, key: Some(&key) });
    }
    let told = &many.conclude(terms(Vec::new())).consumers[0];
    assert_eq!(told.order, Some(OrderBooks { watched: most, unwatched: 3 }));
}

#[test]
fn what_is_not_measured_is_in_the_books_and_in_no_time() {
    let mut ledger = ledger(&["email"], 2);
    for number in 0..2 {
        ledger.post(number, s(number), number == 1);
        ledger.settle(number, s(number) + MS, Ok(()));
        ledger.deliver(0, &arrived(number, s(number) + 2 * MS));
    }
    let told = ledger.conclude(terms(Vec::new()));
    assert_eq!((told.consumers[0].books.delivered, told.consumers[0].delivery_time.count()), (2, 1));
    assert_eq!(told.post_time_outside.count(), 1);
}
