//! Templates filled in: values take the form of the place they are put into, so that none breaks out of it.

use super::script::Slot;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// A stretch of a compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, already in the form of its surroundings.
    Text(String),
    /// The value in this slot as text, put into the form of the surroundings.
    Value(Slot),
    /// The value in this slot as JSON, with its type.
    Json(Slot),
}

/// The form of a value's surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Plain,
    /// A part of a path or query: whatever could change its structure is percent-encoded (RFC 3986).
    Path,
    /// A header's value.
    Header,
    /// The inside of a JSON string.
    Json,
    /// A name or value of a form (`application/x-www-form-urlencoded`, URL Standard section 5.2).
    Urlencoded,
}

/// Room that is made for a value whose length is not known yet.
const VALUE_BYTES: usize = 32;

/// Fills a template in.
pub(super) fn rendered(parts: &[Part], values: &[Value], form: Form) -> String {
    filled(parts, values, form).into_owned()
}

/// Fills a template in; one that holds no variable is not copied.
pub(super) fn filled<'a>(parts: &'a [Part], values: &[Value], form: Form) -> Cow<'a, str> {
    if let [Part::Text(only)] = parts {
        return Cow::Borrowed(only);
    }
    let room = parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { VALUE_BYTES });
    let mut text = String::with_capacity(room.sum());
    fill(parts, values, form, &mut text);
    Cow::Owned(text)
}

/// Fills a template in, behind what is in `text`.
pub(super) fn fill(parts: &[Part], values: &[Value], form: Form, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(constant) => text.push_str(constant),
            Part::Value(slot) => form.append_value(&values[*slot], text),
            Part::Json(slot) => append_json(&values[*slot], text),
        }
    }
}

/// A value as JSON.
fn append_json(value: &Value, text: &mut String) {
    match value {
        Value::String(string) if needs_no_escape(string) => {
            text.push('"');
            text.push_str(string);
            text.push('"');
        }
        other => match other.as_i64() {
            Some(whole) => text.push_str(itoa::Buffer::new().format(whole)),
            // Writing into a String cannot fail.
            None => write!(text, "{other}").unwrap_or_default(),
        },
    }
}

/// Whether a text is the same inside a JSON string.
fn needs_no_escape(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
}

impl Form {
    fn append_value(self, value: &Value, text: &mut String) {
        match value.as_i64() {
            // The digits of a whole number, and its minus, are the same in every form.
            Some(whole) => text.push_str(itoa::Buffer::new().format(whole)),
            None => self.append(&plain(value), text),
        }
    }

    fn append(self, value: &str, text: &mut String) {
        match self {
            Self::Plain => text.push_str(value),
            Self::Path => append_percent_encoded(value, is_unreserved, text),
            Self::Header => append_percent_encoded(value, is_legal_in_header, text),
            Self::Json if needs_no_escape(value) => text.push_str(value),
            Self::Json => text.push_str(&json_escaped(value)),
            Self::Urlencoded => text.extend(url::form_urlencoded::byte_serialize(value.as_bytes())),
        }
    }

    /// Text of a template in this form.
    pub(super) fn of_text(self, text: &str) -> String {
        match self {
            Self::Path => percent_encoded(text, is_legal_in_path),
            Self::Plain | Self::Header => text.to_owned(),
            Self::Json => json_escaped(text),
            Self::Urlencoded => url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        }
    }
}

/// A value as text: strings without quotes, null as nothing.
pub(super) fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed(""),
        other => Cow::Owned(other.to_string()),
    }
}

/// Text as the inside of a JSON string.
pub(super) fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Text with every byte that is not legal written as `%XX`.
fn percent_encoded(text: &str, legal: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    append_percent_encoded(text, legal, &mut encoded);
    encoded
}

fn append_percent_encoded(text: &str, legal: impl Fn(u8) -> bool, encoded: &mut String) {
    if text.bytes().all(&legal) {
        encoded.push_str(text);
        return;
    }
    for byte in text.bytes() {
        if legal(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

/// What may stand in a path and query as it is written in a file (RFC 3986; an escape that is already there stays).
fn is_legal_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

/// What of a value may stand in a path unchanged (RFC 3986, unreserved): anything else would change its structure.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What may stand in a header's value.
fn is_legal_in_header(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}
