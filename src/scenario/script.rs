//! A scenario compiled once per plan: names become slots, templates become pieces, `JSONPath`s are parsed, so that a
//! session only fills in values. Never fails: a scenario that was not checked (one read from a saved study, say) gets
//! empty values where a name is unknown.

use super::template::{self, Piece};
use super::{Amount, Body, Extraction, Field, Scenario, Step, ThinkTime};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::collections::BTreeMap;

/// Where a variable's value stands in a session.
pub(super) type Slot = usize;

/// The slot of `${base_url}`.
pub(super) const BASE_URL_SLOT: Slot = 0;

/// A compiled scenario.
#[derive(Debug)]
pub(super) struct Script {
    /// How many slots a session has.
    pub(super) slots: usize,
    /// How the declared variables get their values, in alphabetical order.
    pub(super) fields: Vec<(Slot, Field)>,
    pub(super) journeys: Vec<Vec<ScriptStep>>,
    pub(super) set_up: Vec<ScriptStep>,
    pub(super) observations: Vec<ScriptStep>,
    /// The sum of each observation.
    pub(super) sums: Vec<Query>,
    /// By journey and step, the index into `Scenario::step_names`.
    pub(super) step_numbers: Vec<Vec<usize>>,
}

/// A compiled step.
#[derive(Debug)]
pub(super) struct ScriptStep {
    pub(super) method: String,
    pub(super) path: Vec<Part>,
    pub(super) headers: Vec<(String, Vec<Part>)>,
    pub(super) body: Vec<Part>,
    /// Accepted statuses; empty means below 400.
    pub(super) statuses: Vec<u16>,
    pub(super) extract: Vec<Extract>,
    pub(super) counts: Vec<Count>,
    pub(super) think: ThinkTime,
}

/// A stretch of a compiled template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, already in the form of its surroundings.
    Text(String),
    /// The value in this slot as text, put into the form of the surroundings.
    Value(Slot),
    /// The value in this slot as JSON, with its type.
    Json(Slot),
}

/// A variable to keep.
#[derive(Debug)]
pub(super) struct Extract {
    pub(super) slot: Slot,
    pub(super) variable: String,
    pub(super) from: Source,
}

/// Where it is found.
#[derive(Debug)]
pub(super) enum Source {
    Json(Query),
    Header(String),
}

/// A counter to add to.
#[derive(Debug)]
pub(super) struct Count {
    /// Index into `Scenario::counter_names`.
    pub(super) counter: usize,
    pub(super) name: String,
    pub(super) add: Add,
    /// Statuses that count; empty means those that the step accepts.
    pub(super) statuses: Vec<u16>,
}

/// How much.
#[derive(Debug)]
pub(super) enum Add {
    Constant(i64),
    Sum(Query),
}

/// A parsed `JSONPath`; `None` where it does not parse, which a checked scenario never has.
pub(super) type Query = Option<JsonPath>;

impl Script {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut names = Names::new(scenario);
        let step_names = scenario.step_names();
        let counters = scenario.counter_names();
        let mut compile =
            |steps: &[Step]| -> Vec<ScriptStep> { steps.iter().map(|step| names.step(step, &counters)).collect() };
        let journeys = scenario.journeys.iter().map(|journey| compile(&journey.steps)).collect();
        let set_up = compile(&scenario.set_up);
        let observed: Vec<Step> = scenario.observations.iter().map(|observation| observation.step.clone()).collect();
        let observations = compile(&observed);
        let fields = scenario.variables.iter().map(|(name, field)| (names.slot(name), field.clone())).collect();
        let number = |step: &Step| step_names.iter().position(|name| *name == step.name).unwrap_or_default();
        Self {
            slots: names.0.len(),
            fields,
            journeys,
            set_up,
            observations,
            sums: scenario.observations.iter().map(|observation| JsonPath::parse(&observation.sum).ok()).collect(),
            step_numbers: scenario.journeys.iter().map(|journey| journey.steps.iter().map(number).collect()).collect(),
        }
    }
}

/// The slots, by name.
struct Names(BTreeMap<String, Slot>);

impl Names {
    fn new(scenario: &Scenario) -> Self {
        let mut names = Self(BTreeMap::from([(super::conversion::BASE_URL.to_owned(), BASE_URL_SLOT)]));
        for name in scenario.variables.keys() {
            names.slot(name);
        }
        names
    }

    /// The slot of a name, a new one for a new name.
    fn slot(&mut self, name: &str) -> Slot {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }

    fn step(&mut self, step: &Step, counters: &[&str]) -> ScriptStep {
        let mut headers: Vec<(String, Vec<Part>)> =
            step.headers.iter().map(|(name, value)| (name.clone(), self.parts(value, str::to_owned))).collect();
        let body = match &step.body {
            Body::Empty => Vec::new(),
            Body::Json(value) => {
                if !headers.iter().any(|(name, _)| name == "content-type") {
                    headers.push(("content-type".to_owned(), vec![Part::Text("application/json".to_owned())]));
                }
                let mut parts = Vec::new();
                self.json(value, &mut parts);
                joined(parts)
            }
        };
        ScriptStep {
            method: step.method.clone(),
            path: self.parts(&step.path, |text| percent_encoded(text, is_legal_in_path)),
            headers,
            body,
            statuses: step.expect.statuses.clone(),
            extract: step.extract.iter().map(|(name, from)| self.extract(name, from)).collect(),
            counts: step
                .counts
                .iter()
                .map(|(name, counter)| Count {
                    counter: counters.iter().position(|other| other == name).unwrap_or_default(),
                    name: name.clone(),
                    add: match &counter.add {
                        Amount::Constant(number) => Add::Constant(*number),
                        Amount::JsonSum(path) => Add::Sum(JsonPath::parse(path).ok()),
                    },
                    statuses: counter.statuses.clone(),
                })
                .collect(),
            think: step.think,
        }
    }

    fn extract(&mut self, name: &str, from: &Extraction) -> Extract {
        let from = match from {
            Extraction::Json(path) => Source::Json(JsonPath::parse(path).ok()),
            Extraction::Header(name) => Source::Header(name.clone()),
        };
        Extract { slot: self.slot(name), variable: name.to_owned(), from }
    }

    /// A template, its text put into the form of its surroundings. What is no template is text.
    fn parts(&mut self, text: &str, form: impl Fn(&str) -> String) -> Vec<Part> {
        let pieces = template::parse(text).unwrap_or_else(|_| vec![Piece::Text(text.to_owned())]);
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Part::Text(form(&text)),
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
        let mut inside = self.parts(text, json_escaped);
        if let [Part::Value(slot)] = inside.as_slice() {
            parts.push(Part::Json(*slot));
            return;
        }
        parts.push(Part::Text("\"".to_owned()));
        parts.append(&mut inside);
        parts.push(Part::Text("\"".to_owned()));
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

/// Text as the inside of a JSON string.
pub(super) fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Text with every byte that is not legal written as `%XX`.
pub(super) fn percent_encoded(text: &str, legal: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if legal(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What may stand in a path and query as it is written in a file (RFC 3986; an escape that is already there stays).
pub(super) fn is_legal_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

/// What of a value may stand in a path unchanged (RFC 3986, unreserved): anything else would change its structure.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a header's value.
pub(super) fn is_legal_in_header(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

impl ScriptStep {
    /// True when the step accepts an answer with this status.
    pub(super) fn accepts(&self, status: u16) -> bool {
        if self.statuses.is_empty() { status < 400 } else { self.statuses.contains(&status) }
    }

    /// What the step accepts, in words.
    pub(super) fn expected(&self) -> String {
        if self.statuses.is_empty() {
            return "below 400".to_owned();
        }
        self.statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
    }
}

/// A declared variable's value, drawn.
pub(super) fn draw(field: &Field, draws: &mut ChaCha8Rng) -> Value {
    use rand::Rng;
    match field {
        Field::Constant(value) => value.clone(),
        Field::Choice { values, weights } => {
            let target = draws.random::<f64>() * weights.iter().sum::<f64>();
            let mut upto = 0.0;
            let chosen = weights.iter().position(|weight| {
                upto += weight;
                target < upto
            });
            // Rounding may leave the target at the very end: that is the last value.
            chosen.and_then(|index| values.get(index)).or(values.last()).cloned().unwrap_or(Value::Null)
        }
        // An empty range cannot come from a checked file; it draws its lower end.
        Field::Integer { from, to } => Value::from(draws.random_range(*from..=(*to).max(*from))),
        Field::Email => Value::from(format!("user-{:08x}@example.com", draws.random::<u32>())),
        Field::Uuid => Value::from(uuid(draws.random::<u128>())),
    }
}

/// 128 bits as a UUID of version 4, variant 1 (RFC 9562 section 5.4).
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
