//! A run of a minute whose e-mail service was away for half of it, worked out by hand.

use crate::scenario::Ids;
use crate::stats::QuantileRatio;
use crate::trial::{
    Arrived, FaultRecording, InstanceLevel, Interval, Ledger, PromiseRecording, PublishRefusals, PushBooks, Recording,
    StatusClass, SubscriptionRecording, Terms,
};
use std::collections::BTreeMap;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A report a second, the last of which is refused; e-mails are down from 20 s to 50 s and healed 12 s later.
pub(super) fn ledger() -> (Ledger, Vec<String>, Ids) {
    let consumers = vec!["email".to_owned(), "sms".to_owned()];
    let mut ledger = Ledger::new(&consumers, 60);
    for number in 0..60 {
        let due = Duration::from_secs(number);
        ledger.post(number, due, true);
        let answer = if number == 59 { Err(StatusClass::ServerError) } else { Ok(()) };
        ledger.settle(number, due + 8 * MS, answer);
        if number == 59 {
            continue;
        }
        let waits = (20..50).contains(&number);
        let email = if waits { Duration::from_secs(50 + (number - 20) * 12 / 29) } else { due + 30 * MS };
        for (consumer, at) in [(0, email), (1, due + 20 * MS)] {
            ledger.deliver(consumer, &Arrived { number: Some(number), at, key: None });
        }
    }
    (ledger, consumers, Ids::new(12, 22))
}

/// Its record.
pub(super) fn recording() -> Recording {
    let fault = FaultRecording {
        text: "email down from 20s for 30s".to_owned(),
        service: "email".to_owned(),
        from_s: 20.0,
        until_s: 50.0,
        ..FaultRecording::default()
    };
    let mut delivery = ledger().0.conclude(Terms {
        step: "post".to_owned(),
        within: Duration::from_mins(3),
        drain_limit: Duration::from_secs(130),
        looked_until: Duration::from_secs(65),
        time_factor: 1.0,
        faults: vec![fault],
    });
    // A report a second is too little to compare; a run of forty a second might have given these.
    let ratio = |ratio: f64| Some(QuantileRatio { ratio, low: ratio * 0.98, high: ratio * 1.02 });
    (delivery.post_ratio, delivery.post_healing_ratio) = (ratio(1.0), ratio(1.0));
    (delivery.consumers[1].ratio, delivery.consumers[1].healing_ratio) = (ratio(1.0), ratio(1.0));
    delivery.consumers[0].ratio = ratio(966.0);
    let instances = |active: u64, idle: u64| {
        [15.0, 75.0].map(|end_s| InstanceLevel { end_s, length_s: 60.0, active, idle }).to_vec()
    };
    let calm = SubscriptionRecording {
        name: "sms-sub".to_owned(),
        push_to: "sms".to_owned(),
        pushes: PushBooks { sent: 59, acknowledged: 59, ..PushBooks::default() },
        ..SubscriptionRecording::default()
    };
    let pushes = PushBooks { sent: 68, acknowledged: 59, refused: BTreeMap::from([(500, 8)]), late: 1, unreachable: 0 };
    let (name, push_to) = ("email-sub".to_owned(), "email".to_owned());
    let refused =
        SubscriptionRecording { name, push_to, pushes, redeliveries: 9, expired_deadlines: 1, ..calm.clone() };
    delivery.enter_subscriptions(vec![refused, calm]);
    delivery.publishes_refused = Some(PublishRefusals { full: 1, ..PublishRefusals::default() });
    delivery.consumers[0].enter_redeliveries(&[(20.5, 4), (30.5, 8), (50.5, 9)]);
    delivery.consumers[1].enter_redeliveries(&[(20.5, 0)]);
    delivery.consumers[0].instances = instances(1, 1);
    delivery.consumers[1].instances = instances(1, 0);
    delivery.other_instances = BTreeMap::from([("lab".to_owned(), instances(1, 0))]);
    delivery.services = BTreeMap::from([("email".to_owned(), "bundled email".to_owned())]);
    delivery.promises = vec![PromiseRecording {
        text: "lost == 0".to_owned(),
        kept: true,
        measured: "email 0 lost, sms 0 lost".to_owned(),
        ..PromiseRecording::default()
    }];
    delivery.response_promises = vec![PromiseRecording {
        text: "post.p95 < 250ms".to_owned(),
        kept: true,
        measured: "8.00 ms".to_owned(),
        ..PromiseRecording::default()
    }];
    let interval = |second: u32| Interval {
        start_s: f64::from(second),
        length_s: 1.0,
        response_time_p95_ms: 8.0,
        ..Interval::default()
    };
    Recording {
        scenario: Some("lab".to_owned()),
        started_at: "2026-11-30T10:00:00Z".to_owned(),
        duration_s: 60.0,
        intervals: (0..60).map(interval).collect(),
        delivery: Some(delivery),
        ..Recording::default()
    }
}
