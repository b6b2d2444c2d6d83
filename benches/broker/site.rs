//! The brokers that are measured, each in a process of its own.

use super::{Outcome, client};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a broker may take to start: the emulator's Java takes seconds.
const START_MOST: Duration = Duration::from_secs(30);

/// A broker that runs. Dropping it ends it.
pub(super) struct Site {
    pub(super) name: &'static str,
    /// Base address.
    pub(super) endpoint: String,
    child: Child,
}

/// Memory of a process, in MiB.
pub(super) struct Memory {
    pub(super) resident: f64,
    /// The most it ever was.
    pub(super) peak: f64,
}

impl Site {
    /// The broker of this repository, with its store in this folder.
    pub(super) async fn tidegate(data: &Path) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["broker", "--announce", "--port", "0", "--data"]).arg(data);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
        let announced: serde_json::Value = serde_json::from_str(&line)?;
        let endpoint = announced["endpoint"].as_str().ok_or("no endpoint was announced")?.to_owned();
        let site = Self { name: "tidegate", endpoint, child };
        client::ready(&site.endpoint).await?;
        Ok(site)
    }

    /// Google's emulator, where it is installed.
    pub(super) async fn emulator() -> Outcome<Self> {
        let program = program()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&program);
        command.args(["--host=127.0.0.1", &format!("--port={port}")]);
        // A file instead of the terminal: it logs every call.
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{}: {error}", program.display()))?;
        let site = Self { name: "Google's emulator", endpoint: format!("http://127.0.0.1:{port}"), child };
        let begun = Instant::now();
        while let Err(error) = client::ready(&site.endpoint).await {
            if begun.elapsed() > START_MOST {
                return Err(format!("{} does not answer: {error}", program.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(site)
    }

    /// CPU time that the process has used.
    pub(super) fn cpu(&self) -> Outcome<Duration> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let time = nix::time::clock_getcpuclockid(pid).and_then(nix::time::clock_gettime)?;
        Ok(time.into())
    }

    /// Its memory now.
    pub(super) fn memory(&self) -> Outcome<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Option<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
        };
        let (resident, peak) = field("VmRSS:").zip(field("VmHWM:")).ok_or("the kernel does not tell its memory")?;
        Ok(Memory { resident, peak })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Ours ends in order when its input does; Java is told.
        drop(self.child.stdin.take());
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        if self.name != "tidegate"
            && let Some(pid) = rustix::process::Pid::from_raw(pid.as_raw())
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// CPU time of this process: the client's and the endpoint's.
pub(super) fn own_cpu() -> Outcome<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// The emulator's program: as `PUBSUB_EMULATOR` says, or below the folder that `gcloud` says it is installed in.
fn program() -> Outcome<PathBuf> {
    if let Some(program) = std::env::var_os("PUBSUB_EMULATOR") {
        return Ok(program.into());
    }
    let mut gcloud = Command::new("gcloud");
    let root = gcloud.args(["info", "--format=value(installation.sdk_root)"]).stderr(Stdio::null()).output();
    let root = root.map_err(|error| format!("gcloud: {error}, and PUBSUB_EMULATOR names no program"))?;
    let root = PathBuf::from(String::from_utf8(root.stdout)?.trim());
    let program = root.join("platform/pubsub-emulator/bin/cloud-pubsub-emulator");
    if program.exists() { Ok(program) } else { Err(format!("there is no {}", program.display()).into()) }
}

/// What the files of a folder hold, in MiB.
pub(super) fn on_disk(folder: &Path) -> Outcome<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes as f64 / f64::from(1 << 20))
}
