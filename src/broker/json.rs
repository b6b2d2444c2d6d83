//! Protocol buffers as JSON, as Google's REST endpoints write and read them: names in camel case (snake case is read
//! too), bytes in base64, times as RFC 3339, durations as `10s`, fields at their defaults left out.

use super::refusal::Refusal;
use prost_types::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Maps whose keys are the user's own words, never field names.
const MAPS: [&str; 3] = ["labels", "attributes", "tags"];

/// Reads a message; an empty body is an empty message.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let value =
        if bytes.trim_ascii().is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_slice(bytes) };
    let value = value.map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
    if !value.is_object() {
        return Err(Refusal::invalid("Invalid JSON payload received. An object is expected."));
    }
    serde_json::from_value(with_json_names(value))
        .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))
}

/// Writes a message.
pub(super) fn write(message: &impl Serialize) -> Value {
    // What the broker writes are strings, numbers, lists and maps with string keys, which JSON can always hold.
    without_defaults(serde_json::to_value(message).unwrap_or_default())
}

fn with_json_names(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields = object.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
                let name = camel_case(&name);
                let value = if MAPS.contains(&name.as_str()) { value } else { with_json_names(value) };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(with_json_names).collect()),
        other => other,
    }
}

fn without_defaults(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields = object.into_iter().filter(|(_, value)| !is_default(value)).map(|(name, value)| {
                let value = if MAPS.contains(&name.as_str()) { value } else { without_defaults(value) };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_defaults).collect()),
        other => other,
    }
}

/// An empty message is none of them: that it is there says something.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) | Value::Bool(true) => false,
    }
}

/// `ack_ids` → `ackIds`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut after_underscore = false;
    for letter in name.chars() {
        match letter {
            '_' if !camel.is_empty() => after_underscore = true,
            letter if after_underscore => {
                camel.push(letter.to_ascii_uppercase());
                after_underscore = false;
            }
            letter => camel.push(letter),
        }
    }
    camel
}

/// `ackIds` → `ack_ids`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// As Pub/Sub writes it: in milliseconds, `2026-11-22T02:18:56.802Z`.
pub(super) fn rfc3339(time: &Timestamp) -> String {
    let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    format!("{time:.3}")
}

pub(super) mod timestamp {
    use super::{Timestamp, rfc3339};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(in crate::broker) fn serialize<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_str(&rfc3339(time)),
            None => to.serialize_none(),
        }
    }

    pub(in crate::broker) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(from)?;
        let time: jiff::Timestamp = text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no time")))?;
        Ok(Some(Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }))
    }
}

pub(super) mod duration {
    use prost_types::Duration;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(in crate::broker) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(Duration { seconds, nanos: 0 }) => to.serialize_str(&format!("{seconds}s")),
            Some(Duration { seconds, nanos }) => {
                let fraction = format!("{:09}", nanos.unsigned_abs());
                to.serialize_str(&format!("{seconds}.{}s", fraction.trim_end_matches('0')))
            }
            None => to.serialize_none(),
        }
    }

    pub(in crate::broker) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is no duration, such as \"10s\"")))
    }

    fn parse(text: &str) -> Option<Duration> {
        let (whole, fraction) = text.strip_suffix('s')?.split_once('.').unwrap_or((text.strip_suffix('s')?, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if fraction.len() > 9 || !digits(fraction) {
            return None;
        }
        let (sign, unsigned) = if let Some(rest) = whole.strip_prefix('-') { (-1, rest) } else { (1, whole) };
        let seconds: i64 = unsigned.parse().ok().filter(|_| digits(unsigned))?;
        let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
        Some(Duration { seconds: sign * seconds, nanos: nanos * if sign < 0 { -1 } else { 1 } })
    }
}

pub(super) mod base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    /// Both alphabets and any padding are read, as protocol buffers' JSON says.
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

    pub(in crate::broker) fn serialize<S: Serializer>(data: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(data))
    }

    pub(in crate::broker) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let url_safe = text.contains(['-', '_']);
        let alphabet = if url_safe { &::base64::alphabet::URL_SAFE } else { &::base64::alphabet::STANDARD };
        let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(&text);
        decoded.map(Bytes::from).map_err(|error| D::Error::custom(format!("the data is no base64: {error}")))
    }
}

/// `State`: the broker writes ACTIVE only, and whatever a client sends back is not read.
pub(super) mod state {
    use serde::{Deserialize as _, Deserializer, Serializer, de::IgnoredAny};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
    pub(in crate::broker) fn serialize<S: Serializer>(state: &i32, to: S) -> Result<S::Ok, S::Error> {
        if *state == 1 { to.serialize_str("ACTIVE") } else { to.serialize_none() }
    }

    pub(in crate::broker) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        IgnoredAny::deserialize(from).map(|_| 0)
    }
}

/// A field mask: `labels,pushConfig`.
pub(super) mod mask {
    use super::{camel_case, snake_case};
    use prost_types::FieldMask;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(in crate::broker) fn serialize<S: Serializer>(mask: &Option<FieldMask>, to: S) -> Result<S::Ok, S::Error> {
        let paths = mask.iter().flat_map(|mask| &mask.paths).map(|path| camel_case(path));
        to.serialize_str(&paths.collect::<Vec<_>>().join(","))
    }

    pub(in crate::broker) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<FieldMask>, D::Error> {
        let text = String::deserialize(from)?;
        let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(snake_case).collect();
        Ok(Some(FieldMask { paths }))
    }
}
