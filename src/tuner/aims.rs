//! What candidates are judged by.

use crate::scenario::{DeliveryPromise, Objective, Scenario, Slo};

/// The promises that a candidate must keep, and what is made least among those that keep them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aims<'a> {
    /// What is promised of answers.
    pub slos: &'a [Slo],
    /// What is promised of deliveries.
    pub deliveries: &'a [DeliveryPromise],
    /// What is made least.
    pub objective: Objective,
}

impl<'a> Aims<'a> {
    /// Those of a scenario.
    #[must_use]
    pub fn of(scenario: &'a Scenario) -> Self {
        let deliveries = scenario.delivery.as_ref().map_or(&[][..], |delivery| &delivery.promises);
        // Without services of its own that deliver, a scenario's deliveries are nobody's here.
        let deliveries = if scenario.system.is_some() { deliveries } else { &[] };
        Self { slos: &scenario.slos, deliveries, objective: scenario.objective() }
    }
}
