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

/// Numbers whose zero says something: their protocol buffers know whether they are there.
const OPTIONAL_NUMBERS: [&str; 3] = ["cpuUtilization", "concurrencyUtilization", "manualInstanceCount"];

/// The message without what protocol buffers hold to be the same as absent: null, false, zero and empty fields. Clients
/// leave them out, so two messages say the same if these are equal.
pub(super) fn significant(value: &Value) -> Value {
    match value {
        Value::Object(message) => {
            let fields = message.iter().map(|(name, value)| (name.clone(), significant(value)));
            let says = |(name, value): &(String, Value)| {
                !is_default(value) || (value.is_number() && OPTIONAL_NUMBERS.contains(&name.as_str()))
            };
            Value::Object(fields.filter(says).collect())
        }
        Value::Array(items) => items.iter().map(significant).collect(),
        scalar => scalar.clone(),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(message) => message.is_empty(),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_at_its_default_is_as_absent_but_an_item_of_a_list_is_not() {
        let written = json!({"a": false, "b": 0, "c": "", "d": {"e": null, "f": {}}, "args": ["", "x"], "on": true});
        assert_eq!(significant(&written), json!({"args": ["", "x"], "on": true}));
        let off = json!({"cpuUtilization": 0.0, "concurrencyUtilization": null});
        assert_eq!(significant(&off), json!({"cpuUtilization": 0.0}), "zero switches a driver off");
    }

    #[test]
    fn counts_are_read_as_protocol_buffers_read_them() {
        let read = |value: Value| count(&Message::from_iter([("n".to_owned(), value)]), "template", "n");
        for value in [json!(33), json!(33.0), json!("33")] {
            assert_eq!(read(value), Ok(33));
        }
        assert_eq!(read(Value::Null), Ok(0));
        for value in [json!(-1), json!(1e300), json!(0.5), json!("x"), json!([1]), json!(4_294_967_296_u64)] {
            assert!(read(value).unwrap_err().message.starts_with("template.n: "));
        }
    }
}
