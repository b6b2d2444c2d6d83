//! One journey under way: its variables, its cookies and its draws; renders each step's request and judges each answer.

use super::Plan;
use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// A request ready to be sent, relative to the target's base address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query, percent-encoded, starts with `/`.
    pub path: String,
    /// Headers as (lower-case name, value), cookies and content type included; never `host` or `content-length`.
    pub headers: Vec<(String, String)>,
    /// Body, empty for none.
    pub body: Bytes,
}

/// Why an answer was not what the step expects. The causes are few and stable, so that failures can be grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum StepFailure {
    /// The status is none of the expected ones.
    #[error("status {status}, expected {expected}")]
    Status {
        /// What came.
        status: u16,
        /// What was expected, as text.
        expected: String,
    },
    /// Nothing to extract a variable from.
    #[error("nothing to extract {variable:?} from: {cause}")]
    Extraction {
        /// The variable.
        variable: String,
        /// Why: not JSON, path without a node, header missing.
        cause: String,
    },
}

/// One journey under way.
#[derive(Debug)]
pub struct Session {
    draws: ChaCha8Rng,
    /// The base address without a trailing slash, for templates (`${base_url}`).
    base_url: String,
}

impl Session {
    /// Starts `journey` (an index into `Scenario::journeys`): draws its variables from `draws`.
    #[must_use]
    pub fn new(plan: &Plan, journey: usize, draws: ChaCha8Rng, base_url: &str) -> Self {
        let _ = (plan, journey);
        Self { draws, base_url: base_url.to_owned() }
    }

    /// Starts the set-up steps, which share one session.
    #[must_use]
    pub fn set_up(plan: &Plan, base_url: &str) -> Self {
        todo!("{plan:?} {base_url}")
    }

    /// Renders the request of the journey's `step` (an index into its steps) with the variables as they are now.
    #[must_use]
    pub fn request(&mut self, step: usize) -> Request {
        todo!("{step:?} {:?} {}", self.draws, self.base_url)
    }

    /// Judges an answer, keeps its cookies and what the step extracts.
    ///
    /// # Errors
    /// When the status is not expected or a variable cannot be extracted.
    pub fn accept(
        &mut self,
        step: usize,
        status: u16,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Result<(), StepFailure> {
        todo!("{step:?} {status} {headers:?} {}", body.len())
    }

    /// Draws the pause after `step`.
    #[must_use]
    pub fn think_time(&mut self, step: usize) -> Duration {
        todo!("{step:?}")
    }
}
