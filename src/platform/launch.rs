//! The launcher: what stands between the platform and an instance's program. It joins the instance's cgroups, ties its
//! life to the platform's and becomes the program (`exec`), so that not one instruction of it runs unlimited.
//!
//! `tidegate launch [--parent PID] [--cgroup PROCS_FILE]... [--unset NAME]... -- PROGRAM ARGS…`, or `--spin-ms N` in place of the
//! program: the limiter's self-test, which spins for so long and prints two numbers, microseconds of CPU and of wall
//! time. They are taken from the end of one stop to the end of another, if it was stopped often enough.

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
    #[error("launch: {0}; usage: launch [--parent PID] [--cgroup PROCS_FILE]... [--unset NAME]... -- PROGRAM ARGS…")]
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
    /// Variables that only the way here needed.
    unset: Vec<OsString>,
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
        None => match execute(&launch) {
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
            "--unset" => launch.unset.push(value.into()),
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
fn execute(launch: &Launch) -> Result<Infallible, LaunchError> {
    use std::os::unix::process::CommandExt;
    let Some((program, args)) = launch.command.split_first() else {
        return Err(LaunchError::Usage("no program is given".to_owned()));
    };
    let mut command = Command::new(program);
    for name in &launch.unset {
        command.env_remove(name);
    }
    let source = command.args(args).exec();
    Err(LaunchError::Execute { program: program.clone(), source })
}

/// Spins on the wall clock and prints `CPU_MICROSECONDS WALL_MICROSECONDS`.
fn spin(wall: Duration) -> std::io::Result<()> {
    let mut pace = Pace::new((cpu_time(), monotonic()));
    loop {
        std::hint::black_box((0..1000_u32).fold(0_u32, u32::wrapping_add));
        pace.advance(monotonic(), cpu_time);
        if pace.passed() >= wall {
            break;
        }
    }
    let (cpu, passed) = pace.used(cpu_time());
    writeln!(std::io::stdout(), "{} {}", cpu.as_micros(), passed.as_micros())
}

/// Between two looks at the clock a spinner that runs passes some microseconds; one that was stopped, at least this.
const STOP_MIN: Duration = Duration::from_millis(1);

/// A point of the spinning: CPU time and wall time.
type Mark = (Duration, Duration);

/// How much CPU a spinner got. A limiter lets it run for a while and then stops it, and where in this the spinning
/// begins and ends is chance: of a small share in a short time that alone is an error of a tenth and more. So what counts
/// is whole rounds, from the end of the first stop to the end of the last.
struct Pace {
    start: Mark,
    /// End of the first stop and of the last.
    rounds: Option<(Mark, Mark)>,
    now: Duration,
}

impl Pace {
    fn new(start: Mark) -> Self {
        Self { start, rounds: None, now: start.1 }
    }

    fn advance(&mut self, now: Duration, cpu: impl FnOnce() -> Duration) {
        if now.saturating_sub(self.now) >= STOP_MIN {
            let mark = (cpu(), now);
            self.rounds = Some((self.rounds.map_or(mark, |(first, _)| first), mark));
        }
        self.now = now;
    }

    fn passed(&self) -> Duration {
        self.now.saturating_sub(self.start.1)
    }

    /// CPU and wall time of the whole rounds, if they are at least half of all; else of all, of which `cpu` is the end.
    fn used(&self, cpu: Duration) -> (Duration, Duration) {
        let between = |from: Mark, to: Mark| (to.0.saturating_sub(from.0), to.1.saturating_sub(from.1));
        let rounds = self.rounds.map(|(first, last)| between(first, last));
        rounds.filter(|(_, wall)| *wall * 2 >= self.passed()).unwrap_or_else(|| between(self.start, (cpu, self.now)))
    }
}

/// The clock that only goes forward.
pub(super) fn monotonic() -> Duration {
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
        assert_eq!(parse_words(&["--unset", "A", "--", "shop"]).unwrap().unset, ["A"]);
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

    /// What a spinner counts that runs `run_ms` and then is stopped, over and over, each round `round_ms` long; it
    /// begins `phase_ms` into a round and looks at the clock every 100 µs.
    fn used(run_ms: u64, round_ms: u64, phase_ms: u64, wall_ms: u64) -> (Duration, Duration) {
        let (mut now, mut cpu) = (phase_ms * 1000, 0);
        let mut pace = Pace::new((Duration::ZERO, Duration::from_micros(now)));
        while pace.passed() < Duration::from_millis(wall_ms) {
            if now % (round_ms * 1000) >= run_ms * 1000 {
                now = now.next_multiple_of(round_ms * 1000);
            }
            (now, cpu) = (now + 100, cpu + 100);
            pace.advance(Duration::from_micros(now), || Duration::from_micros(cpu));
        }
        pace.used(Duration::from_micros(cpu))
    }

    #[test]
    fn the_share_of_a_limited_spinner_does_not_depend_on_where_in_a_round_it_begins() {
        for (run_ms, round_ms) in [(4, 80), (1, 20), (5, 20), (10, 20), (18, 20)] {
            for phase_ms in 0..round_ms {
                let (cpu, wall) = used(run_ms, round_ms, phase_ms, 600);
                let (share, set) = (cpu.as_secs_f64() / wall.as_secs_f64(), run_ms as f64 / round_ms as f64);
                assert!((share / set - 1.0).abs() < 1e-9, "{share} of {set} from {phase_ms} ms on");
            }
        }
    }

    #[test]
    fn a_spinner_that_is_never_stopped_or_only_for_a_moment_counts_all_of_its_time() {
        assert_eq!(used(20, 20, 3, 300), (Duration::from_millis(300), Duration::from_millis(300)));
        let mut pace = Pace::new((Duration::ZERO, Duration::ZERO));
        let (mut now, mut cpu) = (0, 0);
        while now < 300_000 {
            // Two stops that are close together tell nothing of the rest.
            now += if matches!(now, 5_000 | 12_000) { 5_000 } else { 100 };
            cpu += 100;
            pace.advance(Duration::from_micros(now), || Duration::from_micros(cpu));
        }
        let all = (Duration::from_micros(cpu), Duration::from_micros(now));
        assert!(pace.rounds.is_some());
        assert_eq!(pace.used(all.0), all);
    }

    #[test]
    fn a_group_that_cannot_be_joined_stops_the_launch() {
        let words = ["--cgroup", "/nowhere/cgroup.procs", "--", "true"];
        let message = run(words.iter().map(OsString::from)).unwrap_err().to_string();
        assert!(message.contains("/nowhere/cgroup.procs"), "{message}");
    }
}
