//! Limits the CPU and the memory of instances by cgroups, proves at the start that it does, and says openly when it
//! cannot.

mod group;
mod hierarchy;
#[cfg(test)]
mod offer;
mod tree;

pub(super) use group::Group;
#[cfg(test)]
pub(super) use offer::offered;

use super::spawner::Spawner;
use crate::units::Gib;
use group::Quota;
use hierarchy::Hierarchies;
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tree::Tree;

/// Which limiter is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimiterChoice {
    /// The first that works: version 2, version 1, none.
    #[default]
    Auto,
    /// Version 2 or an error.
    Cgroup2,
    /// Version 1 or an error.
    Cgroup1,
    /// No limits.
    None,
}

/// Which limiter is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimiterKind {
    /// cgroup version 2 (`cpu.max`, `memory.max`).
    Cgroup2,
    /// cgroup version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`).
    Cgroup1,
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
        "the limiter {kind} does not work here: {reason}; run with permission to write below the own cgroup, or choose \
         --limiter auto or --limiter none"
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
    tree: Option<Tree>,
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
        match name {
            "auto" => Some(Self::Auto),
            "cgroup2" => Some(Self::Cgroup2),
            "cgroup1" => Some(Self::Cgroup1),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

impl fmt::Display for LimiterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup2 => "cgroup2",
            Self::Cgroup1 => "cgroup1",
            Self::None => "none",
        })
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
        let (kinds, explicit): (&[LimiterKind], bool) = match choice {
            LimiterChoice::Auto => (&[LimiterKind::Cgroup2, LimiterKind::Cgroup1], false),
            LimiterChoice::Cgroup2 => (&[LimiterKind::Cgroup2], true),
            LimiterChoice::Cgroup1 => (&[LimiterKind::Cgroup1], true),
            LimiterChoice::None => (&[], false),
        };
        let mut reasons = Vec::new();
        let found = Hierarchies::of_this_process();
        for &kind in kinds {
            match attempt(kind, &found, (launcher, spawner), (set_cores, unique)).await {
                Ok((tree, measured)) => {
                    let note = format!(
                        "CPU and memory of every instance are limited by {kind}{}",
                        remark(measured, set_cores)
                    );
                    let report = LimiterReport { kind, note, set_cores, measured_cores: Some(measured) };
                    return Ok((Self { tree: Some(tree) }, report));
                }
                Err(reason) if explicit => return Err(LimiterError::Unavailable { kind, reason }),
                Err(reason) => reasons.push(format!("{kind}: {reason}")),
            }
        }
        let why = if reasons.is_empty() { "as asked for".to_owned() } else { reasons.join("; ") };
        let note = format!("instances run at full speed and share the host's memory ({why})");
        Ok((Self { tree: None }, LimiterReport { kind: LimiterKind::None, note, set_cores, measured_cores: None }))
    }

    /// A group for an instance, if instances are limited.
    pub(super) fn group(&self, name: &str, cores: f64, memory: Gib) -> Result<Option<Group>, LimiterError> {
        let Some(tree) = &self.tree else { return Ok(None) };
        tree.group(name, Quota { cores, memory: bytes(memory) }).map(Some).map_err(LimiterError::Group)
    }

    /// Whether it limits at all.
    pub(super) fn limits(&self) -> bool {
        self.tree.is_some()
    }

    /// Removes what is left of its groups.
    pub(super) fn close(&self) {
        if let Some(tree) = &self.tree {
            tree.close();
        }
    }
}

async fn attempt(
    kind: LimiterKind,
    found: &Hierarchies,
    (launcher, spawner): (Option<&Path>, &Spawner),
    (set_cores, unique): (f64, &str),
) -> Result<(Tree, f64), String> {
    let launcher = launcher.ok_or("there is no launcher to join a group with")?;
    let tree = match kind {
        LimiterKind::Cgroup2 => Tree::two(found, unique)?,
        _ => Tree::one(found, unique)?,
    };
    let tested = self_test(&tree, launcher, spawner, set_cores).await;
    match tested {
        Ok(measured) => Ok((tree, measured)),
        Err(reason) => {
            tree.close();
            Err(reason)
        }
    }
}

/// Lets the launcher spin inside a group and returns how many cores it got; an error if that proves that the group does
/// not limit.
async fn self_test(tree: &Tree, launcher: &Path, spawner: &Spawner, set_cores: f64) -> Result<f64, String> {
    let quota = Quota { cores: set_cores, memory: 1 << 28 };
    let group = tree.group("probe", quota).map_err(|error| error.to_string())?;
    let measured = spin_until_held(&group, launcher, spawner, set_cores).await;
    group.remove().await;
    let measured = measured?;
    // Less than was set is a busy host's doing; more is a limiter that does not limit.
    if deviation(measured, set_cores) > HOLDS_WITHIN {
        return Err(format!(
            "it does not hold: a limit of {set_cores} cores let {measured:.4} through, more than {:.0} % too much",
            HOLDS_WITHIN * 100.0
        ));
    }
    Ok(measured)
}

/// The share of the first spin that got what was set, or the one that came nearest to it.
async fn spin_until_held(group: &Group, launcher: &Path, spawner: &Spawner, set_cores: f64) -> Result<f64, String> {
    let mut nearest = f64::INFINITY;
    for _ in 0..SELF_TESTS {
        let measured = spin(group, launcher, spawner, set_cores).await?;
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

async fn spin(group: &Group, launcher: &Path, spawner: &Spawner, set_cores: f64) -> Result<f64, String> {
    let mut command = Command::new(launcher);
    command.arg("launch").arg("--parent").arg(std::process::id().to_string());
    for path in group.procs_files() {
        command.arg("--cgroup").arg(path);
    }
    command.arg("--spin-ms").arg(spin_time(set_cores).as_millis().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawner.spawn(command).await.map_err(|error| error.to_string())?;
    let output = tokio::time::timeout(SELF_TEST_LIMIT, child.wait_with_output()).await;
    let output = output.map_err(|_| "the self-test did not end")?.map_err(|error| error.to_string())?;
    let words = String::from_utf8_lossy(&output.stdout);
    share(&words).ok_or_else(|| format!("the self-test failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
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
