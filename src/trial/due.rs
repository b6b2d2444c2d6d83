//! Percentiles of all requests that were due: one that failed or was dropped was of no use, however soon that was known.

use super::{Recording, StepRecording, Times};
use std::time::Duration;

impl Recording {
    /// The times of all measured requests, or of those of `step`; `None` when there is no such step.
    #[must_use]
    pub fn scope(&self, step: Option<&str>) -> Option<&Times> {
        match step {
            None => Some(&self.overall),
            Some(step) => self.steps.iter().find(|own| own.name == step).map(|own| &own.times),
        }
    }

    /// The response time that the share `q` (0 to 1) of all requests due in the measured time, of `step` or of all, does not
    /// exceed, when those that failed or were dropped count as the slowest. `None` when more of them than 1 − `q` did, and
    /// when nothing was due.
    ///
    /// Of failures whose times are known by their class alone, as an answer of 200 that did not hold what was expected, the
    /// fastest of the class are taken: that errs against the service, by no more than their number.
    #[must_use]
    pub fn quantile_of_due(&self, step: Option<&str>, q: f64) -> Option<Duration> {
        let steps = self.steps.iter().filter(|own| step.is_none_or(|step| own.name == step));
        let times = self.scope(step)?;
        let due = times.response_time.count() + times.dropped;
        if due == 0 {
            return None;
        }
        if times.failed + times.dropped == 0 {
            return Some(times.response_time.quantile(q));
        }
        let steps: Vec<&StepRecording> = steps.collect();
        let wanted = share_of(due, q).max(1);
        let good = |within: Duration| times.response_time.count_within(within) - failed_within(&steps, times, within);
        if good(times.response_time.max()) < wanted {
            return None;
        }
        let (mut short, mut long) = (0, micros(times.response_time.max()));
        while long - short > 1 {
            let middle = u64::midpoint(short, long);
            if good(Duration::from_micros(middle)) < wanted {
                short = middle;
            } else {
                long = middle;
            }
        }
        // A bucket's upper bound, as every other percentile is told.
        Some(times.response_time.quantile(times.response_time.share_within(Duration::from_micros(long))))
    }
}

/// How many of `due` the share `q` is, rounded up; a share that is a whole number but for its floating point stays one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count, rounded")]
fn share_of(due: u64, q: f64) -> u64 {
    (due as f64 * q - 1e-6).ceil().max(0.0) as u64
}

/// How many of the failures that `times` counts may have taken no longer than `within`.
fn failed_within(steps: &[&StepRecording], times: &Times, within: Duration) -> u64 {
    let ended = times.response_time.count_within(within);
    let (mut known, mut fast) = (0, 0);
    for (_, class) in steps.iter().flat_map(|step| step.by_class()) {
        known += class.failed;
        fast += class.failed.min(class.response_time.count_within(within));
    }
    (fast + times.failed.saturating_sub(known)).min(times.failed).min(ended)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::StatusClass;
    use std::collections::BTreeMap;

    const MS: Duration = Duration::from_millis(1);

    /// `count` requests that took 1, 2, 3 … ms.
    fn times(count: u32, failed: u64) -> Times {
        let mut times = Times { failed, ..Times::default() };
        (1..=count).for_each(|ms| times.response_time.record(ms * MS));
        times
    }

    fn recording(classes: &[(StatusClass, Times)], dropped: u64) -> Recording {
        let mut all = Times { dropped, ..Times::default() };
        for (_, times) in classes {
            all.merge(times);
        }
        let mut step = StepRecording { name: "one".into(), times: all.clone(), ..StepRecording::default() };
        step.set_classes(classes.iter().cloned().collect::<BTreeMap<_, _>>());
        Recording { overall: all, steps: vec![step], ..Recording::default() }
    }

    fn near(told: Option<Duration>, expected: u32) {
        let told = told.unwrap();
        assert!(told.abs_diff(expected * MS) <= told / 500, "{told:?} is not {expected} ms");
    }

    #[test]
    fn without_failures_it_is_the_percentile_of_the_answers() {
        let recording = recording(&[(StatusClass::Success, times(1000, 0))], 0);
        assert_eq!(recording.quantile_of_due(None, 0.95), Some(recording.overall.response_time.quantile(0.95)));
        assert_eq!(Recording::default().quantile_of_due(None, 0.95), None);
        assert_eq!(recording.quantile_of_due(Some("another"), 0.95), None);
    }

    #[test]
    fn what_was_dropped_counts_as_the_slowest() {
        let recording = recording(&[(StatusClass::Success, times(1000, 0))], 40);
        for step in [None, Some("one")] {
            // 0.95 of 1,040 is 988.
            near(recording.quantile_of_due(step, 0.95), 988);
            assert_eq!(recording.quantile_of_due(step, 0.97), None, "more than three in a hundred never came");
        }
    }

    #[test]
    fn failures_count_as_the_slowest_whether_they_were_quick_or_timed_out() {
        let mut quick = Times { failed: 40, ..Times::default() };
        (0..40).for_each(|_| quick.response_time.record(MS));
        let mut late = Times { failed: 40, ..Times::default() };
        (0..40).for_each(|_| late.response_time.record(60_000 * MS));
        let answered = (StatusClass::Success, times(1000, 0));
        for class in [(StatusClass::ServerError, quick), (StatusClass::NoAnswer, late)] {
            near(recording(&[answered.clone(), class], 0).quantile_of_due(None, 0.95), 988);
        }
    }

    #[test]
    fn of_failures_within_a_class_the_fastest_are_taken() {
        let recording = recording(&[(StatusClass::Success, times(1000, 40))], 0);
        near(recording.quantile_of_due(None, 0.95), 990);
        assert_eq!(recording.quantile_of_due(None, 0.97), None);
    }
}
