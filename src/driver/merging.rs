//! Shards: whatever way the journeys of a run are dealt to several recorders, their recordings merge into what one
//! recorder of the whole run says. And memory: ten hours take no more of it than one.

use super::{Flight, JourneyEnd, Outcome, Phases, Recorder, Shape};
use crate::scenario::PlannedStage;
use crate::trial::{Part, Recording, Shard, StatusClass, merge};
use proptest::prelude::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Two journeys that share a step, in a stage whose first tenth is warm-up.
fn shape(length: Duration) -> Shape {
    let stage = PlannedStage { index: 0, start: Duration::ZERO, measured_from: length / 10, end: length };
    Shape {
        steps: ["list", "buy", "pay"].map(str::to_owned).to_vec(),
        counters: vec!["sold".to_owned()],
        journeys: vec![("browse".to_owned(), vec![0]), ("purchase".to_owned(), vec![0, 1, 2])],
        stages: vec![("normal".to_owned(), stage)],
    }
}

/// One journey: who records it, when it is due, how long each step takes, and how each step ends.
#[derive(Clone, Debug)]
struct Story {
    shard: usize,
    journey: usize,
    due_ms: u64,
    blocked_ms: u64,
    late_us: u64,
    trace: u64,
    /// Microseconds of service, and the kind of ending: 0 to 2 as expected, then failures, then the cut.
    steps: Vec<(u64, u8)>,
}

fn story() -> impl Strategy<Value = Story> {
    let step = (1u64..30_000_000, 0u8..8);
    let who = (0usize..3, 0usize..2, any::<u64>());
    // Long enough for the series to be decimated, in some shards more often than in others.
    let times = (0u64..2_000_000, 0u64..5_000, 0u64..50_000);
    (who, times, prop::collection::vec(step, 3)).prop_map(
        |((shard, journey, trace), (due_ms, blocked_ms, late_us), steps)| Story {
            shard,
            journey,
            due_ms,
            blocked_ms,
            late_us,
            trace,
            steps,
        },
    )
}

type Telling = Box<dyn Fn(&mut Recorder)>;

/// What a driver tells of one journey, each with its time.
fn events(story: &Story) -> Vec<(Duration, Telling)> {
    let mut events: Vec<(Duration, Telling)> = Vec::new();
    let (journey, began) = (story.journey, Duration::from_millis(story.due_ms));
    let steps: &[usize] = [&[0usize][..], &[0, 1, 2]][journey];
    events.push((began, Box::new(move |recorder| recorder.arrive(journey, began))));
    let (mut due, mut blocked) = (began, Duration::from_millis(story.blocked_ms));
    for (place, step) in steps.iter().copied().enumerate() {
        let (service_us, ending) = story.steps[place];
        if ending == 7 {
            let end = move |recorder: &mut Recorder| {
                recorder.drop_steps(journey, place, due);
                recorder.end_journey(journey, began, JourneyEnd::Dropped);
            };
            events.push((due, Box::new(end)));
            return events;
        }
        let sent = due + blocked + Duration::from_micros(story.late_us);
        let flight = Flight { step, due, sent, blocked };
        events.push((sent, Box::new(move |recorder| recorder.send(&flight))));
        let done = sent + Duration::from_micros(service_us);
        let trace = u128::from(story.trace) << 8 | step as u128;
        let settle = move |recorder: &mut Recorder| {
            let (outcome, failure) = match ending {
                0..=2 => (Outcome::Answered(200), None),
                3 => (Outcome::Answered(501), Some("status 501, expected 200")),
                4 => (Outcome::Answered(404), Some("status 404, expected 200")),
                5 => (Outcome::TimedOut, Some("no answer in time")),
                _ => (Outcome::Broken, Some("connection reset")),
            };
            let first_byte = Some(Duration::from_micros(service_us / 2));
            let connect = (ending == 0).then_some(MS);
            recorder.phases(step, due, &Phases { connect, first_byte, body: first_byte, ..Phases::default() });
            recorder.exemplar(step, due, done.saturating_sub(due), trace);
            recorder.count(&[(0, 1)]);
            recorder.settle(&flight, done, outcome, failure);
            if failure.is_some() {
                recorder.drop_steps(journey, place + 1, due);
                let class = StatusClass::of(outcome.status());
                recorder.end_journey(journey, began, JourneyEnd::Failed(done, class));
            } else if place + 1 == steps_of(journey) {
                recorder.end_journey(journey, began, JourneyEnd::Completed(done, StatusClass::Success));
            }
        };
        events.push((done, Box::new(settle)));
        if ending > 2 {
            return events;
        }
        (due, blocked) = (done, Duration::ZERO);
    }
    events
}

fn steps_of(journey: usize) -> usize {
    [1, 3][journey]
}

fn record(stories: &[&Story], length: Duration) -> Recording {
    let mut recorder = Recorder::new(shape(length));
    recorder.keep_interval_histograms();
    let mut all: Vec<_> = stories.iter().flat_map(|story| events(story)).collect();
    all.sort_by_key(|(at, _)| *at);
    for (_, tell) in all {
        tell(&mut recorder);
    }
    recorder.conclude(false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn shards_merge_into_the_recording_of_the_whole(stories in prop::collection::vec(story(), 0..80)) {
        let length = 2_000_000 * MS;
        let whole = record(&stories.iter().collect::<Vec<_>>(), length);
        let mut parts: Vec<Part> = (0..3usize).map(|shard| {
            let own: Vec<&Story> = stories.iter().filter(|story| story.shard == shard).collect();
            let mut recording = record(&own, length);
            recording.shard = Some(Shard { number: u32::try_from(shard).unwrap() + 1, of: 3 });
            // Through the file, as it is in life.
            let recording = serde_json::from_str(&recording.to_json()).unwrap();
            Part { file: format!("{shard}.json"), recording }
        }).collect();
        parts.rotate_left(stories.len() % 3);
        let mut merged = merge(parts, false).unwrap();
        // Sums of floating-point numbers differ in their last digits by the order they were added in.
        prop_assert!((merged.service_time_sum_s - whole.service_time_sum_s).abs() < 1e-6);
        merged.service_time_sum_s = whole.service_time_sum_s;
        // The series first: where it differs, it is short enough to read.
        for (merged, whole) in merged.intervals.iter().zip(&whole.intervals) {
            prop_assert_eq!(merged, whole);
        }
        prop_assert!(merged == whole, "something besides the series differs");
    }
}

fn sizes(recording: &Recording) -> (usize, usize) {
    (recording.to_json().len(), recording.intervals.len())
}

#[test]
fn ten_hours_take_no_more_memory_than_one_with_classes_phases_and_exemplars() {
    let run = |hours: u64| {
        let seconds = hours * 3600;
        let mut recorder = Recorder::new(shape(Duration::from_secs(seconds)));
        recorder.keep_interval_histograms();
        recorder.watch();
        let mut told = 0;
        for index in 0..seconds * 5 {
            let due = Duration::from_millis(index * 200);
            let flight = Flight { step: 0, due, sent: due, blocked: Duration::ZERO };
            let service_time = Duration::from_micros(500 + index * 7919 % 1_000_000);
            recorder.arrive(0, due);
            recorder.send(&flight);
            let first_byte = Some(service_time / 2);
            let phases = Phases { connect: first_byte, tls: first_byte, first_byte, body: first_byte };
            recorder.phases(0, due, &phases);
            recorder.exemplar(0, due, service_time, u128::from(index));
            let outcome = [Outcome::Answered(200), Outcome::Answered(503), Outcome::TimedOut]
                [usize::from(index % 7 == 0) + usize::from(index % 35 == 0)];
            recorder.settle(&flight, due + service_time, outcome, (index % 7 == 0).then_some("no"));
            recorder.end_journey(0, due, JourneyEnd::Failed(due + service_time, StatusClass::Success));
            // Nobody takes what is told for an hour at a time: that must not pile up either.
            if index % 18_000 == 0 {
                told += recorder.take_live(due).map_or(0, |live| live.sent);
            }
        }
        told += recorder.rest_live(Duration::from_secs(seconds)).iter().map(|live| live.sent).sum::<u64>();
        assert_eq!(told, seconds * 5, "whoever watches is told of every request");
        let recording = recorder.conclude(false);
        assert_eq!(recording.steps[0].by_class().len(), 3);
        assert_eq!(recording.steps[0].exemplars.len(), 10);
        sizes(&recording)
    };
    let ((one_bytes, one_intervals), (ten_bytes, ten_intervals)) = (run(1), run(10));
    assert!(one_intervals <= 600 && ten_intervals <= 600);
    // Counts of more digits take a little more room.
    assert!((ten_bytes as f64) < 2.0 * one_bytes as f64, "{ten_bytes} after {one_bytes}");
}
