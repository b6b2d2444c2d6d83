//! What is kept of a step beside the histograms that SLOs judge: classes of answers, phases, the slowest requests. All
//! of it is allocated when it first comes about: a full histogram takes 190 KiB.

use super::phases::Phases;
use crate::stats::Histogram;
use crate::trial::{EXEMPLARS_MAX, Exemplar, PhaseTimes, StatusClass, StepRecording, Times};
use std::collections::BTreeMap;
use std::time::Duration;

/// The detail of one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Detail {
    /// Times by class but for successes, which are most and what the step's times hold besides these: so the class costs
    /// a successful request nothing.
    others: [Option<Box<Times>>; StatusClass::ALL.len()],
    phases: PhaseTimes,
    /// Slowest first.
    slowest: Vec<Slow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slow {
    // The order of the fields is the order they are kept in: slowest, then due first, then by trace.
    response_time: std::cmp::Reverse<Duration>,
    due: Duration,
    trace_id: u128,
}

impl Detail {
    /// A measured request was answered with `class`.
    pub(super) fn settle(&mut self, class: StatusClass, response_time: Duration, service_time: Duration, failed: bool) {
        if class != StatusClass::Success {
            let times = self.others[class as usize].get_or_insert_default();
            times.response_time.record(response_time);
            times.service_time.record(service_time);
            times.failed += u64::from(failed);
        }
    }

    /// The phases of a measured request.
    pub(super) fn phases(&mut self, phases: &Phases) {
        fn enter(histogram: &mut Option<Box<Histogram>>, duration: Option<Duration>) {
            if let Some(duration) = duration {
                histogram.get_or_insert_default().record(duration);
            }
        }
        enter(&mut self.phases.connect, phases.connect);
        enter(&mut self.phases.tls, phases.tls);
        enter(&mut self.phases.first_byte, phases.first_byte);
        enter(&mut self.phases.body, phases.body);
    }

    /// Whether a request of this response time would be among the slowest.
    pub(super) fn is_slow(&self, response_time: Duration) -> bool {
        self.slowest.len() < EXEMPLARS_MAX
            || self.slowest.last().is_some_and(|last| last.response_time.0 <= response_time)
    }

    /// A measured request that can be found in the service's traces.
    pub(super) fn exemplar(&mut self, due: Duration, response_time: Duration, trace_id: u128) {
        let slow = Slow { response_time: std::cmp::Reverse(response_time), due, trace_id };
        let place = self.slowest.partition_point(|kept| *kept < slow);
        if place < EXEMPLARS_MAX {
            self.slowest.truncate(EXEMPLARS_MAX - 1);
            self.slowest.insert(place, slow);
        }
    }

    /// Enters everything into the step's recording, whose times are whole.
    pub(super) fn enter(self, step: &mut StepRecording) {
        let mut successes = step.times.clone();
        successes.dropped = 0;
        let mut classes = BTreeMap::new();
        for (class, times) in StatusClass::ALL.into_iter().zip(self.others) {
            if let Some(times) = times {
                successes.subtract(&times);
                classes.insert(class, *times);
            }
        }
        if successes.response_time.count() > 0 {
            classes.insert(StatusClass::Success, successes);
        }
        step.set_classes(classes);
        step.phases = self.phases;
        let exemplar = |slow: Slow| Exemplar {
            due_s: slow.due.as_secs_f64(),
            response_time_ms: slow.response_time.0.as_secs_f64() * 1e3,
            trace_id: format!("{:032x}", slow.trace_id),
        };
        step.exemplars = self.slowest.into_iter().map(exemplar).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_ten_slowest_are_kept_and_equally_slow_ones_by_their_due_time() {
        let mut detail = Detail::default();
        for n in 0u32..1000 {
            let response_time = (n * 7919 % 1000 / 4) * MS;
            if detail.is_slow(response_time) {
                detail.exemplar(n * MS, response_time, u128::from(n));
            }
        }
        let mut step = StepRecording::default();
        detail.enter(&mut step);
        let mut all: Vec<(u32, u32)> = (0..1000).map(|n| (n * 7919 % 1000 / 4, n)).collect();
        all.sort_by_key(|(ms, n)| (std::cmp::Reverse(*ms), *n));
        let expected: Vec<(f64, String)> =
            all[..10].iter().map(|(ms, n)| (f64::from(*ms), format!("{n:032x}"))).collect();
        let told: Vec<(f64, String)> = step.exemplars.into_iter().map(|e| (e.response_time_ms, e.trace_id)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn classes_add_up_and_one_class_alone_is_named_and_not_kept_twice() {
        let settle = |detail: &mut Detail, step: &mut StepRecording, class, ms: u32, failed| {
            step.times.response_time.record(ms * MS);
            step.times.service_time.record(ms * MS);
            step.times.failed += u64::from(failed);
            detail.settle(class, ms * MS, ms * MS, failed);
        };
        let (mut detail, mut step) = (Detail::default(), StepRecording::default());
        settle(&mut detail, &mut step, StatusClass::Success, 200, false);
        step.times.dropped = 3;
        detail.clone().enter(&mut step);
        assert_eq!((step.only_class, step.classes.len()), (Some(StatusClass::Success), 0));
        assert_eq!(step.by_class(), [(StatusClass::Success, &step.times)]);

        settle(&mut detail, &mut step, StatusClass::ServerError, 1, true);
        settle(&mut detail, &mut step, StatusClass::NoAnswer, 9_000, true);
        detail.enter(&mut step);
        assert_eq!(step.only_class, None);
        let told: Vec<_> = step.by_class().into_iter().map(|(c, t)| (c.name(), t.response_time.max())).collect();
        assert_eq!(told.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["2xx", "5xx", "none"]);
        assert!(told[0].1 < 201 * MS && told[1].1 <= 2 * MS && told[2].1 > 8_990 * MS);
        let mut sum = Times { dropped: 3, ..Times::default() };
        step.classes.values().for_each(|times| sum.merge(times));
        assert_eq!(sum, step.times);
    }
}
