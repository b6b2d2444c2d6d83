//! What a month would cost, derived from a saved study alone, so that an old one can be shown again.

use super::{Study, TrialResult, Usage, UsageSample};
use crate::cost::{Consumption, MonthBasis, MonthCost, MonthUse, StageUse};
use crate::scenario::Candidate;
use crate::units::Usd;

impl Study {
    /// What a month of the scenario's `traffic` would cost under the candidate of `trial`; `None` when the scenario has
    /// no `traffic`, or the trial has no usage or no request that reached an instance.
    ///
    /// Each stage is priced by its own billable time per request when the usage samples can tell the stages apart,
    /// else by the mean of the trial: [`MonthCost::basis`] says which.
    ///
    /// Of a system nothing is said: a month counts the requests of one service.
    #[must_use]
    pub fn month(&self, trial: &TrialResult) -> Option<MonthCost> {
        if self.scenario.system.is_some() {
            return None;
        }
        let traffic = self.scenario.traffic.as_ref()?;
        let usage = trial.usage.as_ref()?;
        let min_instances = self.scenario.service.as_ref().map_or(0, |service| service.min_instances);
        let bounds = self.stage_bounds();
        let price = |stages: Vec<StageUse>, basis| {
            let month = MonthUse { requests: traffic.requests_per_month, min_instances, stages, basis };
            self.prices.month(&self.shape, &month)
        };

        let by_stage = usage.by_stage(&bounds, min_instances).and_then(|mut stages| {
            for (used, stage) in stages.iter_mut().zip(&self.scenario.stages) {
                used.share = traffic.shares.get(&stage.name).copied().unwrap_or(0.0);
            }
            price(stages, MonthBasis::Stages)
        });
        by_stage.or_else(|| {
            let whole = usage.consumption(min_instances);
            let mean = StageUse {
                share: 1.0,
                duration_s: bounds.last().map_or(0.0, |(_, end_s)| *end_s),
                requests: whole.requests as f64,
                billable_instance_time_s: whole.billable_instance_time_s,
                idle_min_instance_time_s: whole.idle_min_instance_time_s,
            };
            price(vec![mean], MonthBasis::TrialMean)
        })
    }

    /// Mean over the valid trials of `candidate` of what a month would cost, free tier included; `None` when one of
    /// them cannot say, or there is none.
    #[must_use]
    pub fn month_mean(&self, candidate: Candidate) -> Option<Usd> {
        let valid = self.trials.iter().filter(|trial| trial.candidate == candidate && trial.is_valid());
        let totals: Vec<Usd> =
            valid.map(|trial| self.month(trial).map(|month| month.total())).collect::<Option<_>>()?;
        let n = totals.len();
        (n > 0).then(|| totals.into_iter().sum::<Usd>() * (1.0 / n as f64))
    }

    /// Start and end of each stage as it ran, in seconds since the start of the load.
    #[must_use]
    pub fn stage_bounds(&self) -> Vec<(f64, f64)> {
        let divisor = self.stage_divisor();
        let mut start_s = 0.0;
        let mut bounds = Vec::with_capacity(self.scenario.stages.len());
        for stage in &self.scenario.stages {
            let end_s = start_s + stage.duration.as_secs_f64() / divisor;
            bounds.push((start_s, end_s));
            start_s = end_s;
        }
        bounds
    }
}

/// A stage must be at least this many sampling periods long to be priced by its own samples.
const PERIODS_PER_STAGE_MIN: f64 = 2.0;
/// Lengths of stages are quotients, those of periods differences of timestamps: two equal ones differ by rounding.
const ROUNDING: f64 = 1e-6;

impl UsageSample {
    /// Seconds in the period for which some of `min_instances` were kept warm without being billed as active. A lower
    /// bound: within one period more may have been busy at one time and fewer at another.
    fn idle_min_s(&self, min_instances: u32) -> f64 {
        (f64::from(min_instances) * self.period_s - self.billable_s).max(0.0)
    }
}

impl Usage {
    /// What is priced of it, for a revision that keeps `min_instances` warm.
    ///
    /// The idle tail of instance-based billing is left out: a trial ends, and a service goes on. With up to fifteen
    /// minutes for each instance it would outweigh what a short trial is to find out.
    #[must_use]
    pub fn consumption(&self, min_instances: u32) -> Consumption {
        Consumption {
            billable_instance_time_s: (self.billable_instance_time_s - self.idle_tail_s).max(0.0),
            idle_min_instance_time_s: self.samples.iter().map(|sample| sample.idle_min_s(min_instances)).sum(),
            requests: self.request_count(),
        }
    }

    /// What fell into each stage, given the stages' (start, end) in seconds since the start of the load; shares are
    /// left at 0. `None` when a stage is shorter than two sampling periods: whatever the phase of the sampling, only from
    /// two periods on does at least one sample lie in the stage alone. A shorter one may be told by nothing but shares of
    /// samples that hold its neighbours as well, and then its figures change with the phase.
    ///
    /// A sample that lies across a boundary is divided by time. What was sampled outside of all stages (set-up before,
    /// stopping instances after), or not sampled at all, is added to the stages in proportion, so that together they
    /// hold all requests and all billable time of the trial, and a month mixed like the trial costs what the trial
    /// cost.
    #[must_use]
    pub fn by_stage(&self, bounds: &[(f64, f64)], min_instances: u32) -> Option<Vec<StageUse>> {
        let period_s = self.samples.iter().map(|sample| sample.period_s).fold(0.0, f64::max);
        let least_s = PERIODS_PER_STAGE_MIN * period_s * (1.0 - ROUNDING);
        if self.samples.is_empty() || bounds.iter().any(|(start, end)| end - start < least_s) {
            return None;
        }
        let length = |(start, end): &(f64, f64)| StageUse { duration_s: end - start, ..StageUse::default() };
        let mut stages: Vec<StageUse> = bounds.iter().map(length).collect();
        for sample in self.samples.iter().filter(|sample| sample.period_s > 0.0) {
            let from = sample.end_s - sample.period_s;
            for (stage, (start, end)) in stages.iter_mut().zip(bounds) {
                let share = (sample.end_s.min(*end) - from.max(*start)).max(0.0) / sample.period_s;
                stage.requests += share * sample.requests as f64;
                stage.billable_instance_time_s += share * sample.billable_s;
                stage.idle_min_instance_time_s += share * sample.idle_min_s(min_instances);
            }
        }
        let requests: f64 = stages.iter().map(|stage| stage.requests).sum();
        let billable_s: f64 = stages.iter().map(|stage| stage.billable_instance_time_s).sum();
        if requests <= 0.0 || billable_s <= 0.0 {
            return None;
        }
        let whole = self.consumption(min_instances);
        for stage in &mut stages {
            stage.requests *= whole.requests as f64 / requests;
            stage.billable_instance_time_s *= whole.billable_instance_time_s / billable_s;
        }
        Some(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{study, trial, usage};
    use super::*;

    /// A trial whose first stage took 1 s per request and whose second 3 s; both are 10 s long, two periods each.
    fn measured() -> TrialResult {
        let mut trial = trial(1, 8, 10.0, 100.0);
        trial.usage = Some(usage(&[(10, 10.0), (10, 10.0), (40, 120.0), (40, 120.0)]));
        trial
    }

    #[test]
    fn each_stage_is_priced_by_its_own_time_per_request() {
        let study = study(vec![measured()]);
        let month = study.month(&study.trials[0]).unwrap();
        assert_eq!(month.basis, MonthBasis::Stages);
        // Ten million requests, three quarters at 1 s and one at 3 s: 15 million seconds.
        assert!((month.cpu.0 - 15e6 * 24e-6).abs() < 1e-6, "{}", month.cpu);
        assert_eq!(study.month_mean(Candidate { max_concurrency: 8 }), Some(month.total()));
    }

    #[test]
    fn what_lies_outside_of_the_stages_is_shared_out_in_proportion() {
        let mut trial = measured();
        let usage = trial.usage.as_mut().unwrap();
        // Instances that stop after the load are billed too: 26 s more, a tenth of all.
        usage.billable_instance_time_s += 26.0;
        let study = study(vec![trial]);
        let month = study.month(&study.trials[0]).unwrap();
        assert!((month.cpu.0 - 1.1 * 15e6 * 24e-6).abs() < 1e-6, "{}", month.cpu);
    }

    #[test]
    fn a_sample_across_a_boundary_is_divided_by_time() {
        let usage = usage(&[(10, 10.0), (10, 8.0), (30, 20.0), (20, 5.0), (10, 2.0)]);
        let stages = usage.by_stage(&[(0.0, 12.5), (12.5, 25.0)], 0).unwrap();
        assert_eq!(stages.iter().map(|stage| stage.requests).collect::<Vec<_>>(), [35.0, 45.0]);
        assert_eq!(stages.iter().map(|stage| stage.billable_instance_time_s).collect::<Vec<_>>(), [28.0, 17.0]);
        assert_eq!(stages[0].duration_s, 12.5);
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of requests, from 0 to 50")]
    fn the_phase_of_the_sampling_can_blend_away_a_stage_of_one_period_but_not_one_of_two() {
        // Ten requests a second; a request of the first stage is billed 1 s, one of the second 3 s.
        let sampled = |length_s: f64, phase_s: f64| {
            let within = |t: f64, start_s: f64| (t - start_s).clamp(0.0, length_s);
            let sent_until = |t: f64| 10.0 * (within(t, 0.0) + within(t, length_s));
            let billed_until = |t: f64| 10.0 * (within(t, 0.0) + 3.0 * within(t, length_s));
            let sample = |n: u8| {
                let end_s = 5.0 * f64::from(n) + phase_s;
                UsageSample {
                    end_s,
                    period_s: 5.0,
                    billable_s: billed_until(end_s) - billed_until(end_s - 5.0),
                    requests: (sent_until(end_s) - sent_until(end_s - 5.0)).round() as u64,
                    ..UsageSample::default()
                }
            };
            let samples: Vec<_> = (0..10).map(sample).collect();
            Usage {
                billable_instance_time_s: 40.0 * length_s,
                requests: [("200".to_owned(), samples.iter().map(|sample| sample.requests).sum())].into(),
                samples,
                ..Usage::default()
            }
        };
        for phase_s in [1.0, 2.5, 4.0, 5.0] {
            for (length_s, told_apart) in [(5.0, false), (9.9, false), (10.0, true), (10.0 - 1e-9, true), (15.0, true)]
            {
                let stages = sampled(length_s, phase_s).by_stage(&[(0.0, length_s), (length_s, 2.0 * length_s)], 0);
                assert_eq!(stages.is_some(), told_apart, "{length_s} s at phase {phase_s}");
                let Some(stages) = stages else { continue };
                let each = |stage: &StageUse| stage.billable_instance_time_s / stage.requests;
                let ratio = each(&stages[1]) / each(&stages[0]);
                assert!((2.0..3.001).contains(&ratio), "{length_s} s at phase {phase_s}: {ratio} times as long");
            }
        }
    }

    #[test]
    fn samples_too_coarse_for_the_stages_give_the_mean_of_the_trial() {
        let mut trial = measured();
        for sample in &mut trial.usage.as_mut().unwrap().samples {
            sample.period_s = 20.0;
        }
        let study = study(vec![trial]);
        let month = study.month(&study.trials[0]).unwrap();
        assert_eq!(month.basis, MonthBasis::TrialMean);
        // 260 billable seconds over 100 requests.
        assert!((month.cpu.0 - 1e7 * 2.6 * 24e-6).abs() < 1e-6, "{}", month.cpu);
    }

    #[test]
    fn without_usage_or_traffic_there_is_no_month() {
        let mut study = study(vec![measured(), trial(2, 8, 10.0, 100.0)]);
        assert_eq!(study.month(&study.trials[1]), None);
        assert_eq!(study.month_mean(Candidate { max_concurrency: 8 }), None, "one of two cannot say");
        study.scenario.traffic = None;
        assert_eq!(study.month(&study.trials[0]), None);
    }

    #[test]
    fn min_instances_are_idle_where_they_are_not_billed_as_active() {
        let usage = usage(&[(10, 4.0), (10, 12.0)]);
        assert_eq!(usage.consumption(0).idle_min_instance_time_s, 0.0);
        // Two kept warm for 5 s are 10 s: 6 s idle in the first period, none in the second.
        let consumption = usage.consumption(2);
        assert_eq!((consumption.idle_min_instance_time_s, consumption.requests), (6.0, 20));
        assert_eq!(consumption.billable_instance_time_s, 16.0);
    }

    #[test]
    fn the_idle_tail_of_instance_based_billing_is_not_priced() {
        let mut usage = usage(&[(5, 8.0), (5, 12.0), (10, 18.0), (10, 12.0), (0, 10.0)]);
        usage.idle_tail_s = 10.0;
        assert_eq!(usage.consumption(0).billable_instance_time_s, 50.0);
        let stages = usage.by_stage(&[(0.0, 10.0), (10.0, 20.0)], 0).unwrap();
        assert_eq!(stages.iter().map(|stage| stage.billable_instance_time_s).collect::<Vec<_>>(), [20.0, 30.0]);
    }

    #[test]
    fn stages_lie_where_the_time_factor_puts_them() {
        let mut study = study(Vec::new());
        assert_eq!(study.stage_bounds(), [(0.0, 10.0), (10.0, 20.0)]);
        study.place = crate::trial::Place::CloudRun { project: "p".into(), region: "r".into(), service: "s".into() };
        assert_eq!(study.stage_bounds(), [(0.0, 120.0), (120.0, 240.0)]);
    }
}
