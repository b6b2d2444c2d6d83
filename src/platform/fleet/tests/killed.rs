//! A platform that is killed: its instances die with it, and the next platform finds and ends what is left.

use super::*;

/// Whether a process runs or stands still. A zombie that nobody has reaped yet is dead.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Every directory of a cgroup hierarchy whose name begins so.
fn groups(prefix: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|mount| mount.contains(" - cgroup")).filter_map(|mount| mount.split(' ').nth(4));
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = points.map(PathBuf::from).collect();
    while let Some(place) = open.pop() {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.push(entry.path());
            }
            if entry.path().is_dir() {
                open.push(entry.path());
            }
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_platform_leaves_behind_is_cleared_by_the_next_and_nothing_of_a_living_one() {
    let directory = tempfile::tempdir().unwrap();
    let (living, url) = one(spec("shop-1", 4, 1)).await;
    let survivor = get_text(&format!("{url}/child")).await.1;

    let mut platform = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["platform::fleet::tests::actors::platform_to_be_killed", "--exact", "--ignored"])
        .env("PLATFORM_DIRECTORY", directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pids = loop {
        if let Ok(pids) = std::fs::read_to_string(directory.path().join("pid")) {
            break pids;
        }
        assert!(platform.try_wait().unwrap().is_none(), "the platform ended by itself");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let (instance, child) = pids.split_once(' ').unwrap();
    // Billed by request, they stand still soon: killed in this state, they must not stay so.
    let stands_still = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let limits = std::fs::read_to_string(format!("/proc/{child}/cgroup")).unwrap_or_default();
        let frozen = limits.lines().filter_map(|line| line.strip_prefix("0::")).any(|path| {
            std::fs::read_to_string(format!("/sys/fs/cgroup{path}/cgroup.freeze")).is_ok_and(|word| word.trim() == "1")
        });
        frozen || stat.contains(") T ")
    };
    wait_until(stands_still).await;
    let name = format!("tidegate-{}", owner::name_of_this_process("").split('-').nth(1).unwrap());
    let prefix = format!("{name}-{}-", platform.id());
    let folder = |id: u32| {
        let text = format!("-{id}-");
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("tidegate-platform-") && name.contains(&text)).count()
    };
    assert_eq!(folder(platform.id()), 1);
    platform.kill().unwrap();
    platform.wait().unwrap();
    wait_until(|| !is_alive(instance)).await;
    assert!(is_alive(child), "the kernel ends the instance only");

    let next = fleet(Policy::cloud_run(), None).await;
    wait_until(|| !is_alive(child)).await;
    assert_eq!((groups(&prefix), folder(platform.id())), (Vec::new(), 0));
    assert!(is_alive(&survivor) && folder(std::process::id()) >= 2, "what lives is left alone");
    assert_eq!(get_text(&url).await.0, 200);
    next.shutdown().await;
    living.shutdown().await;
    wait_until(|| !is_alive(&survivor)).await;
}
