//! Instances in scopes of systemd: for hosts whose cgroups belong to systemd and to nobody else. A launcher is started
//! through `systemd-run --scope`, which joins the scope and becomes the launcher.

use super::group::{Group, Quota};
use super::hierarchy::Hierarchies;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

/// A systemd that takes scopes from this user.
#[derive(Debug)]
pub(super) struct Systemd {
    user: bool,
    /// Begins the name of every scope of this platform.
    prefix: String,
}

/// The scope of one instance.
#[derive(Debug)]
pub(super) struct Scope {
    user: bool,
    unit: String,
    quota: Quota,
    /// Where its cgroup is, once it runs and if that can be read.
    group: OnceLock<Group>,
}

/// Where systemd tells that it is the host's init (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";
/// What the way to a user's systemd is told by.
const WAY_TO_USER: [&str; 2] = ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"];

impl Systemd {
    /// The system's for root, a user's own for everybody else; why there is none.
    pub(super) fn find(prefix: &str) -> Result<Self, String> {
        let root = rustix::process::geteuid().is_root();
        let variable = |name: &str| std::env::var_os(name);
        Self::told_by(Path::new(BOOTED), root, variable(WAY_TO_USER[0]).map(std::path::PathBuf::from).as_deref())
            .map(|user| Self { user, prefix: prefix.to_owned() })
    }

    /// Whether the user's systemd is the one.
    fn told_by(booted: &Path, root: bool, runtime: Option<&Path>) -> Result<bool, String> {
        if !booted.is_dir() {
            return Err(format!("systemd does not run here: there is no {}", booted.display()));
        }
        if root {
            return Ok(false);
        }
        let runtime = runtime.ok_or("XDG_RUNTIME_DIR is not set, so the user's systemd cannot be asked")?;
        let socket = runtime.join("systemd/private");
        if socket.exists() {
            Ok(true)
        } else {
            Err(format!("the user's systemd does not run: there is no {}", socket.display()))
        }
    }

    /// A scope that begins when its launcher does.
    pub(super) fn scope(&self, name: &str, quota: Quota) -> Scope {
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let unit = format!("{}-{}.scope", self.prefix, name.chars().map(legal).collect::<String>());
        Scope { user: self.user, unit, quota, group: OnceLock::new() }
    }
}

impl Scope {
    /// The words before the launcher's own.
    pub(super) fn words(&self) -> Vec<OsString> {
        let Quota { cores, memory } = self.quota;
        let mut words: Vec<OsString> = vec!["systemd-run".into()];
        if self.user {
            words.push("--user".into());
        }
        words.extend(["--scope", "--quiet", "--collect"].map(OsString::from));
        words.push(format!("--unit={}", self.unit).into());
        // systemd takes hundredths of a percent, and the period of the cgroups' own quota: see `Group`.
        for property in [
            format!("CPUQuota={:.2}%", (cores * 100.0).max(0.01)),
            format!("CPUQuotaPeriodSec={}ms", super::group::period_ms(cores)),
            format!("MemoryMax={memory}"),
            "MemorySwapMax=0".to_owned(),
        ] {
            words.extend(["-p".into(), property.into()]);
        }
        words.push("--".into());
        words
    }

    /// What `systemd-run` needs of the environment and the instance does not.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&'static str, OsString)> {
        WAY_TO_USER.into_iter().filter(|_| self.user).filter_map(|name| Some((name, std::env::var_os(name)?)))
    }

    /// Its cgroup, as soon as the process with this id is in it.
    pub(super) fn group(&self, pid: u32) -> Option<&Group> {
        if self.group.get().is_none() {
            let place = Hierarchies::of_process(pid).v2?;
            if !place.file_name().is_some_and(|name| name.to_string_lossy() == self.unit) {
                return None;
            }
            // Whoever was quicker has found the same.
            let _ = self.group.set(Group::at(place));
        }
        self.group.get()
    }

    /// Ends what is still in it; systemd removes it after that.
    pub(super) async fn remove(&self) {
        let Some(group) = self.group.get() else { return };
        group.remove().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_systemd_does_not_run_the_reason_is_told() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("missing");
        let told = |booted: &Path, root, runtime| Systemd::told_by(booted, root, runtime);
        assert!(told(&missing, true, None).unwrap_err().contains("systemd does not run here: there is no"));
        assert_eq!(told(place.path(), true, None), Ok(false));
        assert!(told(place.path(), false, None).unwrap_err().contains("XDG_RUNTIME_DIR"));
        assert!(told(place.path(), false, Some(place.path())).unwrap_err().contains("systemd/private"));
        std::fs::create_dir_all(place.path().join("systemd")).unwrap();
        std::fs::write(place.path().join("systemd/private"), "").unwrap();
        assert_eq!(told(place.path(), false, Some(place.path())), Ok(true));
    }

    #[test]
    fn a_scope_is_asked_for_with_its_limits() {
        let systemd = Systemd { user: true, prefix: "tidegate-7".to_owned() };
        let scope = systemd.scope("shop/1", Quota { cores: 0.0525, memory: 1 << 29 });
        let words: Vec<_> = scope.words().into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(
            words.join(" "),
            "systemd-run --user --scope --quiet --collect --unit=tidegate-7-shop_1.scope -p CPUQuota=5.25% -p \
             CPUQuotaPeriodSec=20ms -p MemoryMax=536870912 -p MemorySwapMax=0 --"
        );
        assert!(scope.group(std::process::id()).is_none(), "this process is in another group");
    }
}
