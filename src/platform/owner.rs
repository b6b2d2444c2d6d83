//! Whose something is that a platform made and may have left behind: it bears the platform's name, which no other
//! process will ever have. The number of a process alone will not do, because numbers come again.

use super::family::{lives, start_of};

/// All that platforms make begins with this.
pub(super) const PREFIX: &str = "tidegate-";

/// The name of this process's things: `tidegate-<process namespace>-<process>-<its start>-<unique>`. `unique` tells the
/// platforms of one process apart.
pub(super) fn name_of_this_process(unique: &str) -> String {
    let pid = std::process::id();
    format!("{PREFIX}{}-{pid}-{}-{unique}", namespace(), start_of(pid).unwrap_or_default())
}

/// Whether the process is gone that made what bears this name. What was made in another process namespace, such as that
/// of another container, is its own business: from here nobody can tell whether it lives.
pub(super) fn is_gone(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = rest.splitn(4, '-').map(str::parse::<u64>);
    let (Some(Ok(space)), Some(Ok(pid)), Some(Ok(start))) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(pid) = u32::try_from(pid) else { return false };
    // Killed, and not yet waited for by its parent, it has its number and does nothing any more.
    space == namespace() && !(lives(pid) && start_of(pid) == Some(start))
}

/// The number of this process's process namespace; 0 where there are none.
fn namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_process_of_this_namespace_made_that_is_gone_is_left_behind() {
        let own = name_of_this_process("5f");
        assert!(!is_gone(&own) && !is_gone(&format!("{own}-shop-1")));
        let (space, pid) = (namespace(), std::process::id());
        // No process has the number 4,999,999: it is above the kernel's greatest.
        assert!(is_gone(&format!("tidegate-{space}-4999999-77-5f-shop-1")));
        // The number of a living process, but of one that had it before.
        assert!(is_gone(&format!("tidegate-{space}-{pid}-1-5f")));
        for others in
            [&format!("tidegate-{}-4999999-77-5f", space + 1), "tidegate-soon", "tidegate-1-2", "other-1-2-3-4"]
        {
            assert!(!is_gone(others), "{others}");
        }
    }

    #[test]
    fn a_process_that_was_killed_is_gone_before_its_parent_has_waited_for_it() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let name = format!("tidegate-{}-{}-{}-5f", namespace(), child.id(), start_of(child.id()).unwrap());
        assert!(!is_gone(&name));
        child.kill().unwrap();
        while lives(child.id()) {
            std::thread::yield_now();
        }
        assert!(start_of(child.id()).is_some() && is_gone(&name));
        child.wait().unwrap();
    }
}
