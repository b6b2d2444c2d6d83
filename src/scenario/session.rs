//! One journey under way: its variables, its cookies and its draws; renders each step's request and judges each answer.

use super::answer::Answer;
use super::cookies::Cookies;
use super::flow::{Position, Turn};
use super::plan::Plan;
use super::render::{Form, rendered};
use super::script::{Add, BASE_URL_SLOT, Script, ScriptBody, ScriptStep};
use super::{Field, Occasion, ThinkTime, draw, multipart, redirect};
use bytes::Bytes;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
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
    /// Something else that the step expects does not hold.
    #[error("{cause}")]
    Expectation {
        /// What, in the words of the scenario.
        cause: String,
    },
    /// A redirect that the step would follow leads nowhere it may go.
    #[error("redirect not followed: {cause}")]
    Redirect {
        /// Why: too many, or to another origin.
        cause: &'static str,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Journey(usize),
    SetUp,
    TearDown,
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
    position: Position,
    /// Path of the latest request, which cookies without a path belong to.
    path: String,
    /// Redirects that were followed since the step's own request, and the method that the last one was followed with.
    hops: u32,
    hop_method: Option<&'static str>,
    counts: Vec<(usize, i64)>,
}

impl Session {
    /// Starts the journey of `occasion`: draws its variables from `draws`. `base_url` is the target's address; a slash
    /// at its end is left out.
    #[must_use]
    pub fn new(plan: &Plan, occasion: &Occasion, mut draws: ChaCha8Rng, base_url: &str) -> Self {
        let script = Arc::clone(plan.script());
        let mut values = vec![Value::Null; script.slots];
        for (slot, field) in &script.fields {
            values[*slot] = draw::draw(field, occasion, &mut draws);
        }
        for (name, columns) in &script.data {
            let row = plan.scenario().data.get(name).and_then(|data| data.row(occasion, &mut draws));
            for (slot, column) in columns {
                values[*slot] = row.and_then(|row| row.get(*column)).cloned().unwrap_or(Value::Null);
            }
        }
        let flow = script.flows.get(occasion.journey).and_then(Option::as_ref);
        let position = flow.map(|flow| flow.start(&mut draws)).unwrap_or_default();
        let course = Course::Journey(occasion.journey);
        Self { position, ..Self::start(script, course, draws, values, base_url) }
    }

    /// Starts the set-up steps, which share one session. Only constants have values.
    #[must_use]
    pub fn set_up(plan: &Plan, base_url: &str) -> Self {
        Self::off_path(plan, Course::SetUp, base_url)
    }

    /// Goes on with the tear-down steps: they know what the set-up steps of this session extracted, and its cookies.
    #[must_use]
    pub fn into_tear_down(self) -> Self {
        Self { course: Course::TearDown, position: Position::default(), path: "/".to_owned(), ..self }
    }

    /// Starts a round of observations: step i asks for `Scenario::observations[i]`, and
    /// [`Plan::observed`] tells the number in its answer.
    #[must_use]
    pub fn observe(plan: &Plan, base_url: &str) -> Self {
        Self::off_path(plan, Course::Observations, base_url)
    }

    fn off_path(plan: &Plan, course: Course, base_url: &str) -> Self {
        let script = Arc::clone(plan.script());
        let mut values = vec![Value::Null; script.slots];
        for (slot, field) in &script.fields {
            if let Field::Constant(value) = field {
                values[*slot] = value.clone();
            }
        }
        Self::start(script, course, plan.draws_of_set_up(), values, base_url)
    }

    fn start(script: Arc<Script>, course: Course, draws: ChaCha8Rng, mut values: Vec<Value>, base_url: &str) -> Self {
        if let Some(value) = values.get_mut(BASE_URL_SLOT) {
            *value = Value::from(base_url.trim_end_matches('/'));
        }
        Self {
            script,
            course,
            draws,
            values,
            cookies: Cookies::default(),
            position: Position::default(),
            path: "/".to_owned(),
            hops: 0,
            hop_method: None,
            counts: Vec::new(),
        }
    }

    /// Tells where the journey goes on from where it is, by the variables as they are now: to be asked until it names a
    /// step to send, or the end.
    pub fn turn(&mut self) -> Turn {
        let flow = match self.course {
            Course::Journey(journey) => self.script.flows.get(journey).and_then(Option::as_ref),
            _ => None,
        };
        match flow {
            Some(flow) => flow.turn(&mut self.position, &self.values),
            None => self.position.straight_on(self.steps(&self.script).len()),
        }
    }

    /// Renders the request of the journey's `step` (an index into its steps) with the variables as they are now.
    ///
    /// # Panics
    /// When the journey has no such step.
    #[must_use]
    pub fn request(&mut self, step: usize) -> Request {
        let script = Arc::clone(&self.script);
        let step = &self.steps(&script)[step];
        (self.hops, self.hop_method) = (0, None);
        let path = rendered(&step.path, &self.values, Form::Path);
        self.request_to(step, path)
    }

    /// The step's request to a path that may be another one than its own.
    fn request_to(&mut self, step: &ScriptStep, path: String) -> Request {
        let values = &self.values;
        let render = |(name, parts): &(String, Vec<_>)| (name.clone(), rendered(parts, values, Form::Header));
        let mut headers: Vec<(String, String)> = step.headers.iter().map(render).collect();
        // A step that names its cookies itself means them instead of the jar's.
        if !headers.iter().any(|(name, _)| name == "cookie")
            && let Some(cookies) = self.cookies.header(&path)
        {
            headers.push(("cookie".to_owned(), cookies));
        }
        self.path.clone_from(&path);
        if let Some(method) = self.hop_method {
            headers.retain(|(name, _)| !name.starts_with("content-"));
            return Request { method: method.to_owned(), path, headers, body: Bytes::new() };
        }
        let body = match &step.body {
            ScriptBody::Fixed(bytes) => bytes.clone(),
            ScriptBody::Json(parts) => Bytes::from(rendered(parts, values, Form::Json)),
            ScriptBody::Text(parts) => Bytes::from(rendered(parts, values, Form::Plain)),
            ScriptBody::Multipart(pieces) => multipart::written(pieces, values),
            ScriptBody::Form(parts) => Bytes::from(rendered(parts, values, Form::Urlencoded)),
        };
        Request { method: step.method.clone(), path, headers, body }
    }

    /// The request that follows an answer to `step` when that is a redirect which the step follows. `None` when it is to
    /// be judged by [`Self::accept`].
    ///
    /// # Errors
    /// When there were too many redirects, or this one leads away from the target.
    ///
    /// # Panics
    /// When the journey has no such step.
    pub fn redirected(
        &mut self,
        step: usize,
        status: u16,
        headers: &http::HeaderMap,
    ) -> Result<Option<Request>, StepFailure> {
        if self.steps(&self.script)[step].follow_redirects == 0 || !redirect::is_one(status) {
            return Ok(None);
        }
        let script = Arc::clone(&self.script);
        let step = &self.steps(&script)[step];
        let Some(location) = headers.get(http::header::LOCATION) else { return Ok(None) };
        self.cookies.keep(headers, &self.path);
        if self.hops == step.follow_redirects {
            return Err(StepFailure::Redirect { cause: "more of them than the step follows" });
        }
        let base = self.values[BASE_URL_SLOT].as_str().unwrap_or_default();
        let path = redirect::path(base, &self.path, location).map_err(|cause| StepFailure::Redirect { cause })?;
        self.hops += 1;
        self.hop_method = self.hop_method.or_else(|| redirect::method(status, &step.method));
        Ok(Some(self.request_to(step, path)))
    }

    /// Judges an answer, keeps its cookies, what the step extracts and what it counts.
    ///
    /// # Errors
    /// When the status is not expected, something else does not hold, or a variable or counter cannot be told. Counters
    /// whose statuses match are added to even when the status was not expected: a sale is a sale.
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
        let step = &self.steps(&script)[step];
        self.cookies.keep(headers, &self.path);
        let mut answer = Answer::new(headers, body);
        let accepted = step.accepts(status);
        let counted = self.count(step, status, &mut answer);
        if !accepted {
            return Err(StepFailure::Status { status, expected: step.expected() });
        }
        answer.check(&step.checks, &self.values)?;
        for extract in &step.extract {
            self.values[extract.slot] = answer.extract(extract, &self.cookies)?;
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
        match self.steps(&self.script)[step].think {
            ThinkTime::Constant(length) => length,
            ThinkTime::Uniform { from, to } => from + to.saturating_sub(from).mul_f64(self.draws.random::<f64>()),
            ThinkTime::Exponential(mean) => mean.mul_f64(super::arrivals::exponential(&mut self.draws)),
        }
    }

    /// The steps of this session's course.
    fn steps<'a>(&self, script: &'a Script) -> &'a [ScriptStep] {
        match self.course {
            Course::Journey(journey) => &script.journeys[journey],
            Course::SetUp => &script.set_up,
            Course::TearDown => &script.tear_down,
            Course::Observations => &script.observations,
        }
    }
}

#[cfg(test)]
mod tests;
