//! What a recording is told by: the steps, journeys, counters and stages of a plan.

use crate::scenario::{Plan, PlannedStage};
use std::time::Duration;

/// The parts of a plan that a recording is told by.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Step names, in the order of `Scenario::step_names`.
    pub steps: Vec<String>,
    /// Journeys with the indices of their steps into `steps`.
    pub journeys: Vec<(String, Vec<usize>)>,
    /// Counter names, in the order of `Scenario::counter_names`.
    pub counters: Vec<String>,
    /// Stages with their places in time.
    pub stages: Vec<(String, PlannedStage)>,
}

impl Shape {
    /// The shape of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let scenario = plan.scenario();
        let steps: Vec<String> = scenario.step_names().into_iter().map(str::to_owned).collect();
        let numbers = |journey: usize, steps: usize| (0..steps).map(|step| plan.step_number(journey, step)).collect();
        Self {
            journeys: scenario
                .journeys
                .iter()
                .enumerate()
                .map(|(index, journey)| (journey.name.clone(), numbers(index, journey.steps.len())))
                .collect(),
            stages: plan
                .stages()
                .iter()
                .map(|stage| (scenario.stages[stage.index].name.clone(), stage.clone()))
                .collect(),
            counters: scenario.counter_names().into_iter().map(str::to_owned).collect(),
            steps,
        }
    }

    /// The stage that `due` falls into, if it falls into its measured part.
    pub(super) fn measured_stage(&self, due: Duration) -> Option<usize> {
        let index = self.stages.partition_point(|(_, stage)| stage.end <= due);
        let (_, stage) = self.stages.get(index)?;
        (due >= stage.measured_from).then_some(index)
    }
}
