//! The limits of one instance: one directory per hierarchy, written once and read as long as the instance lives.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A group of a version; a clone of the directories that a launcher joins.
#[derive(Debug)]
pub(in crate::platform) struct Group {
    version: Version,
    /// Directory that holds the CPU quota.
    cpu: PathBuf,
    /// Directory that counts CPU time; often the same.
    accounting: PathBuf,
    /// Directory that holds the memory limit; often the same.
    memory: PathBuf,
    procs: Vec<PathBuf>,
}

/// Of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy per controller, or for some of them.
    One,
    /// One hierarchy.
    Two,
}

/// How much an instance may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    /// Host cores.
    pub(super) cores: f64,
    /// Bytes of memory.
    pub(super) memory: u64,
}

/// Directories of the three controllers, in this order: CPU quota, CPU accounting, memory.
pub(super) type Places = [PathBuf; 3];

/// A throttled instance stops for up to a period: 20 ms keeps the stops out of a p95 of 100 ms and more, and a quota
/// below 1 ms is refused by the kernel. Measured: a period of 100 ms makes p99 the throttle's, not the service's.
const PERIOD_MIN_US: f64 = 20_000.0;
const QUOTA_MIN_US: f64 = 1_000.0;

impl Group {
    /// Makes the directories and writes the limits; leaves nothing behind if that fails.
    pub(super) fn create(version: Version, places: Places, quota: Quota) -> io::Result<Self> {
        let mut made: Vec<PathBuf> = Vec::new();
        for place in &places {
            if !made.contains(place) {
                if let Err(error) = std::fs::create_dir(place) {
                    for place in &made {
                        drop(std::fs::remove_dir(place));
                    }
                    return Err(named(&error, place));
                }
                made.push(place.clone());
            }
        }
        let [cpu, accounting, memory] = places;
        let procs = made.iter().map(|place| place.join("cgroup.procs")).collect();
        let group = Self { version, cpu, accounting, memory, procs };
        group.limit(quota).inspect_err(|_| group.places().for_each(|place| drop(std::fs::remove_dir(place))))?;
        Ok(group)
    }

    /// A group of version 2 that somebody else has made and will remove.
    pub(super) fn at(place: PathBuf) -> Self {
        let procs = vec![place.join("cgroup.procs")];
        Self { version: Version::Two, cpu: place.clone(), accounting: place.clone(), memory: place, procs }
    }

    /// Another share of CPU from now on.
    pub(super) fn set_cores(&self, cores: f64) -> io::Result<()> {
        let (quota_us, period_us) = bandwidth(cores);
        match self.version {
            Version::One => {
                // The kernel refuses a quota that a parent's cannot hold at the period of the moment: none in between.
                let quota_file = self.cpu.join("cpu.cfs_quota_us");
                let _ = write(&quota_file, "-1");
                write(&self.cpu.join("cpu.cfs_period_us"), &period_us.to_string())?;
                write(&quota_file, &quota_us.to_string())
            }
            Version::Two => write(&self.cpu.join("cpu.max"), &format!("{quota_us} {period_us}")),
        }
    }

    fn limit(&self, quota: Quota) -> io::Result<()> {
        self.set_cores(quota.cores)?;
        match self.version {
            Version::One => {
                write(&self.memory.join("memory.limit_in_bytes"), &quota.memory.to_string())?;
                // Without swap accounting the file is not there, and without swap it changes nothing.
                let _ = write(&self.memory.join("memory.memsw.limit_in_bytes"), &quota.memory.to_string());
            }
            Version::Two => {
                write(&self.memory.join("memory.max"), &quota.memory.to_string())?;
                let _ = write(&self.memory.join("memory.swap.max"), "0");
                // Cloud Run ends the whole instance, not the greediest of its processes.
                let _ = write(&self.memory.join("memory.oom.group"), "1");
            }
        }
        Ok(())
    }

    /// The files through which a process joins.
    pub(in crate::platform) fn procs_files(&self) -> &[PathBuf] {
        &self.procs
    }

    /// CPU time used by all processes that ever were in it.
    pub(in crate::platform) fn cpu_used(&self) -> Option<Duration> {
        match self.version {
            Version::One => {
                let usage = std::fs::read_to_string(self.accounting.join("cpuacct.usage")).ok()?;
                Some(Duration::from_nanos(usage.trim().parse().ok()?))
            }
            Version::Two => {
                let stat = std::fs::read_to_string(self.cpu.join("cpu.stat")).ok()?;
                Some(Duration::from_micros(field(&stat, "usage_usec")?))
            }
        }
    }

    /// Bytes in use, without the page cache that the kernel would give back first.
    pub(in crate::platform) fn memory_used(&self) -> Option<u64> {
        let (usage, inactive) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let usage: u64 = std::fs::read_to_string(self.memory.join(usage)).ok()?.trim().parse().ok()?;
        let stat = std::fs::read_to_string(self.memory.join("memory.stat")).ok()?;
        Some(usage.saturating_sub(field(&stat, inactive).unwrap_or(0)))
    }

    /// How often the kernel ended a process of it because the limit of memory was reached.
    pub(in crate::platform) fn memory_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        field(&std::fs::read_to_string(self.memory.join(file)).ok()?, "oom_kill")
    }

    /// Whether it can stop all of its processes at once, those that left their process group too. Version 1 can, but
    /// who is frozen by it cannot be killed: were the platform killed, its instances would stay behind for ever.
    pub(super) fn can_freeze(&self) -> bool {
        self.version == Version::Two
    }

    /// Stops all of its processes, or lets them go on. Only where [`Group::can_freeze`] says so.
    pub(super) fn set_frozen(&self, frozen: bool) -> io::Result<()> {
        write(&self.cpu.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Ends what is still in it and removes it. The kernel lets go of a group a moment after its last process.
    pub(in crate::platform) async fn remove(&self) {
        for _ in 0..50 {
            for procs in &self.procs {
                end_all(procs);
            }
            self.places().for_each(|place| drop(std::fs::remove_dir(place)));
            if !self.places().any(Path::exists) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn places(&self) -> impl Iterator<Item = &Path> {
        [&self.cpu, &self.accounting, &self.memory].into_iter().map(PathBuf::as_path)
    }
}

/// Quota and period in microseconds: `max(20 ms, 1 ms / share)`, so that the quota is at least 1 ms.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares of cores are small and positive")]
fn bandwidth(cores: f64) -> (u64, u64) {
    // The kernel allows periods of at most a second: a share below 0.001 is raised to that.
    let period = (QUOTA_MIN_US / cores).clamp(PERIOD_MIN_US, 1e6).ceil();
    ((period * cores).round().max(QUOTA_MIN_US) as u64, period as u64)
}

/// The quota's period in whole milliseconds, as systemd takes it.
pub(super) fn period_ms(cores: f64) -> u64 {
    bandwidth(cores).1.div_ceil(1_000)
}

/// Kills the processes of a group that the platform made: nothing is in it but what the platform started.
pub(super) fn end_all(procs: &Path) {
    #[cfg(unix)]
    for pid in std::fs::read_to_string(procs).unwrap_or_default().lines() {
        if let Some(pid) = pid.parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// Writes a control file.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    std::fs::write(path, text).map_err(|error| named(&error, path))
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_is_20_ms_or_what_a_quota_of_1_ms_needs() {
        assert_eq!(bandwidth(1.0), (20_000, 20_000));
        assert_eq!(bandwidth(0.25), (5_000, 20_000));
        assert_eq!(bandwidth(0.05), (1_000, 20_000));
        assert_eq!(bandwidth(0.02), (1_000, 50_000));
        assert_eq!(bandwidth(2.0), (40_000, 20_000));
        assert_eq!(bandwidth(1e-9), (1_000, 1_000_000));
    }

    #[test]
    fn limits_are_written_as_each_version_wants_them() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| root.path().join(name);
        let quota = Quota { cores: 0.05, memory: 1 << 29 };
        let one = Group::create(Version::One, [place("cpu"), place("acct"), place("memory")], quota).unwrap();
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(place("cpu/cpu.cfs_period_us")), "20000");
        assert_eq!(read(place("cpu/cpu.cfs_quota_us")), "1000");
        assert_eq!(read(place("memory/memory.limit_in_bytes")), "536870912");
        assert_eq!(one.procs_files().len(), 3);
        std::fs::write(place("acct/cpuacct.usage"), "1500000\n").unwrap();
        assert_eq!(one.cpu_used(), Some(Duration::from_micros(1500)));
        std::fs::write(place("memory/memory.usage_in_bytes"), "5000\n").unwrap();
        std::fs::write(place("memory/memory.stat"), "cache 9\ntotal_inactive_file 1000\n").unwrap();
        assert_eq!(one.memory_used(), Some(4000));

        std::fs::write(place("memory/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n").unwrap();
        assert_eq!(one.memory_kills(), Some(2));
        one.set_cores(0.1).unwrap();
        assert_eq!(read(place("cpu/cpu.cfs_quota_us")), "2000");
        assert!(!one.can_freeze());

        let two = Group::create(Version::Two, [place("v2"), place("v2"), place("v2")], quota).unwrap();
        assert_eq!(read(place("v2/cpu.max")), "1000 20000");
        assert_eq!(read(place("v2/memory.max")), "536870912");
        assert_eq!(two.procs_files(), [place("v2/cgroup.procs")]);
        std::fs::write(place("v2/cpu.stat"), "usage_usec 77\nuser_usec 7\n").unwrap();
        assert_eq!(two.cpu_used(), Some(Duration::from_micros(77)));
        std::fs::write(place("v2/memory.events"), "max 3\noom 1\noom_kill 1\noom_group_kill 1\n").unwrap();
        assert_eq!(two.memory_kills(), Some(1));
        two.set_cores(0.02).unwrap();
        assert_eq!(read(place("v2/cpu.max")), "1000 50000");
        two.set_frozen(true).unwrap();
        assert_eq!(read(place("v2/cgroup.freeze")), "1");
        two.set_frozen(false).unwrap();
        assert_eq!(read(place("v2/cgroup.freeze")), "0");
        assert_eq!(read(place("v2/memory.oom.group")), "1");
    }

    #[test]
    fn a_group_that_cannot_be_made_leaves_nothing_and_names_the_path() {
        let root = tempfile::tempdir().unwrap();
        let places = [root.path().join("cpu"), root.path().join("cpu"), root.path().join("missing/memory")];
        let error = Group::create(Version::One, places, Quota { cores: 1.0, memory: 1 }).unwrap_err();
        assert!(error.to_string().contains("missing/memory"), "{error}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
