//! The one conversion from what is typed to what it means. It goes on after a problem wherever it can, so that one look
//! at a file finds all that is wrong with it; nothing of a file with problems leaves this module.

mod abort;
mod answers;
mod bodies;
mod data;
mod delivery;
mod flow;
mod load;
mod recorded;
mod replay;
mod service;
mod steps;
mod system;
mod target;
#[cfg(test)]
mod tests;
mod variables;

pub(super) use variables::BASE_URL;

use super::error::{Problems, ScenarioError, from_yaml_reader, offer};
use super::file::{ConservationFile, ObservationFile, ScenarioFile};
use super::load_file::{LoadFile, OpenFile, UnitFile};
use super::located::{Located, Location};
use super::notation::Complaint;
use super::route::Group;
use super::{Conservation, Journey, LoadModel, Observation, Scenario, Tune};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use steps::Surroundings;

/// Longest name of a scenario: it becomes part of revision names, which Cloud Run limits to 63 characters.
const NAME_LENGTH_MAX: usize = 40;

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a valid scenario: then with everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::from_yaml(path, &text)
    }

    /// Checks the text of a scenario file. `path` is for messages, and files that the scenario names are looked for
    /// beside it.
    ///
    /// # Errors
    /// When the text is not a valid scenario, with everything that is wrong with it.
    pub fn from_yaml(path: &Path, text: &str) -> Result<Self, ScenarioError> {
        let file: ScenarioFile = serde_saphyr::from_str(text).map_err(|error| ScenarioError::Invalid {
            path: path.to_owned(),
            problems: vec![from_yaml_reader(&error)],
        })?;
        let mut problems = Problems::default();
        match scenario(&file, path, &mut problems) {
            Some(scenario) if problems.is_empty() => Ok(scenario),
            _ => Err(problems.into_error(path)),
        }
    }
}

/// `None` only with a problem noted.
fn scenario(file: &ScenarioFile, path: &Path, problems: &mut Problems) -> Option<Scenario> {
    let folder = path.parent().unwrap_or(Path::new(""));
    check_name(&file.name, problems);
    let variables = variables::variables(&file.variables, problems);
    let data = data::data(&file.data, folder, problems);
    let columns = data::columns(&file.data, &data);
    let requests_are_planned =
        matches!(file.load.value, LoadFile::Open(OpenFile { unit: UnitFile::RequestsPerSecond, .. }));
    let section = file.target.as_ref().map(|target| &target.value);
    if let Some(section) = section {
        target::check_headers(section, problems);
    }
    let surroundings =
        Surroundings { variables: &file.variables, columns: &columns, folder, requests_are_planned, target: section };
    let (set_up, tear_down) = steps::around_load(file, surroundings, problems);
    let replayed = match &file.load.value {
        LoadFile::Replay(written) => replay::replay(written, path, problems),
        _ => None,
    };
    let sent = replayed.as_ref().and_then(|(_, _, requests)| requests.as_ref());
    let journeys = journeys(file, sent, surroundings, problems);
    let observations = observations(file, surroundings, problems);
    let mut scenario = Scenario {
        name: file.name.value.clone(),
        description: file.description.clone(),
        variables,
        data,
        set_up,
        tear_down,
        journeys,
        load: LoadModel::Closed,
        stages: Vec::new(),
        slos: Vec::new(),
        traffic: None,
        target: section.map(|section| target::target(section, folder, problems)),
        service: None,
        tune: None,
        observations,
        conservation: Vec::new(),
        abort: Vec::new(),
        system: None,
        delivery: None,
    };
    if scenario.journeys.is_empty() {
        return None;
    }
    (scenario.load, scenario.stages) =
        load::load(file, replayed.map(|(replay, stage, _)| (replay, stage)), &scenario, problems);
    data::check_virtual_users(&file.data, &scenario, problems);
    // A step without a name has been told of.
    let named_steps: Vec<&str> = scenario.step_names().into_iter().filter(|name| !name.is_empty()).collect();
    let (of_deliveries, of_answers) = delivery::split(file, &named_steps);
    (scenario.slos, scenario.abort) = (
        load::slos(of_answers, &named_steps, problems),
        abort::abort(&file.abort, &file.load.value, &named_steps, problems),
    );
    scenario.traffic = load::traffic(file, problems);
    scenario.service = file.service.as_ref().and_then(|service| service::service(service, problems));
    scenario.system = system::system(file, &scenario, problems);
    scenario.delivery = delivery::delivery(file, &scenario, &of_deliveries, problems);
    scenario.tune = tune(file, &scenario, problems);
    scenario.conservation = conservation(&file.conserve, &scenario, problems);
    Some(scenario)
}

/// What is tuned: the one service, or some of the system's.
fn tune(file: &ScenarioFile, scenario: &Scenario, problems: &mut Problems) -> Option<Tune> {
    let written = &file.tune.as_ref()?.value;
    // A system with a problem of its own is none here: what `tune` says of its services is checked when that is mended.
    let system = scenario.system.as_ref();
    if system.is_none() && !file.services.is_empty() {
        return None;
    }
    let tune = service::tune(written, (system, scenario.delivery.as_ref()), problems);
    let members = system.iter().flat_map(|system| &system.services);
    let tuned = members.filter(|(name, _)| tune.services.contains(*name)).map(|(_, member)| &member.service);
    // One that is too small is enough to refuse the candidate.
    let smallest = tuned.chain(&scenario.service).min_by(|a, b| a.vcpu.0.total_cmp(&b.vcpu.0));
    if let Some(smallest) = smallest {
        service::check_concurrency(smallest.vcpu, written, problems);
    }
    Some(tune)
}

/// The journeys that are written, or those of the requests that a replay `sent` once.
fn journeys(
    file: &ScenarioFile,
    sent: Option<&Vec<Group>>,
    surroundings: Surroundings<'_>,
    problems: &mut Problems,
) -> Vec<Journey> {
    match &file.load.value {
        LoadFile::Replay(written) if recorded::are_sent(written) => {
            recorded::journeys(file, written, sent, surroundings, problems)
        }
        _ => steps::journeys(file, surroundings, problems),
    }
}

/// A DNS label of moderate length.
fn check_name(name: &Located<String>, problems: &mut Problems) {
    let text = &name.value;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.starts_with(|c: char| c.is_ascii_lowercase())
        || !text.chars().all(legal)
        || text.ends_with('-')
        || text.len() > NAME_LENGTH_MAX
    {
        problems.add(
            name.at,
            format!("`{text}` cannot be the name of a scenario"),
            format!("use lower-case letters, digits and hyphens, starting with a letter, at most {NAME_LENGTH_MAX}"),
        );
    }
}

fn observations(file: &ScenarioFile, surroundings: Surroundings<'_>, problems: &mut Problems) -> Vec<Observation> {
    unique(file.observe.iter().map(|observation| &observation.value.name), "observation", problems);
    file.observe
        .iter()
        .map(|observation| {
            let ObservationFile { name, get, headers, sum } = &observation.value;
            answers::check_json_path(&sum.value, sum.at, problems);
            let step = steps::observation(name, get, headers, surroundings, problems);
            Observation { name: name.value.clone(), step, sum: sum.value.clone() }
        })
        .collect()
}

fn conservation(laws: &[Located<ConservationFile>], scenario: &Scenario, problems: &mut Problems) -> Vec<Conservation> {
    let counters = scenario.counter_names();
    let observations: Vec<&str> = scenario.observations.iter().map(|observation| observation.name.as_str()).collect();
    let convert = |law: &Located<ConservationFile>| {
        let ConservationFile { counter, falls } = &law.value;
        known("counter", counter, &counters, problems);
        known("observation", falls, &observations, problems);
        Conservation { counter: counter.value.clone(), observation: falls.value.clone() }
    };
    laws.iter().map(convert).collect()
}

/// Notes a name that is none of those there are.
fn known(noun: &str, name: &Located<String>, names: &[&str], problems: &mut Problems) {
    if !names.contains(&name.value.as_str()) {
        problems.add(name.at, format!("there is no {noun} `{}`", name.value), offer(&name.value, names));
    }
}

/// Notes every name that came before.
fn unique<'a>(names: impl Iterator<Item = &'a Located<String>>, noun: &str, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, Location> = BTreeMap::new();
    for name in names {
        check_word(name, noun, problems);
        if let Some(first) = seen.get(name.value.as_str()) {
            problems.add(
                name.at,
                format!("a second {noun} is named `{}`", name.value),
                format!("give it another name; the first is on line {}", first.line),
            );
        } else {
            seen.insert(&name.value, name.at);
        }
    }
}

/// Names stand in promises, plots and tables: letters, digits, `_` and `-`.
fn check_word(name: &Located<String>, noun: &str, problems: &mut Problems) {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.value.is_empty() || !name.value.chars().all(legal) {
        problems.add(
            name.at,
            format!("`{}` cannot be the name of a {noun}", name.value),
            "use letters, digits, `_` and `-`",
        );
    }
}

/// The value, or `None` with its complaint noted.
fn parsed<T>(result: Result<T, Complaint>, at: Location, problems: &mut Problems) -> Option<T> {
    result.map_err(|complaint| problems.add(at, complaint.message, complaint.hint)).ok()
}

/// The one of several keys that is there, or `None` with a problem noted.
fn exactly_one<T>(choices: Vec<(&str, Option<T>)>, at: Location, problems: &mut Problems) -> Option<T> {
    let keys: BTreeSet<&str> = choices.iter().map(|(key, _)| *key).collect();
    let listed = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let mut present: Vec<(&str, T)> = choices.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    if let [(first, _), (second, _), ..] = present.as_slice() {
        problems.add(at, format!("`{first}` and `{second}` stand together"), format!("keep one of {listed}"));
        return None;
    }
    let only = present.pop();
    if only.is_none() {
        problems.add(at, format!("one of {listed} is missing"), "add the one you mean");
    }
    only.map(|(_, value)| value)
}
