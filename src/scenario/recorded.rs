//! The requests of a recording, as they are sent again: each different one once, and which of them each arrival is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Recorded requests that are sent again. Each group of them is a journey of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentRequests {
    /// The methods that are sent.
    pub methods: Vec<String>,
    /// How many recorded requests are not sent, by why.
    pub left_out: BTreeMap<String, u64>,
    /// The requests; none when read back from a study.
    #[serde(skip)]
    pub recorded: RecordedRequests,
}

/// Recorded requests. Two of them always count as equal: what tells recordings apart is [`super::Replay::fingerprint`].
#[derive(Clone, Debug, Default)]
pub struct RecordedRequests(pub(super) Arc<Requests>);

impl PartialEq for RecordedRequests {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RecordedRequests {}

/// Each different request once, and which of them each arrival is.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) different: Vec<RecordedRequest>,
    /// By arrival, in the order of the recorded times.
    pub(super) of_arrivals: Vec<u32>,
}

/// A request as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordedRequest {
    /// Index into `Scenario::journeys`.
    pub(super) journey: usize,
    /// Path and query, as they can be sent.
    pub(super) path: Box<str>,
    /// What the client said it was.
    pub(super) agent: Option<Arc<str>>,
}

impl Requests {
    /// Goes on with a hash (FNV-1a, 64 bits) over what is sent, in order.
    pub(super) fn hashed(&self, hash: u64) -> u64 {
        let parts = self.of_arrivals.iter().flat_map(|index| {
            let request = &self.different[*index as usize];
            let agent = request.agent.as_deref().unwrap_or_default();
            [request.journey.to_le_bytes().as_slice(), request.path.as_bytes(), b"\n", agent.as_bytes(), b"\n"].concat()
        });
        parts.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}
