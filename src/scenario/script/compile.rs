//! The compiling itself: from what a scenario says to what a session fills in.

use super::{
    Add, BASE_URL_SLOT, CheckWhat, Checked, Count, Extract, Holds, Place, Query, ScriptBody, ScriptStep, Slot, Wanted,
};
use crate::scenario::condition::Compiled;
use crate::scenario::conversion::BASE_URL;
use crate::scenario::flow::Flow;
use crate::scenario::pick::Picks;
use crate::scenario::render::{Form, Part, json_escaped};
use crate::scenario::template::{self, Piece};
use crate::scenario::{
    Amount, Body, Check, Counter, DataSet, Extraction, Journey, JsonTest, Scenario, Source, Step, TextTest, decompress,
    multipart,
};
use bytes::Bytes;
use serde_json::Value;
use std::collections::BTreeMap;

/// The slots, by name.
pub(super) struct Names(BTreeMap<String, Slot>, Boundary);

/// What stands between the parts of forms.
type Boundary = String;

impl Names {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let slots = BTreeMap::from([(BASE_URL.to_owned(), BASE_URL_SLOT)]);
        let mut names = Self(slots, multipart::boundary(seed));
        for name in scenario.variables.keys() {
            names.slot(name);
        }
        names
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The slot of a name, a new one for a new name.
    pub(super) fn slot(&mut self, name: &str) -> Slot {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }

    /// The columns of `data` that anything uses, by now.
    pub(super) fn columns(&self, name: &str, data: &DataSet) -> Vec<(Slot, usize)> {
        let slot = |column: &String| self.0.get(&format!("{name}.{column}")).copied();
        data.columns.iter().enumerate().filter_map(|(index, column)| Some((slot(column)?, index))).collect()
    }

    pub(super) fn flow(&mut self, journey: &Journey) -> Option<Flow> {
        let mut compile = |condition: &_| Compiled::new(condition, &mut |name| self.slot(name));
        Flow::new(journey.steps.len(), &journey.groups, &mut compile)
    }

    pub(super) fn step(&mut self, step: &Step, counters: &[&str]) -> ScriptStep {
        let mut headers: Vec<(String, Vec<Part>)> =
            step.headers.iter().map(|(name, value)| (name.clone(), self.parts(value, Form::Header))).collect();
        let mut unless_named = |name: &str, value: &str| {
            if !headers.iter().any(|(other, _)| other == name) {
                headers.push((name.to_owned(), vec![Part::Text(value.to_owned())]));
            }
        };
        if matches!(step.body, Body::Multipart(_)) {
            unless_named("content-type", &multipart::content_type(&self.1));
        } else if let Some(kind) = content_type(&step.body) {
            unless_named("content-type", kind);
        }
        if step.compressed {
            unless_named("accept-encoding", decompress::ACCEPTED);
        }
        let mut picks = Picks::default();
        ScriptStep {
            method: step.method.clone(),
            path: self.parts(&step.path, Form::Path),
            headers,
            body: self.body(&step.body),
            statuses: step.expect.statuses.clone(),
            checks: step.expect.checks.iter().map(|check| self.check(check, &mut picks)).collect(),
            extract: step.extract.iter().map(|(name, from)| self.extract(name, from, &mut picks)).collect(),
            counts: step.counts.iter().map(|(name, counter)| count(name, counter, counters, &mut picks)).collect(),
            picks,
            think: step.think,
            follow_redirects: step.follow_redirects,
        }
    }

    fn body(&mut self, body: &Body) -> ScriptBody {
        let (parts, variable): (_, fn(Vec<Part>) -> ScriptBody) = match body {
            Body::Empty => return ScriptBody::Fixed(Bytes::new()),
            Body::File(file) => return ScriptBody::Fixed(file.content.clone()),
            Body::Multipart(parts) => {
                let boundary = self.1.clone();
                let compile = |text: &str| self.parts(text, Form::Plain);
                return ScriptBody::Multipart(multipart::pieces(parts, &boundary, compile));
            }
            Body::Json(value) => {
                let mut parts = Vec::new();
                self.json(value, &mut parts);
                (joined(parts), ScriptBody::Json)
            }
            Body::Text(text) => (self.parts(text, Form::Plain), ScriptBody::Text),
            Body::Form(fields) => {
                let mut parts = Vec::new();
                for (index, (name, value)) in fields.iter().enumerate() {
                    let gap = if index == 0 { "" } else { "&" };
                    parts.push(Part::Text(format!("{gap}{}=", Form::Urlencoded.of_text(name))));
                    parts.append(&mut self.parts(value, Form::Urlencoded));
                }
                (joined(parts), ScriptBody::Form)
            }
        };
        // What is the same each time is not written each time.
        match parts.as_slice() {
            [] => ScriptBody::Fixed(Bytes::new()),
            [Part::Text(only)] => ScriptBody::Fixed(Bytes::from(only.clone())),
            _ => variable(parts),
        }
    }

    fn extract(&mut self, name: &str, extraction: &Extraction, picks: &mut Picks) -> Extract {
        let from = match &extraction.from {
            Source::Json(path) => Place::Json(Query::picked(path, picks)),
            Source::Header(name) => Place::Header(name.clone()),
            Source::Cookie(name) => Place::Cookie(name.clone()),
            Source::Regex { pattern, group } => Place::Regex(regex::bytes::Regex::new(pattern).ok(), *group),
        };
        Extract { slot: self.slot(name), variable: name.to_owned(), from, optional: extraction.optional }
    }

    fn check(&mut self, check: &Check, picks: &mut Picks) -> Checked {
        match check {
            Check::BytesMax(most) => {
                Checked { what: CheckWhat::BytesMax(*most), told: format!("the body is over {most} bytes") }
            }
            Check::BodyContains(text) => Checked {
                what: CheckWhat::BodyContains(self.parts(text, Form::Plain)),
                told: format!("the body does not contain `{text}`"),
            },
            Check::Header { name, holds } => {
                let (holds, told) = match holds {
                    TextTest::Equals(text) => {
                        (Holds::Equals(self.parts(text, Form::Plain)), format!("is not `{text}`"))
                    }
                    TextTest::Contains(text) => {
                        (Holds::Contains(self.parts(text, Form::Plain)), format!("does not contain `{text}`"))
                    }
                    TextTest::Exists(wanted) => (Holds::Exists(*wanted), existence(*wanted).to_owned()),
                };
                Checked { what: CheckWhat::Header(name.clone(), holds), told: format!("the header `{name}` {told}") }
            }
            Check::Json { path, holds } => {
                let query = Query::picked(path, picks);
                let (what, told) = match holds {
                    JsonTest::Equals(value) => {
                        (CheckWhat::NodeEquals(query, self.wanted(value)), format!("is not {value}"))
                    }
                    JsonTest::Exists(wanted) => (CheckWhat::NodeExists(query, *wanted), existence(*wanted).to_owned()),
                };
                Checked { what, told: format!("`{path}` of the body {told}") }
            }
        }
    }

    fn wanted(&mut self, value: &Value) -> Wanted {
        let Value::String(text) = value else { return Wanted::Exactly(value.clone()) };
        let parts = self.parts(text, Form::Plain);
        match parts.as_slice() {
            [Part::Value(slot)] => Wanted::Variable(*slot),
            _ => Wanted::Text(parts),
        }
    }

    /// A template, its text put into the form of its surroundings. What is no template is text.
    fn parts(&mut self, text: &str, form: Form) -> Vec<Part> {
        let pieces = template::parse(text).unwrap_or_else(|_| vec![Piece::Text(text.to_owned())]);
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Part::Text(form.of_text(&text)),
                Piece::Variable(name) => Part::Value(self.slot(&name)),
            })
            .collect()
    }

    /// Serialises a JSON template: what is constant becomes text once and for all.
    fn json(&mut self, value: &Value, parts: &mut Vec<Part>) {
        match value {
            Value::String(text) => self.json_text(text, parts),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    parts.push(Part::Text(if index == 0 { "[" } else { "," }.to_owned()));
                    self.json(item, parts);
                }
                parts.push(Part::Text(if items.is_empty() { "[]" } else { "]" }.to_owned()));
            }
            Value::Object(members) => {
                for (index, (name, member)) in members.iter().enumerate() {
                    let gap = if index == 0 { "{" } else { "," };
                    parts.push(Part::Text(format!("{gap}\"{}\":", json_escaped(name))));
                    self.json(member, parts);
                }
                parts.push(Part::Text(if members.is_empty() { "{}" } else { "}" }.to_owned()));
            }
            plain => parts.push(Part::Text(plain.to_string())),
        }
    }

    fn json_text(&mut self, text: &str, parts: &mut Vec<Part>) {
        let mut inside = self.parts(text, Form::Json);
        if let [Part::Value(slot)] = inside.as_slice() {
            parts.push(Part::Json(*slot));
            return;
        }
        parts.push(Part::Text("\"".to_owned()));
        parts.append(&mut inside);
        parts.push(Part::Text("\"".to_owned()));
    }
}

fn existence(wanted: bool) -> &'static str {
    if wanted { "is missing" } else { "is there" }
}

/// What a body is said to be unless a header of the step says otherwise.
fn content_type(body: &Body) -> Option<&'static str> {
    match body {
        Body::Empty | Body::Multipart(_) => None,
        Body::Json(_) => Some("application/json"),
        Body::Form(_) => Some("application/x-www-form-urlencoded"),
        Body::Text(_) => Some("text/plain; charset=utf-8"),
        Body::File(_) => Some("application/octet-stream"),
    }
}

fn count(name: &str, counter: &Counter, counters: &[&str], picks: &mut Picks) -> Count {
    Count {
        counter: counters.iter().position(|other| *other == name).unwrap_or_default(),
        name: name.to_owned(),
        add: match &counter.add {
            Amount::Constant(number) => Add::Constant(*number),
            Amount::JsonSum(path) => Add::Sum(Query::picked(path, picks)),
        },
        statuses: counter.statuses.clone(),
    }
}

/// Neighbouring texts become one.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
            (_, part) => joined.push(part),
        }
    }
    joined
}
