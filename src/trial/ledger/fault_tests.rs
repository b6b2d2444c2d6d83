//! What is said of a fault: who noticed it, and when it had healed.

use super::super::delivery::{Claim, DeliveryRecording, FaultRecording};
use super::*;

const MS: Duration = Duration::from_millis(1);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Posts that are due now, and are answered as expected or not.
fn settle(ledger: &mut Ledger, number: u64, done: Duration, acknowledged: bool) {
    ledger.settle(number, done, if acknowledged { Ok(()) } else { Err(StatusClass::ServerError) });
}

fn fault(service: &str, from_s: f64, until_s: f64) -> FaultRecording {
    FaultRecording { service: service.to_owned(), from_s, until_s, ..FaultRecording::default() }
}

/// `each` reports a second for 100 s: `post` says how long a post takes and whether it is acknowledged, `deliver` when its report is
/// delivered, if ever, both by the due time.
fn run(
    each: u64,
    faults: Vec<FaultRecording>,
    post: impl Fn(Duration) -> (Duration, bool),
    deliver: impl Fn(Duration) -> Option<Duration>,
) -> DeliveryRecording {
    let mut ledger = Ledger::new(&["email".to_owned()], 100 * each);
    for number in 0..100 * each {
        let due = Duration::from_secs(number) / u32::try_from(each).unwrap();
        let (took, acknowledged) = post(due);
        ledger.post(number, due, true);
        settle(&mut ledger, number, due + took, acknowledged);
        if let Some(at) = deliver(due).filter(|_| acknowledged) {
            ledger.deliver(0, &Arrived { number: Some(number), at, key: None });
        }
    }
    ledger.conclude(Terms { within: s(60), looked_until: s(200), time_factor: 1.0, faults, ..Terms::default() })
}

fn in_time(due: Duration) -> Duration {
    due + 20 * MS
}

#[test]
fn a_post_that_is_slower_during_a_fault_has_a_ratio_above_one() {
    let slow = |due: Duration| (if (s(20)..s(50)).contains(&due) { 3 * MS } else { MS }, true);
    let ratio = run(10, vec![fault("fax", 20.0, 50.0)], slow, |due| Some(in_time(due))).post_ratio.unwrap();
    for told in [ratio.low, ratio.ratio, ratio.high] {
        assert!((told - 3.0).abs() < 1e-9, "{told}");
    }
}

#[test]
fn posts_that_are_refused_as_quickly_as_others_are_acknowledged_are_affected() {
    let refused = |due: Duration| (8 * MS, !(s(20)..s(50)).contains(&due));
    let told = run(10, vec![fault("lab", 20.0, 50.0)], refused, |due| Some(in_time(due)));
    let missing = told.post_missing.unwrap();
    assert_eq!((missing.inside.missing, missing.inside.of, missing.inside.seconds), (300, 300, 30));
    assert_eq!((missing.outside.missing, missing.outside.of), (0, 700));
    assert_eq!((told.post_ratio, told.posts_while_it_lasted().claim()), (None, Some(Claim::Affected)));
    assert_eq!(told.post_time_inside.count(), 0, "an answer that acknowledges nothing is none");
}

#[test]
fn what_a_consumer_loses_during_a_fault_does_not_drop_out_of_its_times() {
    let lossy = |due: Duration| {
        if (s(20)..s(50)).contains(&due) && due.subsec_nanos() == 0 { None } else { Some(in_time(due)) }
    };
    let told = run(10, vec![fault("fax", 20.0, 50.0)], |_| (MS, true), lossy);
    let missing = told.consumers[0].missing.unwrap();
    assert_eq!((missing.inside.missing, missing.inside.of, missing.outside.missing), (30, 300, 0));
    assert_eq!((told.consumers[0].ratio, told.consumers[0].claim()), (None, Some(Claim::Affected)));
    // One lost report in a hundred leaves p95 as it is, and is noticed all the same.
    let rare = |due: Duration| {
        if (s(20)..s(50)).contains(&due) && due.as_millis().is_multiple_of(5000) { None } else { Some(in_time(due)) }
    };
    let told = run(10, vec![fault("fax", 20.0, 50.0)], |_| (MS, true), rare);
    assert_eq!(told.consumers[0].ratio.map(Claim::of), Some(Claim::Unaffected));
    assert_eq!(told.consumers[0].claim(), Some(Claim::Affected));
}

/// E-mails are away twice: what was due meanwhile is delivered 30 s after the end of the first fault, 2 s after that of the second.
#[test]
fn each_fault_has_its_own_healing_and_the_longest_is_promised() {
    let deliver = |due: Duration| match due.as_secs() {
        10..20 => Some(s(50)),
        60..70 => Some(s(72)),
        _ => Some(in_time(due)),
    };
    let faults = vec![fault("email", 10.0, 20.0), fault("email", 60.0, 70.0), fault("fax", 1.0, 2.0)];
    let told = run(10, faults, |_| (MS, true), deliver);
    let healed: Vec<Option<f64>> = told.faults.iter().map(|fault| fault.healed_s).collect();
    assert_eq!(healed, [Some(30.0), Some(2.0), None]);
    assert_eq!(told.consumers[0].healed_s, Some(30.0), "the longest, not the last");
    assert_eq!(told.healed_from(&told.faults[1]), Some(Some(2.0)));
    assert_eq!(told.healed_from(&told.faults[2]), None, "who is no consumer has nothing to heal");
}

#[test]
fn one_fault_of_two_that_has_not_healed_is_not_hidden_by_the_other() {
    let deliver = |due: Duration| if due.as_secs() == 10 { None } else { Some(in_time(due)) };
    // The first has not healed, nor has the second: what was due before its end is missing too.
    let told = run(10, vec![fault("email", 10.0, 20.0), fault("email", 60.0, 70.0)], |_| (MS, true), deliver);
    assert_eq!(told.consumers[0].healed_s, None);
    assert_eq!(told.healed_from(&told.faults[0]), Some(None));
}

/// A consumer whose clock is 5 s behind tells of what it got after 3 s as 2 s before it was posted, or, near the start, as at the start.
#[test]
fn a_clock_that_is_behind_is_told_and_no_time_is_zero_in_silence() {
    let behind = |due: Duration| Some((due + s(3)).saturating_sub(s(5)));
    let told = run(10, Vec::new(), |_| (MS, true), behind);
    let early = told.consumers[0].early.unwrap();
    assert_eq!((early.deliveries, early.behind_s), (999, 2.0), "all but the report due at the start");
    assert!(
        told.wrong_clocks()[0]
            .starts_with("email: 999 deliveries were told before the post was due; that clock is at least 2.000 s")
    );
    let told = run(10, Vec::new(), |_| (MS, true), |due| Some(due.saturating_sub(4 * MS)));
    assert_eq!((told.consumers[0].early, told.wrong_clocks()), (None, Vec::new()), "two programs may read one clock");
}

/// What waits for the end of the fault is flushed at 76.6 s; reports due until 79 s queue behind it. The fault met what was under way
/// when it was asked for at 20 s, though the broken revision served a little later.
#[test]
fn what_queues_behind_the_flush_and_what_met_the_exchange_are_not_told_as_otherwise() {
    let deliver = |due: Duration| match due.as_micros() {
        19_990_000..50_000_000 => Some(Duration::from_millis(76_600)),
        50_000_000..79_000_000 => Some(due.max(Duration::from_millis(76_600)) + 2_000 * MS),
        _ => Some(in_time(due)),
    };
    let email = FaultRecording { asked_s: Some(20.0), ..fault("email", 20.16, 50.0) };
    let told = run(10, vec![email.clone(), fault("fax", 60.0, 70.0)], |_| (MS, true), deliver);
    let consumer = &told.consumers[0];
    // The last of what was due before the end is delivered at 76.6 s; then 2 s are taken until 79 s.
    assert_eq!(told.faults[0].healed_s, Some(29.0));
    assert_eq!(consumer.outside.max().as_millis(), 20, "neither the flush nor what had waited for it");
    assert_eq!(consumer.beginning.count(), 2, "due at 20.0 and 20.1 s");
    assert_eq!(
        consumer.inside.count() + consumer.healing.count() + consumer.beginning.count() + consumer.outside.count(),
        1000
    );
}

#[test]
fn a_fault_that_is_never_normal_again_has_healed_when_nothing_waits_any_more() {
    let slow = |due: Duration| if due < s(20) { Some(in_time(due)) } else { Some(due.max(s(50)) + s(1)) };
    let told = run(10, vec![fault("email", 20.0, 50.0)], |_| (MS, true), slow);
    // The last report is due at 99.9 s and takes a second: fifty times what it took before.
    assert_eq!(told.faults[0].healed_s, Some(50.9));
    assert_eq!(told.consumers[0].healing.count(), 500);
    let lost = |due: Duration| if due >= s(99) { None } else { slow(due) };
    assert_eq!(run(10, vec![fault("email", 20.0, 50.0)], |_| (MS, true), lost).faults[0].healed_s, None);
}

#[test]
fn without_anything_before_the_fault_what_waited_is_all_that_can_be_asked_for() {
    let deliver = |due: Duration| if due < s(10) { Some(s(14)) } else { Some(due + s(1)) };
    let told = run(10, vec![fault("email", 0.0, 10.0)], |_| (MS, true), deliver);
    assert_eq!(told.faults[0].healed_s, Some(4.0));
}

/// Text messages are as quick as ever while the e-mail service is away, and take longer while its reports are flushed.
#[test]
fn who_is_slowed_down_by_the_flush_is_affected_while_it_heals_and_not_before() {
    let mut ledger = Ledger::new(&["email".to_owned(), "sms".to_owned()], 4000);
    for number in 0..4000 {
        let due = Duration::from_millis(25 * number);
        ledger.post(number, due, true);
        settle(&mut ledger, number, due + MS, true);
        let (email, sms) = match due.as_secs() {
            20..50 => (s(70), due + 20 * MS),
            50..70 => (s(70) + due / 1000, due + 90 * MS),
            _ => (due + 20 * MS, due + 20 * MS),
        };
        for (consumer, at) in [(0, email), (1, sms)] {
            ledger.deliver(consumer, &Arrived { number: Some(number), at, key: None });
        }
    }
    let terms = Terms { faults: vec![fault("email", 20.0, 50.0)], looked_until: s(100), ..Terms::default() };
    let told = ledger.conclude(terms);
    let sms = &told.consumers[1];
    assert_eq!(told.faults[0].healed_s, Some(20.0));
    assert_eq!(sms.while_it_lasted().claim(), Some(Claim::Unaffected));
    assert_eq!(sms.while_it_healed().claim(), Some(Claim::Affected));
    let times = sms.healing_ratio.unwrap().ratio;
    assert!((times - 4.5).abs() < 1e-9, "{times}");
    assert_eq!(told.posts_while_it_healed().claim(), Some(Claim::Unaffected));
}
