//! Whole loads under a paused clock, through connections in memory: what the driver does with time, exactly.

use super::connection::{Connector, Http1Client};
use super::fixture::{assert_balance, in_memory, load_over, plan};
use crate::trial::{Books, Recording};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

/// The stall of 100 s after 100 s of answers in 1 ms, at a tenth of the rate of the closed form, which changes no
/// quantile: who counts from the due time sees a mean of 25 s; who waits with the server sees one slow request.
#[tokio::test(start_paused = true)]
async fn a_stall_is_reported_from_the_due_times_and_is_no_lateness() {
    let stalled = plan(
        "journeys: [{name: one, steps: [{name: first, get: /, timeout: 200s}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 1}}
stages: [{name: steady, hold: 10, duration: 200s}]",
    );
    let end = Duration::from_secs(200);
    let recording = in_memory(stalled, Duration::from_secs(10), move |now| {
        if now < Duration::from_secs(100) { MS } else { end.saturating_sub(now) }
    })
    .await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 2000);
    let near = |told: Duration, exact: f64| (told.as_secs_f64() - exact).abs() <= 0.01 * exact;
    let response = &recording.overall.response_time;
    assert!(near(response.mean(), 25.003), "{:?}", response.mean());
    for (q, exact) in [(0.75, 50.0), (0.90, 80.0), (0.99, 98.0), (0.999, 99.80)] {
        assert!(near(response.quantile(q), exact), "{q}: {:?}", response.quantile(q));
    }
    let service = &recording.overall.service_time;
    assert!(service.mean() < 52 * MS && service.quantile(0.999) <= 2 * MS, "{:?}", service.mean());
    assert!(recording.lateness.max() <= 2 * MS, "waiting for room is not lateness: {:?}", recording.lateness.max());
    assert!(recording.blocked.max() > Duration::from_secs(99));
    let worst = recording.intervals.iter().max_by(|a, b| a.response_time_p99_ms.total_cmp(&b.response_time_p99_ms));
    assert_eq!(worst.unwrap().start_s, 100.0, "the stall shows where it began");
}

#[tokio::test(start_paused = true)]
async fn a_later_step_is_due_when_the_answer_before_it_plus_think_time_has_passed() {
    let slow = plan(
        "journeys:
  - name: two
    steps: [{name: first, get: /, think: 500ms}, {name: second, get: /, think: 9s}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 1, duration: 10s, warm_up: 5s}]",
    );
    let recording = in_memory(slow, Duration::from_secs(5), |_| 100 * MS).await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals, Books { planned: 10, completed: 10, ..Books::default() });
    assert_eq!(recording.steps[1].times.response_time.mean(), 100 * MS, "the pause is not response time");
    assert_eq!(recording.journeys[0].duration.mean(), 700 * MS, "the last step's pause is not part of a journey");
    assert!(recording.journeys[0].duration.count() < 10, "warm-up is not measured");
    assert!(recording.lateness.max() <= MS);
}

#[tokio::test(start_paused = true)]
async fn as_many_virtual_users_wait_for_answers_as_the_plan_says() {
    let ramping = plan(
        "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: closed
stages:
  - {name: up, ramp: {from: 0, to: 10}, duration: 10s}
  - {name: level, hold: 10, duration: 10s}
  - {name: down, ramp: {from: 10, to: 0}, duration: 10s}",
    );
    let start = Instant::now();
    let endings = Arc::new(Mutex::new(Vec::<Duration>::new()));
    let checked = Arc::new(AtomicU64::new(0));
    let (expected, seen, begun) = (ramping.clone(), Arc::clone(&endings), Arc::clone(&checked));
    let recording = in_memory(ramping, Duration::from_secs(1), move |_| {
        let now = start.elapsed();
        let mut endings = seen.lock().unwrap();
        endings.retain(|end| *end > now);
        endings.push(now + 100 * MS);
        // Whoever was taken off within the last 100 ms may still wait for the answer to its last request.
        let level = |at: Duration| expected.virtual_users_at(at.min(Duration::from_millis(29_999))) as usize;
        assert!(endings.len() <= level(now).max(level(now.saturating_sub(101 * MS))), "{} at {now:?}", endings.len());
        begun.fetch_add(1, Ordering::Relaxed);
        100 * MS
    })
    .await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, checked.load(Ordering::Relaxed));
    assert_eq!(recording.stages[1].times.response_time.count(), 1000, "10 virtual users, 10 s, 100 ms each");
    assert!(recording.stages[0].times.response_time.count().abs_diff(500) <= 10);
    assert_eq!(recording.overall.response_time.max().as_millis(), 100);
}

#[tokio::test(start_paused = true)]
async fn arrivals_beyond_the_room_wait_in_order_and_every_second_of_it_is_blocked_time() {
    let crowded = plan(
        "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 2}}
stages: [{name: steady, hold: 10, duration: 10s}]",
    );
    // Two at a time, 400 ms each: five per second, half of what comes.
    let recording = in_memory(crowded, Duration::from_mins(1), |_| 400 * MS).await;
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 100);
    assert_eq!(recording.overall.service_time.mean(), 400 * MS);
    let (response, service) = (&recording.overall.response_time, &recording.overall.service_time);
    assert_eq!(response.sum().saturating_sub(service.sum()), recording.blocked.sum() + recording.lateness.sum());
    assert!(recording.lateness.max() <= 2 * MS, "{:?}", recording.lateness.max());
    // The last of 100 arrivals is due after 9.9 s and begins after 49 rounds of 400 ms.
    assert!(recording.blocked.max().abs_diff(Duration::from_millis(49 * 400 - 9_900)) < 120 * MS);
}

#[tokio::test(start_paused = true)]
async fn virtual_users_whose_every_step_is_skipped_keep_nobody_from_the_end_of_the_load() {
    let idle = plan(
        "variables: {on: {constant: 0}}
journeys: [{name: one, steps: [{name: first, get: /, if: '${on} == 1'}]}]
load: closed
stages: [{name: steady, hold: 2, duration: 1s}]",
    );
    let recording = in_memory(idle, Duration::from_secs(1), |_| MS).await;
    assert_balance(&recording);
    assert_eq!(recording.requests_sent(), 0);
    assert!((500..=2_002).contains(&recording.arrivals.completed), "{:?}", recording.arrivals);
    assert_eq!(recording.steps[0].skipped, recording.arrivals.completed);
}

/// What a server does with one request.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Answer,
    AnswerAfter(u64),
    Waiting,
    Done,
    Redirect,
    Refuse,
    Garbage,
    Half,
    Close,
    AnswerAndClose,
    Hang,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => Just(Deed::Answer),
        2 => (1u64..3_000).prop_map(Deed::AnswerAfter),
        3 => Just(Deed::Waiting),
        2 => Just(Deed::Done),
        2 => Just(Deed::Redirect),
        1 => Just(Deed::Refuse),
        1 => Just(Deed::Garbage),
        1 => Just(Deed::Half),
        1 => Just(Deed::Close),
        1 => Just(Deed::AnswerAndClose),
        1 => Just(Deed::Hang),
    ]
}

async fn treat(mut stream: DuplexStream, deeds: Arc<Vec<Deed>>, requests: Arc<AtomicU64>) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let number = usize::try_from(requests.fetch_add(1, Ordering::Relaxed)).unwrap();
        let answer = match deeds[number % deeds.len()] {
            Deed::Answer | Deed::AnswerAndClose => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            Deed::AnswerAfter(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
            }
            Deed::Waiting => "HTTP/1.1 200 OK\r\nx-state: waiting\r\ncontent-length: 2\r\n\r\n{}",
            Deed::Done => "HTTP/1.1 200 OK\r\nx-state: done\r\ncontent-length: 2\r\n\r\n{}",
            Deed::Redirect => "HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n",
            Deed::Refuse => "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            Deed::Garbage => "\x01\x02\x03\r\n\r\n",
            Deed::Half => "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf",
            Deed::Close => return Ok(()),
            Deed::Hang => std::future::pending().await,
        };
        stream.write_all(answer.as_bytes()).await?;
        if matches!(deeds[number % deeds.len()], Deed::AnswerAndClose | Deed::Half) {
            return Ok(());
        }
    }
}

/// Runs a load of about 20 s in virtual time against a server that does `deeds` in turn.
fn run_against(load: &str, deeds: Vec<Deed>, stop_ms: Option<u64>, drain_ms: u64) -> (Recording, u64) {
    let mixed = plan(&format!(
        "journeys:
  - {{name: look, steps: [{{name: list, get: /, timeout: 2s, think: 100ms}}]}}
  - name: buy
    steps:
      - {{name: list, get: /, timeout: 2s, think: exponential 200ms}}
      - {{name: pay, get: /pay, timeout: 1s}}
      - {{name: leave, get: /, timeout: 4s}}
  - name: poll
    steps:
      - {{name: list, get: /, timeout: 2s, follow_redirects: 2, extract: {{state: {{header: x-state, optional: true}}}}}}
      - if: ${{state}} exists
        repeat: {{until: '${{state}} == done', at_most: 3}}
        steps:
          - {{name: pay, get: /pay, timeout: 1s, think: 50ms, extract: {{state: {{header: x-state, optional: true}}}}}}
          - {{name: check, get: /, timeout: 1s, repeat: {{from: 0, to: 2}}}}
      - {{name: leave, get: /, timeout: 4s, if: '${{state}} == done'}}
load: {load}
stages:
  - {{name: up, ramp: {{from: 0, to: 6}}, duration: 8s, warm_up: 2s}}
  - {{name: level, hold: 6, duration: 10s}}"
    ));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (deeds, requests) = (Arc::new(deeds), Arc::new(AtomicU64::new(0)));
        let seen = Arc::clone(&requests);
        let accept = move |stream| {
            tokio::spawn(treat(stream, Arc::clone(&deeds), Arc::clone(&seen)));
        };
        let stopped = async {
            match stop_ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        let drain = Duration::from_millis(drain_ms);
        let recording = load_over(mixed, Connector::in_memory(accept, Http1Client::default()), drain, stopped).await;
        (recording, requests.load(Ordering::Relaxed))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn books_balance_for_any_mix_of_answers_resets_timeouts_and_stops(
        closed in any::<bool>(),
        room in 1u32..12,
        deeds in prop::collection::vec(deed(), 1..20),
        stop_ms in prop::option::of(0u64..15_000),
        drain_ms in 0u64..6_000,
    ) {
        let open = format!("{{open: {{arrivals: poisson, unit: arrivals_per_second, max_in_flight: {room}}}}}");
        let load = if closed { "closed" } else { open.as_str() };
        let (recording, reached) = run_against(load, deeds, stop_ms, drain_ms);
        assert_balance(&recording);
        prop_assert_eq!(recording.interrupted, stop_ms.is_some());
        // A request that the server saw was sent; one that it did not see met a connection that was just closed.
        prop_assert!(recording.requests_sent() >= reached, "{} sent, {reached} seen", recording.requests_sent());
        let settled: u64 = recording.steps.iter().map(|step| step.books.completed + step.books.failed).sum();
        // A redirect that was followed is an answer beside the one that settled its step; only one journey follows any.
        let followed = recording.requests_sent() - settled;
        prop_assert!(followed <= recording.answers.get("302").copied().unwrap_or_default());
        // Every poll goes on or ends by what the answers before it said; whatever it skipped is told.
        let begun: u64 = recording.steps.iter().map(|step| step.books.planned + step.skipped).sum();
        let single: u64 = recording.journeys.iter().zip([1, 3, 4]).map(|(journey, steps)| journey.books.planned * steps).sum();
        prop_assert!(begun >= single, "{begun} planned or skipped, {single} written");
        prop_assert_eq!(recording.lateness.count(), settled);
        prop_assert!(recording.lateness.max() <= 2 * MS, "{:?}", recording.lateness.max());
    }
}
