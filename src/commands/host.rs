//! What machine this is, for the record.

use crate::trial::Host;

/// Describes this machine; what cannot be read is left empty.
pub(super) fn describe() -> Host {
    let uname = rustix::system::uname();
    let system = [uname.sysname(), uname.release(), uname.machine()].map(|part| part.to_string_lossy().into_owned());
    Host {
        system: system.join(" "),
        cpu: field_of("/proc/cpuinfo", "model name").unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_mib: field_of("/proc/meminfo", "MemTotal")
            .and_then(|total| total.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib / 1024),
    }
}

/// The value of the first `name : value` line of a file of the kernel's.
fn field_of(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The commit of the working directory, with `-dirty` when files differ from it; `None` outside a repository.
pub(super) fn commit() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
