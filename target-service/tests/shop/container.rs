//! The container without Docker: the same root file system, run by another user, read-only, without privileges.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::service::{Service, client};

/// The user of the Dockerfiles.
const USER: &str = "65532";

/// The root file system that the Dockerfile's last build stage assembles, around the binary under test.
fn root_file_system(folder: &Path) -> PathBuf {
    let root = folder.join("rootfs");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rootfs.sh");
    let status = Command::new("sh").arg(script).arg(env!("CARGO_BIN_EXE_target-service")).arg(&root).status().unwrap();
    assert!(status.success());
    root
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_image_holds_the_program_and_its_libraries_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file_system(folder.path());
    let mut others: Vec<String> = Vec::new();
    for file in files(&root) {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_library = name.starts_with("lib") && name.contains(".so.");
        if !is_library {
            others.push(name);
        }
    }
    others.sort();
    assert_eq!(others, ["etc/group", "etc/passwd", "target-service"]);
}

/// The command that enters the root file system as a container's runtime does; none where this user may not.
fn enter(root: &Path, database_url: &str) -> Option<Command> {
    enter_under("", root, database_url)
}

/// The same, with words before the command that changes root and user.
fn enter_under(words: &str, root: &Path, database_url: &str) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "only root can change root and user");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: only root can change root and user");
        return None;
    }
    let script = r#"
        mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs -o size=64m,mode=1777 tmpfs "$1/tmp" &&
        exec $3 setpriv --no-new-privs chroot --userspec="$2:$2" --groups= "$1" /target-service shop
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(root).arg(USER).arg(words);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOST", "127.0.0.1").env("PORT", "0");
    command.env("DATABASE_URL", database_url);
    Some(command)
}

#[tokio::test]
async fn it_serves_as_another_user_on_a_read_only_root_without_privileges() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file_system(folder.path());
    let Some(command) = enter(&root, "sqlite:///tmp/shop.db") else { return };
    let service = Service::spawn(command);
    assert_eq!(client().get(service.url("/api/products/")).send().await.unwrap().status(), 200);
    for name in ["Uid", "Gid"] {
        assert_eq!(service.status(name).split_whitespace().collect::<Vec<_>>(), [USER; 4], "{name}");
    }
    assert_eq!(service.status("Groups"), "");
    assert_eq!(service.status("NoNewPrivs"), "1");
    for name in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(service.status(name), "0".repeat(16), "{name}");
    }
    let mounts = service.proc("mountinfo");
    let mounted = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(mounted.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{mounted}");
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn nothing_but_its_temporary_folder_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let root = root_file_system(folder.path());
    let Some(mut command) = enter(&root, "sqlite:///shop.db") else { return };
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("failed to set up the database sqlite:///shop.db"), "{told}");
}

/// What becomes a program under a filter of system calls.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const FILTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shop/seccomp.py");

/// Kernels of other machines number their calls differently, and the filter is written in numbers.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[tokio::test]
async fn it_serves_and_ends_without_a_system_call_that_container_runtimes_withhold() {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGSYS: i32 = 31;
    let folder = tempfile::tempdir().unwrap();
    let root = root_file_system(folder.path());
    let Some(command) = enter_under(&format!("python3 {FILTER}"), &root, "sqlite:///tmp/shop.db") else { return };
    // The filter does withhold: who makes a namespace of its own under it is killed.
    let Ok(withheld) = Command::new("python3").args([FILTER, "unshare", "--mount", "true"]).status() else {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "python3 is required");
        return drop(writeln!(std::io::stderr(), "skipped: python3 is not installed"));
    };
    assert_eq!(withheld.signal(), Some(SIGSYS), "{withheld}");
    let service = Service::spawn(command);
    assert_eq!(service.status("Seccomp"), "2", "mode 2 is a filter");
    assert_eq!(client().get(service.url("/api/products/")).send().await.unwrap().status(), 200);
    assert_eq!(client().get(service.url("/")).send().await.unwrap().status(), 200);
    service.terminate();
    assert_eq!(service.wait().code(), Some(0));
}
