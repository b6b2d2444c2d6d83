//! Variables, and the templates that use them: each variable has a value where it is used.

use super::super::error::{Problems, offer};
use super::super::file::{DecimalFile, TimestampFile, VariableFile};
use super::super::located::{Located, Location};
use super::super::template::{self, Piece};
use super::super::{Field, TimestampForm};
use std::collections::BTreeMap;

/// The variable that always exists: where requests are sent, without a trailing slash.
pub(in crate::scenario) const BASE_URL: &str = "base_url";

/// The variables of a file, as typed.
pub(super) type Variables = BTreeMap<String, Located<VariableFile>>;

/// The variables that a template may use where it stands, and those it may not use, with the reason.
pub(super) struct Known<'a> {
    pub(super) names: Vec<&'a str>,
    pub(super) forbidden: BTreeMap<&'a str, &'static str>,
}

pub(super) fn variables(written: &Variables, problems: &mut Problems) -> BTreeMap<String, Field> {
    let mut fields = BTreeMap::new();
    for (name, variable) in written {
        check_variable_name(name, variable.at, problems);
        if let Some(field) = field(name, variable, problems) {
            fields.insert(name.clone(), field);
        }
    }
    fields
}

pub(super) fn check_variable_name(name: &str, at: Location, problems: &mut Problems) {
    if name == BASE_URL {
        problems.add(at, "`base_url` is always there: the address of the target", "choose another name");
    } else if !template::is_name(name) {
        problems.add(
            at,
            format!("`{name}` cannot be the name of a variable"),
            "use letters, digits and `_`, not starting with a digit",
        );
    }
}

fn field(name: &str, variable: &Located<VariableFile>, problems: &mut Problems) -> Option<Field> {
    let field = match &variable.value {
        VariableFile::Constant(value) => Field::Constant(value.clone()),
        VariableFile::Choice(values) => Field::Choice { values: values.clone(), weights: vec![1.0; values.len()] },
        VariableFile::Weighted(choices) => Field::Choice {
            values: choices.iter().map(|choice| choice.value.clone()).collect(),
            weights: choices.iter().map(|choice| choice.weight.value).collect(),
        },
        VariableFile::Integer(range) => Field::Integer { from: range.from, to: range.to },
        VariableFile::Decimal(range) => decimal(name, range, variable.at, problems)?,
        VariableFile::Alphanumeric(text) => Field::Alphanumeric { length: text.length as usize },
        VariableFile::Counter(counter) => {
            Field::Counter { from: counter.from.unwrap_or(1), step: counter.step.unwrap_or(1) }
        }
        VariableFile::Timestamp(TimestampFile::Rfc3339) => Field::Timestamp(TimestampForm::Rfc3339),
        VariableFile::Timestamp(TimestampFile::UnixMs) => Field::Timestamp(TimestampForm::UnixMs),
        VariableFile::Email => Field::Email,
        VariableFile::Uuid => Field::Uuid,
    };
    match &field {
        Field::Choice { values, .. } if values.is_empty() => {
            problems.add(variable.at, format!("`{name}` has nothing to choose from"), "give at least one value");
            None
        }
        Field::Choice { weights, .. }
            if weights.iter().any(|weight| !(0.0..1e12).contains(weight)) || weights.iter().sum::<f64>() <= 0.0 =>
        {
            problems.add(
                variable.at,
                format!("the weights of `{name}` choose nothing"),
                "give weights of at least 0, one of them above 0",
            );
            None
        }
        Field::Integer { from, to } if from > to => {
            problems.add(
                variable.at,
                format!("`{name}` has no whole number from {from} to {to}"),
                "write the smaller one as `from`",
            );
            None
        }
        Field::Alphanumeric { length: 0 | 10_001.. } => {
            problems.add(variable.at, format!("`{name}` cannot be that long"), "give a length from 1 to 10000");
            None
        }
        _ => Some(field),
    }
}

/// The most digits after the point: with them, whole numbers up to a billion can still be told apart in a double.
const DIGITS_MAX: u32 = 9;

fn decimal(name: &str, range: &DecimalFile, at: Location, problems: &mut Problems) -> Option<Field> {
    let DecimalFile { from, to, digits } = *range;
    let digits = digits.unwrap_or(2);
    let scale = 10_f64.powi(i32::try_from(digits.min(DIGITS_MAX)).unwrap_or_default());
    let (lowest, highest) = ((from * scale).round(), (to * scale).round());
    // Beyond 2^53 a double no longer tells neighbours apart.
    let told_apart = lowest.abs() < 9e15 && highest.abs() < 9e15;
    if digits > DIGITS_MAX || !told_apart || lowest > highest {
        problems.add(
            at,
            format!("`{name}` has no number from {from} to {to} with {digits} digits after the point"),
            format!("write the smaller one as `from`, {DIGITS_MAX} digits at most, and 15 digits in all"),
        );
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53")]
    let (from, to) = (lowest as i64, highest as i64);
    Some(Field::Decimal { from, to, digits })
}

/// Variables drawn for each journey have no value before the load, and neither have rows of data.
pub(super) fn before_load<'a>(variables: &'a Variables, columns: &'a [String]) -> Known<'a> {
    let mut known = Known { names: vec![BASE_URL], forbidden: BTreeMap::new() };
    for (name, variable) in variables {
        if matches!(variable.value, VariableFile::Constant(_)) {
            known.names.push(name);
        } else {
            known.forbidden.insert(name, "it is drawn anew for each journey; here use a `constant`");
        }
    }
    for column in columns {
        known.forbidden.insert(column, "each journey has a row of its own; here use a `constant`");
    }
    known
}

/// Notes what is wrong with a template.
pub(super) fn check_template(text: &str, at: Location, known: &Known<'_>, problems: &mut Problems) {
    let pieces = match template::parse(text) {
        Ok(pieces) => pieces,
        Err(part) => {
            problems.add(
                at,
                format!("`{part}` is not a variable in a template"),
                "write ${name}; a literal ${ is written $${",
            );
            return;
        }
    };
    for piece in pieces {
        if let Piece::Variable(name) = piece {
            check_variable(&name, at, known, problems);
        }
    }
}

/// Notes a variable that has no value where it stands.
pub(super) fn check_variable(name: &str, at: Location, known: &Known<'_>, problems: &mut Problems) {
    let any_column = name.split_once('.').map(|(data, _)| format!("{data}.*"));
    let is = |known: &str| known == name || any_column.as_deref() == Some(known);
    if known.names.iter().any(|known| is(known)) || known.forbidden.contains_key(any_column.as_deref().unwrap_or("")) {
        return;
    }
    match known.forbidden.get(name) {
        Some(reason) => problems.add(at, format!("the variable `${{{name}}}` has no value here"), *reason),
        None => problems.add(at, format!("unknown variable `${{{name}}}`"), offer(name, &known.names)),
    }
}
