//! Typed access to the fields of a JSON message. An absent field and null are the same; a wrong type is refused with
//! the field's path.

use crate::platform::status::Status;
use serde_json::{Map, Value};

/// A JSON message.
pub(super) type Message = Map<String, Value>;

/// The full path of a field.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn get<'a>(message: &'a Message, name: &str) -> Option<&'a Value> {
    message.get(name).filter(|value| !value.is_null())
}

/// A nested message.
pub(super) fn object<'a>(message: &'a Message, path: &str, name: &str) -> Result<Option<&'a Message>, Status> {
    let value = get(message, name);
    value.map(|value| value.as_object().ok_or_else(|| wrong(path, name, "an object", value))).transpose()
}

/// A repeated field; empty if absent.
pub(super) fn array<'a>(message: &'a Message, path: &str, name: &str) -> Result<&'a [Value], Status> {
    match get(message, name) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(value) => Err(wrong(path, name, "an array", value)),
    }
}

/// Text; empty if absent.
pub(super) fn text<'a>(message: &'a Message, path: &str, name: &str) -> Result<&'a str, Status> {
    match get(message, name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(value) => Err(wrong(path, name, "a string", value)),
    }
}

/// False if absent.
pub(super) fn boolean(message: &Message, path: &str, name: &str) -> Result<bool, Status> {
    match get(message, name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(value) => Err(wrong(path, name, "true or false", value)),
    }
}

/// A count from 0; 0 if absent. Protocol buffers take `33`, `33.0` and `"33"`.
pub(super) fn count(message: &Message, path: &str, name: &str) -> Result<u32, Status> {
    let Some(value) = get(message, name) else { return Ok(0) };
    let whole = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match whole.map(u32::try_from) {
        Some(Ok(count)) => Ok(count),
        Some(Err(_)) => Err(Status::field(&join(path, name), format!("{value} is out of range"))),
        None => Err(wrong(path, name, "a whole number", value)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// A list of texts.
pub(super) fn texts(message: &Message, path: &str, name: &str) -> Result<Vec<String>, Status> {
    let items = array(message, path, name)?.iter();
    items
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(path, name, "an array of strings", item)))
        .collect()
}

pub(super) fn wrong(path: &str, name: &str, expected: &str, found: &Value) -> Status {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string(),
    };
    Status::field(&join(path, name), format!("{expected} is expected, not {found}"))
}
