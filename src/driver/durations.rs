//! How long the measured journeys of a kind took, by the class of the answer that ended them. What completes with a success
//! is most of all, and what the journey's own histogram holds besides the others: so the class costs it nothing.

use crate::stats::Histogram;
use crate::trial::{JourneyRecording, JourneyTimes, StatusClass};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JourneyEnd {
    /// Every step was answered as expected, the last one at this time with this class.
    Completed(Duration, StatusClass),
    /// A step failed, at this time with an answer of this class.
    Failed(Duration, StatusClass),
    /// It was never begun, or cut short between two steps.
    Dropped,
}

/// Histograms, allocated when they first come about.
type ByClass = [Option<Box<Histogram>>; StatusClass::ALL.len()];

/// Durations beside those of journeys that completed with a success.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    completed: ByClass,
    failed: ByClass,
}

impl Durations {
    /// A measured journey ended with an answer of `class`; `completed` ones are in the journey's histogram too.
    pub(super) fn end(&mut self, class: StatusClass, duration: Duration, completed: bool) {
        if completed && class == StatusClass::Success {
            return;
        }
        let histograms = if completed { &mut self.completed } else { &mut self.failed };
        histograms[class as usize].get_or_insert_default().record(duration);
    }

    /// Enters everything into the journey's recording, whose duration is whole.
    pub(super) fn enter(self, journey: &mut JourneyRecording) {
        let mut classes: BTreeMap<StatusClass, JourneyTimes> = BTreeMap::new();
        let mut successes = journey.duration.clone();
        for (class, duration) in StatusClass::ALL.into_iter().zip(self.completed) {
            if let Some(duration) = duration {
                successes.subtract(&duration);
                classes.insert(class, JourneyTimes { duration: *duration, failed: 0 });
            }
        }
        if successes.count() > 0 {
            classes.insert(StatusClass::Success, JourneyTimes { duration: successes, failed: 0 });
        }
        for (class, duration) in StatusClass::ALL.into_iter().zip(self.failed) {
            if let Some(duration) = duration {
                let failed = duration.count();
                classes.entry(class).or_default().merge(&JourneyTimes { duration: *duration, failed });
            }
        }
        journey.set_classes(classes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn classes_hold_every_journey_that_ended_and_one_class_alone_is_named_and_not_kept_twice() {
        let (mut durations, mut journey) = (Durations::default(), JourneyRecording::default());
        let mut end = |class, ms: u32, completed: bool| {
            if completed {
                journey.duration.record(ms * MS);
            }
            durations.end(class, ms * MS, completed);
            let mut told = journey.clone();
            durations.clone().enter(&mut told);
            told
        };
        let told = end(StatusClass::Success, 700, true);
        assert_eq!((told.only_class, told.classes.len()), (Some(StatusClass::Success), 0));
        assert_eq!(
            told.by_class(),
            [(StatusClass::Success, JourneyTimes { duration: told.duration.clone(), failed: 0 })]
        );

        // A journey that is to end with 404 completes with it; one that fails in its first step is short.
        end(StatusClass::ClientError, 300, true);
        end(StatusClass::Success, 2, false);
        end(StatusClass::ServerError, 1, false);
        let told = end(StatusClass::NoAnswer, 9_000, false);
        assert_eq!((told.only_class, told.duration.count()), (None, 2));
        let by_class: Vec<_> =
            told.by_class().into_iter().map(|(c, t)| (c.name(), t.duration.count(), t.failed)).collect();
        assert_eq!(by_class, [("2xx", 2, 1), ("4xx", 1, 0), ("5xx", 1, 1), ("none", 1, 1)]);
        let successes = &told.classes[&StatusClass::Success].duration;
        assert_eq!((successes.sum(), successes.quantile(0.5) <= 3 * MS), (702 * MS, true));
    }

    #[test]
    fn failures_of_one_class_alone_are_kept_for_the_journeys_own_histogram_lacks_them() {
        let (mut durations, mut journey) = (Durations::default(), JourneyRecording::default());
        durations.end(StatusClass::Success, MS, false);
        durations.enter(&mut journey);
        assert_eq!((journey.only_class, journey.classes[&StatusClass::Success].failed), (None, 1));
    }
}
