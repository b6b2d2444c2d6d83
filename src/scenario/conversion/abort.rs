//! The rules that end a run early.

use super::super::error::Problems;
use super::super::file::AbortFile;
use super::super::load_file::LoadFile;
use super::super::located::Located;
use super::super::notation;
use super::super::{AbortRule, AbortWhen};
use super::load::slos;
use super::{exactly_one, parsed};
use std::time::Duration;

/// What a rule speaks of.
enum Subject<'a> {
    Slo(&'a Located<String>),
    Rate(&'a Located<String>),
}

pub(super) fn abort(
    rules: &[Located<AbortFile>],
    load: &LoadFile,
    step_names: &[&str],
    problems: &mut Problems,
) -> Vec<AbortRule> {
    rules.iter().filter_map(|written| rule(written, load, step_names, problems)).collect()
}

fn rule(
    written: &Located<AbortFile>,
    load: &LoadFile,
    step_names: &[&str],
    problems: &mut Problems,
) -> Option<AbortRule> {
    let AbortFile { slo, rate, over, after } = &written.value;
    let choices = vec![("slo", slo.as_ref().map(Subject::Slo)), ("rate", rate.as_ref().map(Subject::Rate))];
    let subject = exactly_one(choices, written.at, problems)?;
    let over = match over {
        Some(over) => Some(length(over, problems)?),
        None => None,
    };
    let after = match after {
        Some(after) => parsed(notation::duration(&after.value), after.at, problems)?,
        None => over.unwrap_or_default(),
    };
    let closed = !matches!(load, LoadFile::Open(_) | LoadFile::Replay(_));
    let (text, when) = match (subject, over) {
        (Subject::Slo(slo), None) if closed => {
            problems.add(
                slo.at,
                "nobody knows how many requests a closed load will send, so none is ever beyond saving",
                "give the rule a window, such as `over: 30s`",
            );
            return None;
        }
        (Subject::Slo(slo), over) => {
            let promise = slos(std::slice::from_ref(slo), step_names, problems).pop()?;
            let when = match over {
                Some(over) => AbortWhen::Broken { slo: promise, over },
                None => AbortWhen::Lost(promise),
            };
            (slo, when)
        }
        (Subject::Rate(rate), _) if closed => {
            problems.add(
                rate.at,
                "a closed load has no rate to reach: it offers as much as is answered",
                "leave the rule out, or describe an open load",
            );
            return None;
        }
        (Subject::Rate(rate), None) => {
            problems.add(
                rate.at,
                "a rate is told over a stretch of time",
                "give the rule a window, such as `over: 10s`",
            );
            return None;
        }
        (Subject::Rate(rate), Some(over)) => {
            let share = parsed(notation::achieved_share(&rate.value), rate.at, problems)?;
            (rate, AbortWhen::Behind { share, over })
        }
    };
    Some(AbortRule { text: text.value.clone(), when, after })
}

/// The length of a window.
fn length(over: &Located<String>, problems: &mut Problems) -> Option<Duration> {
    let length = parsed(notation::duration(&over.value), over.at, problems)?;
    if length.is_zero() {
        problems.add(over.at, "a window of no time holds nothing", "give it a length, such as 30s");
        return None;
    }
    Some(length)
}
