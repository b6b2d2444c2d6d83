//! Numbers as people read them: as many digits as the measurement carries, and the unit always beside the number.

use crate::units::Usd;
use std::time::Duration;

/// Milliseconds in three significant digits or whole milliseconds: `4.21 ms`, `98.4 ms`, `1,204 ms`.
pub(super) fn milliseconds(ms: f64) -> String {
    format!("{} ms", bare_milliseconds(ms))
}

/// The same without the unit, for table columns that name it.
pub(super) fn bare_milliseconds(ms: f64) -> String {
    if !ms.is_finite() {
        return "–".to_owned();
    }
    match ms {
        ms if ms < 9.995 => format!("{ms:.2}"),
        ms if ms < 99.95 => format!("{ms:.1}"),
        ms => grouped(&format!("{ms:.0}")),
    }
}

/// A duration in milliseconds.
pub(super) fn in_milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A count with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A share (0 to 1) in per cent: `0.25 %`, `38 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        p if p < 0.000_5 => "0 %".to_owned(),
        p if p < 1.0 => format!("{percent:.2} %"),
        p if p < 9.95 => format!("{percent:.1} %"),
        _ => format!("{} %", grouped(&format!("{percent:.0}"))),
    }
}

/// How much `value` lies above or below `reference`, as `+12 %` or `−3.4 %`; nothing when there is no reference.
pub(super) fn difference(value: f64, reference: f64) -> Option<String> {
    if reference <= 0.0 || !value.is_finite() {
        return None;
    }
    let share = value / reference - 1.0;
    if share.abs() < 0.000_5 {
        return Some("±0 %".to_owned());
    }
    let sign = if share < 0.0 { '−' } else { '+' };
    Some(format!("{sign}{}", percent(share.abs())))
}

/// Seconds with one decimal from ten on: `4.25 s`, `312.4 s`.
pub(super) fn seconds(s: f64) -> String {
    if s.abs() < 9.995 { format!("{s:.2} s") } else { format!("{} s", grouped(&format!("{s:.1}"))) }
}

/// A rate per second.
pub(super) fn per_second(rate: f64) -> String {
    if rate < 9.95 { format!("{rate:.2}/s") } else { format!("{}/s", grouped(&format!("{rate:.1}"))) }
}

/// A number without needless zeros: `0.05`, `12`, `1.5`.
pub(super) fn plain(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Money with its thousands apart; `–` when unknown.
pub(super) fn money(amount: Option<Usd>) -> String {
    amount
        .map_or_else(|| "–".to_owned(), |usd| if usd.0 >= 1000.0 { grouped(&usd.to_string()) } else { usd.to_string() })
}

/// Sets a comma before every third digit of the whole part.
fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::new();
    let digits = whole.chars().filter(char::is_ascii_digit).count();
    let mut left = digits;
    for character in whole.chars() {
        if character.is_ascii_digit() {
            if left != digits && left.is_multiple_of(3) {
                text.push(',');
            }
            left -= 1;
        }
        text.push(character);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits_and_their_unit() {
        assert_eq!(milliseconds(4.207), "4.21 ms");
        assert_eq!(milliseconds(9.996), "10.0 ms");
        assert_eq!(milliseconds(98.44), "98.4 ms");
        assert_eq!(milliseconds(164.2), "164 ms");
        assert_eq!(milliseconds(12_345.6), "12,346 ms");
        assert_eq!(milliseconds(f64::NAN), "– ms");
    }

    #[test]
    fn thousands_are_kept_apart_whatever_stands_before_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(money(Some(Usd(1_234.5))), "$1,234.50");
        assert_eq!(money(Some(Usd(0.012_34))), "$0.01234");
        assert_eq!(money(None), "–");
        assert_eq!(seconds(-1234.56), "-1,234.6 s");
    }

    #[test]
    fn shares_and_differences_say_what_they_are() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.002_5), "0.25 %");
        assert_eq!(percent(0.384), "38 %");
        assert_eq!(difference(80.0, 100.0).as_deref(), Some("−20 %"));
        assert_eq!(difference(105.0, 100.0).as_deref(), Some("+5.0 %"));
        assert_eq!(difference(100.0, 100.0).as_deref(), Some("±0 %"));
        assert_eq!(difference(1.0, 0.0), None);
        assert_eq!(plain(0.05), "0.05");
        assert_eq!(plain(12.0), "12");
    }
}
