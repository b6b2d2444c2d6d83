//! The percentile spectrum in the text format of `HdrHistogram` (`.hgrm`), which its plotters read. Values are milliseconds.

use crate::stats::Histogram;
use std::fmt::Write as _;

/// Points on the way from one half of the remaining distance to the next, as `HdrHistogram`'s own tools have it.
const TICKS_PER_HALF: u32 = 5;
const US_PER_MS: f64 = 1e3;

/// The spectrum of `times`, warm-up left out as in the recording it comes from.
#[must_use]
pub fn hgrm(times: &Histogram) -> String {
    let hdr = times.as_hdr();
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut total = 0;
    for step in hdr.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to() as f64 / US_PER_MS, step.quantile_iterated_to());
        let _ = write!(text, "{value:>12.3} {quantile:.12} {total:>10}");
        // The last point has no inverse.
        let _ = if quantile < 1.0 { writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(text) };
    }
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        times.mean().as_secs_f64() * 1e3,
        hdr.stdev() / US_PER_MS
    );
    let _ = writeln!(text, "#[Max     = {:>12.3}, Total count    = {:>12}]", hdr.max() as f64 / US_PER_MS, hdr.len());
    let sub_buckets = 2 * 10_u64.pow(u32::from(hdr.sigfig()));
    let _ =
        writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", hdr.buckets(), sub_buckets.next_power_of_two());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_spectrum_rises_to_the_maximum_and_counts_everything() {
        let mut times = Histogram::default();
        (1..=10_000).for_each(|us| times.record(Duration::from_micros(us * 10)));
        let text = hgrm(&times);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[2], "       0.010 0.000000000000          1           1.00");
        let points: Vec<Vec<f64>> = lines[2..]
            .iter()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect())
            .collect();
        assert!(points.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
        let half = points.iter().find(|point| point[1] == 0.5).unwrap();
        assert!((half[0] - 50.0).abs() < 0.05 && (half[2] - 5000.0).abs() < 5.0 && half[3] == 2.0, "{half:?}");
        let last = points.last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 10_000.0));
        assert!((last[0] - 100.0).abs() < 0.1);
        assert!(text.contains("#[Mean    =       50.005, StdDeviation   ="));
        assert!(
            text.ends_with(
                "Total count    =        10000]\n#[Buckets =           22, SubBuckets     =         2048]\n"
            )
        );
    }

    #[test]
    fn nothing_recorded_is_an_empty_spectrum() {
        assert!(hgrm(&Histogram::default()).contains("Total count    =            0]"));
    }
}
