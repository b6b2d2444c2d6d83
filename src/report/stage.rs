//! What the series of a trial shows of one stage: the intervals that lie wholly in its measured part, and what follows
//! from them.

use crate::stats::{Steadiness, steady_state};
use crate::trial::{Interval, Study, TrialResult};

/// The intervals of `trial` within the measured part of the scenario's stage number `stage`, counted from 0.
fn measured_intervals<'a>(study: &Study, trial: &'a TrialResult, stage: usize) -> Vec<&'a Interval> {
    let (Some((start_s, end_s)), Some(stage)) =
        (study.stage_bounds().get(stage).copied(), study.scenario.stages.get(stage))
    else {
        return Vec::new();
    };
    let measured_s = (start_s + stage.warm_up.as_secs_f64() / study.stage_divisor())..=end_s;
    let within = |interval: &&Interval| {
        measured_s.contains(&interval.start_s) && measured_s.contains(&(interval.start_s + interval.length_s))
    };
    trial.recording.intervals.iter().filter(within).collect()
}

/// Requests that became due in each second of the stage's measured part; none when no interval lies in it.
pub(super) fn offered_per_second(study: &Study, trial: &TrialResult, stage: usize) -> Option<f64> {
    let intervals = measured_intervals(study, trial, stage);
    let length_s: f64 = intervals.iter().map(|interval| interval.length_s).sum();
    let due: u64 = intervals.iter().map(|interval| interval.requests_due).sum();
    (length_s > 0.0).then(|| due as f64 / length_s)
}

/// What the trial's own validity was judged by: whether mean response times still moved when the stage ended.
pub(super) fn steadiness(study: &Study, trial: &TrialResult, stage: usize) -> Steadiness {
    let series: Vec<f64> = measured_intervals(study, trial, stage)
        .into_iter()
        .filter(|interval| interval.requests_due > 0)
        .map(|interval| interval.response_time_mean_ms)
        .collect();
    steady_state(&series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn only_whole_intervals_of_the_measured_part_count() {
        let study = fixture::study();
        let starts = |stage| -> Vec<f64> {
            measured_intervals(&study, &study.trials[0], stage).iter().map(|interval| interval.start_s).collect()
        };
        // The stage lasts 12 s, the first 4 of them are warm-up.
        assert_eq!(starts(0), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(starts(1), [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
        assert!(starts(3).is_empty());
    }

    #[test]
    fn a_stage_that_was_shortened_for_a_quick_look_is_found_where_it_ran() {
        let mut study = fixture::study();
        study.stage_share = 0.5;
        let starts: Vec<f64> =
            measured_intervals(&study, &study.trials[0], 1).iter().map(|interval| interval.start_s).collect();
        assert_eq!(starts, [6.0, 7.0, 8.0]);
    }

    #[test]
    fn the_offered_rate_counts_what_became_due() {
        let mut study = fixture::study();
        for interval in &mut study.trials[0].recording.intervals {
            interval.requests_due = if interval.start_s < 4.0 { 1000 } else { 30 };
        }
        assert_eq!(offered_per_second(&study, &study.trials[0], 0), Some(30.0));
        study.trials[0].recording.intervals.clear();
        assert_eq!(offered_per_second(&study, &study.trials[0], 0), None);
    }
}
