//! Times as logs write them, as nanoseconds.

use super::TimeUnit;
use jiff::Timestamp;
use jiff::fmt::strtime;

/// RFC 3339, such as `2026-11-22T16:00:00.25Z`, as nanoseconds since 1970.
pub(super) fn rfc3339(text: &str) -> Option<i64> {
    nanoseconds(text.trim().parse().ok()?)
}

/// The time of Common Log Format, such as `10/Oct/2000:13:55:36 -0700`, as nanoseconds since 1970.
pub(super) fn common(text: &str) -> Option<i64> {
    nanoseconds(strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok()?)
}

fn nanoseconds(timestamp: Timestamp) -> Option<i64> {
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// A plain number of at least 0, exactly: digits, perhaps with a point.
pub(super) fn number(text: &str, unit: TimeUnit) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.is_empty() {
        return None;
    }
    let decimals = match unit {
        TimeUnit::Seconds => 9,
        TimeUnit::Milliseconds => 6,
        TimeUnit::Microseconds => 3,
        TimeUnit::Nanoseconds => 0,
    };
    // What is finer than a nanosecond is cut off.
    let part: String = fraction.chars().chain(std::iter::repeat('0')).take(decimals).collect();
    format!("{whole}{part}").parse().ok()
}
