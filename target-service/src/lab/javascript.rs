//! JSON as JavaScript writes it, and values as its templates show them: a report is published as it was read and written
//! again there, and log lines show ids so.

use serde_json::Value;

/// What `JSON.stringify` makes of a value.
pub(crate) fn stringify(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Keys that are whole numbers come first and in their order, all others as they were written.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| index_of(key).unwrap_or(u32::MAX));
            text.push('{');
            for (index, (key, item)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(item, text);
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

/// The number that a key is, when it is written as numbers are and is below 2^32 - 1.
fn index_of(key: &str) -> Option<u32> {
    key.parse::<u32>().ok().filter(|index| *index < u32::MAX && index.to_string() == key)
}

/// What a template shows of a value: `${value}`.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number),
        Value::Array(items) => {
            let shown = |item: &Value| if item.is_null() { String::new() } else { shown(item) };
            items.iter().map(shown).collect::<Vec<_>>().join(",")
        }
        Value::Object(_) => "[object Object]".to_owned(),
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}

/// A number as ECMAScript writes it (`Number::toString`): all are doubles there.
fn number_text(number: &serde_json::Number) -> String {
    let value = number.as_f64().unwrap_or(f64::NAN);
    if !value.is_finite() {
        return "null".to_owned();
    }
    // The shortest digits that make the same double, as `d.ddde±x`.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    // Where the point stands, counted from the first digit.
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let unsigned = match point {
        _ if value == 0.0 => return "0".to_owned(),
        point if count <= point && point <= 21 => format!("{digits}{}", zeros(point - count)),
        1..=21 => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
            format!("{whole}.{fraction}")
        }
        -5..=0 => format!("0.{}{digits}", zeros(-point)),
        _ => format!("{mantissa}e{}{}", if point > 0 { '+' } else { '-' }, (point - 1).abs()),
    };
    if value < 0.0 { format!("-{unsigned}") } else { unsigned }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        stringify(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_value_is_written_as_javascript_writes_it() {
        // Each pair was made by Node 20.
        assert_eq!(again(r#"{"id": 12}"#), r#"{"id":12}"#);
        let numbers = "[1, 2.50, 1e3,1e21, 12345678901234567890, 0.0000001,-0, 123456.789e3, -1.5e-7, 0.000001, 1e20]";
        let written = "[1,2.5,1000,1e+21,12345678901234567000,1e-7,0,123456789,-1.5e-7,0.000001,100000000000000000000]";
        assert_eq!(again(numbers), written);
        assert_eq!(
            again(r#"{"b":1,"2":2,"a":1.0,"1":null,"01":0,"b":"é\u007f\/\n\u0001"}"#),
            "{\"1\":null,\"2\":2,\"b\":\"é\u{7f}/\\n\\u0001\",\"a\":1,\"01\":0}"
        );
    }

    #[test]
    fn ids_are_shown_as_templates_show_them() {
        let shown = |text: &str| shown(&serde_json::from_str(text).unwrap());
        assert_eq!(shown("56"), "56");
        assert_eq!(shown("1.50"), "1.5");
        assert_eq!(shown("1e21"), "1e+21");
        assert_eq!(shown("\"56\""), "56");
        assert_eq!(shown(r#"[1,[2,null],"x"]"#), "1,2,,x");
        assert_eq!(shown(r#"{"a":1}"#), "[object Object]");
        assert_eq!((shown("null"), shown("true")), ("null".to_owned(), "true".to_owned()));
    }
}
