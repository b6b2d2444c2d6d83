//! Virtual users at a pace, requests kept in flight, replays and shards, under a paused clock.

use super::fixture::{assert_balance, in_memory, plan};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const ONE: &str = "journeys: [{name: one, steps: [{name: first, get: /, think: 300ms}]}]";

#[tokio::test(start_paused = true)]
async fn a_session_begins_at_every_pace_and_not_earlier() {
    let paced = plan(&format!(
        "{ONE}
load: {{paced: {{every: 2s}}}}
stages: [{{name: steady, hold: 3, duration: 10s}}]"
    ));
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&begun);
    let recording = in_memory(paced, Duration::from_mins(1), move |at| {
        seen.lock().unwrap().push(at.as_millis() / 100);
        500 * MS
    })
    .await;
    assert_balance(&recording);
    assert_eq!(*begun.lock().unwrap(), [0, 20, 40, 60, 80].map(|at| [at; 3]).concat());
    assert_eq!((recording.arrivals.completed, recording.blocked.count()), (15, 0));
}

/// Sessions of 3 s every 2 s: the n-th begins n seconds after it was due. From the due times a mean of 3 + (0 + 1 + 2 + 3)/4
/// seconds is seen; who counts from the sending sees 3 s. The sessions that came due and never began are dropped.
#[tokio::test(start_paused = true)]
async fn a_session_behind_its_pace_is_blocked_and_one_that_never_begins_is_dropped() {
    let paced = plan(
        "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {paced: {every: 2s}}
stages: [{name: steady, hold: 1, duration: 11s}]",
    );
    let recording = in_memory(paced, Duration::from_mins(1), |_| 3000 * MS).await;
    assert_balance(&recording);
    // Due at 0, 2, 4, 6, 8, 10; begun at 0, 3, 6, 9; at 12 the load has ended.
    assert_eq!((recording.arrivals.planned, recording.arrivals.completed, recording.arrivals.dropped), (6, 4, 2));
    let near = |told: Duration, ms: u64| assert!(told.abs_diff(Duration::from_millis(ms)) < 10 * MS, "{told:?}");
    near(recording.overall.response_time.mean(), 4500);
    near(recording.overall.service_time.mean(), 3000);
    near(recording.blocked.max(), 3000);
    assert!(recording.lateness.max() <= 2 * MS, "{:?}", recording.lateness.max());
}

#[tokio::test(start_paused = true)]
async fn a_virtual_user_that_hangs_to_the_end_drops_all_it_should_have_begun() {
    let paced = plan(
        "journeys: [{name: one, steps: [{name: first, get: /, timeout: 1h}]}]
load: {paced: {every: 1s}}
stages: [{name: steady, hold: 2, duration: 10s}]",
    );
    let recording = in_memory(paced, Duration::from_secs(5), |_| Duration::from_hours(2)).await;
    assert_balance(&recording);
    assert_eq!((recording.arrivals.planned, recording.arrivals.failed, recording.arrivals.dropped), (20, 2, 18));
}

#[tokio::test(start_paused = true)]
async fn a_virtual_user_that_was_taken_off_drops_what_it_was_behind_with() {
    let paced = plan(
        "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {paced: {every: 1s}}
stages: [{name: all, hold: 1, duration: 3s}, {name: none, hold: 0, duration: 10s}, {name: again, hold: 1, duration: 2s}]",
    );
    let recording = in_memory(paced, Duration::from_mins(1), |_| 5000 * MS).await;
    assert_balance(&recording);
    // Due at 0, 1, 2, then 13 and 14: the first ends at 5, when the virtual user is off; that of 13 ends after the load.
    assert_eq!((recording.arrivals.planned, recording.arrivals.completed, recording.arrivals.dropped), (5, 2, 3));
}

#[tokio::test(start_paused = true)]
async fn exactly_as_many_requests_are_in_flight_as_the_level_says_whatever_the_think_times() {
    let level = plan(&format!(
        "{ONE}
load: in_flight
stages: [{{name: few, hold: 3, duration: 10s}}, {{name: many, hold: 8, duration: 10s}}]"
    ));
    let start = Instant::now();
    let (now_in_flight, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (in_flight, bad) = (Arc::clone(&now_in_flight), Arc::clone(&wrong));
    let endings = Arc::new(Mutex::new(Vec::<Duration>::new()));
    let recording = in_memory(level, Duration::from_mins(1), move |_| {
        let now = start.elapsed();
        let mut endings = endings.lock().unwrap();
        endings.retain(|end| *end > now);
        endings.push(now + 200 * MS);
        in_flight.store(endings.len(), Ordering::Relaxed);
        let expected = if now < Duration::from_secs(10) { 3 } else { 8 };
        // Answers end and requests begin one by one within the same moment.
        bad.fetch_add(usize::from(endings.len() > expected), Ordering::Relaxed);
        200 * MS
    })
    .await;
    assert_balance(&recording);
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
    // 3 and 8 at a time, 200 ms each, without a gap.
    let counts: Vec<u64> = recording.stages.iter().map(|stage| stage.times.response_time.count()).collect();
    assert!(counts[0].abs_diff(150) <= 3 && counts[1].abs_diff(400) <= 8, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn shards_send_together_what_the_whole_plan_sends() {
    let parts = "journeys: [{name: one, steps: [{name: first, get: /}]}, {name: two, steps: [{name: first, get: /}, {name: second, get: /}]}]
load: {open: {arrivals: poisson, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 20s}]";
    let whole = in_memory(plan(parts), Duration::from_mins(1), |_| 50 * MS).await;
    let mut planned = [0; 2];
    for number in 1..=3 {
        let shard = in_memory(plan(parts).shard(number, 3), Duration::from_mins(1), |_| 50 * MS).await;
        assert_balance(&shard);
        for (planned, journey) in planned.iter_mut().zip(&shard.journeys) {
            *planned += journey.books.completed;
        }
    }
    assert_eq!(planned.to_vec(), whole.journeys.iter().map(|journey| journey.books.planned).collect::<Vec<_>>());
}
