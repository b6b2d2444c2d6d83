//! Amounts as Cloud Run writes them in resource limits: `1`, `1000m`, `512Mi`, `2G`.

use crate::units::{Gib, Vcpu};

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;
/// Suffixes of memory with their bytes; the longer ones first, so that `Mi` is not read as `M`.
const SUFFIXES: [(&str, f64); 7] =
    [("Ki", 1024.0), ("Mi", 1_048_576.0), ("Gi", GIB), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("", 1.0)];

/// vCPUs; `None` when the text is no such amount.
pub(super) fn cpu(text: &str) -> Option<Vcpu> {
    let (number, share) = text.strip_suffix('m').map_or((text, 1.0), |number| (number, 1e-3));
    positive(number).map(|value| Vcpu(value * share))
}

/// Memory; `None` when the text is no such amount.
pub(super) fn memory(text: &str) -> Option<Gib> {
    let (number, bytes) = SUFFIXES.iter().find_map(|(suffix, bytes)| Some((text.strip_suffix(suffix)?, bytes)))?;
    positive(number).map(|value| Gib(value * bytes / GIB))
}

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_cloud_run_writes_them() {
        assert_eq!((cpu("1"), cpu("1000m"), cpu("0.5")), (Some(Vcpu(1.0)), Some(Vcpu(1.0)), Some(Vcpu(0.5))));
        assert_eq!((memory("512Mi"), memory("2Gi")), (Some(Gib(0.5)), Some(Gib(2.0))));
        assert_eq!(memory("1073741824"), Some(Gib(1.0)));
        for wrong in ["", "m", "-1", "1x", "nan", "Mi"] {
            assert_eq!((cpu(wrong), memory(wrong)), (None, None), "{wrong}");
        }
    }
}
