//! Conditions and repeats.

use super::super::condition;
use super::super::error::Problems;
use super::super::file::{RepeatFile, RepeatRangeFile};
use super::super::located::{Located, Location};
use super::super::{Condition, Repeat};
use super::variables::{Known, check_variable};

/// A condition whose variables are known where it stands.
pub(super) fn condition(written: &Located<String>, known: &Known<'_>, problems: &mut Problems) -> Option<Condition> {
    check_names(&written.value, written.at, known, problems);
    parsed(written, problems)
}

fn parsed(written: &Located<String>, problems: &mut Problems) -> Option<Condition> {
    super::parsed(condition::parse(&written.value), written.at, problems)?;
    Some(Condition(written.value.clone()))
}

/// Notes the variables of a condition that are not known.
pub(super) fn check_names(condition: &str, at: Location, known: &Known<'_>, problems: &mut Problems) {
    if let Ok(condition) = condition::parse(condition) {
        condition.names().for_each(|name| check_variable(name, at, known, problems));
    }
}

/// The condition that ends a repeat, as typed.
pub(super) fn until(repeat: Option<&Located<RepeatFile>>) -> Option<&Located<String>> {
    match &repeat?.value {
        RepeatFile::Range(range) => range.until.as_ref(),
        RepeatFile::Times(_) | RepeatFile::Unknown => None,
    }
}

/// The most rounds that a repeat can have.
pub(super) fn rounds_max(repeat: &Repeat) -> u64 {
    match repeat {
        Repeat::Times { to, .. } => u64::from(*to),
        Repeat::Until { at_most, .. } => u64::from(*at_most),
    }
}

/// How often; the names in `until` are checked once the steps inside are known.
pub(super) fn repeat(written: &Located<RepeatFile>, problems: &mut Problems) -> Option<Repeat> {
    const HINT: &str =
        "write `repeat: 3`, `repeat: {from: 1, to: 4}` or `repeat: {until: \"${state} == done\", at_most: 10}`";
    let range = match &written.value {
        RepeatFile::Times(times) => {
            let whole = u32::try_from(*times).unwrap_or(u32::MAX);
            if whole == 0 {
                problems.add(
                    written.at,
                    "a step that is sent no time is none",
                    "give a number above 0, or leave it out",
                );
            }
            return Some(Repeat::Times { from: whole, to: whole });
        }
        RepeatFile::Unknown => {
            problems.add(written.at, "this does not say how often", HINT);
            return None;
        }
        RepeatFile::Range(range) => range,
    };
    match range {
        RepeatRangeFile { from: Some(from), to: Some(to), until: None, at_most: None } => {
            if from.value > to.value || to.value == 0 {
                let message = format!("there is no number of times from {} to {}", from.value, to.value);
                problems.add(from.at, message, "write the smaller one as `from`, and a `to` above 0");
                return None;
            }
            Some(Repeat::Times { from: from.value, to: to.value })
        }
        RepeatRangeFile { from: None, to: None, until: Some(until), at_most: Some(at_most) } => {
            if at_most.value == 0 {
                problems.add(at_most.at, "a step that is sent no time is none", "give a number above 0");
            }
            Some(Repeat::Until { condition: parsed(until, problems)?, at_most: at_most.value })
        }
        _ => {
            problems.add(written.at, "this does not say how often", HINT);
            None
        }
    }
}
