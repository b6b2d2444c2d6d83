//! Limits the CPU and the memory of instances, proves at the start that it does, and says openly when it cannot: by
//! cgroups of its own, by scopes of systemd, or by signals.

mod duty;
mod group;
mod hierarchy;
mod limits;
#[cfg(test)]
mod offer;
mod stopper;
mod systemd;
mod tree;

pub(super) use limits::Limits;
#[cfg(test)]
pub(super) use offer::offered;

use super::owner;
use super::spawner::Spawner;
use crate::units::Gib;
use group::Quota;
use hierarchy::Hierarchies;
use limits::Hold;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use stopper::Stopper;
use systemd::Systemd;
use tree::Tree;

/// Which limiter is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimiterChoice {
    /// The first that works, in the order of [`LimiterKind::ALL`].
    #[default]
    Auto,
    /// This one or an error.
    Only(LimiterKind),
}

/// Which limiter is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterKind {
    /// cgroup version 2 (`cpu.max`, `memory.max`).
    Cgroup2,
    /// cgroup version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`).
    Cgroup1,
    /// Scopes of systemd (`CPUQuota=`, `MemoryMax=`).
    Systemd,
    /// SIGSTOP and SIGCONT by the CPU clock, and a watch on the memory: no privilege is needed.
    Sigstop,
    /// Instances run at full speed.
    None,
}

/// What the limiter's self-test found, for the record of every trial.
#[derive(Clone, Debug, PartialEq)]
pub struct LimiterReport {
    /// The limiter in use.
    pub kind: LimiterKind,
    /// In words: where it limits, or why it does not.
    pub note: String,
    /// Host cores the self-test was allowed, which are those of one vCPU, but at most one core.
    pub set_cores: f64,
    /// Host cores it got; within a tenth of `set_cores` the limiter holds. Never more than that, because then it is not
    /// used; less where the host was busy.
    pub measured_cores: Option<f64>,
}

/// Why instances cannot be limited as asked.
#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    /// The limiter that was asked for does not work here.
    #[error(
        "the limiter {kind} does not work here: {reason}; {}choose --limiter auto or --limiter none", kind.advice()
    )]
    Unavailable {
        /// Which one.
        kind: LimiterKind,
        /// Why.
        reason: String,
    },
    /// An instance's group could not be made.
    #[error("failed to limit an instance: {0}")]
    Group(std::io::Error),
}

/// The limiter in use.
#[derive(Debug)]
pub(super) struct Limiter {
    means: Means,
}

/// By what it limits.
#[derive(Debug)]
enum Means {
    Groups(Tree),
    Scopes(Systemd),
    Signals(Arc<Stopper>),
    Nothing,
}

/// A limiter holds when the self-test's spinner gets what was set, give or take this share of it: the bound by which a
/// report tells whether it holds.
const HOLDS_WITHIN: f64 = 0.10;
/// How much CPU time the self-test wants to see …
const SELF_TEST_CPU: Duration = Duration::from_millis(30);
/// … in at least this time: many rounds of running and being stopped. The kernel stops a group at its ticks of up to 10
/// ms, lets it pay off afterwards what was too much, and so a round of a small share is longer than the quota's period.
const SELF_TEST_MIN: Duration = Duration::from_millis(300);
/// … and at most this one.
const SELF_TEST_MAX: Duration = Duration::from_secs(3);
/// A share that is off may be the moment's doing: how often the self-test is made before that is believed.
const SELF_TESTS: usize = 3;
/// Loading the program is limited as well and may take long at a small share.
const SELF_TEST_LIMIT: Duration = Duration::from_secs(30);

impl LimiterChoice {
    /// The choice of this name, as the command line writes it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let kind = LimiterKind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(Self::Only).or_else(|| (name == "auto").then_some(Self::Auto))
    }

    /// As the command line writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(kind) => kind.name(),
        }
    }
}

impl LimiterKind {
    /// All of them, the better first: the kernel's own limits, then what comes near them, then nothing.
    pub const ALL: [Self; 5] = [Self::Cgroup2, Self::Cgroup1, Self::Systemd, Self::Sigstop, Self::None];

    /// As the command line writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup2 => "cgroup2",
            Self::Cgroup1 => "cgroup1",
            Self::Systemd => "systemd",
            Self::Sigstop => "sigstop",
            Self::None => "none",
        }
    }

    /// How to make it work, if something can be done.
    fn advice(self) -> &'static str {
        match self {
            Self::Cgroup2 | Self::Cgroup1 => "run with permission to write below the own cgroup, or ",
            Self::Systemd | Self::Sigstop | Self::None => "",
        }
    }

    /// By which share of what was set the self-test may get more. Signals come later than the kernel's own stops.
    fn holds_within(self) -> f64 {
        if self == Self::Sigstop { 0.15 } else { HOLDS_WITHIN }
    }

    /// What it does, for the report.
    fn describe(self) -> &'static str {
        match self {
            Self::Cgroup2 => "CPU and memory of every instance are limited by cgroup2",
            Self::Cgroup1 => "CPU and memory of every instance are limited by cgroup1",
            Self::Systemd => "CPU and memory of every instance are limited by a scope of systemd",
            Self::Sigstop => {
                "CPU of every instance is limited by stopping and continuing its processes, a burst at a time; memory is \
                 looked at ten times per second, and who holds more than the limit is killed"
            }
            Self::None => {
                "instances are not limited: they run at full speed, and what memory their revision has is not held against \
                 them, so none is ended for its memory"
            }
        }
    }
}

impl fmt::Display for LimiterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limiter {
    /// Finds a limiter that passes the self-test with the share of one vCPU. `unique` tells platforms of one process
    /// apart.
    pub(super) async fn probe(
        choice: LimiterChoice,
        (launcher, spawner): (Option<&Path>, &Spawner),
        host_cores_per_vcpu: f64,
        unique: &str,
    ) -> Result<(Self, LimiterReport), LimiterError> {
        // One thread spins: it can use one core at most.
        let set_cores = host_cores_per_vcpu.min(1.0);
        let found = Hierarchies::of_this_process();
        let mut reasons = Vec::new();
        let kinds = LimiterKind::ALL.into_iter().filter(|kind| match choice {
            LimiterChoice::Auto => true,
            LimiterChoice::Only(only) => only == *kind,
        });
        for kind in kinds.filter(|kind| *kind != LimiterKind::None) {
            match attempt(kind, &found, (launcher, spawner), (set_cores, unique)).await {
                Ok((limiter, measured)) => {
                    let mut note = format!("{}{}", kind.describe(), remark(measured, set_cores));
                    if kind == LimiterKind::Sigstop && !reasons.is_empty() {
                        note = format!("{note} ({})", reasons.join("; "));
                    }
                    return Ok((limiter, LimiterReport { kind, note, set_cores, measured_cores: Some(measured) }));
                }
                Err(reason) if choice != LimiterChoice::Auto => return Err(LimiterError::Unavailable { kind, reason }),
                Err(reason) => reasons.push(format!("{kind}: {reason}")),
            }
        }
        let why = if reasons.is_empty() { "as asked for".to_owned() } else { reasons.join("; ") };
        let note = format!("{} ({why})", LimiterKind::None.describe());
        let report = LimiterReport { kind: LimiterKind::None, note, set_cores, measured_cores: None };
        Ok((Self { means: Means::Nothing }, report))
    }

    /// Limits for an instance.
    pub(super) fn limits(&self, name: &str, cores: f64, memory: Gib) -> Result<Limits, LimiterError> {
        let quota = Quota { cores, memory: bytes(memory) };
        let hold = match &self.means {
            Means::Groups(tree) => Hold::Group(tree.group(name, quota).map_err(LimiterError::Group)?),
            Means::Scopes(systemd) => Hold::Scope(systemd.scope(name, quota)),
            Means::Signals(stopper) => Hold::Signals(Arc::clone(stopper), stopper.charge(quota)),
            Means::Nothing => Hold::Nothing,
        };
        Ok(Limits::new(hold))
    }

    /// Whether it limits at all.
    pub(super) fn is_limiting(&self) -> bool {
        !matches!(self.means, Means::Nothing)
    }

    /// Removes what is left of its groups.
    pub(super) fn close(&self) {
        if let Means::Groups(tree) = &self.means {
            tree.close();
        }
    }
}

/// Removes the groups of platforms that were killed, with what still runs in them; says how many.
pub(super) fn remove_leftovers() -> usize {
    tree::remove_leftovers(&Hierarchies::of_this_process())
}

async fn attempt(
    kind: LimiterKind,
    found: &Hierarchies,
    (launcher, spawner): (Option<&Path>, &Spawner),
    (set_cores, unique): (f64, &str),
) -> Result<(Limiter, f64), String> {
    let launcher = launcher.ok_or("there is no launcher to start instances with")?;
    let means = match kind {
        LimiterKind::Cgroup2 => Means::Groups(Tree::two(found, unique)?),
        LimiterKind::Cgroup1 => Means::Groups(Tree::one(found, unique)?),
        LimiterKind::Systemd => Means::Scopes(Systemd::find(&owner::name_of_this_process(unique))?),
        LimiterKind::Sigstop => Means::Signals(Arc::new(Stopper::start().map_err(|error| error.to_string())?)),
        LimiterKind::None => Means::Nothing,
    };
    let limiter = Limiter { means };
    let tested = self_test(&limiter, launcher, spawner, set_cores).await;
    match tested.and_then(|measured| check(measured, set_cores, kind)) {
        Ok(measured) => Ok((limiter, measured)),
        Err(reason) => {
            limiter.close();
            Err(reason)
        }
    }
}

/// Refuses a limiter of which the self-test proved that it does not limit. Less than was set is a busy host's doing.
fn check(measured: f64, set_cores: f64, kind: LimiterKind) -> Result<f64, String> {
    if deviation(measured, set_cores) <= kind.holds_within() {
        return Ok(measured);
    }
    Err(format!(
        "it does not hold: a limit of {set_cores} cores let {measured:.4} through, more than {:.0} % too much",
        kind.holds_within() * 100.0
    ))
}

/// Lets the launcher spin under limits and returns how many cores it got: the share of the first spin that got what was
/// set, or the one that came nearest to it.
async fn self_test(limiter: &Limiter, launcher: &Path, spawner: &Spawner, set_cores: f64) -> Result<f64, String> {
    let mut nearest = f64::INFINITY;
    for number in 1..=SELF_TESTS {
        let limits = limiter.limits(&format!("probe-{number}"), set_cores, Gib(0.25));
        let limits = limits.map_err(|error| error.to_string())?;
        let spun = spin(&limits, launcher, spawner, set_cores).await;
        limits.remove().await;
        let measured = spun?;
        if deviation(measured, set_cores).abs() < deviation(nearest, set_cores).abs() {
            nearest = measured;
        }
        if deviation(nearest, set_cores).abs() <= HOLDS_WITHIN {
            break;
        }
    }
    Ok(nearest)
}

/// By which share of `set` more was measured; negative for less.
fn deviation(measured: f64, set: f64) -> f64 {
    measured / set - 1.0
}

fn spin_time(cores: f64) -> Duration {
    let wanted_s = SELF_TEST_CPU.as_secs_f64() / cores;
    Duration::from_secs_f64(wanted_s.clamp(SELF_TEST_MIN.as_secs_f64(), SELF_TEST_MAX.as_secs_f64()))
}

async fn spin(limits: &Limits, launcher: &Path, spawner: &Spawner, set_cores: f64) -> Result<f64, String> {
    let mut command = limits.launch(launcher);
    command.arg("--spin-ms").arg(spin_time(set_cores).as_millis().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let child = spawner.spawn(command).await.map_err(|error| error.to_string())?;
    if let Some(pid) = child.id() {
        limits.attach(pid);
    }
    let output = tokio::time::timeout(SELF_TEST_LIMIT, child.wait_with_output()).await;
    let output = output.map_err(|_| "the self-test did not end")?.map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stdout);
    share(&words).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("the self-test failed ({}): {}", output.status, said.trim())
    })
}

/// CPU over wall time, as the launcher prints them: its last line, because a launcher may print before it.
fn share(output: &str) -> Option<f64> {
    let mut numbers = output.lines().rev().find_map(|line| {
        let numbers: Option<Vec<f64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        numbers.filter(|numbers| numbers.len() == 2)
    })?;
    let (wall, cpu) = (numbers.pop()?, numbers.pop()?);
    (wall > 0.0).then_some(cpu / wall)
}

fn remark(measured: f64, set_cores: f64) -> &'static str {
    if deviation(measured, set_cores) < -HOLDS_WITHIN {
        "; the self-test got less than was set: the host was busy"
    } else {
        ""
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 32 GiB, and positive")]
fn bytes(memory: Gib) -> u64 {
    (memory.0 * f64::from(1_u32 << 30)) as u64
}

#[cfg(test)]
mod tests;
