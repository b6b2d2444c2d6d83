//! The place below which a platform makes its groups: in each hierarchy the platform's own group.

use super::group::{Group, Quota, Version, end_all, write};
use super::hierarchy::Hierarchies;
use crate::platform::owner;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ends the name of the group into which a platform moved itself and its ancestors.
const SELF: &str = "-self";
/// The kernel lets go of a group a moment after its last process: so often, and so far apart, removing it is tried.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);

/// A usable version of cgroups.
#[derive(Debug)]
pub(super) struct Tree {
    version: Version,
    /// The platform's own groups: CPU quota, CPU accounting, memory.
    own: [PathBuf; 3],
    /// Begins the name of every group of this platform.
    prefix: String,
    /// Version 2: what was changed on the own group, to be put back.
    moved: Option<Moved>,
}

#[derive(Debug)]
struct Moved {
    /// Where this process and its ancestors were moved, if they stood in the way.
    leaf: Option<PathBuf>,
}

impl Tree {
    /// Version 1: needs the controllers cpu, cpuacct and memory.
    pub(super) fn one(found: &Hierarchies, unique: &str) -> Result<Self, String> {
        let of = |controller: &str| {
            found.v1.get(controller).cloned().ok_or_else(|| format!("the controller {controller} is not mounted"))
        };
        let own = [of("cpu")?, of("cpuacct")?, of("memory")?];
        Ok(Self::new(Version::One, own, unique))
    }

    /// Version 2: needs the controllers cpu and memory delegated to the own group.
    pub(super) fn two(found: &Hierarchies, unique: &str) -> Result<Self, String> {
        let own = found.v2.as_deref().map(home_of).ok_or("it is not mounted")?;
        let controllers = std::fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
        if !has_both(&controllers) {
            return Err(format!("the controllers cpu and memory are not delegated to {}", own.display()));
        }
        let enabled = std::fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
        let mut tree = Self::new(Version::Two, [own.clone(), own.clone(), own], unique);
        if !has_both(&enabled) {
            tree.moved = Some(tree.enable()?);
        }
        Ok(tree)
    }

    fn new(version: Version, own: [PathBuf; 3], unique: &str) -> Self {
        Self { version, own, prefix: owner::name_of_this_process(unique), moved: None }
    }

    /// A new group.
    pub(super) fn group(&self, name: &str, quota: Quota) -> io::Result<Group> {
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name = format!("{}-{}", self.prefix, name.chars().map(legal).collect::<String>());
        Group::create(self.version, self.own.each_ref().map(|own| own.join(&name)), quota)
    }

    /// Removes what is left of this platform's groups and puts the own group back as it was.
    pub(super) fn close(&self) {
        for own in &self.own {
            remove_matching(own, |name| name.starts_with(&self.prefix) && !name.ends_with(SELF));
        }
        if let Some(moved) = &self.moved {
            let own = &self.own[0];
            // Others may use the controllers by now: then they stay enabled.
            let _ = write(&own.join("cgroup.subtree_control"), DISABLE);
            if let Some(leaf) = &moved.leaf {
                move_all(leaf, own);
                let _ = std::fs::remove_dir(leaf);
            }
        }
    }

    /// Enables the controllers for groups below the own one. A group that has such children must hold no process
    /// itself: if only this process and its ancestors are in it, they move into a leaf.
    fn enable(&self) -> Result<Moved, String> {
        let own = &self.own[0];
        let control = own.join("cgroup.subtree_control");
        let Err(error) = write(&control, "+cpu +memory") else { return Ok(Moved { leaf: None }) };
        if error.kind() != io::ErrorKind::ResourceBusy {
            return Err(error.to_string());
        }
        let family = ancestors();
        let procs = std::fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
        if !procs.lines().all(|pid| pid.parse().is_ok_and(|pid| family.contains(&pid))) {
            return Err(format!(
                "other processes are in {}; start tidegate in a group of its own: {} -p Delegate=yes tidegate …",
                own.display(),
                if rustix::process::geteuid().is_root() { "systemd-run --scope" } else { "systemd-run --user --scope" }
            ));
        }
        let leaf = own.join(format!("{}{SELF}", self.prefix));
        std::fs::create_dir(&leaf).map_err(|error| format!("{}: {error}", leaf.display()))?;
        move_all(own, &leaf);
        write(&control, "+cpu +memory").map_err(|error| {
            move_all(&leaf, own);
            drop(std::fs::remove_dir(&leaf));
            error.to_string()
        })?;
        Ok(Moved { leaf: Some(leaf) })
    }
}

fn has_both(controllers: &str) -> bool {
    ["cpu", "memory"].iter().all(|needed| controllers.split_whitespace().any(|controller| controller == *needed))
}

fn move_all(from: &Path, to: &Path) {
    for pid in std::fs::read_to_string(from.join("cgroup.procs")).unwrap_or_default().lines() {
        // A process that ended meanwhile cannot be moved and need not be.
        let _ = write(&to.join("cgroup.procs"), pid);
    }
}

/// This process, its parent, and so on.
fn ancestors() -> Vec<u32> {
    let mut family = vec![std::process::id()];
    while let Some(parent) = family.last().and_then(|pid| parent_of(*pid)).filter(|parent| *parent > 0) {
        family.push(parent);
    }
    family
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Removes the groups of platforms that were killed before they could, with what still runs in them; says how many.
pub(super) fn remove_leftovers(found: &Hierarchies) -> usize {
    let homes = found.all().into_iter().map(home_of).collect::<std::collections::BTreeSet<_>>();
    homes.iter().map(|home| remove_matching(home, |name| owner::is_gone(name) && !name.ends_with(SELF))).sum()
}

/// Where the platform's groups are to be. A shell that started a platform may stand in the leaf into which that one
/// moved it before it was killed: all in there go back to where they came from, which is the place.
fn home_of(own: &Path) -> PathBuf {
    let name = own.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match own.parent() {
        Some(home) if name.ends_with(SELF) && owner::is_gone(&name) => {
            remove_matching(home, |name| owner::is_gone(name) && !name.ends_with(SELF));
            // A group whose children have controllers takes no processes.
            let _ = write(&home.join("cgroup.subtree_control"), DISABLE);
            move_all(own, home);
            let _ = std::fs::remove_dir(own);
            home.to_owned()
        }
        _ => own.to_owned(),
    }
}

const DISABLE: &str = "-cpu -memory";

/// Ends what is in the groups of such a name and removes them; says how many there were.
fn remove_matching(own: &Path, matches: impl Fn(&str) -> bool) -> usize {
    let Ok(entries) = std::fs::read_dir(own) else { return 0 };
    let groups = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&matches));
    groups.map(|entry| remove(&entry.path())).filter(|removed| *removed).count()
}

/// Whether the group could be removed.
fn remove(group: &Path) -> bool {
    for _ in 0..REMOVALS {
        if std::fs::remove_dir(group).is_ok() {
            return true;
        }
        // Who is frozen by version 1's freezer cannot be killed; no platform of ours freezes by it.
        end_all(&group.join("cgroup.procs"));
        std::thread::sleep(REMOVAL_PAUSE);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_dead_platforms_are_removed_and_those_of_living_ones_stay() {
        let own = tempfile::tempdir().unwrap();
        let living = format!("{}-shop", owner::name_of_this_process("1"));
        // No process has this number: it is above the kernel's greatest.
        let dead = living.replace(&format!("-{}-", std::process::id()), "-4999999-");
        for name in [&dead, "tidegate-soon", "other", &living] {
            std::fs::create_dir(own.path().join(name)).unwrap();
        }
        let found = Hierarchies { v2: Some(own.path().to_owned()), ..Hierarchies::default() };
        assert_eq!(remove_leftovers(&found), 1);
        let mut left: Vec<_> = std::fs::read_dir(own.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["other", living.as_str(), "tidegate-soon"]);
    }

    #[test]
    fn a_shell_in_the_leaf_of_a_dead_platform_is_moved_back_and_its_home_is_the_place() {
        let home = tempfile::tempdir().unwrap();
        let living = owner::name_of_this_process("1");
        let dead = living.replace(&format!("-{}-", std::process::id()), "-4999999-");
        let leaf = home.path().join(format!("{dead}{SELF}"));
        std::fs::create_dir(&leaf).unwrap();
        std::fs::write(leaf.join("cgroup.procs"), "41\n42\n").unwrap();
        assert_eq!(home_of(&leaf), home.path());
        assert_eq!(std::fs::read_to_string(home.path().join("cgroup.procs")).unwrap(), "42", "one after the other");
        assert_eq!(std::fs::read_to_string(home.path().join("cgroup.subtree_control")).unwrap(), DISABLE);
        let own = home.path().join(format!("{living}{SELF}"));
        assert_eq!(home_of(&own), own);
    }

    #[test]
    fn version_2_without_the_controllers_is_refused_with_the_reason() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join("cgroup.controllers"), "pids cpuset\n").unwrap();
        let found = Hierarchies { v2: Some(own.path().to_owned()), ..Hierarchies::default() };
        let reason = Tree::two(&found, "1").unwrap_err();
        assert!(reason.contains("not delegated"), "{reason}");
        assert_eq!(Tree::one(&found, "1").unwrap_err(), "the controller cpu is not mounted");
    }

    #[test]
    fn version_2_enables_the_controllers_and_names_groups_after_the_platform() {
        let own = tempfile::tempdir().unwrap();
        std::fs::write(own.path().join("cgroup.controllers"), "cpuset cpu memory\n").unwrap();
        let found = Hierarchies { v2: Some(own.path().to_owned()), ..Hierarchies::default() };
        let tree = Tree::two(&found, "1").unwrap();
        let control = own.path().join("cgroup.subtree_control");
        assert_eq!(std::fs::read_to_string(&control).unwrap(), "+cpu +memory");
        tree.group("shop/1", Quota { cores: 0.1, memory: 1 << 20 }).unwrap();
        assert!(own.path().join(format!("{}-shop_1", owner::name_of_this_process("1"))).is_dir());
        tree.close();
        assert_eq!(std::fs::read_to_string(&control).unwrap(), "-cpu -memory");
    }
}
