//! An answer under examination: decompressed and parsed when it is first asked for, and once. A step that asks nothing
//! of a body pays for none of it.

use super::cookies::Cookies;
use super::fields::Fields;
use super::pick::{Found, Picks};
use super::render::{Form, filled, plain};
use super::script::{CheckWhat, Checked, Extract, Holds, Place, Query, Wanted};
use super::{BODY_BYTES_MAX, StepFailure, decompress};
use serde_json::Value;
use std::borrow::Cow;

pub(super) const NOT_JSON: &str = "the body is not JSON";
pub(super) const NO_NODE: &str = "the JSONPath selects nothing";
pub(super) const NO_NUMBER: &str = "the JSONPath selects something that is not a whole number";
pub(super) const NO_HEADER: &str = "the header is missing";
const NO_COOKIE: &str = "the journey holds no such cookie";
const NO_MATCH: &str = "the regular expression matches nothing";

/// An answer and what has been found out about its body.
pub(super) struct Answer<'a> {
    headers: &'a dyn Fields,
    /// As it came.
    sent: &'a [u8],
    body: Option<Result<Cow<'a, [u8]>, &'static str>>,
    json: Option<Result<Value, &'static str>>,
    picks: &'a Picks,
    picked: Picked,
}

/// What one pass over a body picked.
enum Picked {
    /// Nobody has asked.
    NotYet,
    /// The library must be asked.
    Nothing,
    Nodes(Found),
}

impl Picked {
    fn node(&self, body: &[u8], pick: usize) -> Option<Cow<'_, Value>> {
        if let Self::Nodes(found) = self { found.node(body, pick) } else { None }
    }
}

impl<'a> Answer<'a> {
    pub(super) fn new(headers: &'a dyn Fields, body: &'a [u8], picks: &'a Picks) -> Self {
        Self { headers, sent: body, body: None, json: None, picks, picked: Picked::NotYet }
    }

    /// The body without its compression.
    fn body(&mut self) -> Result<&[u8], &'static str> {
        let decompressed = || decompress::body(self.headers, self.sent, BODY_BYTES_MAX);
        self.body.get_or_insert_with(decompressed).as_deref().map_err(|cause| *cause)
    }

    fn json(&mut self) -> Result<&Value, &'static str> {
        if self.json.is_none() {
            let parsed = self.body().and_then(|body| serde_json::from_slice(body).map_err(|_| NOT_JSON));
            self.json = Some(parsed);
        }
        match &self.json {
            Some(Ok(value)) => Ok(value),
            Some(Err(cause)) => Err(cause),
            None => Err(NOT_JSON),
        }
    }

    pub(super) fn sum(&mut self, query: &Query) -> Result<i64, &'static str> {
        if query.pick.is_some() {
            let node = self.node(query)?.ok_or(NO_NODE)?;
            return node.as_i64().ok_or(NO_NUMBER);
        }
        sum(query, self.json()?)
    }

    /// The value to keep; null for an optional one that is not there.
    pub(super) fn extract(&mut self, extract: &Extract, cookies: &Cookies) -> Result<Value, StepFailure> {
        match self.find(&extract.from, cookies) {
            Ok(value) => Ok(value),
            Err(_) if extract.optional => Ok(Value::Null),
            Err(cause) => Err(StepFailure::Extraction { variable: extract.variable.clone(), cause: cause.to_owned() }),
        }
    }

    fn find(&mut self, place: &Place, cookies: &Cookies) -> Result<Value, &'static str> {
        match place {
            Place::Json(query) => self.node(query)?.map(Cow::into_owned).ok_or(NO_NODE),
            Place::Header(name) => self.header(name).ok_or(NO_HEADER).map(Value::from),
            Place::Cookie(name) => cookies.value(name).ok_or(NO_COOKIE).map(Value::from),
            Place::Regex(regex, group) => {
                let body = self.body()?;
                let found = regex.as_ref().and_then(|regex| regex.captures(body)?.get(*group));
                found.map(|found| Value::from(String::from_utf8_lossy(found.as_bytes()))).ok_or(NO_MATCH)
            }
        }
    }

    /// The first node that a `JSONPath` selects.
    fn node(&mut self, query: &Query) -> Result<Option<Cow<'_, Value>>, &'static str> {
        if let Some(pick) = query.pick
            && self.pick()?
        {
            let body = self.body.as_ref().and_then(|body| body.as_deref().ok()).unwrap_or_default();
            return Ok(self.picked.node(body, pick));
        }
        let json = self.json()?;
        Ok(query.path.as_ref().and_then(|path| path.query(json).first()).map(Cow::Borrowed))
    }

    /// Whether one pass over the body tells what the picks are; otherwise the library must be asked.
    fn pick(&mut self) -> Result<bool, &'static str> {
        if matches!(self.picked, Picked::NotYet) {
            let picks = self.picks;
            self.picked = picks.find(self.body()?).map_or(Picked::Nothing, Picked::Nodes);
        }
        Ok(matches!(self.picked, Picked::Nodes(_)))
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.first(name).map(String::from_utf8_lossy)
    }

    /// Whether everything holds that the step expects beside the status.
    pub(super) fn check(&mut self, checks: &[Checked], values: &[Value]) -> Result<(), StepFailure> {
        for check in checks {
            let held = match &check.what {
                CheckWhat::BytesMax(most) => Ok(self.sent.len() <= *most),
                CheckWhat::Header(name, holds) => {
                    let header = self.header(name);
                    Ok(match holds {
                        Holds::Exists(wanted) => header.is_some() == *wanted,
                        Holds::Equals(parts) => header.is_some_and(|text| text == filled(parts, values, Form::Plain)),
                        Holds::Contains(parts) => {
                            header.is_some_and(|text| text.contains(&*filled(parts, values, Form::Plain)))
                        }
                    })
                }
                CheckWhat::BodyContains(parts) => {
                    let needle = filled(parts, values, Form::Plain);
                    self.body().map(|body| memchr::memmem::find(body, needle.as_bytes()).is_some())
                }
                CheckWhat::NodeExists(query, wanted) => self.node(query).map(|node| node.is_some() == *wanted),
                CheckWhat::NodeEquals(query, wanted) => {
                    self.node(query).map(|node| node.is_some_and(|node| wanted.is(&node, values)))
                }
            };
            match held {
                Ok(true) => {}
                Ok(false) => return Err(StepFailure::Expectation { cause: check.told.clone() }),
                Err(cause) => return Err(StepFailure::Expectation { cause: cause.to_owned() }),
            }
        }
        Ok(())
    }
}

impl Wanted {
    fn is(&self, node: &Value, values: &[Value]) -> bool {
        match self {
            Self::Exactly(value) => same(value, node),
            Self::Variable(slot) => same(&values[*slot], node),
            Self::Text(parts) => node.is_string() && plain(node) == filled(parts, values, Form::Plain),
        }
    }
}

/// Equality of JSON in which 4 and 4.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// The sum of the whole numbers that a `JSONPath` selects.
fn sum(query: &Query, json: &Value) -> Result<i64, &'static str> {
    let nodes = query.path.as_ref().map(|path| path.query(json).all()).unwrap_or_default();
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
