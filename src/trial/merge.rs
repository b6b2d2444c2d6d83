//! Recordings of the shards of one plan, put together into the recording of the whole plan. Nothing is lost by it: every
//! histogram and every count is what one driver of the whole plan would have recorded.

use super::recording::Shard;
use super::{Books, Failure, Interval, Observed, Recording, StatusClass, StepRecording, Times, exemplar};
use crate::stats::Sketch;
use std::collections::BTreeMap;

/// Intervals are no longer than this: about two years.
const LENGTH_MAX_S: f64 = 67_108_864.0;

/// Missing shards that are told by number.
const MISSING_TOLD_MAX: usize = 20;

/// One recording, and the file that its faults are told of.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name of its file.
    pub file: String,
    /// What one driver recorded.
    pub recording: Recording,
}

/// Why recordings cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is nothing to merge; give the recording of every shard")]
    Nothing,
    /// A recording that is not of a shard.
    #[error(
        "{file} is the recording of a whole plan, not of a shard; only what `tidegate run --shard` recorded is merged"
    )]
    NoShard {
        /// Its file.
        file: String,
    },
    /// Two parts of different wholes.
    #[error(
        "{file} and {other} are not of the same run: {what} differs, {theirs} against {others}; merge the shards of one run only"
    )]
    Different {
        /// The file that differs.
        file: String,
        /// The first file.
        other: String,
        /// In what.
        what: &'static str,
        /// What it has.
        theirs: String,
        /// What the first has.
        others: String,
    },
    /// A shard that cannot be.
    #[error("{file} says it is shard {number} of {of}; shards count from 1 to their number: restore the file")]
    Beyond {
        /// Its file.
        file: String,
        /// The shard it says it is.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// A shard that is there twice.
    #[error("{file} and {other} are both shard {number}; give each shard once")]
    Twice {
        /// The second file.
        file: String,
        /// The first file.
        other: String,
        /// The shard.
        number: u32,
    },
    /// Shards that are not there.
    #[error("shard{plural} {missing} of {of} {verb} missing; give the recording of every shard, or --partial to merge what there is",
        plural = if missing.contains(',') { "s" } else { "" }, verb = if missing.contains(',') { "are" } else { "is" })]
    Missing {
        /// Their numbers.
        missing: String,
        /// How many there should be.
        of: u32,
    },
    /// A recording whose series is not one.
    #[error(
        "{file} holds a series that no driver recorded: interval {place} does not start where the one before it ends; restore the file"
    )]
    Series {
        /// Its file.
        file: String,
        /// The interval, from 1.
        place: usize,
    },
    /// A recording whose series cannot be added.
    #[error(
        "{file} holds no histograms of its intervals, so its series cannot be merged; record it again with `tidegate run --json`"
    )]
    NoSeries {
        /// Its file.
        file: String,
    },
}

/// Puts the recordings of shards together. With `partial`, shards may be missing.
///
/// Counts and histograms add. The series are brought to the coarser of their resolutions and added by place. Of clocks the
/// earliest start and the longest run count, of the hosts' CPU the busiest, of observations the first `before` and the last
/// `after`.
///
/// # Errors
/// When the recordings are not the shards of one run, each once.
pub fn merge(mut parts: Vec<Part>, partial: bool) -> Result<Recording, MergeError> {
    check(&parts, partial)?;
    // In the order of their numbers, so that the result does not depend on the order they were given in.
    parts.sort_by_key(|part| part.recording.shard.map(|shard| shard.number));
    let series: Vec<&[Interval]> = parts.iter().map(|part| part.recording.intervals.as_slice()).collect();
    let duration_s = parts.iter().map(|part| part.recording.duration_s).fold(0.0, f64::max);
    let intervals = merge_series(&series, duration_s);
    let observed = observations(&parts);
    let first = parts.iter().filter_map(|part| Some((start(&part.recording)?, &part.recording.started_at))).min();
    let started_at = first.map_or_else(String::new, |(_, started_at)| started_at.clone());
    let mut parts = parts.into_iter().map(|part| part.recording);
    let Some(mut whole) = parts.next() else { return Err(MergeError::Nothing) };
    parts.for_each(|part| absorb(&mut whole, part));
    sort_failures(&mut whole);
    whole.intervals = intervals;
    whole.observed = observed;
    whole.started_at = started_at;
    whole.shard = None;
    Ok(whole)
}

fn check(parts: &[Part], partial: bool) -> Result<(), MergeError> {
    let Some(first) = parts.first() else { return Err(MergeError::Nothing) };
    let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
    let mut of = 0;
    for part in parts {
        let Some(Shard { number, of: theirs }) = part.recording.shard else {
            return Err(MergeError::NoShard { file: part.file.clone() });
        };
        for (what, theirs, others) in differences(&part.recording, &first.recording) {
            if theirs != others {
                let (file, other) = (part.file.clone(), first.file.clone());
                return Err(MergeError::Different { file, other, what, theirs, others });
            }
        }
        if !(1..=theirs).contains(&number) {
            return Err(MergeError::Beyond { file: part.file.clone(), number, of: theirs });
        }
        if let Some(other) = seen.insert(number, &part.file) {
            return Err(MergeError::Twice { file: part.file.clone(), other: other.to_owned(), number });
        }
        let lacks = |interval: &Interval| interval.response_times.is_none() && interval.response_time_mean_ms > 0.0;
        if part.recording.intervals.iter().any(lacks) {
            return Err(MergeError::NoSeries { file: part.file.clone() });
        }
        if let Some(place) = misplaced(&part.recording.intervals) {
            return Err(MergeError::Series { file: part.file.clone(), place: place + 1 });
        }
        of = theirs;
    }
    let missing = (1..=of).filter(|number| !seen.contains_key(number)).map(|number| number.to_string());
    let missing: Vec<String> = missing.take(MISSING_TOLD_MAX).collect();
    if !partial && !missing.is_empty() {
        return Err(MergeError::Missing { missing: missing.join(", "), of });
    }
    Ok(())
}

/// The first interval that is not where a recorder has it: memory must not follow what a file says.
fn misplaced(intervals: &[Interval]) -> Option<usize> {
    let length_s = resolution(intervals);
    let is_length = (1.0..=LENGTH_MAX_S).contains(&length_s) && length_s.log2().fract() == 0.0;
    let place = |(place, interval): (usize, &Interval)| interval.start_s != place as f64 * length_s;
    if is_length { intervals.iter().enumerate().position(place) } else { Some(0) }
}

/// Length of the intervals of a series in seconds. The last interval of a run may be cut short by its end; who has but
/// one interval has the shortest.
fn resolution(intervals: &[Interval]) -> f64 {
    if intervals.len() > 1 { intervals[0].length_s } else { 1.0 }
}

/// What must be the same in all shards of a run, each as (what, of one, of the other).
fn differences(one: &Recording, other: &Recording) -> [(&'static str, String, String); 7] {
    let pair = |what, of: fn(&Recording) -> String| (what, of(one), of(other));
    [
        pair("the number of shards", |recording| recording.shard.map_or(0, |shard| shard.of).to_string()),
        pair("the seed", |recording| recording.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string())),
        pair("the scenario", |recording| recording.scenario.clone().unwrap_or_else(|| "none".to_owned())),
        pair("the steps", |recording| listed(recording.steps.iter().map(|step| step.name.clone()))),
        pair("the journeys", |recording| listed(recording.journeys.iter().map(|journey| journey.name.clone()))),
        pair("the measured length of the stages", |recording| {
            listed(recording.stages.iter().map(|stage| format!("{} {} s", stage.name, stage.measured_s)))
        }),
        pair("the counters", |recording| listed(recording.counters.keys().cloned())),
    ]
}

fn listed(names: impl Iterator<Item = String>) -> String {
    format!("[{}]", names.collect::<Vec<_>>().join(", "))
}

/// Adds `part` to `whole`. Every field is named, so that whoever adds one to recordings must say here how it is merged;
/// what begins with `_` is what all parts agree on, or what [`merge`] makes of all parts at once.
fn absorb(whole: &mut Recording, part: Recording) {
    let Recording {
        schema_version: _,
        started_at: _,
        duration_s,
        arrivals,
        overall,
        steps,
        journeys,
        stages,
        lateness,
        blocked,
        intervals: _,
        failures,
        set_up_requests,
        service_time_sum_s,
        answers,
        counters,
        observed: _,
        driver_cpu_s,
        host_cpu_share,
        host_steal_share,
        target,
        interrupted,
        aborted,
        drivers,
        delivery: _,
        warnings,
        shard: _,
        seed: _,
        scenario: _,
    } = part;
    whole.duration_s = whole.duration_s.max(duration_s);
    add(&mut whole.arrivals, arrivals);
    whole.overall.merge(&overall);
    for (own, theirs) in whole.steps.iter_mut().zip(steps) {
        absorb_step(own, theirs);
    }
    for (own, theirs) in whole.journeys.iter_mut().zip(&journeys) {
        add(&mut own.books, theirs.books);
        own.merge(theirs);
    }
    for (own, theirs) in whole.stages.iter_mut().zip(&stages) {
        own.times.merge(&theirs.times);
    }
    whole.lateness.merge(&lateness);
    whole.blocked.merge(&blocked);
    whole.failures.extend(failures);
    whole.set_up_requests += set_up_requests;
    whole.service_time_sum_s += service_time_sum_s;
    add_counts(&mut whole.answers, answers);
    for (name, count) in counters {
        *whole.counters.entry(name).or_default() += count;
    }
    whole.driver_cpu_s += driver_cpu_s;
    let busy = |share: Option<f64>, steal: Option<f64>| share.map(|share| share + steal.unwrap_or(0.0));
    if busy(host_cpu_share, host_steal_share) > busy(whole.host_cpu_share, whole.host_steal_share) {
        (whole.host_cpu_share, whole.host_steal_share) = (host_cpu_share, host_steal_share);
    }
    whole.target.merge(&target);
    whole.interrupted |= interrupted;
    whole.aborted = whole.aborted.take().or(aborted);
    whole.drivers.extend(drivers);
    whole.warnings.extend(warnings);
}

/// When a recording's load started; nothing when that cannot be read.
fn start(recording: &Recording) -> Option<jiff::Timestamp> {
    recording.started_at.parse().ok()
}

/// When it ended.
fn end(recording: &Recording) -> Option<jiff::Timestamp> {
    start(recording)?.checked_add(jiff::SignedDuration::try_from_secs_f64(recording.duration_s).ok()?).ok()
}

/// What the service told before the first shard began and after the last one ended.
fn observations(parts: &[Part]) -> BTreeMap<String, Observed> {
    let mut parts: Vec<&Recording> = parts.iter().map(|part| &part.recording).collect();
    let mut observed: BTreeMap<String, Observed> = BTreeMap::new();
    parts.sort_by_key(|part| end(part));
    for part in &parts {
        observed.extend(part.observed.clone());
    }
    parts.sort_by_key(|part| std::cmp::Reverse(start(part)));
    for (name, Observed { before, .. }) in parts.iter().flat_map(|part| &part.observed) {
        observed.entry(name.clone()).and_modify(|own| own.before = *before);
    }
    observed
}

fn absorb_step(own: &mut StepRecording, theirs: StepRecording) {
    let mut classes = classes_of(own);
    for (class, times) in classes_of(&theirs) {
        classes.entry(class).or_default().merge(&times);
    }
    let StepRecording { name: _, books, skipped, times, only_class: _, classes: _, phases, exemplars, answers } =
        theirs;
    own.times.merge(&times);
    own.set_classes(classes);
    add(&mut own.books, books);
    own.skipped += skipped;
    own.phases.merge(&phases);
    exemplar::merge(&mut own.exemplars, &exemplars);
    add_counts(&mut own.answers, answers);
}

/// Times by class. What was dropped belongs to no class, and `times` of a step with one class holds it.
fn classes_of(step: &StepRecording) -> BTreeMap<StatusClass, Times> {
    let of = |(class, times): (StatusClass, &Times)| (class, Times { dropped: 0, ..times.clone() });
    step.by_class().into_iter().map(of).collect()
}

fn add(own: &mut Books, theirs: Books) {
    own.planned += theirs.planned;
    own.completed += theirs.completed;
    own.failed += theirs.failed;
    own.dropped += theirs.dropped;
}

fn add_counts(own: &mut BTreeMap<String, u64>, theirs: BTreeMap<String, u64>) {
    for (name, count) in theirs {
        *own.entry(name).or_default() += count;
    }
}

/// Adds up failures of one kind, and puts them in the order a recorder gives them: by count, then by step, status and
/// cause.
fn sort_failures(whole: &mut Recording) {
    let place = |name: &str| whole.steps.iter().position(|step| step.name == name);
    let mut kinds: BTreeMap<(Option<usize>, Option<u16>, String), Failure> = BTreeMap::new();
    for failure in std::mem::take(&mut whole.failures) {
        let kind = (place(&failure.step), failure.status, failure.cause.clone());
        kinds.entry(kind).and_modify(|own| own.count += failure.count).or_insert(failure);
    }
    whole.failures = kinds.into_values().collect();
    whole.failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
}

/// Adds series place by place, at the coarsest of their resolutions. Lengths are powers of two of a second, counted from
/// the start of the load.
fn merge_series(series: &[&[Interval]], duration_s: f64) -> Vec<Interval> {
    let length_s = series.iter().map(|series| resolution(series)).fold(1.0, f64::max);
    let mut whole: Vec<(Interval, Sketch)> = Vec::new();
    for series in series {
        // In flight at the end of an interval is what was in flight at the end of its last part.
        let mut in_flight: BTreeMap<usize, u64> = BTreeMap::new();
        for part in *series {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among a few hundred")]
            let place = (part.start_s / length_s).max(0.0) as usize;
            while whole.len() <= place {
                let start_s = whole.len() as f64 * length_s;
                whole.push((Interval { start_s, ..Interval::default() }, Sketch::default()));
            }
            let (own, sketch) = &mut whole[place];
            own.arrivals += part.arrivals;
            own.requests_due += part.requests_due;
            own.completed += part.completed;
            own.failed += part.failed;
            if let Some(response_times) = &part.response_times {
                sketch.merge(response_times);
            }
            in_flight.insert(place, part.in_flight);
        }
        for (place, count) in in_flight {
            whole[place].0.in_flight += count;
        }
    }
    let told = |(mut interval, sketch): (Interval, Sketch)| {
        let remaining = duration_s - interval.start_s;
        interval.length_s = if remaining > 0.0 { remaining.min(length_s) } else { length_s };
        interval.tell(sketch, true);
        interval
    };
    whole.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::trial;
    use super::super::{Exemplar, StageRecording};
    use super::*;

    fn part(number: u32, change: impl FnOnce(&mut Recording)) -> Part {
        let mut recording = trial(1, 8, 10.0, 100.0).recording;
        recording.shard = Some(Shard { number, of: 3 });
        (recording.seed, recording.scenario) = (Some(7), Some("shopping".to_owned()));
        recording.stages = vec![StageRecording { name: "usual".into(), measured_s: 8.0, ..StageRecording::default() }];
        change(&mut recording);
        Part { file: format!("{number}.json"), recording }
    }

    fn refused(parts: Vec<Part>) -> String {
        merge(parts, false).unwrap_err().to_string()
    }

    fn three(change: impl FnOnce(&mut Recording)) -> Vec<Part> {
        vec![part(1, |_| ()), part(2, |_| ()), part(3, change)]
    }

    #[test]
    fn what_is_not_the_shards_of_one_run_is_refused_with_the_file_and_the_difference() {
        assert!(refused(Vec::new()).contains("nothing to merge"));
        assert!(refused(three(|r| r.shard = None)).starts_with("3.json is the recording of a whole plan"));
        let told = refused(three(|r| r.seed = Some(8)));
        assert!(told.starts_with("3.json and 1.json are not of the same run: the seed differs, 8 against 7"), "{told}");
        assert!(refused(three(|r| r.scenario = None)).contains("the scenario differs, none against shopping"));
        assert!(refused(three(|r| r.stages[0].measured_s = 4.0)).contains("[usual 4 s] against [usual 8 s]"));
        assert!(refused(three(|r| r.steps[0].name = "pay".into())).contains("the steps differs, [pay] against"));
        let told = refused(three(|r| r.shard = Some(Shard { number: 3, of: 4 })));
        assert!(told.contains("the number of shards differs, 4 against 3"), "{told}");
        assert_eq!(
            refused(vec![part(1, |_| ()), part(1, |_| ())]),
            "1.json and 1.json are both shard 1; give each shard once"
        );
    }

    #[test]
    fn missing_shards_are_named_and_allowed_when_asked_for() {
        let told = refused(vec![part(2, |_| ())]);
        assert!(told.starts_with("shards 1, 3 of 3 are missing; "), "{told}");
        assert!(refused(vec![part(2, |_| ()), part(1, |_| ())]).starts_with("shard 3 of 3 is missing; "));
        let merged = merge(vec![part(2, |_| ()), part(1, |_| ())], true).unwrap();
        assert_eq!(merged.overall.response_time.count(), 200);
        assert_eq!((merged.shard, merged.seed), (None, Some(7)));
        let told = refused(vec![part(4, |_| ()), part(1, |_| ()), part(2, |_| ()), part(3, |_| ())]);
        assert!(told.contains("4.json says it is shard 4 of 3"), "{told}");
    }

    /// A series of `places` intervals of `length_s`, each with one request.
    fn series(places: usize, length_s: f64, in_flight: u64) -> Vec<Interval> {
        let interval = |place: usize| {
            let mut sketch = Sketch::default();
            sketch.record(std::time::Duration::from_millis(5));
            let start_s = place as f64 * length_s;
            let mut interval = Interval { start_s, length_s, requests_due: 1, in_flight, ..Interval::default() };
            interval.tell(sketch, true);
            interval
        };
        (0..places).map(interval).collect()
    }

    #[test]
    fn series_are_brought_to_the_coarser_and_what_is_in_flight_adds_up() {
        let mut parts = three(|recording| {
            (recording.intervals, recording.duration_s) = (series(3, 4.0, 5), 11.0);
        });
        (parts[0].recording.intervals, parts[0].recording.duration_s) = (series(6, 1.0, 2), 6.0);
        let merged = merge(parts, false).unwrap();
        let told: Vec<_> =
            merged.intervals.iter().map(|i| (i.start_s, i.length_s, i.requests_due, i.in_flight)).collect();
        assert_eq!(told, [(0.0, 4.0, 5, 7), (4.0, 4.0, 3, 7), (8.0, 3.0, 1, 5)]);
        assert_eq!(merged.intervals[0].response_time_mean_ms, 5.0);
    }

    #[test]
    fn a_series_that_no_driver_recorded_is_refused() {
        let told = refused(three(|recording| {
            recording.intervals = series(3, 1.0, 0);
            recording.intervals[2].start_s = 1e18;
        }));
        assert!(told.starts_with("3.json holds a series that no driver recorded: interval 3"), "{told}");
        for length_s in [0.0, -1.0, f64::NAN, 3.0, 1e30] {
            assert!(
                merge(three(|recording| recording.intervals = series(3, length_s, 0)), false).is_err(),
                "{length_s}"
            );
        }
        let told = refused(three(|recording| {
            recording.intervals = series(3, 1.0, 0);
            recording.intervals[1].response_times = None;
        }));
        assert!(told.starts_with("3.json holds no histograms of its intervals"), "{told}");
    }

    #[test]
    fn clocks_hosts_and_observations_are_those_that_speak_for_the_whole() {
        let observed = |before, after| BTreeMap::from([("stock".to_owned(), Observed { before, after })]);
        let set = |recording: &mut Recording, started_at: &str, duration_s, stock, (busy, steal)| {
            recording.started_at = started_at.to_owned();
            recording.duration_s = duration_s;
            recording.observed = stock;
            (recording.host_cpu_share, recording.host_steal_share) = (Some(busy), Some(steal));
        };
        let parts = vec![
            part(1, |r| set(r, "2026-11-22T10:00:00.5Z", 20.0, observed(100, 40), (0.5, 0.4))),
            part(2, |r| set(r, "2026-11-22T10:00:00Z", 10.0, observed(110, 70), (0.8, 0.0))),
            part(3, |r| set(r, "2026-11-22T10:00:01Z", 10.0, observed(90, 60), (0.2, 0.1))),
        ];
        let merged = merge(parts, false).unwrap();
        assert_eq!((merged.started_at.as_str(), merged.duration_s), ("2026-11-22T10:00:00Z", 20.0));
        assert_eq!(merged.observed, observed(110, 40));
        assert_eq!((merged.host_cpu_share, merged.host_steal_share), (Some(0.5), Some(0.4)));
    }

    #[test]
    fn the_slowest_of_all_shards_are_kept() {
        let exemplar =
            |ms: u32| Exemplar { due_s: 1.0, response_time_ms: f64::from(ms), trace_id: format!("{ms:032x}") };
        let parts = vec![
            part(1, |r| r.steps[0].exemplars = (0..10).rev().map(|n| exemplar(n * 3)).collect()),
            part(2, |r| r.steps[0].exemplars = (0..10).rev().map(|n| exemplar(n * 3 + 1)).collect()),
            part(3, |r| r.steps[0].exemplars = (0..10).rev().map(|n| exemplar(n * 3 + 2)).collect()),
        ];
        let kept = merge(parts, false).unwrap().steps.swap_remove(0).exemplars;
        assert_eq!(kept, (20..30).rev().map(exemplar).collect::<Vec<_>>());
    }
}
