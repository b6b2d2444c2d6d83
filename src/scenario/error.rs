//! What can be wrong with a scenario file, told with its place and its mend.

use super::located::Location;
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error(
        "cannot read the scenario file {}: {source}\n\nhint: check the path; the scenarios that come with tidegate are in scenarios/",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file can be read, but it is not a valid scenario.
    #[error("{}", listed(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that was found wrong with it, at least one, in the order of their places.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// Column, from 1; 0 when the file as a whole is meant.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl Problem {
    /// What a file holds may not reach a terminal as it is: control characters are shown escaped.
    pub(super) fn new(at: Option<Location>, message: &str, hint: &str) -> Self {
        let (line, column) = at.map_or((0, 0), |at| (at.line, at.column));
        Self { line, column, message: printable(message), hint: printable(hint) }
    }
}

fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n\nhint: {}", self.message, self.hint)
    }
}

fn listed(path: &Path, problems: &[Problem]) -> String {
    let mut text = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n\n" };
        let place = if problem.line == 0 { String::new() } else { format!(":{}:{}", problem.line, problem.column) };
        // Writing into a String cannot fail.
        let _ = write!(text, "{gap}{}{place}: {problem}", path.display());
    }
    text
}

/// Gathers what is wrong, so that one look at a file finds all of it.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes that the value at `at` is wrong.
    pub(super) fn add(&mut self, at: Location, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::new(Some(at), &message.into(), &hint.into());
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// How much has been found so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// True until something is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The error that tells all of it, first things first.
    pub(super) fn into_error(mut self, path: &Path) -> ScenarioError {
        self.0.sort();
        ScenarioError::Invalid { path: path.to_owned(), problems: self.0 }
    }
}

/// The word of `known` that `typed` most probably stood for, if any is near.
fn likely<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |word: &str| {
        let (typed, word) = (typed.to_lowercase(), word.to_lowercase());
        // One slip of the finger in a short word: the other measure sees little likeness in `pya` and `pay`.
        let slip = typed.len() > 2 && strsim::osa_distance(&typed, &word) == 1;
        strsim::jaro_winkler(&typed, &word).max(if slip { 0.8 } else { 0.0 })
    };
    known
        .iter()
        .map(|word| (likeness(word), *word))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// A hint that offers the likely word, else lists the words there are.
pub(super) fn offer(typed: &str, known: &[&str]) -> String {
    if let Some(word) = likely(typed, known) {
        return format!("did you mean `{word}`?");
    }
    let words: BTreeSet<&str> = known.iter().copied().collect();
    let listed = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match words.len() {
        0 => "there is none to choose from".to_owned(),
        1 => format!("there is only {listed}"),
        _ => format!("choose among {listed}"),
    }
}

/// Tells an error of the YAML reader in this house's words.
pub(super) fn from_yaml_reader(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::{Error, MessageFormatter};
    let error = match error.without_snippet() {
        Error::AliasError { error, .. } => error.without_snippet(),
        plain => plain,
    };
    let (message, hint) = match error {
        Error::SerdeUnknownField { field, expected, .. } => (format!("unknown key `{field}`"), offer(field, expected)),
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown word `{variant}`"), offer(variant, expected))
        }
        // The reader points at the last key of the mapping that lacks one.
        Error::SerdeMissingField { field, .. } => (
            format!("beside this key the key `{field}` is missing"),
            format!(
                "add `{field}: …`, or mend the indentation of the one that is there; scenarios/README.md describes it"
            ),
        ),
        Error::DuplicateMappingKey { key, .. } => {
            (format!("the key `{}` stands here twice", key.as_deref().unwrap_or("?")), "keep one of the two".to_owned())
        }
        Error::InvalidScalar { ty, .. } => not(kind(ty)),
        Error::Unexpected { expected: "string scalar" | "scalar" | "value", .. } => not("a single value"),
        Error::Unexpected { expected: "mapping start" | "map", .. } => not("a mapping of keys to values"),
        Error::Unexpected { expected: "sequence start" | "seq", .. } => not("a list"),
        Error::UnknownAnchor { .. } => {
            ("this alias has no anchor".to_owned(), "write `&name` where the value first stands".to_owned())
        }
        Error::Budget { .. } => (
            "the file is too large, or its aliases make it so".to_owned(),
            "write fewer or smaller aliases: each stands for all it refers to".to_owned(),
        ),
        Error::Eof { .. } => ("the file is empty".to_owned(), "start from scenarios/minimal.yaml".to_owned()),
        Error::UnexpectedValueForUnitEnumVariant { .. } => (
            "this word takes no more keys".to_owned(),
            "write it alone, with nothing behind its colon; scenarios/README.md shows every key".to_owned(),
        ),
        other => {
            let message = serde_saphyr::DefaultMessageFormatter.format_message(other).into_owned();
            let hint = mend(&message).to_owned();
            (message, hint)
        }
    };
    Problem::new(error.location().map(Location::from), &message, &hint)
}

/// What most probably mends what the YAML reader stumbled over.
fn mend(message: &str) -> &'static str {
    if message.contains("a tab") || message.contains("tabs") {
        "YAML is indented by spaces, never by tabs: look here and at the lines below"
    } else if message.contains("block") && message.contains("did not find") {
        "look at the indentation, here and above: what belongs together begins in the same column"
    } else {
        "a value with `{`, `[`, `#` or `: ` in it wants quotes; scenarios/README.md shows every key"
    }
}

/// What a writer of the file calls a Rust type.
fn kind(rust_type: &str) -> &'static str {
    match rust_type {
        "f64" | "floating point" => "a number",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i64" => "a whole number",
        _ => "a value of the right type",
    }
}

/// Something of the wrong type.
fn not(kind: &str) -> (String, String) {
    (format!("this is not {kind}"), format!("write {kind} here; scenarios/README.md shows every key"))
}
