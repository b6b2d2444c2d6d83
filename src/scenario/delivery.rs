//! What must become of each report that a step posts: delivered, to whom, by when.

use super::{Field, Scenario};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Expectations of what is delivered beyond the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The step that posts a report; its expected answer acknowledges it.
    pub step: String,
    /// The variable that is the report's id: a counter.
    pub id: String,
    /// The services that it must reach, at least one, each once.
    pub consumers: Vec<String>,
    /// Delivered later than this after it was due to be posted, a report is late; as written: the time factor divides it.
    pub within: Duration,
    /// What is promised of deliveries.
    pub promises: Vec<DeliveryPromise>,
}

/// A promise of deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryPromise {
    /// The promise as written, for messages.
    pub text: String,
    /// The consumer it speaks of; `None` for each of them.
    pub consumer: Option<String>,
    /// What is bounded.
    pub metric: DeliveryMetric,
}

/// What a promise of deliveries bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum DeliveryMetric {
    /// Delivery time at this quantile (0 to 1) stays below the limit.
    Time {
        /// Share of reports, 0.95 for p95.
        quantile: f64,
        /// The bound.
        limit: Duration,
    },
    /// Mean delivery time stays below the limit.
    MeanTime {
        /// The bound.
        limit: Duration,
    },
    /// From the end of a fault to the last delivery of a report that was posted before that end; as written: the time factor
    /// divides it.
    Heal {
        /// The bound.
        limit: Duration,
    },
    /// Nothing that was acknowledged is lost.
    NoneLost,
}

/// How report ids follow from the numbers of arrivals: `from + step · number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    from: i64,
    step: i64,
}

impl Ids {
    /// Ids that begin at `from` and go on by `step`, which is not 0.
    #[must_use]
    pub fn new(from: i64, step: i64) -> Self {
        Self { from, step }
    }

    /// The id of the arrival numbered `number`.
    #[must_use]
    pub fn id(self, number: u64) -> i64 {
        #[expect(clippy::cast_possible_wrap, reason = "a counter that leaves 64 bits wraps around")]
        self.from.wrapping_add(self.step.wrapping_mul(number as i64))
    }

    /// The arrival that posted the report `id`; `None` when no arrival can have.
    #[must_use]
    pub fn number(self, id: &str) -> Option<u64> {
        let steps = id.parse::<i64>().ok()?.checked_sub(self.from)?;
        (steps.checked_rem(self.step) == Some(0)).then(|| u64::try_from(steps / self.step).ok())?
    }
}

impl Scenario {
    /// The ids of the reports, if the scenario expects deliveries.
    #[must_use]
    pub fn report_ids(&self) -> Option<Ids> {
        match self.variables.get(&self.delivery.as_ref()?.id)? {
            Field::Counter { from, step } if *step != 0 => Some(Ids { from: *from, step: *step }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_lab_s_three_reports_are_the_first_of_their_counter() {
        let ids = Ids { from: 12, step: 22 };
        assert_eq!([0, 1, 2].map(|number| ids.id(number)), [12, 34, 56]);
        assert_eq!(ids.number("56"), Some(2));
        for foreign in ["57", "-10", "", "abc", "5.6", "99999999999999999999"] {
            assert_eq!(ids.number(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_arrival(
            from in -1_000_000_i64..1_000_000,
            step in prop_oneof![-1000_i64..=-1, 1_i64..=1000],
            number in 0_u64..1_000_000,
        ) {
            let ids = Ids { from, step };
            prop_assert_eq!(ids.number(&ids.id(number).to_string()), Some(number));
        }
    }
}
