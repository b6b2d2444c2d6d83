//! One second of a run, for the tests of the formats.

use crate::trial::{Live, LiveStep, StatusClass, Times};
use std::collections::BTreeMap;
use std::time::Duration;

fn times(milliseconds: &[u64], failed: u64) -> Times {
    let mut times = Times { failed, ..Times::default() };
    for ms in milliseconds {
        times.response_time.record(Duration::from_millis(*ms));
        times.service_time.record(Duration::from_millis(ms.saturating_sub(1)));
    }
    times
}

/// The second from `start_s` on: ten successes, two failures, a step with a name that no format takes as it is.
pub(super) fn second(start_s: f64) -> Live {
    let classes = BTreeMap::from([
        (StatusClass::Success, times(&[10, 11, 12, 13, 14, 15, 16, 17, 18, 400], 0)),
        (StatusClass::ServerError, times(&[1], 1)),
        (StatusClass::NoAnswer, times(&[5000], 1)),
    ]);
    let mut live = Live {
        started_at: "2026-11-22T10:00:00.25Z".to_owned(),
        start_s,
        length_s: 1.0,
        sent: 14,
        in_flight: 3,
        steps: vec![
            LiveStep { name: "list".to_owned(), completed: 10, failed: 2, dropped: 1, classes },
            LiveStep { name: "pay, \"now\" \\".to_owned(), ..LiveStep::default() },
        ],
        ..Live::default()
    };
    live.lateness.record(Duration::from_micros(40));
    live
}
