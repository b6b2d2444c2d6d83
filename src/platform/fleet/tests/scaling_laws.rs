//! Laws of overflow and of cold starts with real processes, within three standard errors.

use super::routing::{Counted, two_by_hand};
use super::{Operate, one_under, spec};
use crate::autoscaler::{Policy, Routing};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// Requests that an instance may hold at once, of which there are two.
const LIMIT: u32 = 4;
/// Arrivals per second.
const RATE: f64 = 80.0;
/// Mean of the service times drawn: a load of 4 Erlang.
const SERVICE_MEAN_S: f64 = 0.05;
/// For so long requests arrive.
const WINDOW_S: f64 = 8.0;

/// Arrival times and service times, seconds.
fn arrivals(rate: f64, service_mean_s: f64, window_s: f64, seed: u64) -> Vec<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut exponential = move |mean: f64| -> f64 { -mean * (1.0 - rng.random::<f64>()).ln() };
    let (mut now, mut arrivals) = (0.0, Vec::new());
    loop {
        now += exponential(1.0 / rate);
        if now > window_s {
            return arrivals;
        }
        arrivals.push((now, exponential(service_mean_s)));
    }
}

/// Erlang's loss formula.
fn erlang_b(servers: u32, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked))
}

/// By how much mean requests in the first and in the second instance, and the share turned away, are off Erlang's
/// formulas for the load that was measured.
fn off_the_law(held: [f64; 2], lost: f64, load: f64) -> [f64; 3] {
    let (one, two) = (erlang_b(LIMIT, load), erlang_b(2 * LIMIT, load));
    [held[0] - load * (1.0 - one), held[1] - load * (one - two), lost - two]
}

/// The same over one window without any process.
fn simulated(seed: u64) -> [f64; 3] {
    let arrivals = arrivals(RATE, SERVICE_MEAN_S, WINDOW_S, seed);
    let mut inside: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let (mut held, mut lost, mut served) = ([0.0; 2], 0.0, Vec::new());
    for (at, service) in &arrivals {
        for ends in &mut inside {
            ends.retain(|end| end > at);
        }
        match inside.iter().position(|ends| ends.len() < LIMIT as usize) {
            Some(place) => {
                inside[place].push(at + service);
                held[place] += service / WINDOW_S;
                served.push(*service);
            }
            None => lost += 1.0,
        }
    }
    let count = arrivals.len() as f64;
    let mean = served.iter().sum::<f64>() / served.len() as f64;
    off_the_law(held, lost / count, count / WINDOW_S * mean)
}

/// Mean and deviation of each.
fn moments(windows: &[[f64; 3]]) -> [(f64, f64); 3] {
    [0, 1, 2].map(|which| {
        let count = windows.len() as f64;
        let mean = windows.iter().map(|window| window[which]).sum::<f64>() / count;
        let variance = windows.iter().map(|window| (window[which] - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn fill_first_overflows_as_erlang_says() {
    let policy = Policy { routing: Some(Routing::FillFirst), queue_capacity: 0, ..Policy::cloud_run() };
    let (fleet, url) = two_by_hand(policy, spec("shop-1", LIMIT, 2)).await;
    let client = reqwest::Client::new();
    let start = tokio::time::Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for (at, service_s) in arrivals(RATE, SERVICE_MEAN_S, WINDOW_S, 5) {
        let request = client.get(format!("{url}/count/{}", Duration::from_secs_f64(service_s).as_micros()));
        requests.spawn(async move {
            tokio::time::sleep_until(start + Duration::from_secs_f64(at)).await;
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        });
    }
    let answers = requests.join_all().await;
    let sample = fleet.sample().await.remove(0);
    fleet.shutdown().await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| *status == 200);
    assert!(refused.iter().all(|(status, _)| *status == 429), "{refused:?}");
    assert_eq!((sample.requests[&200], sample.pending_ms[&429].count), (served.len() as u64, refused.len() as u64));

    // An instance sees a request a little shorter than its place is taken: forwarding is part of that.
    let served: Vec<_> = served.iter().map(|(_, text)| Counted::read(text)).collect();
    let seconds = |answer: &Counted| (answer.end - answer.begin) as f64 / 1e6;
    let inside_s = served.iter().map(seconds).sum::<f64>() / served.len() as f64;
    let latencies = &sample.request_latencies_ms[&200];
    let taken_s = latencies.sum / latencies.count as f64 / 1e3;
    let mut held = BTreeMap::<u32, f64>::new();
    for answer in &served {
        *held.entry(answer.pid).or_default() += (seconds(answer) + taken_s - inside_s) / WINDOW_S;
    }
    let mut held: Vec<_> = held.into_values().collect();
    held.sort_by(|one, other| other.total_cmp(one));
    let [first, second] = held[..] else { panic!("two instances: {held:?}") };
    let load = answers.len() as f64 / WINDOW_S * taken_s;
    let off = off_the_law([first, second], refused.len() as f64 / answers.len() as f64, load);

    let windows: Vec<_> = (0..2000).map(|seed| simulated(1000 + seed)).collect();
    for ((off, (mean, error)), what) in off.into_iter().zip(moments(&windows)).zip(["first", "second", "lost"]) {
        // The window begins empty: that is a part of the error and must be a small one.
        assert!(mean.abs() < error, "{what}: {mean} ± {error}");
        assert!((off - mean).abs() <= 3.0 * error, "{what}: off by {off}, against {mean} ± {error}, load {load}");
    }
}

/// Arrivals per second at a revision that is cold when it has been idle for so long.
const SPARSE_RATE: f64 = 10.0;
const IDLE_S: f64 = 0.07;

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_period_begins_cold_with_the_probability_of_so_long_a_gap() {
    // Scaled by ten in these tests. The metrics drivers are asked never: they would want the instance to stay.
    let policy = Policy {
        idle_timeout: Duration::from_secs_f64(10.0 * IDLE_S),
        bucket: Duration::from_millis(10),
        tick: Duration::from_hours(1000),
        ..Policy::cloud_run()
    };
    let (fleet, url) = one_under(policy, spec("shop-1", 1000, 1)).await;
    let client = reqwest::Client::new();
    let start = tokio::time::Instant::now();
    let mut requests = tokio::task::JoinSet::new();
    for (at, service_s) in arrivals(SPARSE_RATE, 0.005, 20.0, 6) {
        let request = client.get(format!("{url}/count/{}", Duration::from_secs_f64(service_s).as_micros()));
        requests.spawn(async move {
            tokio::time::sleep_until(start + Duration::from_secs_f64(at)).await;
            let sent = start.elapsed();
            let answer = request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
            (sent, start.elapsed(), Counted::read(&answer).pid)
        });
    }
    let mut answers = requests.join_all().await;
    let sample = fleet.sample().await.remove(0);
    fleet.shutdown().await;
    assert_eq!(sample.requests[&200], answers.len() as u64);

    // Busy periods as the client saw them: from the sending until nobody waits for an answer.
    answers.sort_unstable();
    let (mut gaps, mut until) = (Vec::new(), Duration::ZERO);
    for (sent, done, _) in &answers {
        if *sent > until && until > Duration::ZERO {
            gaps.push(sent.saturating_sub(until).as_secs_f64());
        }
        until = until.max(*done);
    }
    let periods = gaps.len() as f64;
    // The gaps are exponential whatever happened before: Poisson arrivals have no memory.
    let expected = periods * (-SPARSE_RATE * IDLE_S).exp();
    let error = (expected * (1.0 - expected / periods)).sqrt();
    // The first start-up was the deployment's; it was idle until the first arrival, which began no gap.
    let cold = sample.startup_latencies_ms.count as f64 - 1.0;
    assert!(periods > 50.0, "{periods} periods");
    assert!((cold - expected).abs() <= 3.0 * error + 1.0, "{cold} cold of {periods}, against {expected} ± {error}");
}
