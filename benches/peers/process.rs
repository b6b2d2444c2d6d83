//! The processes of a bench, each pinned to a core, and what they used of it.

use serde_json::Value;
use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The core of the generator, and that of the server.
const GENERATOR_CORE: &str = "0";
const SERVER_CORE: &str = "1";

/// The server of canned answers, ended when dropped.
pub(super) struct Server {
    child: Child,
    pub(super) base_url: String,
}

impl Server {
    /// With these words after `serve`.
    pub(super) fn start(words: &[&str]) -> Result<Self, Box<dyn Error>> {
        let arguments = [&["serve"], words].concat();
        let mut child = pinned(SERVER_CORE, &std::env::current_exe()?.to_string_lossy(), &arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
        Ok(Self { child, base_url: format!("http://{}", line.trim()) })
    }

    /// CPU time it has used.
    fn used(&self) -> Duration {
        cpu(&format!("/proc/{}/stat", self.child.id()), 13)
    }

    /// Arrivals since it was asked last, and how far they were from an even schedule: p50 and p99 in microseconds.
    pub(super) fn deviation(&self, rate: f64) -> Result<Value, Box<dyn Error>> {
        let mut stream = std::net::TcpStream::connect(self.base_url.trim_start_matches("http://"))?;
        write!(stream, "GET /deviation/{rate} HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(serde_json::from_str(answer.rsplit("\r\n").next().unwrap_or_default())?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one run of a generator gave.
pub(super) struct Run {
    pub(super) output: String,
    /// CPU time of the generator, and of the server meanwhile.
    pub(super) generator_cpu: Duration,
    pub(super) server_cpu: Duration,
}

/// Runs `program` on the generator's core to its end.
pub(super) fn generate(server: &Server, program: &str, arguments: &[&str]) -> Result<Run, Box<dyn Error>> {
    let children = || cpu("/proc/self/stat", 15);
    let (generator_before, server_before) = (children(), server.used());
    let output = pinned(GENERATOR_CORE, program, arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{program} ended with {}: {error}", output.status).into());
    }
    Ok(Run {
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        generator_cpu: children().saturating_sub(generator_before),
        server_cpu: server.used().saturating_sub(server_before),
    })
}

/// Whether `program` can be run.
pub(super) fn is_there(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok()
}

fn pinned(core: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]).args(arguments);
    command
}

/// The sum of two neighbouring fields of a process's CPU time, which the kernel tells in hundredths of a second: user and
/// system at 13, those of children that ended at 15 (man 5 `proc_pid_stat`, counted from 0).
fn cpu(path: &str, field: usize) -> Duration {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name of the program, in brackets, may hold spaces.
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = after_name.split(' ').skip(field - 2).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
