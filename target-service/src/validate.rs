//! Fields of a JSON body: what is accepted, what is stored, and what is said against the rest.

use serde_json::{Map, Value as Json};

use crate::store::Value;

/// What is said of a field that must be there and is not.
pub(crate) const REQUIRED: &str = "This field is required.";
/// What is said of a null.
pub(crate) const NULL: &str = "This field may not be null.";
/// What is said of a number that is none.
pub(crate) const INTEGER: &str = "A valid integer is required.";

/// The genuine integer columns have 32 bits.
const COLUMN: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// A body being read: the columns to write and the errors found, both in the order of reading.
#[derive(Debug)]
pub(crate) struct Form<'a> {
    body: &'a Map<String, Json>,
    /// Whether missing fields stay as they are (PATCH).
    partial: bool,
    pub(crate) columns: Vec<(&'static str, Value)>,
    pub(crate) errors: Map<String, Json>,
}

/// Whether a field must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

impl<'a> Form<'a> {
    /// Starts on a body, which must be an object.
    pub(crate) fn new(body: &'a Json, partial: bool) -> Result<Self, Map<String, Json>> {
        match body {
            Json::Object(body) => Ok(Self { body, partial, columns: Vec::new(), errors: Map::new() }),
            other => Err(not_an_object(other)),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str, length_max: usize, presence: Presence) {
        self.field(name, name, presence, |value| text(value, length_max).map(Value::Text));
    }

    pub(crate) fn integer(&mut self, name: &'static str, presence: Presence) {
        self.bounded_integer(name, COLUMN, presence);
    }

    pub(crate) fn bounded_integer(&mut self, name: &'static str, (least, most): (i64, i64), presence: Presence) {
        self.field(name, name, presence, |value| {
            let number = integer(value).ok_or(INTEGER.to_owned())?;
            if number > i128::from(most) {
                return Err(format!("Ensure this value is less than or equal to {most}."));
            }
            if number < i128::from(least) {
                return Err(format!("Ensure this value is greater than or equal to {least}."));
            }
            i64::try_from(number).map(Value::Integer).map_err(|_| INTEGER.to_owned())
        });
    }

    pub(crate) fn boolean(&mut self, name: &'static str, presence: Presence) {
        self.field(name, name, presence, |value| boolean(value).map(Value::Boolean));
    }

    /// A price with at most ten digits, two of them behind the point, stored in cents under `column`.
    pub(crate) fn price(&mut self, name: &'static str, column: &'static str, presence: Presence) {
        self.field(name, column, presence, |value| price_cents(value).map(Value::Integer));
    }

    pub(crate) fn color(&mut self, name: &'static str, presence: Presence) {
        self.field(name, name, presence, |value| {
            let text = text(value, 25)?;
            let digits = text.strip_prefix('#').unwrap_or_default();
            if matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                Ok(Value::Text(text))
            } else {
                Err("Enter a valid hex color, eg. #000000".to_owned())
            }
        });
    }

    /// A picture: only "none" can be said in JSON.
    pub(crate) fn no_file(&mut self, name: &'static str) {
        match self.body.get(name) {
            None => {}
            Some(Json::Null) => self.columns.push((name, Value::Null)),
            Some(_) => self.error(name, "The submitted data was not a file. Check the encoding type on the form."),
        }
    }

    /// The id of a related record; whether it exists is for the caller to find out.
    pub(crate) fn related(&mut self, name: &'static str, presence: Presence) {
        self.field(name, name, presence, |value| match value {
            Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                Err(format!("Incorrect type. Expected pk value, received {}.", type_name(value)))
            }
            value => integer(value)
                .and_then(|id| i64::try_from(id).ok())
                .map(Value::Integer)
                .ok_or_else(|| format!("Incorrect type. Expected pk value, received {}.", type_name(value))),
        });
    }

    pub(crate) fn error(&mut self, name: &str, text: &str) {
        self.errors.insert(name.to_owned(), Json::from(vec![text]));
    }

    /// The value that is to be written to `column`.
    pub(crate) fn column(&self, column: &str) -> Option<&Value> {
        self.columns.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    }

    fn field(
        &mut self,
        name: &'static str,
        column: &'static str,
        presence: Presence,
        read: impl FnOnce(&Json) -> Result<Value, String>,
    ) {
        let error = match self.body.get(name) {
            None if self.partial || presence == Presence::Optional => return,
            None => REQUIRED.to_owned(),
            Some(Json::Null) => NULL.to_owned(),
            Some(value) => match read(value) {
                Ok(value) => return self.columns.push((column, value)),
                Err(error) => error,
            },
        };
        self.error(name, &error);
    }
}

/// `{"non_field_errors": [...]}` for a body that is no object.
pub(crate) fn not_an_object(value: &Json) -> Map<String, Json> {
    let text = match value {
        Json::Null => "No data provided".to_owned(),
        other => format!("Invalid data. Expected a dictionary, but got {}.", type_name(other)),
    };
    Map::from_iter([("non_field_errors".to_owned(), Json::from(vec![text]))])
}

/// The type of a JSON value in the words of the wire.
pub(crate) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

/// A whole number: also as text, also with zeros behind the point.
pub(crate) fn integer(value: &Json) -> Option<i128> {
    let text = match value {
        Json::Number(number) => number.to_string(),
        Json::String(text) if text.len() <= 1000 => text.trim().to_owned(),
        _ => return None,
    };
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return None,
        None => &text,
    };
    whole.parse().ok()
}

/// Text that is not blank; numbers count as their digits.
pub(crate) fn text(value: &Json, length_max: usize) -> Result<String, String> {
    let text = match value {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(number) => number.to_string(),
        _ => return Err("Not a valid string.".to_owned()),
    };
    if text.is_empty() {
        Err("This field may not be blank.".to_owned())
    } else if text.contains('\0') {
        Err("Null characters are not allowed.".to_owned())
    } else if text.chars().count() > length_max {
        Err(format!("Ensure this field has no more than {length_max} characters."))
    } else {
        Ok(text)
    }
}

fn boolean(value: &Json) -> Result<bool, String> {
    let text = match value {
        Json::Bool(truth) => return Ok(*truth),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "t" | "y" | "yes" | "true" | "on" | "1" => Ok(true),
        "f" | "n" | "no" | "false" | "off" | "0" => Ok(false),
        _ => Err("Must be a valid boolean.".to_owned()),
    }
}

fn price_cents(value: &Json) -> Result<i64, String> {
    let invalid = || "A valid number is required.".to_owned();
    let text = match value {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.trim().to_owned(),
        _ => return Err(invalid()),
    };
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + cents.len() == 0 || !is_digits(whole) || !is_digits(cents) {
        return Err(invalid());
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() + cents.len() > 10 {
        return Err("Ensure that there are no more than 10 digits in total.".to_owned());
    }
    if cents.len() > 2 {
        return Err("Ensure that there are no more than 2 decimal places.".to_owned());
    }
    if whole.len() > 8 {
        return Err("Ensure that there are no more than 8 digits before the decimal point.".to_owned());
    }
    let number: i64 = format!("{whole}{cents:0<2}").parse().map_err(|_| invalid())?;
    Ok(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_come_in_several_forms() {
        assert_eq!(integer(&json!(4)), Some(4));
        assert_eq!(integer(&json!("4")), Some(4));
        assert_eq!(integer(&json!(4.0)), Some(4));
        assert_eq!(integer(&json!(4.5)), None);
        assert_eq!(integer(&json!(true)), None);
        assert_eq!(integer(&json!("four")), None);
        assert_eq!(integer(&json!(null)), None);
    }

    #[test]
    fn prices_are_cents() {
        assert_eq!(price_cents(&json!("2.99")), Ok(299));
        assert_eq!(price_cents(&json!(7.5)), Ok(750));
        assert_eq!(price_cents(&json!("12")), Ok(1200));
        assert_eq!(price_cents(&json!("-0.05")), Ok(-5));
        assert!(price_cents(&json!("1.234")).unwrap_err().contains("2 decimal places"));
        assert!(price_cents(&json!("12345678901")).unwrap_err().contains("10 digits"));
        assert!(price_cents(&json!(".")).is_err());
        assert!(price_cents(&json!("abc")).is_err());
        assert_eq!(price_cents(&json!("0")), Ok(0));
    }
}
