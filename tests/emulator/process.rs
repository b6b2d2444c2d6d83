//! Google's Pub/Sub emulator as a process of its own, where gcloud has it.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to listen on the busiest machine.
const START_MOST: Duration = Duration::from_mins(1);

/// A running emulator. Dropping it kills it: it keeps nothing.
pub(crate) struct Emulator {
    child: Child,
    /// `HOST:PORT`.
    pub(crate) host: String,
}

impl Emulator {
    /// Starts it on a port of its own; `None`, and says so, where it is not installed.
    pub(crate) fn start(dir: &Path) -> Option<Self> {
        let Some(program) = program(dir) else {
            // No package manager has it: where it is not installed it is not required either. Not by a macro: what those
            // print is hidden unless the test fails.
            let _ = writeln!(std::io::stderr(), "skipped: gcloud does not have the Pub/Sub emulator");
            return None;
        };
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        // The script ends by becoming the emulator, so killing the child ends it.
        let mut child = Command::new(program)
            .args(["--host=127.0.0.1", &format!("--port={}", free.port())])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        await_listening(&mut child, free);
        Some(Self { child, host: free.to_string() })
    }

    /// Base address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.host)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn await_listening(child: &mut Child, address: SocketAddr) {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert_eq!(child.try_wait().unwrap(), None, "the emulator ended before it listened");
        assert!(started.elapsed() < START_MOST, "the emulator never listened");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The emulator's program in the installation that gcloud names.
fn program(dir: &Path) -> Option<PathBuf> {
    let mut gcloud = Command::new("gcloud");
    gcloud
        .args(["info", "--format=value(installation.sdk_root)"])
        .env("CLOUDSDK_CONFIG", dir.join("config"))
        .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
        .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
        .stderr(Stdio::null());
    let told = String::from_utf8(gcloud.output().ok()?.stdout).ok()?;
    let program = Path::new(told.trim()).join("platform/pubsub-emulator/bin/cloud-pubsub-emulator");
    program.is_file().then_some(program)
}
