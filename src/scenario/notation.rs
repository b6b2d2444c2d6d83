//! The small notations of a scenario file: durations, sizes, pauses and promises. Each parser gives the value, or what
//! is wrong and how to mend it.

use super::{BODY_BYTES_MAX, SloMetric, ThinkTime};
use crate::units::Gib;
use std::time::Duration;

/// What is wrong with a text, and how to mend it.
#[derive(Debug, PartialEq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) hint: String,
}

/// Longer durations are mistakes, and a sum of a few of them can never overflow.
const HOURS_MAX: f64 = 1000.0;

pub(super) fn complain(message: impl Into<String>, hint: impl Into<String>) -> Complaint {
    Complaint { message: message.into(), hint: hint.into() }
}

/// A number and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest.trim()))
}

/// `170ms`, `1.5s`, `2m`, `1h`, `800us`.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    let nanoseconds_per_unit = |unit: &str| match unit {
        "us" | "µs" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        "m" | "min" => Some(6e10),
        "h" => Some(3.6e12),
        _ => None,
    };
    let parsed = split_number(text).and_then(|(number, unit)| Some(number * nanoseconds_per_unit(unit)?));
    match parsed {
        Some(nanoseconds) if nanoseconds <= HOURS_MAX * 3.6e12 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000 h")]
            let nanoseconds = nanoseconds.round() as u64;
            Ok(Duration::from_nanos(nanoseconds))
        }
        Some(_) => Err(complain(format!("`{text}` is too long"), format!("at most {HOURS_MAX} h"))),
        None => Err(complain(
            format!("`{text}` is not a duration"),
            "write a number with a unit: 800us, 170ms, 12s, 2m or 1h",
        )),
    }
}

/// `512MiB`, `2GiB`.
pub(super) fn size(text: &str) -> Result<Gib, Complaint> {
    let gib_per_unit = |unit: &str| match unit {
        "MiB" | "Mi" => Some(1.0 / 1024.0),
        "GiB" | "Gi" => Some(1.0),
        _ => None,
    };
    split_number(text)
        .and_then(|(number, unit)| Some(Gib(number * gib_per_unit(unit)?)))
        .ok_or_else(|| complain(format!("`{text}` is not a size"), "write a number with a unit: 512MiB or 2GiB"))
}

/// `4096B`, `64KiB`, `2MiB`: a number of bytes.
pub(super) fn bytes(text: &str) -> Result<usize, Complaint> {
    let bytes_per_unit = |unit: &str| match unit {
        "B" => Some(1.0),
        "KiB" => Some(1024.0),
        "MiB" => Some(1024.0 * 1024.0),
        _ => None,
    };
    let parsed = split_number(text).and_then(|(number, unit)| Some(number * bytes_per_unit(unit)?));
    match parsed {
        Some(bytes) if bytes <= BODY_BYTES_MAX as f64 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 16 MiB")]
            let bytes = bytes.round() as usize;
            Ok(bytes)
        }
        Some(_) => Err(complain(format!("no body holds `{text}`"), "16MiB are the most: a larger body always fails")),
        None => Err(complain(format!("`{text}` is not a size"), "write a number with a unit: 4096B, 64KiB or 2MiB")),
    }
}

/// `200ms`, `100ms to 300ms`, `exponential 200ms`.
pub(super) fn think_time(text: &str) -> Result<ThinkTime, Complaint> {
    if let Some(mean) = text.trim().strip_prefix("exponential ") {
        return Ok(ThinkTime::Exponential(duration(mean)?));
    }
    let Some((from, to)) = text.split_once(" to ") else {
        return match duration(text) {
            Ok(length) => Ok(ThinkTime::Constant(length)),
            Err(complaint) => Err(complain(
                complaint.message.replace("a duration", "a think time"),
                "write `200ms`, `100ms to 300ms` (uniform) or `exponential 200ms`",
            )),
        };
    };
    let (from, to) = (duration(from)?, duration(to)?);
    if from > to {
        return Err(complain(format!("`{text}` ends before it starts"), "write the shorter duration first"));
    }
    Ok(ThinkTime::Uniform { from, to })
}

/// `p95 < 170ms`, `checkout.mean < 300ms`, `error_rate < 0.5%`: the step it speaks of, if any, and what it bounds.
pub(super) fn slo(text: &str) -> Result<(Option<String>, SloMetric), Complaint> {
    const EXAMPLES: &str = "write `p95 < 170ms`, `checkout.p99 < 300ms`, `mean < 100ms` or `error_rate < 0.5%`";
    let Some((subject, bound)) = text.split_once('<') else {
        return Err(complain(format!("`{text}` is not a promise: it has no `<`"), EXAMPLES));
    };
    let (subject, bound) = (subject.trim(), bound.trim());
    if bound.starts_with('=') {
        return Err(complain(format!("`{text}` is not a promise"), "write `<` instead of `<=`"));
    }
    let (step, metric) = match subject.split_once('.') {
        // `p99.9` has a point of its own.
        Some((step, metric)) if quantile(subject).is_none() => (Some(step.to_owned()), metric),
        _ => (None, subject),
    };
    if metric == "error_rate" {
        return Ok((step, SloMetric::ErrorRate { limit: error_rate(text, bound)? }));
    }
    let wanted = quantile(metric);
    if wanted.is_none() && metric != "mean" {
        return Err(complain(format!("`{metric}` is nothing a promise can bound"), EXAMPLES));
    }
    if let Some(quantile) = wanted
        && !(quantile > 0.0 && quantile < 1.0)
    {
        return Err(complain(
            format!("`{text}` is impossible: there is no percentile {}", &metric[1..]),
            "a percentile lies between 0 and 100, both excluded, such as p95 or p99.9",
        ));
    }
    let limit = duration(bound)?;
    if limit.is_zero() {
        return Err(complain(
            format!("`{text}` is impossible: no answer takes less than no time"),
            "give the time an answer may take, such as 170ms",
        ));
    }
    let metric = match wanted {
        Some(quantile) => SloMetric::ResponseTime { quantile, limit },
        None => SloMetric::MeanResponseTime { limit },
    };
    Ok((step, metric))
}

/// `achieved < 90% of offered` as 0.9.
pub(super) fn achieved_share(text: &str) -> Result<f64, Complaint> {
    let share = text
        .trim()
        .strip_prefix("achieved")
        .and_then(|rest| rest.trim_start().strip_prefix('<'))
        .and_then(|rest| rest.trim().strip_suffix("of offered"))
        .and_then(|rest| rest.trim_end().strip_suffix('%'))
        .and_then(|digits| hundredth(digits.trim_end()));
    match share {
        Some(share) if share > 0.0 && share <= 1.0 => Ok(share),
        Some(_) => Err(complain(
            format!("`{text}` can never be, or always is"),
            "give a share above 0 % and up to 100 %, such as `achieved < 90% of offered`",
        )),
        None => Err(complain(format!("`{text}` is not a rate to reach"), "write `achieved < 90% of offered`")),
    }
}

/// The share that a percentile such as `p99.9` stands for.
pub(super) fn quantile(metric: &str) -> Option<f64> {
    hundredth(metric.strip_prefix('p')?)
}

/// Digits as a number of hundredths, in one rounding: 99.9 / 100 is not 0.999, but `99.9e-2` is.
pub(super) fn hundredth(digits: &str) -> Option<f64> {
    let plain =
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { format!("{digits}e-2").parse().ok() } else { None }
}

/// `0.5%` as 0.005.
fn error_rate(text: &str, bound: &str) -> Result<f64, Complaint> {
    let negative = bound.starts_with('-');
    let digits = bound.trim_start_matches('-').strip_suffix('%').map(str::trim_end);
    let Some(share) = digits.and_then(hundredth) else {
        return Err(complain(
            format!("`{bound}` is not a share of requests"),
            "write it in percent, such as `error_rate < 0.5%`",
        ));
    };
    if negative || share == 0.0 {
        return Err(complain(
            format!("`{text}` is impossible: no share of requests is below 0 %"),
            "give the share that may fail, such as 0.5%; `error_rate < 0.0001%` means none",
        ));
    }
    if share > 1.0 {
        return Err(complain(
            format!("`{text}` promises nothing: no share of requests is above 100 %"),
            "give the share that may fail, such as 0.5%",
        ));
    }
    Ok(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_and_sizes_carry_their_units() {
        assert_eq!(duration("170ms"), Ok(Duration::from_millis(170)));
        assert_eq!(duration(" 1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("800us"), Ok(Duration::from_micros(800)));
        for wrong in ["170", "ms", "", "1d", "-1s", "1..2s", "2000h", "nan s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(size("512MiB"), Ok(Gib(0.5)));
        assert_eq!(size("2Gi"), Ok(Gib(2.0)));
        assert!(size("512").is_err());
        assert_eq!([bytes("12B"), bytes("64KiB"), bytes("16 MiB")], [Ok(12), Ok(65_536), Ok(BODY_BYTES_MAX)]);
        for wrong in ["12", "12kb", "17MiB", "-1B", ""] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert!(size("512MB").is_err());
    }

    #[test]
    fn pauses_are_constant_uniform_or_exponential() {
        let ms = Duration::from_millis;
        assert_eq!(think_time("200ms"), Ok(ThinkTime::Constant(ms(200))));
        assert_eq!(think_time("100ms to 300ms"), Ok(ThinkTime::Uniform { from: ms(100), to: ms(300) }));
        assert_eq!(think_time("exponential 1s"), Ok(ThinkTime::Exponential(ms(1000))));
        assert!(think_time("300ms to 100ms").is_err());
        assert!(think_time("short").is_err());
    }

    #[test]
    fn promises_name_a_step_a_metric_and_a_bound() {
        let limit = Duration::from_millis(170);
        assert_eq!(slo("p95 < 170ms"), Ok((None, SloMetric::ResponseTime { quantile: 0.95, limit })));
        assert_eq!(
            slo("checkout.p99.9<170ms"),
            Ok((Some("checkout".to_owned()), SloMetric::ResponseTime { quantile: 0.999, limit }))
        );
        assert_eq!(slo("p99.9 < 170ms"), Ok((None, SloMetric::ResponseTime { quantile: 0.999, limit })));
        assert_eq!(slo("buy.mean < 170ms"), Ok((Some("buy".to_owned()), SloMetric::MeanResponseTime { limit })));
        assert_eq!(slo("error_rate < 0.5%"), Ok((None, SloMetric::ErrorRate { limit: 0.005 })));
    }

    #[test]
    fn a_rate_to_reach_is_a_share_of_the_offered_rate() {
        assert_eq!(achieved_share("achieved < 90% of offered"), Ok(0.9));
        assert_eq!(achieved_share(" achieved<99.5 %  of offered "), Ok(0.995));
        for wrong in
            ["achieved < 0% of offered", "achieved < 101% of offered", "achieved < 90%", "rate < 90% of offered"]
        {
            assert!(achieved_share(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>(), almost in "[a-z.]{0,6}p?[0-9.]{0,4} ?<=? ?-?[0-9.]{0,4}(ms|%)?") {
            for text in [&text, &almost] {
                let _ = (duration(text).is_ok(), size(text).is_ok(), think_time(text).is_ok(), slo(text).is_ok(), achieved_share(text).is_ok());
            }
        }
    }
}
