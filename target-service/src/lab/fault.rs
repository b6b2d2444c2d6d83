//! What is wrong with a consumer on purpose.

use std::str::FromStr;
use std::time::Duration;

/// The longest that a slow delivery may be asked to take: longer than any acknowledgement deadline.
const SLOW_MAX: Duration = Duration::from_hours(1);

/// A fault of every delivery, or of a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Every delivery fails: the outage of the laboratory.
    Down,
    /// Every delivery takes this much longer, and succeeds.
    Slow(Duration),
    /// The process ends in the middle of a delivery.
    Crash,
    /// No delivery is ever answered.
    Hang,
    /// This share of deliveries fails, from 0 to 1.
    Share(f64),
}

impl FromStr for Fault {
    /// What would have been expected.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "one of down, slow:2s (or slow:500ms), crash, hang, share:0.2 (from 0 to 1)";
        let fault = match text.split_once(':') {
            None if text == "down" => Some(Self::Down),
            None if text == "crash" => Some(Self::Crash),
            None if text == "hang" => Some(Self::Hang),
            Some(("slow", time)) => duration(time).map(Self::Slow),
            Some(("share", share)) => share.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Self::Share),
            _ => None,
        };
        fault.ok_or(EXPECTED)
    }
}

/// A number with its unit, `ms` or `s`.
fn duration(text: &str) -> Option<Duration> {
    let (number, per_second) = match text.strip_suffix("ms") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? / per_second;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= SLOW_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<Fault>().ok();
        assert_eq!(read("down"), Some(Fault::Down));
        assert_eq!(read("crash"), Some(Fault::Crash));
        assert_eq!(read("hang"), Some(Fault::Hang));
        assert_eq!(read("slow:2s"), Some(Fault::Slow(Duration::from_secs(2))));
        assert_eq!(read("slow:1.5s"), Some(Fault::Slow(Duration::from_millis(1500))));
        assert_eq!(read("slow:250ms"), Some(Fault::Slow(Duration::from_millis(250))));
        assert_eq!(read("share:0.2"), Some(Fault::Share(0.2)));
        for wrong in
            ["", "up", "slow", "slow:2", "slow:-1s", "slow:3601s", "slow:NaNs", "share:1.1", "share:x", "down:1"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
