//! One journey under way: its variables, its cookies and its draws; renders each step's request and judges each answer.

use super::answer::Answer;
use super::cookies::Cookies;
use super::fields::Fields;
use super::flow::{Position, Turn};
use super::plan::Plan;
use super::recorded::RecordedRequest;
use super::render::{Form, Part, fill, filled, rendered};
use super::script::{Add, BASE_URL_SLOT, Script, ScriptBody, ScriptStep};
use super::{Draws, Field, Occasion, Rendered, RenderedBody, Request, ThinkTime, draw, multipart, redirect};
use rand::Rng;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
    draws: Draws,
    /// The variables' values, by slot.
    values: Vec<Value>,
    cookies: Cookies,
    position: Position,
    /// The recorded request that is sent again, if it is one.
    recorded: Option<u32>,
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
    pub fn new(plan: &Plan, occasion: &Occasion, mut draws: Draws, base_url: &str) -> Self {
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
        Self { position, recorded: occasion.request, ..Self::start(script, course, draws, values, base_url) }
    }

    /// Starts the set-up steps, which share one session. Only constants have values.
    #[must_use]
    pub fn set_up(plan: &Plan, base_url: &str) -> Self {
        Self::off_path(plan, Course::SetUp, base_url)
    }

    /// Goes on with the tear-down steps: they know what the set-up steps of this session extracted, and its cookies.
    #[must_use]
    pub fn into_tear_down(self) -> Self {
        Self { course: Course::TearDown, position: Position::default(), path: String::new(), ..self }
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

    fn start(script: Arc<Script>, course: Course, draws: Draws, mut values: Vec<Value>, base_url: &str) -> Self {
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
            recorded: None,
            path: String::new(),
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
            None => self.position.straight_on(steps(&self.script, self.course).len()),
        }
    }

    /// Renders the request of the journey's `step` (an index into its steps) with the variables as they are now.
    ///
    /// # Panics
    /// When the journey has no such step.
    #[must_use]
    pub fn request(&mut self, step: usize) -> Request {
        self.render(step).kept()
    }

    /// The same, for whoever sends it before the session goes on.
    ///
    /// # Panics
    /// When the journey has no such step.
    #[must_use]
    pub fn render(&mut self, step: usize) -> Rendered<'_> {
        (self.hops, self.hop_method) = (0, None);
        self.path.clear();
        match recorded(&self.script, self.recorded) {
            Some(recorded) => self.path.push_str(&recorded.path),
            None => fill(&steps(&self.script, self.course)[step].path, &self.values, Form::Path, &mut self.path),
        }
        self.rendered(step)
    }

    /// The step's request to `self.path`, which may be another one than its own.
    fn rendered(&self, step: usize) -> Rendered<'_> {
        let (step, values) = (&steps(&self.script, self.course)[step], &self.values);
        let cookies = if self.cookies.is_empty() { None } else { self.cookies.header(&self.path) };
        let mut headers: Vec<(&str, Cow<'_, str>)> =
            Vec::with_capacity(step.headers.len() + usize::from(cookies.is_some()));
        headers.extend(step.headers.iter().map(|(name, parts)| (name.as_str(), filled(parts, values, Form::Header))));
        if let Some(agent) = recorded(&self.script, self.recorded).and_then(|recorded| recorded.agent.as_deref())
            && !headers.iter().any(|(name, _)| *name == "user-agent")
        {
            headers.push(("user-agent", Cow::Borrowed(agent)));
        }
        // A step that names its cookies itself means them instead of the jar's.
        if let Some(cookies) = cookies
            && !headers.iter().any(|(name, _)| *name == "cookie")
        {
            headers.push(("cookie", cookies));
        }
        let path = self.path.as_str();
        if let Some(method) = self.hop_method {
            headers.retain(|(name, _)| !name.starts_with("content-"));
            return Rendered { method, path, headers, body: RenderedBody::Filled(Vec::new()) };
        }
        let text = |parts: &[Part], form| RenderedBody::Filled(rendered(parts, values, form).into_bytes());
        let body = match &step.body {
            ScriptBody::Fixed(bytes) => RenderedBody::Fixed(bytes),
            ScriptBody::Json(parts) => text(parts, Form::Json),
            ScriptBody::Text(parts) => text(parts, Form::Plain),
            ScriptBody::Multipart(pieces) => RenderedBody::Filled(multipart::written(pieces, values)),
            ScriptBody::Form(parts) => text(parts, Form::Urlencoded),
        };
        Rendered { method: &step.method, path, headers, body }
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
        headers: &dyn Fields,
    ) -> Result<Option<Request>, StepFailure> {
        let index = step;
        let step = &steps(&self.script, self.course)[index];
        if step.follow_redirects == 0 || !redirect::is_one(status) {
            return Ok(None);
        }
        let Some(location) = headers.first("location") else { return Ok(None) };
        self.cookies.keep(headers, &self.path);
        if self.hops == step.follow_redirects {
            return Err(StepFailure::Redirect { cause: "more of them than the step follows" });
        }
        let base = self.values[BASE_URL_SLOT].as_str().unwrap_or_default();
        self.path = redirect::path(base, &self.path, location).map_err(|cause| StepFailure::Redirect { cause })?;
        self.hops += 1;
        self.hop_method = self.hop_method.or_else(|| redirect::method(status, &step.method));
        Ok(Some(self.rendered(index).kept()))
    }

    /// Judges an answer, keeps its cookies, what the step extracts and what it counts.
    ///
    /// # Errors
    /// When the status is not expected, something else does not hold, or a variable or counter cannot be told. Counters
    /// whose statuses match are added to even when the status was not expected: a sale is a sale.
    ///
    /// # Panics
    /// When the journey has no such step.
    pub fn accept(&mut self, step: usize, status: u16, headers: &dyn Fields, body: &[u8]) -> Result<(), StepFailure> {
        let step = &steps(&self.script, self.course)[step];
        self.cookies.keep(headers, &self.path);
        let mut answer = Answer::new(headers, body, &step.picks);
        let accepted = step.accepts(status);
        let counted = count(step, status, &mut answer, &mut self.counts);
        if !accepted {
            return Err(StepFailure::Status { status, expected: step.expected() });
        }
        answer.check(&step.checks, &self.values)?;
        for extract in &step.extract {
            self.values[extract.slot] = answer.extract(extract, &self.cookies)?;
        }
        counted
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
        match steps(&self.script, self.course)[step].think {
            ThinkTime::Constant(length) => length,
            ThinkTime::Uniform { from, to } => from + to.saturating_sub(from).mul_f64(self.draws.random::<f64>()),
            ThinkTime::Exponential(mean) => mean.mul_f64(super::arrivals::exponential(&mut self.draws)),
        }
    }
}

/// The steps of a course.
fn steps(script: &Script, course: Course) -> &[ScriptStep] {
    match course {
        Course::Journey(journey) => &script.journeys[journey],
        Course::SetUp => &script.set_up,
        Course::TearDown => &script.tear_down,
        Course::Observations => &script.observations,
    }
}

/// The recorded request that a session sends again.
fn recorded(script: &Script, request: Option<u32>) -> Option<&RecordedRequest> {
    script.recorded.different.get(request? as usize)
}

/// Adds to every counter it can; the failure is that of the first it cannot.
fn count(
    step: &ScriptStep,
    status: u16,
    answer: &mut Answer<'_>,
    counted: &mut Vec<(usize, i64)>,
) -> Result<(), StepFailure> {
    let mut outcome = Ok(());
    for count in &step.counts {
        let counts = if count.statuses.is_empty() { step.accepts(status) } else { count.statuses.contains(&status) };
        if !counts {
            continue;
        }
        let added = match &count.add {
            Add::Constant(number) => Ok(*number),
            Add::Sum(query) => answer.sum(query),
        };
        match added {
            Ok(number) => counted.push((count.counter, number)),
            Err(cause) if outcome.is_ok() => {
                outcome = Err(StepFailure::Count { name: count.name.clone(), cause: cause.to_owned() });
            }
            Err(_) => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
