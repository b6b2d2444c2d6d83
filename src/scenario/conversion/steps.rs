//! Journeys and steps: each is one request with what is expected of its answer; every `JSONPath` parses.

use super::super::error::Problems;
use super::super::file::{CountFile, ExtractFile, JourneyFile, ScenarioFile, StepFile};
use super::super::located::{Located, Location};
use super::super::{Amount, Body, Counter, Expectation, Extraction, Journey, Step, ThinkTime, notation, template};
use super::variables::{BASE_URL, Known, Variables, before_load, check_template, check_variable_name};
use super::{exactly_one, parsed, unique};
use serde_json_path::JsonPath;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an answer may take where the file does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Headers that belong to the connection, not to a step.
const RESERVED_HEADERS: [&str; 5] = ["host", "content-length", "connection", "transfer-encoding", "upgrade"];

pub(super) fn journeys(file: &ScenarioFile, problems: &mut Problems) -> Vec<Journey> {
    let journeys = &file.journeys;
    if journeys.value.is_empty() {
        problems.add(journeys.at, "there are no journeys", "add one; scenarios/minimal.yaml shows the shortest");
    }
    unique(journeys.value.iter().map(|journey| &journey.value.name), "journey", problems);
    journeys.value.iter().map(|written| journey(&written.value, &file.variables, problems)).collect()
}

fn journey(written: &JourneyFile, variables: &Variables, problems: &mut Problems) -> Journey {
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
    unique(written.steps.value.iter().map(|step| &step.value.name), "step of the journey", problems);
    let mut known = Known { names: vec![BASE_URL], forbidden: BTreeMap::new() };
    known.names.extend(variables.keys().map(String::as_str));
    for name in written.steps.value.iter().flat_map(|step| step.value.extract.keys()) {
        known
            .forbidden
            .insert(name, "no earlier step of the journey extracts it: move the step that does before this one");
    }
    let steps = steps(&written.steps.value, known, variables, problems);
    let weight = written.weight.as_ref().map_or(1.0, |weight| weight.value);
    Journey { name: name.clone(), weight, steps }
}

pub(super) fn set_up(written: &[Located<StepFile>], variables: &Variables, problems: &mut Problems) -> Vec<Step> {
    unique(written.iter().map(|step| &step.value.name), "set-up step", problems);
    for step in written {
        if let Some(count) = step.value.count.values().next() {
            problems.add(count.at, "a set-up step counts nothing: it is not part of the load", "leave `count` out");
        }
    }
    steps(written, before_load(variables), variables, problems)
}

pub(super) fn observation(
    name: &Located<String>,
    get: &Located<String>,
    headers: &BTreeMap<String, Located<String>>,
    variables: &Variables,
    problems: &mut Problems,
) -> Step {
    let known = before_load(variables);
    check_path(get, &known, problems);
    Step {
        name: name.value.clone(),
        method: "GET".to_owned(),
        path: get.value.clone(),
        headers: self::headers(headers, &known, problems),
        body: Body::Empty,
        expect: Expectation { statuses: vec![200] },
        extract: BTreeMap::new(),
        counts: BTreeMap::new(),
        think: ThinkTime::Constant(Duration::ZERO),
        timeout: TIMEOUT_DEFAULT,
    }
}

/// Converts steps in order: what one extracts is known to the next.
fn steps<'a>(
    written: &'a [Located<StepFile>],
    mut known: Known<'a>,
    variables: &Variables,
    problems: &mut Problems,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for step in written {
        steps.push(self::step(step, &known, problems));
        for (name, extraction) in &step.value.extract {
            check_variable_name(name, extraction.at, problems);
            if variables.contains_key(name) {
                problems.add(
                    extraction.at,
                    format!("`{name}` is a variable already"),
                    "extract under another name, or remove it from `variables`",
                );
            }
            known.names.push(name);
        }
    }
    steps
}

fn step(written: &Located<StepFile>, known: &Known<'_>, problems: &mut Problems) -> Step {
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
    if let Some((_, path)) = request {
        check_path(path, known, problems);
    }
    if let Some(json) = &file.json {
        json.value.each_text(json.at, &mut |text, at| check_template(text, at, known, problems));
    }
    let statuses = match &file.expect {
        Some(expect) => statuses(&expect.status, problems),
        None => Vec::new(),
    };
    let think = match &file.think {
        Some(think) => parsed(notation::think_time(&think.value), think.at, problems),
        None => Some(ThinkTime::Constant(Duration::ZERO)),
    };
    let timeout = match &file.timeout {
        Some(timeout) => timeout_of(timeout, problems),
        None => Some(TIMEOUT_DEFAULT),
    };
    let headers = headers(&file.headers, known, problems);
    let extract = file.extract.iter().map(|(name, from)| (name.clone(), extraction(from, problems))).collect();
    let counts = file.count.iter().filter_map(|(name, count)| Some((name.clone(), counter(name, count, problems)?)));
    let counts = counts.collect();
    // A step without a request still passes through the checks above, so that all its problems are told at once. The
    // journey keeps its shape with a placeholder; nothing of a file with problems leaves the conversion.
    let (method, path) = request.map_or(("GET", "/"), |(method, path)| (method, path.value.as_str()));
    Step {
        name: file.name.value.clone(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: file.json.as_ref().map_or(Body::Empty, |json| Body::Json(json.value.to_value())),
        expect: Expectation { statuses },
        extract,
        counts,
        think: think.unwrap_or(ThinkTime::Constant(Duration::ZERO)),
        timeout: timeout.unwrap_or(TIMEOUT_DEFAULT),
    }
}

fn timeout_of(timeout: &Located<String>, problems: &mut Problems) -> Option<Duration> {
    let length = parsed(notation::duration(&timeout.value), timeout.at, problems)?;
    if length.is_zero() {
        problems.add(timeout.at, "no answer comes in no time", "give a timeout such as 30s, or leave it out");
    }
    Some(length)
}

fn statuses(written: &Located<Vec<Located<u16>>>, problems: &mut Problems) -> Vec<u16> {
    if written.value.is_empty() {
        problems.add(written.at, "no status is accepted", "give at least one, such as [200]");
    }
    for status in &written.value {
        if !(200..=599).contains(&status.value) {
            problems.add(
                status.at,
                format!("no answer has the status {}", status.value),
                "give statuses from 200 to 599",
            );
        }
    }
    written.value.iter().map(|status| status.value).collect()
}

fn headers(
    written: &BTreeMap<String, Located<String>>,
    known: &Known<'_>,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in written {
        let lower = name.to_ascii_lowercase();
        if http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
            problems.add(value.at, format!("`{name}` cannot be the name of a header"), "use letters, digits and `-`");
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

fn extraction(from: &Located<ExtractFile>, problems: &mut Problems) -> Extraction {
    match &from.value {
        ExtractFile::Json(path) => {
            check_json_path(&path.value, path.at, problems);
            Extraction::Json(path.value.clone())
        }
        ExtractFile::Header(name) => {
            if http::HeaderName::from_bytes(name.value.as_bytes()).is_err() {
                problems.add(
                    name.at,
                    format!("`{}` cannot be the name of a header", name.value),
                    "use letters, digits and `-`",
                );
            }
            Extraction::Header(name.value.to_ascii_lowercase())
        }
    }
}

fn counter(name: &str, count: &Located<CountFile>, problems: &mut Problems) -> Option<Counter> {
    if !template::is_name(name) {
        problems.add(count.at, format!("`{name}` cannot be the name of a counter"), "use letters, digits and `_`");
    }
    let CountFile { add, when_status } = &count.value;
    let statuses = when_status.as_ref().map_or_else(Vec::new, |written| self::statuses(written, problems));
    let amount = match add.value.parse::<i64>() {
        Ok(number) => Amount::Constant(number),
        Err(_) if add.value.starts_with('$') => {
            check_json_path(&add.value, add.at, problems);
            Amount::JsonSum(add.value.clone())
        }
        Err(_) => {
            problems.add(
                add.at,
                format!("`{}` adds nothing to `{name}`", add.value),
                "write a whole number, or a JSONPath such as $.items[*].quantity",
            );
            return None;
        }
    };
    Some(Counter { add: amount, statuses })
}

/// Notes a `JSONPath` that does not parse.
pub(super) fn check_json_path(path: &str, at: Location, problems: &mut Problems) {
    if let Err(error) = JsonPath::parse(path) {
        problems.add(
            at,
            format!("`{path}` is not a JSONPath: character {}: {}", error.position(), error.message()),
            "RFC 9535 describes them; examples are $.token and $.items[*].id",
        );
    }
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
