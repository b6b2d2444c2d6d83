//! Conditions: comparisons of variables with values and with each other, such as `${stock} > 0`, joined by `and`. There
//! is no more to the language than that.

use super::notation::Complaint;
use super::render::plain;
use super::script::Slot;
use super::template;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cmp::Ordering;

/// A condition as it is written, such as `${stock} > 0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition(pub String);

/// A condition taken apart: all of these must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parsed(Vec<Comparison<String>>);

/// A condition that a session can ask.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compiled(Vec<Comparison<Slot>>);

/// One comparison; `V` is how a variable is told.
#[derive(Clone, Debug, PartialEq)]
enum Comparison<V> {
    Compare(Operand<V>, Relation, Operand<V>),
    Exists(Operand<V>, bool),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand<V> {
    Variable(V),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A word of a condition.
#[derive(Debug, PartialEq)]
enum Token<'a> {
    Variable(&'a str),
    Quoted(&'a str),
    Relation(&'a str),
    Word(&'a str),
}

/// Takes a condition apart.
pub(super) fn parse(text: &str) -> Result<Parsed, Complaint> {
    let complain = |message: String| Complaint {
        message,
        hint: "write `${stock} > 0`, `${state} == done` or `${token} exists` (or `missing`), joined by `and`; \
               compare with ==, !=, <, <=, > or >="
            .to_owned(),
    };
    let tokens = tokens(text).map_err(|part| complain(format!("`{part}` has no place in a condition")))?;
    let mut comparisons = Vec::new();
    for group in tokens.split(|token| *token == Token::Word("and")) {
        let comparison = match group {
            [left, Token::Word(word @ ("exists" | "missing"))] => {
                operand(left).map(|left| Comparison::Exists(left, *word == "exists"))
            }
            [left, Token::Relation(sign), right] => operand(left)
                .zip(operand(right))
                .zip(relation(sign))
                .map(|((left, right), relation)| Comparison::Compare(left, relation, right)),
            _ => None,
        };
        comparisons.push(comparison.ok_or_else(|| complain(format!("`{text}` is not a condition")))?);
    }
    let parsed = Parsed(comparisons);
    if parsed.names().next().is_none() {
        return Err(complain(format!("`{text}` asks about no variable")));
    }
    Ok(parsed)
}

/// The words of a condition, or the part that is none.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, &str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '$' => {
                let name = rest.strip_prefix("${").and_then(|inside| inside.split_once('}')).map(|(name, _)| name);
                let name = name.filter(|name| template::is_reference(name)).ok_or(rest)?;
                (Token::Variable(name), name.len() + "${}".len())
            }
            '"' | '\'' => {
                let (inside, _) = rest[1..].split_once(first).ok_or(rest)?;
                (Token::Quoted(inside), inside.len() + 2)
            }
            '=' | '!' | '<' | '>' => {
                let length = rest.find(|c| !matches!(c, '=' | '!' | '<' | '>')).unwrap_or(rest.len());
                (Token::Relation(&rest[..length]), length)
            }
            _ => {
                let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                if length == 0 {
                    return Err(rest);
                }
                (Token::Word(&rest[..length]), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_-+.:/@%".contains(c)
}

fn operand(token: &Token<'_>) -> Option<Operand<String>> {
    match token {
        Token::Variable(name) => Some(Operand::Variable((*name).to_owned())),
        Token::Quoted(text) => Some(Operand::Value(Value::from(*text))),
        // Numbers, `true`, `false` and `null` are what they are in JSON; any other word is text.
        Token::Word(word) => Some(Operand::Value(serde_json::from_str(word).unwrap_or_else(|_| Value::from(*word)))),
        Token::Relation(_) => None,
    }
}

fn relation(sign: &str) -> Option<Relation> {
    match sign {
        "==" => Some(Relation::Equal),
        "!=" => Some(Relation::Unequal),
        "<" => Some(Relation::Below),
        "<=" => Some(Relation::AtMost),
        ">" => Some(Relation::Above),
        ">=" => Some(Relation::AtLeast),
        _ => None,
    }
}

impl Parsed {
    /// The variables it asks about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let operands = self.0.iter().flat_map(|comparison| match comparison {
            Comparison::Compare(left, _, right) => [Some(left), Some(right)],
            Comparison::Exists(operand, _) => [Some(operand), None],
        });
        operands.flatten().filter_map(|operand| match operand {
            Operand::Variable(name) => Some(name.as_str()),
            Operand::Value(_) => None,
        })
    }
}

impl Compiled {
    /// Compiles a condition; one that is none, which a checked scenario never has, never holds.
    pub(super) fn new(condition: &Condition, slot: &mut impl FnMut(&str) -> Slot) -> Self {
        let never = || Parsed(vec![Comparison::Exists(Operand::Value(Value::Null), true)]);
        let Parsed(comparisons) = parse(&condition.0).unwrap_or_else(|_| never());
        let mut operand = |operand: Operand<String>| match operand {
            Operand::Variable(name) => Operand::Variable(slot(&name)),
            Operand::Value(value) => Operand::Value(value),
        };
        let compiled = comparisons.into_iter().map(|comparison| match comparison {
            Comparison::Compare(left, relation, right) => Comparison::Compare(operand(left), relation, operand(right)),
            Comparison::Exists(left, wanted) => Comparison::Exists(operand(left), wanted),
        });
        Self(compiled.collect())
    }

    /// Whether it holds for these values.
    pub(super) fn holds(&self, values: &[Value]) -> bool {
        self.0.iter().all(|comparison| match comparison {
            Comparison::Exists(operand, wanted) => operand.value(values).is_null() != *wanted,
            Comparison::Compare(left, relation, right) => {
                let ordering = compare(left.value(values), right.value(values));
                match relation {
                    Relation::Equal => ordering == Some(Ordering::Equal),
                    Relation::Unequal => ordering != Some(Ordering::Equal),
                    Relation::Below => ordering == Some(Ordering::Less),
                    Relation::AtMost => ordering.is_some_and(Ordering::is_le),
                    Relation::Above => ordering == Some(Ordering::Greater),
                    Relation::AtLeast => ordering.is_some_and(Ordering::is_ge),
                }
            }
        })
    }
}

impl Operand<Slot> {
    fn value<'a>(&'a self, values: &'a [Value]) -> &'a Value {
        match self {
            Self::Variable(slot) => values.get(*slot).unwrap_or(&Value::Null),
            Self::Value(value) => value,
        }
    }
}

/// Two values that read as numbers are compared as numbers, others as text. A value that is not there is equal to
/// another that is not there, and neither below nor above anything.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, Value::Null) => return Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) => return None,
        _ => {}
    }
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Some(left.cmp(&right));
    }
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(plain(left).cmp(&plain(right))),
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn holds(condition: &str, value: Value) -> bool {
        parse(condition).unwrap_or_else(|complaint| panic!("{condition}: {complaint:?}"));
        Compiled::new(&Condition(condition.to_owned()), &mut |_| 0).holds(&[value])
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_the_rest_as_text() {
        for (condition, value, expected) in [
            ("${x} > 9", json!(10), true),
            ("${x} > 9", json!("10"), true),
            ("${x} >= 10", json!(10.0), true),
            ("${x} <= 9.5", json!("9.51"), false),
            ("9 < ${x}", json!(10), true),
            ("${x} == 4", json!("4"), true),
            ("${x} == 4.0", json!(4), true),
            ("${x} == done", json!("done"), true),
            ("${x} != 'not done'", json!("done"), true),
            ("${x} == \"a > b\"", json!("a > b"), true),
            ("${x} == true", json!(true), true),
            ("${x} < b", json!("a"), true),
            ("${x} < 2026-12-01", json!("2026-11-30"), true),
            ("${x} == 9007199254740993", json!(9_007_199_254_740_992_i64), false),
            ("${x}<3", json!(2), true),
        ] {
            assert_eq!(holds(condition, value.clone()), expected, "{condition} of {value}");
        }
    }

    #[test]
    fn a_value_that_is_not_there_is_missing_and_in_no_order() {
        assert!(holds("${x} missing", Value::Null) && !holds("${x} exists", Value::Null));
        assert!(holds("${x} exists", json!(0)) && holds("${x} exists", json!("")));
        assert!(!holds("${x} < 1", Value::Null) && !holds("${x} >= 0", Value::Null));
        assert!(holds("${x} != 1", Value::Null) && holds("${x} == null", Value::Null));
    }

    #[test]
    fn and_wants_both() {
        assert!(holds("${x} > 1 and ${x} < 3", json!(2)));
        assert!(!holds("${x} > 1 and ${x} < 3", json!(3)));
    }

    #[test]
    fn what_is_no_condition_is_told() {
        for wrong in [
            "",
            "${x}",
            "${x} = 1",
            "${x} === 1",
            "${x} >",
            "> 1",
            "1 > 2",
            "${x} > 1 or ${x} < 0",
            "${x} > 1 and",
            "${x > 1",
            "${} > 1",
            "${x} > 'a",
            "${x} & 1",
            "(${x} > 1)",
            "${x} exist",
            "not ${x} exists",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(Compiled::new(&Condition("nonsense".to_owned()), &mut |_| 0).0.len() == 1);
        assert!(!Compiled::new(&Condition("nonsense".to_owned()), &mut |_| 0).holds(&[]));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(any in any::<String>(), almost in "[$${}a-z=<>!'\" 0-9üand]{0,20}") {
            let _ = (parse(&any).is_ok(), parse(&almost).is_ok());
        }
    }
}
