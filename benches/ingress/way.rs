//! The ways from the generator to a server: straight, through the platform, through nginx.

use super::nginx;
use super::pin::{cpu, pinned};
use serde_json::Value;
use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Of server and generator, and of the proxy.
pub(super) const SERVER_CORE: &str = "0";
const PROXY_CORE: &str = "1";

/// A process that serves, ended by its id when dropped.
struct Serving {
    child: Child,
    /// Open as long as it is to serve.
    input: Option<ChildStdin>,
}

/// A way. Whatever serves on it ends when it is dropped.
pub(super) struct Way {
    pub(super) name: &'static str,
    base_url: String,
    /// Whose CPU time the proxy's is; none where there is no proxy.
    proxy: Option<u32>,
    _serving: Serving,
    /// nginx's files.
    _dir: Option<tempfile::TempDir>,
}

/// What a load gave.
pub(super) struct Sample {
    /// Service time: from the sending to the end of the answer, p50 and p99 in microseconds.
    pub(super) service_us: [f64; 2],
    /// From the due time on.
    pub(super) response_us: [f64; 2],
    pub(super) lateness_us: [f64; 2],
    pub(super) rate: f64,
    /// Requests per second of the proxy's CPU time.
    pub(super) per_cpu_second: f64,
    /// The share of its core that the proxy used.
    pub(super) core_share: f64,
}

impl Way {
    /// Straight to a server of its own.
    pub(super) fn straight() -> Outcome<Self> {
        let (serving, line) = Serving::start(SERVER_CORE, "serve", Stdio::null())?;
        Ok(Self { name: "straight", base_url: format!("http://{line}"), proxy: None, _serving: serving, _dir: None })
    }

    /// Through the platform to an instance.
    pub(super) fn platform() -> Outcome<Self> {
        let (serving, base_url) = Serving::start(PROXY_CORE, "platform", Stdio::piped())?;
        let proxy = Some(serving.child.id());
        Ok(Self { name: "tidegate", base_url, proxy, _serving: serving, _dir: None })
    }

    /// Through nginx to the server of this way; none without nginx.
    pub(super) fn nginx(straight: &Self) -> Outcome<Option<Self>> {
        let program = std::env::var("NGINX").unwrap_or_else(|_| "nginx".to_owned());
        if Command::new(&program).arg("-v").stderr(Stdio::null()).status().is_err() {
            println!("nginx is left out: {program} cannot be run");
            return Ok(None);
        }
        // A port that was free a moment ago: nginx cannot choose one itself.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let dir = tempfile::tempdir()?;
        let path: PathBuf = dir.path().join("nginx.conf");
        let server = straight.base_url.trim_start_matches("http://");
        std::fs::write(&path, nginx::configuration(dir.path(), port, server))?;
        let path = path.to_string_lossy();
        let child = pinned(PROXY_CORE, &program, &["-c", &path, "-g", "daemon off;"]).stdin(Stdio::null()).spawn()?;
        let serving = Serving { child, input: None };
        let main = serving.child.id();
        for _ in 0..1000 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?;
        let worker = children.split_whitespace().next().ok_or("nginx has no worker")?.parse()?;
        let base_url = format!("http://127.0.0.1:{port}");
        Ok(Some(Self { name: "nginx", base_url, proxy: Some(worker), _serving: serving, _dir: Some(dir) }))
    }

    /// Puts one of the generator's loads on it.
    pub(super) fn load(&self, load: &str, seconds: u32) -> Outcome<Sample> {
        let used = || self.proxy.map(|pid| cpu(&format!("/proc/{pid}/stat"), 13)).unwrap_or_default();
        let exe = std::env::current_exe()?.to_string_lossy().into_owned();
        let before = used();
        let seconds = seconds.to_string();
        let output = pinned(SERVER_CORE, &exe, &["drive", "wire", load, &self.base_url, &seconds]).output()?;
        let used = used().saturating_sub(before).as_secs_f64();
        if !output.status.success() {
            return Err(format!("the generator: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let told: Value = serde_json::from_slice(&output.stdout)?;
        if told["failures"] != 0 {
            return Err(format!("requests failed on the way {}: {told}", self.name).into());
        }
        let pair = |name: &str| [0, 1].map(|place| told[name][place].as_f64().unwrap_or_default());
        let number = |name: &str| told[name].as_f64().unwrap_or_default();
        Ok(Sample {
            service_us: pair("service_us"),
            response_us: pair("response_us"),
            lateness_us: pair("lateness_us"),
            rate: number("rate"),
            per_cpu_second: number("count") / used.max(0.01),
            core_share: used / (number("count") / number("rate")).max(1e-3),
        })
    }
}

impl Serving {
    /// This program with this word, on this core; gives the first line it prints.
    fn start(core: &str, word: &str, input: Stdio) -> Outcome<(Self, String)> {
        let exe = std::env::current_exe()?.to_string_lossy().into_owned();
        let mut child = pinned(core, &exe, &[word]).stdin(input).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or("no standard output")?);
        let serving = Self { child, input };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        Ok((serving, line.trim().to_owned()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // The platform ends with its input, and takes its instance along; the others are told by a signal.
        let waits_for_input = self.input.take().is_some();
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            for _ in 0..100 {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                if !waits_for_input {
                    // It may have ended meanwhile.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
