//! Amounts as resource limits and durations write them: `500m`, `512Mi`, `300s`.

use crate::units::{Gib, Vcpu};
use std::time::Duration;

/// vCPUs of `1`, `0.5` or `500m`.
pub(super) fn vcpu(text: &str) -> Option<Vcpu> {
    let vcpu = match text.strip_suffix('m') {
        Some(thousandths) => decimal(thousandths)? / 1000.0,
        None => decimal(text)?,
    };
    Some(Vcpu(vcpu))
}

/// Memory of `512Mi`, `1G`, `2Gi` or a number of bytes.
pub(super) fn memory(text: &str) -> Option<Gib> {
    const UNITS: [(&str, f64); 8] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let unit = UNITS.iter().find_map(|(unit, bytes)| text.strip_suffix(unit).map(|number| (number, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1.0));
    Some(Gib(decimal(number)? * bytes / 1_073_741_824.0))
}

/// A duration as JSON writes it: seconds with up to nine decimals and an `s`.
pub(in crate::platform) fn duration(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?;
    let decimals = seconds.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals > 9 {
        return None;
    }
    // 315,576,000,000 s is the longest duration that protocol buffers know.
    decimal(seconds).filter(|seconds| *seconds <= 315_576_000_000.0).map(Duration::from_secs_f64)
}

/// Digits with at most one point: no sign, no exponent, nothing infinite.
fn decimal(text: &str) -> Option<f64> {
    let digits = !text.is_empty() && text.len() <= 30 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_writes_them() {
        assert_eq!(vcpu("1000m"), Some(Vcpu(1.0)));
        assert_eq!(vcpu("0.08"), Some(Vcpu(0.08)));
        assert_eq!(memory("512Mi"), Some(Gib(0.5)));
        assert_eq!(memory("2Gi"), Some(Gib(2.0)));
        assert_eq!(memory("1073741824"), Some(Gib(1.0)));
        assert_eq!(memory("1G"), Some(Gib(1e9 / 1_073_741_824.0)));
        assert_eq!(duration("300s"), Some(Duration::from_mins(5)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        for wrong in ["", "m", "-1", "1e3", "NaN", "inf", "1.2.3", "٣"] {
            assert_eq!((vcpu(wrong), memory(wrong), duration(wrong)), (None, None, None), "{wrong}");
        }
        assert_eq!(duration("1.0000000001s"), None);
    }
}
