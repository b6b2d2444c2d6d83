//! What driving cost: CPU of the driver's process, and how busy its host was. Where the operating system does not
//! tell, nothing is made up.

use crate::trial::Recording;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A reading, or the difference of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    process: Duration,
    host: Option<HostTicks>,
}

/// CPU time of the whole host, in clock ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct HostTicks {
    busy: u64,
    steal: u64,
    all: u64,
}

impl Usage {
    /// Reads the clocks now.
    pub(super) fn read() -> Self {
        let process = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            process: Duration::try_from(process).unwrap_or_default(),
            host: std::fs::read_to_string("/proc/stat").ok().as_deref().and_then(parse),
        }
    }

    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: &Self) -> Self {
        let host = self.host.zip(earlier.host).map(|(now, then)| HostTicks {
            busy: now.busy.saturating_sub(then.busy),
            steal: now.steal.saturating_sub(then.steal),
            all: now.all.saturating_sub(then.all),
        });
        Self { process: self.process.saturating_sub(earlier.process), host }
    }

    /// Writes it into a recording.
    pub(super) fn enter(self, recording: &mut Recording) {
        let share = |part: fn(&HostTicks) -> u64| {
            let ticks = self.host.filter(|ticks| ticks.all > 0)?;
            Some(part(&ticks) as f64 / ticks.all as f64)
        };
        recording.driver_cpu_s = self.process.as_secs_f64();
        recording.host_cpu_share = share(|ticks| ticks.busy);
        recording.host_steal_share = share(|ticks| ticks.steal);
    }
}

/// The first line of `/proc/stat` (see `man 5 proc_stat`): user, nice, system, idle, iowait, irq, softirq, steal. Guest time is
/// part of user time already. Busy is what is neither idle nor stolen.
fn parse(stat: &str) -> Option<HostTicks> {
    let mut fields = stat.lines().next()?.split_whitespace();
    if fields.next()? != "cpu" {
        return None;
    }
    let ticks: Vec<u64> = fields.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks.try_into().ok()?;
    let busy = user + nice + system + irq + softirq;
    Some(HostTicks { busy, steal, all: busy + idle + iowait + steal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_disks_is_not_busy_and_steal_stands_apart() {
        let ticks = parse("cpu  10 20 30 400 5 6 7 8 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
        assert_eq!(ticks, Some(HostTicks { busy: 73, steal: 8, all: 486 }));
        assert_eq!(parse("intr 5"), None);
        assert_eq!(parse("cpu 1 2 3"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn shares_are_of_the_time_between_two_readings() {
        let at = |busy, all| Usage { process: Duration::ZERO, host: Some(HostTicks { busy, steal: 0, all }) };
        let mut recording = Recording::default();
        at(150, 300).since(&at(100, 200)).enter(&mut recording);
        assert_eq!((recording.host_cpu_share, recording.host_steal_share), (Some(0.5), Some(0.0)));
    }
}
