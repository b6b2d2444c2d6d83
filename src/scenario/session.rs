//! One journey under way: its variables, its cookies and its draws; renders each step's request and judges each answer.

use super::cookies::Cookies;
use super::plan::Plan;
use super::script::{
    self, Add, BASE_URL_SLOT, Extract, Part, Query, Script, ScriptStep, Source, is_legal_in_header, is_unreserved,
    json_escaped, percent_encoded,
};
use super::{Field, ThinkTime};
use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
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
    /// A counter or an observation found no whole number.
    #[error("cannot tell {name:?} from the answer: {cause}")]
    Count {
        /// The counter or observation.
        name: String,
        /// Why: not JSON, path without a node, not a whole number.
        cause: String,
    },
}

/// Which steps a session sends.
#[derive(Clone, Copy, Debug)]
enum Course {
    Journey(usize),
    SetUp,
    Observations,
}

/// One journey under way.
#[derive(Debug)]
pub struct Session {
    script: Arc<Script>,
    course: Course,
    draws: ChaCha8Rng,
    /// The variables' values, by slot.
    values: Vec<Value>,
    cookies: Cookies,
    /// Path of the latest request, which cookies without a path belong to.
    path: String,
    counts: Vec<(usize, i64)>,
}

impl Session {
    /// Starts `journey` (an index into `Scenario::journeys`): draws its variables from `draws`. `base_url` is the
    /// target's address; a slash at its end is left out.
    #[must_use]
    pub fn new(plan: &Plan, journey: usize, draws: ChaCha8Rng, base_url: &str) -> Self {
        Self::start(plan, Course::Journey(journey), draws, base_url)
    }

    /// Starts the set-up steps, which share one session. Only constants have values.
    #[must_use]
    pub fn set_up(plan: &Plan, base_url: &str) -> Self {
        Self::start(plan, Course::SetUp, plan.draws_of_set_up(), base_url)
    }

    /// Starts a round of observations: step i asks for `Scenario::observations[i]`, and
    /// [`Plan::observed`] tells the number in its answer.
    #[must_use]
    pub fn observe(plan: &Plan, base_url: &str) -> Self {
        Self::start(plan, Course::Observations, plan.draws_of_set_up(), base_url)
    }

    fn start(plan: &Plan, course: Course, mut draws: ChaCha8Rng, base_url: &str) -> Self {
        let script = Arc::clone(plan.script());
        let mut values = vec![Value::Null; script.slots];
        if let Some(value) = values.get_mut(BASE_URL_SLOT) {
            *value = Value::from(base_url.trim_end_matches('/'));
        }
        let in_journey = matches!(course, Course::Journey(_));
        for (slot, field) in &script.fields {
            if in_journey || matches!(field, Field::Constant(_)) {
                values[*slot] = script::draw(field, &mut draws);
            }
        }
        Self { script, course, draws, values, cookies: Cookies::default(), path: "/".to_owned(), counts: Vec::new() }
    }

    /// Renders the request of the journey's `step` (an index into its steps) with the variables as they are now.
    ///
    /// # Panics
    /// When the journey has no such step.
    #[must_use]
    pub fn request(&mut self, step: usize) -> Request {
        let script = Arc::clone(&self.script);
        let step = self.step(&script, step);
        let path = self.rendered(&step.path, |text| percent_encoded(text, is_unreserved));
        let mut headers: Vec<(String, String)> = step
            .headers
            .iter()
            .map(|(name, parts)| (name.clone(), self.rendered(parts, |text| percent_encoded(text, is_legal_in_header))))
            .collect();
        // A step that names its cookies itself means them instead of the jar's.
        if !headers.iter().any(|(name, _)| name == "cookie")
            && let Some(cookies) = self.cookies.header(&path)
        {
            headers.push(("cookie".to_owned(), cookies));
        }
        let body = Bytes::from(self.rendered(&step.body, json_escaped));
        self.path.clone_from(&path);
        Request { method: step.method.clone(), path, headers, body }
    }

    /// Judges an answer, keeps its cookies, what the step extracts and what it counts.
    ///
    /// # Errors
    /// When the status is not expected, or a variable or counter cannot be told. Counters whose statuses match are
    /// added to even when the status was not expected: a sale is a sale.
    ///
    /// # Panics
    /// When the journey has no such step.
    pub fn accept(
        &mut self,
        step: usize,
        status: u16,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Result<(), StepFailure> {
        let script = Arc::clone(&self.script);
        let step = self.step(&script, step);
        self.cookies.keep(headers, &self.path);
        let mut answer = Answer::new(headers, body);
        let accepted = step.accepts(status);
        let counted = self.count(step, status, &mut answer);
        if !accepted {
            return Err(StepFailure::Status { status, expected: step.expected() });
        }
        for extract in &step.extract {
            self.values[extract.slot] = answer.extract(extract)?;
        }
        counted
    }

    /// Adds to every counter it can; the failure is that of the first it cannot.
    fn count(&mut self, step: &ScriptStep, status: u16, answer: &mut Answer<'_>) -> Result<(), StepFailure> {
        let mut outcome = Ok(());
        for count in &step.counts {
            let counts =
                if count.statuses.is_empty() { step.accepts(status) } else { count.statuses.contains(&status) };
            if !counts {
                continue;
            }
            let added = match &count.add {
                Add::Constant(number) => Ok(*number),
                Add::Sum(query) => answer.sum(query),
            };
            match added {
                Ok(number) => self.counts.push((count.counter, number)),
                Err(cause) if outcome.is_ok() => {
                    outcome = Err(StepFailure::Count { name: count.name.clone(), cause: cause.to_owned() });
                }
                Err(_) => {}
            }
        }
        outcome
    }

    /// What the answers since the last call added, as (index into `Scenario::counter_names`, amount).
    #[must_use]
    pub fn take_counts(&mut self) -> Vec<(usize, i64)> {
        std::mem::take(&mut self.counts)
    }

    /// Draws the pause after `step`.
    ///
    /// # Panics
    /// When the journey has no such step.
    #[must_use]
    pub fn think_time(&mut self, step: usize) -> Duration {
        let script = Arc::clone(&self.script);
        let think = self.step(&script, step).think;
        match think {
            ThinkTime::Constant(length) => length,
            ThinkTime::Uniform { from, to } => from + to.saturating_sub(from).mul_f64(self.draws.random::<f64>()),
            ThinkTime::Exponential(mean) => mean.mul_f64(super::arrivals::exponential(&mut self.draws)),
        }
    }

    /// The steps of this session's course.
    fn step<'a>(&self, script: &'a Script, step: usize) -> &'a ScriptStep {
        let steps = match self.course {
            Course::Journey(journey) => &script.journeys[journey],
            Course::SetUp => &script.set_up,
            Course::Observations => &script.observations,
        };
        &steps[step]
    }

    /// Fills a template in; `form` puts the text of a value into the form of its surroundings.
    fn rendered(&self, parts: &[Part], form: impl Fn(&str) -> String) -> String {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(constant) => text.push_str(constant),
                Part::Value(slot) => text.push_str(&form(&plain(&self.values[*slot]))),
                Part::Json(slot) => text.push_str(&self.values[*slot].to_string()),
            }
        }
        text
    }
}

/// A value as text: strings without quotes, null as nothing.
fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

const NOT_JSON: &str = "the body is not JSON";
const NO_NODE: &str = "the JSONPath selects nothing";
const NO_NUMBER: &str = "the JSONPath selects something that is not a whole number";
const NO_HEADER: &str = "the header is missing";

/// An answer whose body is parsed when it is first asked for, and once.
struct Answer<'a> {
    headers: &'a http::HeaderMap,
    body: &'a [u8],
    json: Parsed,
}

/// The body as JSON.
enum Parsed {
    NotYet,
    NotJson,
    Json(Value),
}

impl<'a> Answer<'a> {
    fn new(headers: &'a http::HeaderMap, body: &'a [u8]) -> Self {
        Self { headers, body, json: Parsed::NotYet }
    }

    fn json(&mut self) -> Result<&Value, &'static str> {
        if matches!(self.json, Parsed::NotYet) {
            self.json = serde_json::from_slice(self.body).map_or(Parsed::NotJson, Parsed::Json);
        }
        if let Parsed::Json(value) = &self.json { Ok(value) } else { Err(NOT_JSON) }
    }

    fn sum(&mut self, query: &Query) -> Result<i64, &'static str> {
        sum(query, self.json()?)
    }

    fn extract(&mut self, extract: &Extract) -> Result<Value, StepFailure> {
        let found = match &extract.from {
            Source::Json(query) => self
                .json()
                .and_then(|json| query.as_ref().and_then(|path| path.query(json).first().cloned()).ok_or(NO_NODE)),
            Source::Header(name) => self
                .headers
                .get(name.as_str())
                .map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())))
                .ok_or(NO_HEADER),
        };
        found.map_err(|cause| StepFailure::Extraction { variable: extract.variable.clone(), cause: cause.to_owned() })
    }
}

/// The sum of the whole numbers that a `JSONPath` selects.
fn sum(query: &Query, json: &Value) -> Result<i64, &'static str> {
    let nodes = query.as_ref().map(|path| path.query(json).all()).unwrap_or_default();
    if nodes.is_empty() {
        return Err(NO_NODE);
    }
    nodes.iter().try_fold(0_i64, |sum, node| sum.checked_add(node.as_i64()?)).ok_or(NO_NUMBER)
}

/// The number that an observation's answer holds.
pub(super) fn observed(name: &str, query: &Query, body: &[u8]) -> Result<i64, StepFailure> {
    let number = serde_json::from_slice(body).map_err(|_| NOT_JSON).and_then(|json| sum(query, &json));
    number.map_err(|cause| StepFailure::Count { name: name.to_owned(), cause: cause.to_owned() })
}

#[cfg(test)]
mod tests;
