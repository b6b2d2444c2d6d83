//! The folder of a running platform below the temporary directory: locked as long as the platform lives, with a journal
//! of the processes it started. A platform that was killed could not clear up; the next one finds its folder unlocked
//! and does it: ends what still runs, and removes the folder.
//!
//! Nothing of a living platform is touched: its lock is held, by the kernel, until its process is gone.

use super::family::{group_of, start_of};
use super::revision::lock;
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// A platform's folder. Dropping it leaves it behind: see [`Premises::clear`].
pub(super) struct Premises {
    dir: PathBuf,
    /// Locked.
    _lock: File,
    journal: Mutex<File>,
}

/// What the journal says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    pid: u32,
    /// In the kernel's ticks since the host started.
    start: u64,
    port: u16,
}

/// All folders of platforms begin with this.
const PREFIX: &str = "tidegate-platform-";
const LOCK: &str = "lock";
const JOURNAL: &str = "processes";
/// A folder without a lock is one that is being made, or one of which the making was cut off this long ago.
const BEING_MADE: Duration = Duration::from_mins(1);

impl Premises {
    /// Makes and locks the folder of this platform; `name` is unique on this host.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        Self::open_in(&std::env::temp_dir(), name)
    }

    fn open_in(place: &Path, name: &str) -> io::Result<Self> {
        let dir = place.join(format!("{PREFIX}{name}"));
        std::fs::create_dir(&dir)?;
        // Under another name until it is locked: nobody must find it unlocked.
        let unlocked = dir.join("unlocked");
        let lock = File::create_new(&unlocked)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(unlocked, dir.join(LOCK))?;
        let journal = OpenOptions::new().create_new(true).append(true).open(dir.join(JOURNAL))?;
        Ok(Self { dir, _lock: lock, journal: Mutex::new(journal) })
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Notes a process that was started as the leader of its own group, with the port it was given.
    pub(super) fn note(&self, pid: u32, port: u16) {
        // Without a start to know it by, the process could not be told from another of its number.
        if let Some(start) = start_of(pid) {
            // A journal that cannot be written, on a full disk, leaves more behind after SIGKILL, and harms nothing else.
            let _ = writeln!(lock(&self.journal), "{pid} {start} {port}");
        }
    }

    /// Removes the folder: everything was stopped in order.
    pub(super) fn clear(&self) {
        // What cannot be removed from the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Clears up after platforms that were killed: ends the processes they left behind and removes their folders. Says how
/// many processes and folders there were.
pub(super) fn clear_leftovers() -> (usize, usize) {
    clear_leftovers_in(&std::env::temp_dir())
}

fn clear_leftovers_in(place: &Path) -> (usize, usize) {
    let (mut processes, mut folders) = (0, 0);
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let dir = entry.path();
        let Ok(lock) = File::open(dir.join(LOCK)) else {
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|made| made.elapsed().ok());
            if age.is_some_and(|age| age > BEING_MADE) && std::fs::remove_dir_all(&dir).is_ok() {
                folders += 1;
            }
            continue;
        };
        // Held until the folder is gone: of two platforms that start now, one clears up.
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            processes += end_left(&dir);
            folders += usize::from(std::fs::remove_dir_all(&dir).is_ok());
        }
    }
    (processes, folders)
}

/// Ends what is left of the process groups in the journal.
fn end_left(dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join(JOURNAL)).unwrap_or_default();
    let entries: Vec<Entry> = text.lines().filter_map(Entry::parse).collect();
    if entries.is_empty() {
        return 0;
    }
    let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let left = pids.filter(|pid| entries.iter().any(|entry| entry.has(*pid)));
    left.inspect(|pid| end(*pid)).count()
}

fn end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let entry = Self {
            pid: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            port: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(entry)
    }

    /// Whether the process is of the group that this one led. The number of a group may come again when all its
    /// processes have ended; but no process of the new group has the port and the revision of an instance of ours.
    fn has(self, pid: u32) -> bool {
        let of_group = group_of(pid) == Some(self.pid) && start_of(pid).is_some_and(|start| start >= self.start);
        of_group && {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut variables = environment.split(|byte| *byte == 0);
            let port = format!("PORT={}", self.port);
            variables.clone().any(|variable| variable == port.as_bytes())
                && variables.any(|variable| variable.starts_with(b"K_REVISION="))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn instance(port: &str) -> Child {
        let mut command = Command::new("sleep");
        command.arg("100").env("PORT", port).env("K_REVISION", "shop-1").process_group(0).spawn().unwrap()
    }

    fn has_ended(child: &mut Child) -> bool {
        child.try_wait().unwrap().is_some()
    }

    #[test]
    fn what_a_dead_platform_left_is_cleared_and_what_a_living_one_has_is_not() {
        let place = tempfile::tempdir().unwrap();
        let living = Premises::open_in(place.path(), "living").unwrap();
        let dead = Premises::open_in(place.path(), "dead").unwrap();
        let (mut kept, mut left, mut stopped, mut other) =
            (instance("8001"), instance("8002"), instance("8003"), instance("8004"));
        living.note(kept.id(), 8001);
        dead.note(left.id(), 8002);
        dead.note(stopped.id(), 8003);
        // The number was another process's when this was noted: its port is not the one.
        dead.note(other.id(), 9999);
        crate::platform::family::Family::of(stopped.id()).tell(crate::platform::family::Word::Stop);
        std::fs::create_dir(place.path().join("tidegate-platform-being-made")).unwrap();
        std::fs::create_dir(place.path().join("others")).unwrap();
        let dir = dead.dir().to_owned();
        drop(dead);
        assert_eq!(clear_leftovers_in(place.path()), (2, 1));
        left.wait().unwrap();
        stopped.wait().unwrap();
        assert!(!has_ended(&mut kept) && !has_ended(&mut other));
        assert!(!dir.exists() && living.dir().exists());
        assert!(place.path().join("tidegate-platform-being-made").exists() && place.path().join("others").exists());
        assert_eq!(clear_leftovers_in(place.path()), (0, 0));
        living.clear();
        assert!(!living.dir().exists());
        for child in [&mut kept, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_journal_that_was_cut_off_is_read_as_far_as_it_goes() {
        assert_eq!(Entry::parse("12 345 8080"), Some(Entry { pid: 12, start: 345, port: 8080 }));
        for line in ["", "12", "12 345", "12 345 80 9", "a b c", "12 345 99999"] {
            assert_eq!(Entry::parse(line), None);
        }
    }
}
