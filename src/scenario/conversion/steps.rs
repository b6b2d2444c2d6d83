//! Journeys and steps: each is one request with what is expected of its answer; groups and repeats become groups over
//! the flat list of steps.

use super::super::error::Problems;
use super::super::file::{ScenarioFile, StepFile, TargetFile};
use super::super::flow::ROUNDS_MAX;
use super::super::located::{Located, Location};
use super::super::{Body, Expectation, Group, Journey, Repeat, Step, ThinkTime, notation};
use super::variables::{BASE_URL, Known, Variables, before_load, check_template, check_variable_name};
use super::{answers, bodies, exactly_one, flow, parsed, target, unique};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// More redirects than this in a row are a circle.
const REDIRECTS_MAX: u32 = 20;

/// Headers that belong to the connection, not to a step.
pub(super) const RESERVED_HEADERS: [&str; 5] = ["host", "content-length", "connection", "transfer-encoding", "upgrade"];

/// What steps stand in.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) variables: &'a Variables,
    /// The columns of data, as `name.column`.
    pub(super) columns: &'a [String],
    /// The folder that paths of files start from.
    pub(super) folder: &'a Path,
    /// Whether the levels of the load count requests, so that their number must be planned.
    pub(super) requests_are_planned: bool,
    /// What every step has unless it says otherwise.
    pub(super) target: Option<&'a TargetFile>,
}

pub(super) fn journeys(file: &ScenarioFile, surroundings: Surroundings<'_>, problems: &mut Problems) -> Vec<Journey> {
    let Some(journeys) = &file.journeys else {
        problems.add(
            file.load.at,
            "beside `load` the key `journeys` is missing",
            "add one; scenarios/minimal.yaml shows the shortest",
        );
        return Vec::new();
    };
    if journeys.value.is_empty() {
        problems.add(journeys.at, "there are no journeys", "add one; scenarios/minimal.yaml shows the shortest");
    }
    unique(journeys.value.iter().map(|journey| &journey.value.name), "journey", problems);
    let convert = |written: &Located<super::super::file::JourneyFile>| {
        let written = &written.value;
        let name = &written.name.value;
        if let Some(weight) = &written.weight
            && !(weight.value > 0.0 && weight.value < 1e12)
        {
            problems.add(
                weight.at,
                format!("journey `{name}` cannot have the weight {}", weight.value),
                "give a number above 0, or leave the journey out",
            );
        }
        if written.steps.value.is_empty() {
            problems.add(
                written.steps.at,
                format!("journey `{name}` has no steps"),
                "add one, such as `- {name: home, get: /}`",
            );
        }
        let requests = requests(&written.steps.value);
        unique(requests.iter().filter_map(|step| step.value.name.as_ref()), "step of the journey", problems);
        let mut known = Known { names: vec![BASE_URL], forbidden: BTreeMap::new() };
        known.names.extend(surroundings.variables.keys().map(String::as_str));
        known.names.extend(surroundings.columns.iter().map(String::as_str));
        for name in requests.iter().flat_map(|step| step.value.extract.keys()) {
            known
                .forbidden
                .insert(name, "no earlier step of the journey extracts it: move the step that does before this one");
        }
        let mut walk = Walk { surroundings, known, steps: Vec::new(), groups: Vec::new() };
        walk.all(&written.steps.value, 1, problems);
        let weight = written.weight.as_ref().map_or(1.0, |weight| weight.value);
        Journey { name: name.clone(), weight, steps: walk.steps, groups: walk.groups }
    };
    journeys.value.iter().map(convert).collect()
}

/// Steps without their groups, in order.
fn requests(written: &[Located<StepFile>]) -> Vec<&Located<StepFile>> {
    fn each(step: &Located<StepFile>) -> Vec<&Located<StepFile>> {
        step.value.steps.as_ref().map_or_else(|| vec![step], |inner| requests(&inner.value))
    }
    written.iter().flat_map(each).collect()
}

/// The steps before and after the load: each list is sent once, in order.
pub(super) fn around_load(
    file: &ScenarioFile,
    surroundings: Surroundings<'_>,
    problems: &mut Problems,
) -> (Vec<Step>, Vec<Step>) {
    for (noun, written) in [("set-up step", &file.set_up), ("tear-down step", &file.tear_down)] {
        unique(written.iter().filter_map(|step| step.value.name.as_ref()), noun, problems);
        for step in written {
            let StepFile { count, condition, repeat, steps, .. } = &step.value;
            if let Some(count) = count.values().next() {
                let message = format!("a {noun} counts nothing: it is not part of the load");
                problems.add(count.at, message, "leave `count` out");
            }
            let condition = condition.as_ref().map(|condition| condition.at);
            let repeat = repeat.as_ref().map(|repeat| repeat.at);
            if let Some(at) = condition.or(repeat).or(steps.as_ref().map(|steps| steps.at)) {
                problems.add(at, format!("a {noun} is sent once"), "leave `if`, `repeat` and `steps` out");
            }
        }
    }
    let known = before_load(surroundings.variables, surroundings.columns);
    let mut walk = Walk { surroundings, known, steps: Vec::new(), groups: Vec::new() };
    walk.all(&file.set_up, 1, problems);
    let set_up = std::mem::take(&mut walk.steps);
    // Tear-down goes on where set-up ended: what that extracted is known.
    walk.all(&file.tear_down, 1, problems);
    (set_up, walk.steps)
}

pub(super) fn observation(
    name: &Located<String>,
    get: &Located<String>,
    headers: &BTreeMap<String, Located<String>>,
    surroundings: Surroundings<'_>,
    problems: &mut Problems,
) -> Step {
    let known = before_load(surroundings.variables, surroundings.columns);
    check_path(get, &known, problems);
    let mut headers = self::headers(headers, &known, problems);
    target::add_headers(surroundings.target, &mut headers);
    Step {
        name: name.value.clone(),
        method: "GET".to_owned(),
        path: get.value.clone(),
        headers,
        body: Body::Empty,
        expect: Expectation { statuses: vec![200], checks: Vec::new() },
        extract: BTreeMap::new(),
        counts: BTreeMap::new(),
        think: ThinkTime::Constant(Duration::ZERO),
        timeout: target::timeout(surroundings.target, problems),
        follow_redirects: 0,
        compressed: false,
    }
}

/// Converts steps in order: what one extracts is known to the next.
struct Walk<'a> {
    surroundings: Surroundings<'a>,
    known: Known<'a>,
    steps: Vec<Step>,
    groups: Vec<Group>,
}

impl<'a> Walk<'a> {
    /// Converts `written`, which the repeats around it send up to `rounds` times.
    fn all(&mut self, written: &'a [Located<StepFile>], rounds: u64, problems: &mut Problems) {
        for step in written {
            self.one(step, rounds, problems);
        }
    }

    fn one(&mut self, written: &'a Located<StepFile>, rounds: u64, problems: &mut Problems) {
        let file = &written.value;
        let condition = file.condition.as_ref().and_then(|condition| flow::condition(condition, &self.known, problems));
        let (first, place) = (self.steps.len(), self.groups.len());
        let conditional = file.condition.is_some() || file.repeat.is_some();
        if conditional {
            // Outer groups stand before the inner ones; what is not known yet is filled in below.
            self.groups.push(Group { first, count: 0, condition, repeat: None });
        }
        let repeat = file.repeat.as_ref().and_then(|repeat| flow::repeat(repeat, problems));
        let rounds = rounds.saturating_mul(repeat.as_ref().map_or(1, flow::rounds_max));
        if rounds > ROUNDS_MAX {
            problems.add(
                written.at,
                format!("this may be sent {rounds} times in one journey"),
                format!("repeat it less: {ROUNDS_MAX} times at most, all the repeats around it multiplied"),
            );
        }
        if let Some(inner) = &file.steps {
            self.group(written, inner, rounds, problems);
        } else {
            self.steps.push(step(written, &self.known, self.surroundings, problems));
            self.extracted(file, problems);
        }
        // What a round extracts may end the repeats.
        if let Some(Repeat::Until { condition, .. }) = &repeat
            && let Some(until) = flow::until(file.repeat.as_ref())
        {
            flow::check_names(&condition.0, until.at, &self.known, problems);
        }
        self.plannable(file, problems);
        if conditional {
            self.groups[place].count = self.steps.len() - first;
            self.groups[place].repeat = repeat;
        }
    }

    fn group(
        &mut self,
        written: &'a Located<StepFile>,
        inner: &'a Located<Vec<Located<StepFile>>>,
        rounds: u64,
        problems: &mut Problems,
    ) {
        let file = &written.value;
        let own = [&file.get, &file.post, &file.put, &file.patch, &file.delete, &file.head, &file.name];
        if let Some(key) = own.into_iter().find_map(Option::as_ref) {
            problems.add(
                key.at,
                "a group of steps is no request of its own",
                "leave only `if`, `repeat` and `steps`, and move the rest into its steps",
            );
        }
        if file.condition.is_none() && file.repeat.is_none() {
            problems.add(
                inner.at,
                "this group has neither `if` nor `repeat`",
                "add one, or write its steps without it",
            );
        }
        if inner.value.is_empty() {
            problems.add(inner.at, "this group has no steps", "add one, or leave the group out");
        }
        self.all(&inner.value, rounds, problems);
    }

    /// From here on the step's variables are known.
    fn extracted(&mut self, file: &'a StepFile, problems: &mut Problems) {
        for (name, extraction) in &file.extract {
            check_variable_name(name, extraction.at, problems);
            if self.surroundings.variables.contains_key(name) {
                problems.add(
                    extraction.at,
                    format!("`{name}` is a variable already"),
                    "extract under another name, or remove it from `variables`",
                );
            }
            self.known.names.push(name);
        }
    }

    /// Requests per second cannot be kept where answers decide how many there are.
    fn plannable(&self, file: &StepFile, problems: &mut Problems) {
        let until = flow::until(file.repeat.as_ref());
        if let Some(asked) = file.condition.as_ref().or(until)
            && self.surroundings.requests_are_planned
        {
            problems.add(
                asked.at,
                "how many requests a journey makes depends on this condition, so requests per second cannot be planned",
                "write `unit: arrivals_per_second` under `load`, and the levels of the stages as arrivals",
            );
        }
    }
}

fn step(
    written: &Located<StepFile>,
    known: &Known<'_>,
    surroundings: Surroundings<'_>,
    problems: &mut Problems,
) -> Step {
    let file = &written.value;
    let request = exactly_one(
        vec![
            ("get", file.get.as_ref().map(|path| ("GET", path))),
            ("post", file.post.as_ref().map(|path| ("POST", path))),
            ("put", file.put.as_ref().map(|path| ("PUT", path))),
            ("patch", file.patch.as_ref().map(|path| ("PATCH", path))),
            ("delete", file.delete.as_ref().map(|path| ("DELETE", path))),
            ("head", file.head.as_ref().map(|path| ("HEAD", path))),
        ],
        written.at,
        problems,
    );
    if file.name.is_none() {
        problems.add(written.at, "this step has no `name`", "add `name: …`: a step is reported by its name");
    }
    if let Some((_, path)) = request {
        check_path(path, known, problems);
    }
    let think = match &file.think {
        Some(think) => parsed(notation::think_time(&think.value), think.at, problems),
        None => Some(ThinkTime::Constant(Duration::ZERO)),
    };
    let usual = target::timeout(surroundings.target, problems);
    let timeout = file.timeout.as_ref().map_or(Some(usual), |timeout| timeout_of(timeout, problems));
    let mut headers = headers(&file.headers, known, problems);
    target::add_headers(surroundings.target, &mut headers);
    let extract = file.extract.iter();
    let extract = extract.filter_map(|(name, from)| Some((name.clone(), answers::extraction(from, problems)?)));
    let extract = extract.collect();
    let counts = file.count.iter();
    let counts = counts.filter_map(|(name, count)| Some((name.clone(), answers::counter(name, count, problems)?)));
    let counts = counts.collect();
    // A step without a request still passes through the checks above, so that all its problems are told at once. The
    // journey keeps its shape with a placeholder; nothing of a file with problems leaves the conversion.
    let (method, path) = request.map_or(("GET", "/"), |(method, path)| (method, path.value.as_str()));
    Step {
        name: file.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: bodies::body(written, known, surroundings.folder, problems),
        expect: answers::expectation(file.expect.as_ref(), known, problems),
        extract,
        counts,
        think: think.unwrap_or(ThinkTime::Constant(Duration::ZERO)),
        timeout: timeout.unwrap_or(usual),
        follow_redirects: file.follow_redirects.as_ref().map_or(0, |most| redirects(most, problems)),
        compressed: file.compressed,
    }
}

fn redirects(most: &Located<u32>, problems: &mut Problems) -> u32 {
    if most.value > REDIRECTS_MAX {
        problems.add(
            most.at,
            format!("{} redirects in a row are a circle", most.value),
            format!("follow {REDIRECTS_MAX} at most"),
        );
    }
    most.value
}

pub(super) fn timeout_of(timeout: &Located<String>, problems: &mut Problems) -> Option<Duration> {
    let length = parsed(notation::duration(&timeout.value), timeout.at, problems)?;
    if length.is_zero() {
        problems.add(timeout.at, "no answer comes in no time", "give a timeout such as 30s, or leave it out");
    }
    Some(length)
}

fn headers(
    written: &BTreeMap<String, Located<String>>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in written {
        let lower = name.to_ascii_lowercase();
        if !check_header_name(name, value.at, problems) {
            // Its value is looked at all the same.
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            problems.add(value.at, format!("the header `{name}` is set by tidegate itself"), "leave it out");
        } else if headers.iter().any(|(other, _)| *other == lower) {
            problems.add(value.at, format!("the header `{name}` stands here twice"), "keep one of the two");
        }
        if !value.value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            problems.add(
                value.at,
                format!("the header `{name}` has a value that HTTP forbids"),
                "use ASCII on one line",
            );
        }
        check_template(&value.value, value.at, known, problems);
        headers.push((lower, value.value.clone()));
    }
    headers
}

/// Notes a name that no header can have.
pub(super) fn check_header_name(name: &str, at: Location, problems: &mut Problems) -> bool {
    let legal = http::HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).is_ok();
    if !legal {
        problems.add(at, format!("`{name}` cannot be the name of a header"), "use letters, digits and `-`");
    }
    legal
}

fn check_path(path: &Located<String>, known: &Known<'_>, problems: &mut Problems) {
    if !path.value.starts_with('/') {
        problems.add(
            path.at,
            format!("the path `{}` does not start with `/`", path.value),
            "give the path only, such as /api/products/; the target's address comes from elsewhere",
        );
    }
    check_template(&path.value, path.at, known, problems);
}
