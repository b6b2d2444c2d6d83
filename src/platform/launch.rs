//! The launcher: what stands between the platform and an instance's program. It joins the instance's cgroups, ties its
//! life to the platform's and becomes the program (`exec`), so that not one instruction of it runs unlimited.
//!
//! `tidegate launch [--parent PID] [--cgroup PROCS_FILE]... -- PROGRAM ARGS…`, or `--spin-ms N` in place of the
//! program: the limiter's self-test, which spins for so long and prints the microseconds of CPU and of wall time that
//! it took.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Why a program was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The arguments are not those of the launcher.
    #[error("launch: {0}; usage: launch [--parent PID] [--cgroup PROCS_FILE]... -- PROGRAM ARGS…")]
    Usage(String),
    /// A cgroup could not be joined.
    #[error("failed to join the cgroup through {path}: {source}")]
    Cgroup {
        /// Its `cgroup.procs`.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The parent died before its death could be watched.
    #[error("the platform is gone")]
    Orphaned,
    /// The kernel refused to tie the instance's life to the platform's.
    #[error("failed to set the parent-death signal: {0}")]
    DeathSignal(std::io::Error),
    /// The program could not be executed.
    #[error("failed to execute {program:?}: {source}")]
    Execute {
        /// The program.
        program: OsString,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The self-test could not print.
    #[error("failed to print the result of the self-test: {0}")]
    Print(std::io::Error),
}

#[derive(Debug, Default, PartialEq)]
struct Launch {
    parent: Option<i32>,
    cgroups: Vec<PathBuf>,
    spin: Option<Duration>,
    command: Vec<OsString>,
}

/// Launches: `args` is what follows `tidegate launch`. Returns only after a self-test (`Ok`) or when it failed;
/// otherwise this process has become the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), LaunchError> {
    let launch = parse(args)?;
    for path in &launch.cgroups {
        std::fs::write(path, std::process::id().to_string())
            .map_err(|source| LaunchError::Cgroup { path: path.clone(), source })?;
    }
    follow_parent(launch.parent)?;
    match launch.spin {
        Some(wall) => spin(wall).map_err(LaunchError::Print),
        None => match execute(&launch.command) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    }
}

fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Launch, LaunchError> {
    let mut launch = Launch::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            launch.command = args.collect();
            break;
        }
        let name = arg.to_string_lossy().into_owned();
        let value = args.next().ok_or_else(|| LaunchError::Usage(format!("{name} has no value")))?;
        let number = || {
            let text = value.to_string_lossy();
            text.parse::<u32>().map_err(|_| LaunchError::Usage(format!("{text:?} after {name} is not a whole number")))
        };
        match name.as_str() {
            "--cgroup" => launch.cgroups.push(value.into()),
            "--parent" => launch.parent = i32::try_from(number()?).ok(),
            "--spin-ms" => launch.spin = Some(Duration::from_millis(number()?.into())),
            _ => return Err(LaunchError::Usage(format!("unknown argument {name:?}"))),
        }
    }
    if launch.spin.is_none() && launch.command.is_empty() {
        return Err(LaunchError::Usage("no program is given".to_owned()));
    }
    Ok(launch)
}

/// Dies with the thread that started it. The parent may have died before that was arranged: then it is not the parent
/// any more.
#[cfg(target_os = "linux")]
fn follow_parent(parent: Option<i32>) -> Result<(), LaunchError> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| LaunchError::DeathSignal(error.into()))?;
    let now = getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.is_some() && parent != now { Err(LaunchError::Orphaned) } else { Ok(()) }
}

/// Other systems have no such signal: an instance outlives a platform that is killed.
#[cfg(not(target_os = "linux"))]
fn follow_parent(_parent: Option<i32>) -> Result<(), LaunchError> {
    Ok(())
}

#[cfg(unix)]
fn execute(command: &[OsString]) -> Result<Infallible, LaunchError> {
    use std::os::unix::process::CommandExt;
    let Some((program, args)) = command.split_first() else {
        return Err(LaunchError::Usage("no program is given".to_owned()));
    };
    let source = Command::new(program).args(args).exec();
    Err(LaunchError::Execute { program: program.clone(), source })
}

/// Spins on the wall clock and prints `CPU_MICROSECONDS WALL_MICROSECONDS`.
fn spin(wall: Duration) -> std::io::Result<()> {
    let (cpu_before, start) = (cpu_time(), monotonic());
    let mut passed = Duration::ZERO;
    while passed < wall {
        std::hint::black_box((0..1000_u32).fold(0_u32, u32::wrapping_add));
        passed = monotonic().saturating_sub(start);
    }
    let cpu = cpu_time().saturating_sub(cpu_before);
    writeln!(std::io::stdout(), "{} {}", cpu.as_micros(), passed.as_micros())
}

fn monotonic() -> Duration {
    clock(rustix::time::ClockId::Monotonic)
}

fn cpu_time() -> Duration {
    clock(rustix::time::ClockId::ProcessCPUTime)
}

fn clock(id: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(id);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Launch, LaunchError> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn arguments_after_the_dashes_belong_to_the_program() {
        let launch =
            parse_words(&["--cgroup", "/a", "--parent", "7", "--cgroup", "/b", "--", "shop", "--cgroup"]).unwrap();
        assert_eq!(launch.cgroups, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(launch.parent, Some(7));
        assert_eq!(launch.command, ["shop", "--cgroup"]);
        assert_eq!(parse_words(&["--spin-ms", "300"]).unwrap().spin, Some(Duration::from_millis(300)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, part) in [
            (&["--cgroup"][..], "--cgroup has no value"),
            (&["--speed", "1"], "unknown argument \"--speed\""),
            (&["--spin-ms", "soon"], "\"soon\" after --spin-ms is not a whole number"),
            (&["--"], "no program is given"),
        ] {
            let message = parse_words(words).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_group_that_cannot_be_joined_stops_the_launch() {
        let words = ["--cgroup", "/nowhere/cgroup.procs", "--", "true"];
        let message = run(words.iter().map(OsString::from)).unwrap_err().to_string();
        assert!(message.contains("/nowhere/cgroup.procs"), "{message}");
    }
}
