//! Clocks of consumers that are behind: deliveries that were told to have been before their posts.

use super::delivery::{ConsumerRecording, DeliveryRecording};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// First deliveries that were told to have been before their report was due, which no report can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyDeliveries {
    /// How many.
    pub deliveries: u64,
    /// The most by which one was: the clock that told them is behind by as much at least.
    pub behind_s: f64,
}

impl DeliveryRecording {
    /// What is wrong with the consumers' clocks, each in a sentence without its end.
    #[must_use]
    pub fn wrong_clocks(&self) -> Vec<String> {
        let told = |consumer: &ConsumerRecording| {
            let EarlyDeliveries { deliveries, behind_s } = consumer.early?;
            let many = if deliveries == 1 { "delivery was told" } else { "deliveries were told" };
            Some(format!(
                "{}: {deliveries} {many} before the post was due; that clock is at least {behind_s:.3} s behind, so that no delivery                  time is true; set the clocks of both hosts by the same source",
                consumer.name
            ))
        };
        self.consumers.iter().filter_map(told).collect()
    }
}
