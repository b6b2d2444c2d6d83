//! Values of declared variables: drawn from the seed, or told by the occasion.

use super::{Field, Occasion, TimestampForm};
use rand::Rng;
use serde_json::Value;

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A declared variable's value.
pub(super) fn draw(field: &Field, occasion: &Occasion, draws: &mut impl Rng) -> Value {
    match field {
        Field::Constant(value) => value.clone(),
        Field::Choice { values, weights } => {
            let target = draws.random::<f64>() * weights.iter().sum::<f64>();
            let mut upto = 0.0;
            let chosen = weights.iter().position(|weight| {
                upto += weight;
                target < upto
            });
            // Rounding may leave the target at the very end: that is the last value.
            chosen.and_then(|index| values.get(index)).or(values.last()).cloned().unwrap_or(Value::Null)
        }
        // An empty range cannot come from a checked file; it draws its lower end.
        Field::Integer { from, to } => Value::from(draws.random_range(*from..=(*to).max(*from))),
        Field::Decimal { from, to, digits } => decimal(draws.random_range(*from..=(*to).max(*from)), *digits),
        Field::Alphanumeric { length } => {
            let mut letter = || char::from(ALPHANUMERIC[draws.random_range(0..ALPHANUMERIC.len())]);
            Value::from((0..*length).map(|_| letter()).collect::<String>())
        }
        Field::Counter { from, step } => {
            #[expect(clippy::cast_possible_wrap, reason = "a counter that leaves 64 bits wraps around")]
            let index = occasion.index as i64;
            Value::from(from.wrapping_add(step.wrapping_mul(index)))
        }
        Field::Timestamp(TimestampForm::Rfc3339) => Value::from(format!("{:.3}", occasion.time())),
        Field::Timestamp(TimestampForm::UnixMs) => Value::from(occasion.time().as_millisecond()),
        Field::Email => Value::from(format!("user-{:08x}@example.com", draws.random::<u32>())),
        Field::Uuid => Value::from(uuid(draws.random::<u128>())),
    }
}

/// A number of units of the last digit: 1250 with 2 digits is 12.5, the nearest double to it.
fn decimal(units: i64, digits: u32) -> Value {
    if digits == 0 {
        return Value::from(units);
    }
    format!("{units}e-{digits}").parse::<f64>().map_or(Value::Null, Value::from)
}

/// 128 bits as a UUID of version 4, variant 1 (RFC 9562 section 5.4).
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) | (0x4 << 76);
    let bits = bits & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
