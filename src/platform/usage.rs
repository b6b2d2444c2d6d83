//! What a process uses, as `/proc` tells it: for instances without a cgroup.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Turns a growing total into what was added since the last look.
#[derive(Default)]
pub(super) struct Counter {
    micros: AtomicU64,
}

impl Counter {
    /// How much the total has grown.
    pub(super) fn advance(&self, total: Duration) -> Duration {
        let total = u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
        let before = self.micros.swap(total, Ordering::Relaxed);
        Duration::from_micros(total.saturating_sub(before))
    }
}

/// CPU time a process has used, in the kernel's ticks of mostly 10 ms.
#[cfg(target_os = "linux")]
pub(super) fn cpu_of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Memory a process holds, in bytes.
#[cfg(target_os = "linux")]
pub(super) fn memory_of(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let resident: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn cpu_of(_pid: u32) -> Option<Duration> {
    None
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn memory_of(_pid: u32) -> Option<u64> {
    None
}

/// User and system time in `/proc/PID/stat`: fields 14 and 15, counted behind the name, which may hold anything.
#[cfg(any(target_os = "linux", test))]
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// The last `bytes` of a file, as text.
pub(super) fn tail(path: &Path, bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(100));
        assert_eq!(cpu_ticks("nonsense"), None);
    }

    #[test]
    fn a_counter_tells_the_growth() {
        let counter = Counter::default();
        assert_eq!(counter.advance(Duration::from_millis(5)), Duration::from_millis(5));
        assert_eq!(counter.advance(Duration::from_millis(7)), Duration::from_millis(2));
        assert_eq!(counter.advance(Duration::from_millis(1)), Duration::ZERO);
    }
}
