//! The processes of an instance: a process group with its leader, signalled as one.

use super::usage;
use std::path::Path;
use std::time::Duration;

/// A process group that the platform started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    leader: u32,
}

/// What is sent to all processes of a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGKILL.
    Kill,
}

impl Family {
    /// The group whose leader has this process id.
    pub(super) fn of(leader: u32) -> Self {
        Self { leader }
    }

    /// The process id of its leader.
    pub(super) fn leader(self) -> u32 {
        self.leader
    }

    /// Sends a signal to every process of the group. One that has ended already needs none.
    pub(super) fn tell(self, word: Word) {
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.leader).ok().and_then(rustix::process::Pid::from_raw) {
            use rustix::process::{Signal, kill_process_group};
            let signal = match word {
                Word::Stop => Signal::STOP,
                Word::Continue => Signal::CONT,
                Word::Kill => Signal::KILL,
            };
            let _ = kill_process_group(group, signal);
        }
    }

    /// The leader and its descendants, as far as they have not been given up by their parents. Only Linux tells.
    pub(super) fn members(self) -> Vec<u32> {
        let mut members = vec![self.leader];
        let mut place = 0;
        while let Some(pid) = members.get(place).copied() {
            place += 1;
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
                members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        members
    }
}

/// The CPU time of a process with all its threads, those that ended too: to the nanosecond where the kernel gives it.
#[cfg(target_os = "linux")]
pub(super) fn cpu_clock(pid: u32) -> Option<Duration> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    let time = nix::time::clock_getcpuclockid(pid).and_then(nix::time::clock_gettime).ok()?;
    Some(Duration::from(time))
}

/// Not known on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn cpu_clock(_pid: u32) -> Option<Duration> {
    None
}

/// Memory in use by these processes, in bytes; pages that they share count for each.
pub(super) fn memory_of(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| usage::memory_of(*pid)).sum()
}

/// When a process started, in the kernel's ticks since the host did: with its id it names a process for good.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    field_of(pid, 19)
}

/// Whether a process lives, that is, not yet or no longer awaits that its parent takes note of its end.
pub(super) fn lives(pid: u32) -> bool {
    stat_of(pid).is_some_and(|stat| !matches!(stat.split_whitespace().next(), None | Some("Z" | "X")))
}

/// The group of a process.
pub(super) fn group_of(pid: u32) -> Option<u32> {
    u32::try_from(field_of(pid, 2)?).ok()
}

/// A field of `/proc/PID/stat`, counted from the first behind the name, which may hold anything.
fn field_of(pid: u32, place: usize) -> Option<u64> {
    stat_of(pid)?.split_whitespace().nth(place)?.parse().ok()
}

/// What stands behind the name in `/proc/PID/stat`.
fn stat_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;

    #[test]
    fn this_process_has_a_clock_a_start_and_a_group() {
        let own = std::process::id();
        let before = cpu_clock(own).unwrap();
        let mut sum = 0_u64;
        while cpu_clock(own).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(start_of(own).unwrap() > 0);
        assert!(group_of(own).is_some());
        assert_eq!(start_of(4_999_999), None);
    }

    #[test]
    fn a_family_holds_children_and_grandchildren_and_is_stopped_and_ended_as_one() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sh -c 'sleep 100 & wait' & wait"])
            .process_group(0)
            .spawn()
            .unwrap();
        let family = Family::of(child.id());
        let members = loop {
            let members = family.members();
            if members.len() == 3 {
                break members;
            }
        };
        assert!(members.iter().all(|pid| group_of(*pid) == Some(child.id())));
        let state = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
        };
        family.tell(Word::Stop);
        while !members.iter().all(|pid| state(*pid) == Some('T')) {}
        family.tell(Word::Continue);
        while members.iter().any(|pid| state(*pid) == Some('T')) {}
        family.tell(Word::Kill);
        child.wait().unwrap();
        while members.iter().any(|pid| !matches!(state(*pid), None | Some('Z' | 'X'))) {}
    }
}
