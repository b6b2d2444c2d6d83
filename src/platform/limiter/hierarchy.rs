//! Where this process stands in the cgroup hierarchies: read from `/proc/self/cgroup` and `/proc/self/mountinfo`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directories of this process's own groups.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Hierarchies {
    /// Of version 1, by controller; joined controllers share a directory.
    pub(super) v1: BTreeMap<String, PathBuf>,
    /// Of version 2.
    pub(super) v2: Option<PathBuf>,
}

impl Hierarchies {
    /// Reads them; none where there is no `/proc`.
    pub(super) fn of_this_process() -> Self {
        Self::of("self")
    }

    /// Those of another process, where this one sees them.
    pub(super) fn of_process(pid: u32) -> Self {
        Self::of(&pid.to_string())
    }

    fn of(process: &str) -> Self {
        let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read(format!("/proc/{process}/cgroup")), &read("/proc/self/mountinfo".to_owned()))
    }

    /// Every directory in which a platform may have made groups.
    pub(super) fn all(&self) -> Vec<&Path> {
        let mut all: Vec<_> = self.v1.values().chain(&self.v2).map(PathBuf::as_path).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn parse(cgroup: &str, mountinfo: &str) -> Self {
        let mut found = Self::default();
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        for line in cgroup.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (parts.next(), parts.next()) else { continue };
            if controllers.is_empty() {
                found.v2 = mounts.iter().find(|mount| mount.kind == "cgroup2").map(|mount| mount.directory(own));
                continue;
            }
            for controller in controllers.split(',') {
                let mount = mounts.iter().find(|mount| mount.kind == "cgroup" && mount.has(controller));
                if let Some(mount) = mount {
                    found.v1.insert(controller.to_owned(), mount.directory(own));
                }
            }
        }
        found
    }
}

struct Mount<'a> {
    root: &'a str,
    point: String,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL…] - TYPE SOURCE SUPEROPTIONS`.
    fn parse(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let mut back = back.split(' ');
        let (root, point) = (front.next()?, front.next()?);
        let (kind, options) = (back.next()?, back.nth(1)?);
        // Blanks in a path are written as octal escapes.
        Some(Self { root, point: point.replace("\\040", " "), kind, options })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    /// The directory of the group at path `own`: the mount shows the hierarchy from `root` on only.
    fn directory(&self, own: &str) -> PathBuf {
        let below = own.strip_prefix(self.root).unwrap_or_default().trim_start_matches('/');
        Path::new(&self.point).join(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_hierarchies_of_version_1_beside_an_empty_version_2() {
        let cgroup = "4:memory:/box/7\n2:cpuacct:/\n1:cpu:/\n0::/\n";
        let mountinfo = "\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let found = Hierarchies::parse(cgroup, mountinfo);
        assert_eq!(found.v1["cpu"], Path::new("/sys/fs/cgroup/cpu"));
        assert_eq!(found.v1["cpuacct"], Path::new("/sys/fs/cgroup/cpuacct"));
        assert_eq!(found.v1["memory"], Path::new("/sys/fs/cgroup/memory/box/7"));
        assert_eq!(found.v2.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn joined_hierarchies_and_a_container_that_sees_only_its_own_branch() {
        let cgroup = "3:cpu,cpuacct:/docker/abc/job\n0::/user.slice/run-1.scope\n";
        let mountinfo = "\
            32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
            24 23 0:22 / /sys/fs/c\\040group rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(cgroup, mountinfo);
        assert_eq!(found.v1["cpu"], Path::new("/sys/fs/cgroup/cpu,cpuacct/job"));
        assert_eq!(found.v1["cpuacct"], found.v1["cpu"]);
        assert_eq!(found.v2.as_deref(), Some(Path::new("/sys/fs/c group/user.slice/run-1.scope")));
    }

    #[test]
    fn nonsense_finds_nothing() {
        assert_eq!(Hierarchies::parse("x\n1:cpu:/\n", "garbage\n- - -\n"), Hierarchies::default());
    }
}
