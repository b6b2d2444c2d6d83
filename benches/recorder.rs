//! What recording one request costs: virtual hours are told to a recorder as fast as it takes them. Run it with
//! `cargo bench --bench recorder`.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::driver::{Flight, JourneyEnd, Outcome, Phases, Recorder, Shape};
use tidegate::scenario::{Plan, Scenario};
use tidegate::trial::StatusClass;
use tokio::time::Instant;

const SCENARIO: &str = "name: bench
journeys: [{name: one, steps: [{name: get, get: /}]}]
load: {open: {arrivals: constant, unit: requests_per_second}}
stages: [{name: steady, hold: 100, duration: 10h}]";

fn main() -> Result<(), Box<dyn Error>> {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let scenario = Scenario::from_yaml(Path::new("bench.yaml"), SCENARIO)?;
    let plan = Plan::new(Arc::new(scenario), 1, 1.0);
    println!("virtual time       requests   ns/request  intervals  bytes as JSON  told");
    let runs: &[(u64, Told)] = if measuring {
        &[(1, Told::Times), (10, Told::Times), (10, Told::Failures), (10, Told::Everything)]
    } else {
        &[(1, Told::Everything)]
    };
    for (hours, told) in runs {
        let requests = hours * 3600 * 100;
        let mut recorder = Recorder::new(Shape::of(&plan));
        let begun = Instant::now();
        for index in 0..requests {
            tell(&mut recorder, index, *told);
        }
        let recording = recorder.conclude(false);
        let taken = begun.elapsed();
        let bytes = serde_json::to_vec(&recording)?.len();
        let (ns, intervals) = (taken.as_nanos() / u128::from(requests), recording.intervals.len());
        println!("{hours:>10} h {requests:>14} {ns:>12} {intervals:>10} {bytes:>14}  {told:?}");
        assert_eq!(recording.arrivals.completed + recording.arrivals.failed, requests);
    }
    Ok(())
}

/// What the recorder is told of each request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// Due, sent, done; every one answered as expected.
    Times,
    /// The same, but every other one fails with a 503.
    Failures,
    /// Due, sent, done, its phases and its trace id.
    Everything,
}

/// One request, 10 ms after the one before it, answered after a time that goes through the histogram's range.
fn tell(recorder: &mut Recorder, index: u64, told: Told) {
    let due = Duration::from_millis(10 * index);
    let flight = Flight { step: 0, due, sent: due + Duration::from_micros(15), blocked: Duration::ZERO };
    let done = due + Duration::from_micros(500 + index * 7919 % 1_000_000);
    recorder.arrive(0, due);
    recorder.send(&flight);
    if told == Told::Everything {
        let first_byte = Some(done.saturating_sub(flight.sent));
        recorder.phases(0, due, &Phases { first_byte, body: Some(Duration::from_micros(20)), ..Phases::default() });
        recorder.exemplar(0, due, done.saturating_sub(due), u128::from(index));
    }
    if told == Told::Failures && index.is_multiple_of(2) {
        recorder.settle(&flight, done, Outcome::Answered(503), Some("status 503, expected 200"));
        recorder.end_journey(0, due, JourneyEnd::Failed(done, StatusClass::ServerError));
    } else {
        recorder.settle(&flight, done, Outcome::Answered(200), None);
        recorder.end_journey(0, due, JourneyEnd::Completed(done, StatusClass::Success));
    }
}
