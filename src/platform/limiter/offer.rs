//! Whether this host offers cgroups that must work, told without the limiter: for the tests of real groups.

use super::LimiterKind;
use super::hierarchy::Hierarchies;
use std::path::{Path, PathBuf};

/// The version that a platform must be able to use here, or why there is none. A hierarchy counts when it has all its
/// controllers, this process may make groups in it and, in version 2, nothing stands in the way of its children: what
/// lacks after that is not a permission but a fault of the limiter.
pub(in crate::platform) fn offered() -> Result<LimiterKind, String> {
    let found = Hierarchies::of_this_process();
    let of_version_2 = found.v2.as_deref().ok_or("cgroup2 is not mounted".to_owned()).and_then(offers_two);
    let of_version_1 = || {
        let missing = |controller: &str| format!("the controller {controller} of cgroup1 is not mounted");
        ["cpu", "cpuacct", "memory"].iter().try_for_each(|controller| {
            let own: &PathBuf = found.v1.get(*controller).ok_or_else(|| missing(controller))?;
            may_make_groups(own)
        })
    };
    of_version_2
        .map(|()| LimiterKind::Cgroup2)
        .or_else(|of_two| of_version_1().map(|()| LimiterKind::Cgroup1).map_err(|of_one| format!("{of_two}; {of_one}")))
}

fn offers_two(own: &Path) -> Result<(), String> {
    let has_both = |file: &str| {
        let controllers = std::fs::read_to_string(own.join(file)).unwrap_or_default();
        ["cpu", "memory"].iter().all(|needed| controllers.split_whitespace().any(|controller| controller == *needed))
    };
    if !has_both("cgroup.controllers") {
        return Err(format!("cpu and memory are not delegated to {}", own.display()));
    }
    // Groups with processes of their own cannot have children; to clear one of others' processes is not a test's
    // business.
    if !has_both("cgroup.subtree_control") {
        return Err(format!("cpu and memory are not enabled below {}", own.display()));
    }
    may_make_groups(own)
}

fn may_make_groups(own: &Path) -> Result<(), String> {
    // Its name has the form of the platform's own groups, so that one that is left behind is swept up by the next
    // platform.
    let group = own.join(crate::platform::owner::name_of_this_process("offer"));
    std::fs::create_dir(&group).map_err(|error| format!("no group can be made in {}: {error}", own.display()))?;
    std::fs::remove_dir(&group).map_err(|error| format!("{} cannot be removed: {error}", group.display()))
}
