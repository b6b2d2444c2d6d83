//! A replay that sends the recorded requests themselves: each group of them becomes a journey of one step.

use super::super::error::Problems;
use super::super::file::ScenarioFile;
use super::super::load_file::{LogFormatFile, ReplayFile, SendFile};
use super::super::located::{Located, Location};
use super::super::log::{LogRequests, RequestOptions};
use super::super::recorded::{RecordedRequest, RecordedRequests, Requests, SentRequests};
use super::super::route::{Group, grouped};
use super::super::{Body, Journey, Step, ThinkTime};
use super::replay::column;
use super::steps::Surroundings;
use super::variables::before_load;
use super::{answers, target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Groups that are reported each for itself, where the file does not say.
const GROUPS_DEFAULT: u32 = 50;
/// More would be no report any more.
const GROUPS_MAX: u32 = 500;
/// Methods that are sent: there are not many more.
const METHODS_MAX: usize = 16;
/// What is sent where the file lists no methods: they change nothing.
const SAFE: [&str; 2] = ["GET", "HEAD"];

/// Whether the recorded requests are sent, and not journeys.
pub(super) fn are_sent(written: &ReplayFile) -> bool {
    written.send.as_ref().is_some_and(|send| send.value == SendFile::Requests)
}

/// What is kept of the requests of a log; nothing where they are not sent.
pub(super) fn options(written: &ReplayFile, problems: &mut Problems) -> Option<RequestOptions> {
    let of_csv = [
        ("path_column", &written.path_column),
        ("method_column", &written.method_column),
        ("agent_column", &written.agent_column),
    ];
    let is_csv = matches!(written.format, LogFormatFile::Csv);
    for (key, at) in of_csv.into_iter().filter_map(|(key, column)| Some((key, column.as_ref()?.at))) {
        if are_sent(written) && !is_csv {
            let message = format!("`{key}` speaks of columns, and this log has none");
            problems.add(at, message, "take it out, or write `format: csv`");
        }
    }
    if !are_sent(written) {
        let place = |column: &Option<Located<String>>| column.as_ref().map(|column| column.at);
        let others: [(&str, Option<Location>); 3] = [
            ("methods", written.methods.as_ref().map(|methods| methods.at)),
            ("groups", written.groups.as_ref().map(|groups| groups.at)),
            ("expect", written.expect.as_ref().map(|expect| expect.at)),
        ];
        let of_csv = of_csv.map(|(key, column)| (key, place(column)));
        for (key, at) in others.into_iter().chain(of_csv).filter_map(|(key, at)| Some((key, at?))) {
            let message = format!("`{key}` speaks of recorded requests, and only their times are used");
            problems.add(at, message, "take it out, or write `send: requests`");
        }
        return None;
    }
    if is_csv && written.path_column.is_none() {
        let at = written.send.as_ref().map_or(written.file.at, |send| send.at);
        problems.add(
            at,
            "it is not said which column holds the paths",
            "add `path_column: path`, its name or its number",
        );
        return None;
    }
    let mut place = |written: &Option<Located<String>>| written.as_ref().map(|written| column(written, problems));
    let [path, method, agent] = of_csv.map(|(_, written)| place(written));
    Some(RequestOptions { methods: methods(written, problems), path, method, agent })
}

fn methods(written: &ReplayFile, problems: &mut Problems) -> Vec<String> {
    let Some(listed) = &written.methods else { return SAFE.map(str::to_owned).to_vec() };
    if listed.value.is_empty() || listed.value.len() > METHODS_MAX {
        let message = format!("{} methods are none that can be sent", listed.value.len());
        problems.add(listed.at, message, format!("list 1 to {METHODS_MAX}, such as [GET, HEAD, POST]"));
    }
    let mut methods = Vec::new();
    for Located { value, at } in &listed.value {
        if value.is_empty() || value.len() > 16 || !value.bytes().all(|byte| byte.is_ascii_uppercase()) {
            problems.add(*at, format!("`{value}` is no method of HTTP"), "write it in capitals, such as POST");
        } else if value == "CONNECT" {
            problems.add(*at, "CONNECT opens a tunnel, and no request goes through one", "leave it out");
        } else if methods.contains(value) {
            problems.add(*at, format!("the method {value} stands here twice"), "keep one of the two");
        }
        methods.push(value.clone());
    }
    methods
}

/// How many groups are reported each for itself.
pub(super) fn groups_max(written: &ReplayFile, problems: &mut Problems) -> usize {
    let Some(groups) = &written.groups else { return GROUPS_DEFAULT as usize };
    if !(1..=GROUPS_MAX).contains(&groups.value) {
        let message = format!("`groups: {}` is out of range", groups.value);
        problems.add(groups.at, message, format!("give 1 to {GROUPS_MAX}; the rest is reported as one"));
    }
    groups.value as usize
}

/// The requests as they are sent, and their groups, whose places are those of the journeys.
pub(super) fn sent(log: LogRequests, methods: Vec<String>, most: usize) -> (SentRequests, Vec<Group>) {
    let LogRequests { different, of_arrivals, left_out } = log;
    let mut counts = vec![0_u64; different.len()];
    for request in &of_arrivals {
        counts[*request as usize] += 1;
    }
    let counted: Vec<(&str, &str, u64)> =
        different.iter().zip(&counts).map(|(request, count)| (&*request.method, &*request.path, *count)).collect();
    let (groups, places) = grouped(&counted, most);
    let different = different.into_iter().zip(places);
    let different =
        different.map(|(request, journey)| RecordedRequest { journey, path: request.path, agent: request.agent });
    let requests = Requests { different: different.collect(), of_arrivals };
    let recorded = RecordedRequests(Arc::new(requests));
    (SentRequests { methods, left_out, recorded }, groups)
}

/// A journey for each group. Without groups, of a log that could not be read, there is one that stands for them, so that
/// what else is wrong with the file is told too.
pub(super) fn journeys(
    file: &ScenarioFile,
    written: &ReplayFile,
    groups: Option<&Vec<Group>>,
    surroundings: Surroundings<'_>,
    problems: &mut Problems,
) -> Vec<Journey> {
    if let Some(journeys) = &file.journeys {
        let message = "what is sent is what was recorded, and no journeys";
        problems.add(journeys.at, message, "take `journeys` out, or `send: requests`");
    }
    let known = before_load(surroundings.variables, surroundings.columns);
    let expect = answers::expectation(written.expect.as_ref().map(|expect| &expect.value), &known, problems);
    let timeout = target::timeout(surroundings.target, problems);
    let mut headers = Vec::new();
    target::add_headers(surroundings.target, &mut headers);
    let journey = |group: &Group| {
        let step = Step {
            name: group.name.clone(),
            method: group.method.clone(),
            // It is read as a template, and is none.
            path: group.route.replace("${", "$${"),
            headers: headers.clone(),
            body: Body::Empty,
            expect: expect.clone(),
            extract: BTreeMap::new(),
            counts: BTreeMap::new(),
            think: ThinkTime::Constant(Duration::ZERO),
            timeout,
            follow_redirects: 0,
            compressed: false,
        };
        Journey { name: group.name.clone(), weight: group.count as f64, steps: vec![step], groups: Vec::new() }
    };
    let nobody = Group { name: "requests".to_owned(), method: "GET".to_owned(), route: "/".to_owned(), count: 1 };
    groups.map_or_else(|| vec![journey(&nobody)], |groups| groups.iter().map(journey).collect())
}
