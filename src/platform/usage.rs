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

/// Memory a process holds, in bytes.
#[cfg(target_os = "linux")]
pub(super) fn memory_of(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let resident: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn memory_of(_pid: u32) -> Option<u64> {
    None
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
    fn a_counter_tells_the_growth() {
        let counter = Counter::default();
        assert_eq!(counter.advance(Duration::from_millis(5)), Duration::from_millis(5));
        assert_eq!(counter.advance(Duration::from_millis(7)), Duration::from_millis(2));
        assert_eq!(counter.advance(Duration::from_millis(1)), Duration::ZERO);
    }
}
