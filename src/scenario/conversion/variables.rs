//! Variables, and the templates that use them: each variable has a value where it is used.

use super::super::Field;
use super::super::error::{Problems, offer};
use super::super::file::VariableFile;
use super::super::located::{Located, Location};
use super::super::template::{self, Piece};
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
        _ => Some(field),
    }
}

/// Variables drawn for each journey have no value before the load.
pub(super) fn before_load(variables: &Variables) -> Known<'_> {
    let mut known = Known { names: vec![BASE_URL], forbidden: BTreeMap::new() };
    for (name, variable) in variables {
        if matches!(variable.value, VariableFile::Constant(_)) {
            known.names.push(name);
        } else {
            known.forbidden.insert(name, "it is drawn anew for each journey; here use a `constant`");
        }
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
        let Piece::Variable(name) = piece else { continue };
        if known.names.contains(&name.as_str()) {
            continue;
        }
        match known.forbidden.get(name.as_str()) {
            Some(reason) => problems.add(at, format!("the variable `${{{name}}}` has no value here"), *reason),
            None => problems.add(at, format!("unknown variable `${{{name}}}`"), offer(&name, &known.names)),
        }
    }
}
