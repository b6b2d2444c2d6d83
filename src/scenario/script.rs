//! A scenario compiled once per plan: names become slots, templates become pieces, `JSONPath`s and regular expressions
//! are parsed, so that a session only fills in values. Never fails: a scenario that was not checked (one read from a
//! saved study, say) gets empty values where a name is unknown.

mod compile;

use super::flow::Flow;
use super::multipart::Piece;
use super::pick::{Picks, plain_keys};
use super::recorded::Requests;
use super::render::Part;
use super::{Field, LoadModel, Scenario, Step, ThinkTime};
use bytes::Bytes;
use compile::Names;
use serde_json::Value;
use serde_json_path::JsonPath;
use std::sync::Arc;

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
    /// The columns of data that are used: the name of the data, and the slots with the indices of their columns.
    pub(super) data: Vec<(String, Vec<(Slot, usize)>)>,
    pub(super) journeys: Vec<Vec<ScriptStep>>,
    /// By journey, its flow where it does not go straight on.
    pub(super) flows: Vec<Option<Flow>>,
    pub(super) set_up: Vec<ScriptStep>,
    pub(super) tear_down: Vec<ScriptStep>,
    pub(super) observations: Vec<ScriptStep>,
    /// The sum of each observation.
    pub(super) sums: Vec<Query>,
    /// The recorded requests that are sent again; none for other loads.
    pub(super) recorded: Arc<Requests>,
    /// By journey and step, the index into `Scenario::step_names`.
    pub(super) step_numbers: Vec<Vec<usize>>,
}

/// A compiled step.
#[derive(Debug)]
pub(super) struct ScriptStep {
    pub(super) method: String,
    pub(super) path: Vec<Part>,
    pub(super) headers: Vec<(String, Vec<Part>)>,
    pub(super) body: ScriptBody,
    /// Accepted statuses; empty means below 400.
    pub(super) statuses: Vec<u16>,
    pub(super) checks: Vec<Checked>,
    pub(super) extract: Vec<Extract>,
    pub(super) counts: Vec<Count>,
    /// What its queries select, where one pass over the body tells it.
    pub(super) picks: Picks,
    pub(super) think: ThinkTime,
    pub(super) follow_redirects: u32,
}

/// A compiled body.
#[derive(Debug)]
pub(super) enum ScriptBody {
    /// The same bytes each time; empty for none.
    Fixed(Bytes),
    /// JSON or text with values.
    Json(Vec<Part>),
    Text(Vec<Part>),
    /// Fields of a form.
    Form(Vec<Part>),
    /// Parts of a form.
    Multipart(Vec<Piece>),
}

/// A variable to keep.
#[derive(Debug)]
pub(super) struct Extract {
    pub(super) slot: Slot,
    pub(super) variable: String,
    pub(super) from: Place,
    pub(super) optional: bool,
}

/// Where it is found.
#[derive(Debug)]
pub(super) enum Place {
    Json(Query),
    Header(String),
    Cookie(String),
    /// The expression, `None` where it does not parse, and the number of its group.
    Regex(Option<regex::bytes::Regex>, usize),
}

/// Something to check, and what is told when it does not hold.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) what: CheckWhat,
    pub(super) told: String,
}

/// Something to check.
#[derive(Debug)]
pub(super) enum CheckWhat {
    BytesMax(usize),
    Header(String, Holds),
    BodyContains(Vec<Part>),
    NodeExists(Query, bool),
    NodeEquals(Query, Wanted),
}

/// What must hold for a text.
#[derive(Debug)]
pub(super) enum Holds {
    Equals(Vec<Part>),
    Contains(Vec<Part>),
    Exists(bool),
}

/// What a node must be.
#[derive(Debug)]
pub(super) enum Wanted {
    Exactly(Value),
    Variable(Slot),
    Text(Vec<Part>),
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

/// A `JSONPath`.
#[derive(Debug)]
pub(super) struct Query {
    /// `None` where it does not parse, which a checked scenario never has.
    pub(super) path: Option<JsonPath>,
    /// Its number among the picks of its step, if it is one of them.
    pub(super) pick: Option<usize>,
}

impl Query {
    /// The query that the library answers.
    pub(super) fn new(path: &str) -> Self {
        Self { path: JsonPath::parse(path).ok(), pick: None }
    }

    /// The query of a step, answered by its `picks` if it can be.
    pub(super) fn picked(path: &str, picks: &mut Picks) -> Self {
        let query = Self::new(path);
        let pick = query.path.as_ref().and_then(|_| picks.add(&plain_keys(path)?));
        Self { pick, ..query }
    }
}

impl Script {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut names = Names::new(scenario, seed);
        let step_names = scenario.step_names();
        let counters = scenario.counter_names();
        let mut compile =
            |steps: &[Step]| -> Vec<ScriptStep> { steps.iter().map(|step| names.step(step, &counters)).collect() };
        let journeys = scenario.journeys.iter().map(|journey| compile(&journey.steps)).collect();
        let (set_up, tear_down) = (compile(&scenario.set_up), compile(&scenario.tear_down));
        let observed: Vec<Step> = scenario.observations.iter().map(|observation| observation.step.clone()).collect();
        let observations = compile(&observed);
        let flows = scenario.journeys.iter().map(|journey| names.flow(journey)).collect();
        let fields = scenario.variables.iter().map(|(name, field)| (names.slot(name), field.clone())).collect();
        let number = |step: &Step| step_names.iter().position(|name| *name == step.name).unwrap_or_default();
        let recorded = match &scenario.load {
            LoadModel::Replay(replay) => replay.requests.as_ref().map(|requests| Arc::clone(&requests.recorded.0)),
            _ => None,
        };
        Self {
            recorded: recorded.unwrap_or_default(),
            fields,
            data: scenario.data.iter().map(|(name, data)| (name.clone(), names.columns(name, data))).collect(),
            slots: names.count(),
            journeys,
            flows,
            set_up,
            tear_down,
            observations,
            sums: scenario.observations.iter().map(|observation| Query::new(&observation.sum)).collect(),
            step_numbers: scenario.journeys.iter().map(|journey| journey.steps.iter().map(number).collect()).collect(),
        }
    }
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
