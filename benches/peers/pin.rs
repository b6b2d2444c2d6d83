//! Programs on a core of their own, and the CPU time of a process.

use std::process::Command;
use std::time::Duration;

/// `program`, to be run on this core only.
pub(super) fn pinned(core: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]).args(arguments);
    command
}

/// The sum of two neighbouring fields of a process's CPU time, which the kernel tells in hundredths of a second: user and
/// system at 13, those of children that ended at 15 (man 5 `proc_pid_stat`, counted from 0).
pub(super) fn cpu(path: &str, field: usize) -> Duration {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name of the program, in brackets, may hold spaces.
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = after_name.split(' ').skip(field - 2).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
