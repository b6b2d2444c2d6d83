//! Which journey a draw chooses: weights, summed up once.

use super::{Scenario, Stage};

/// Sums of the weights of the journeys up to and including each.
#[derive(Clone, Debug)]
pub(super) struct Mix(Vec<f64>);

impl Mix {
    /// The mix during `stage`: its own, or that of the journeys.
    pub(super) fn of(stage: &Stage, scenario: &Scenario) -> Self {
        let mut sum = 0.0;
        let mut upto = |weight: f64| {
            sum += weight;
            sum
        };
        if stage.mix.is_empty() {
            Self(scenario.journeys.iter().map(|journey| upto(journey.weight)).collect())
        } else {
            Self(stage.mix.iter().copied().map(upto).collect())
        }
    }

    /// The journey that a draw between 0 and 1 chooses by weight.
    pub(super) fn choose(&self, draw: f64) -> usize {
        let target = draw * self.0.last().copied().unwrap_or_default();
        let chosen = self.0.partition_point(|upto| *upto <= target);
        chosen.min(self.0.len().saturating_sub(1))
    }
}
