//! The live view on a real pseudo-terminal: whatever ends the run, the terminal is left as it was found.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate::trial::Recording;

const SCENARIO: &str = "name: small
journeys: [{name: one, steps: [{name: get, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, hold: 50, duration: 60s}]
";

/// Two seconds of reports to one consumer.
const SYSTEM: &str = r#"name: lab
variables: {report: {counter: {from: 12, step: 22}}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: "${report}"}, expect: {status: [204]}}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: all, hold: 20, duration: 24s}]
deliver: {step: post, id: report, to: [email], within: 3600s}
front: lab-report
services:
  lab-report: {bundled: lab-report, publishes: reports, max_instances: 1}
  email: {bundled: email, observer: /deliveries, max_instances: 1}
topics: [reports]
subscriptions: {email-sub: {topic: reports, push_to: email}}
local: {host_cores_per_vcpu: 0.25, time_factor: 12}
"#;

/// Looks, a hundredth of a second apart, for what must come about.
const LOOKS_MAX: u32 = 6000;

const ENTERED: &[u8] = b"\x1b[?1049h";
const LEFT: &[u8] = b"\x1b[?1049l";
const HIDDEN: &[u8] = b"\x1b[?25l";
const SHOWN: &[u8] = b"\x1b[?25h";

/// Without `script` the test is skipped, unless the environment says that everything real must be here.
fn no_terminal() -> bool {
    let found = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "script (util-linux) is required");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: script (util-linux) is not installed");
    }
    !found
}

/// A service that answers at once. Its threads end with the test.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let converse = |mut stream: TcpStream| {
        let (mut byte, mut head) = ([0], Vec::new());
        while stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_err() {
                    return;
                }
            }
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || converse(stream));
        }
    });
    address
}

/// A run with the live view on a pseudo-terminal of its own.
struct Run {
    script: Child,
    /// All that reached the terminal.
    shown: Arc<Mutex<Vec<u8>>>,
    dir: tempfile::TempDir,
}

impl Run {
    /// Starts one against a service, and waits until the view is drawn.
    fn start() -> Self {
        Self::of(SCENARIO, &format!("--target {}", service()))
    }

    /// Starts one of this scenario, and waits until the view is drawn.
    fn of(scenario: &str, arguments: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small.yaml"), scenario).unwrap();
        let shell = format!(
            "stty rows 24 cols 100; stty -g > before; \
             sh -c 'echo $$ > pid; exec {} run small.yaml {arguments} --json run.json'; \
             echo $? > code; stty -g > after",
            env!("CARGO_BIN_EXE_tidegate"),
        );
        let mut script = Command::new("script")
            .current_dir(dir.path())
            .env("TERM", "xterm-256color")
            .env_remove("PUBSUB_EMULATOR_HOST")
            .args(["-qfec", &shell, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut output) = (Arc::clone(&shown), script.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut some) {
                kept.lock().unwrap().extend_from_slice(&some[..count]);
            }
        });
        let run = Self { script, shown, dir };
        run.until("the view is drawn", || run.last(ENTERED).is_some() && run.last(b"achieved").is_some());
        run
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        for _ in 0..LOOKS_MAX {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{what} never came about: {}", String::from_utf8_lossy(&self.shown.lock().unwrap()));
    }

    /// Where these bytes were shown for the last time.
    fn last(&self, bytes: &[u8]) -> Option<usize> {
        self.shown.lock().unwrap().windows(bytes.len()).rposition(|window| window == bytes)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default().trim().to_owned()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.file("pid").parse().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits for the end, and checks that the terminal is as it was.
    fn ended_well(mut self, code: &str) {
        self.script.wait().unwrap();
        assert_eq!(self.file("code"), code, "{}", String::from_utf8_lossy(&self.shown.lock().unwrap()));
        self.until("the screen is left", || self.last(LEFT) > self.last(ENTERED));
        self.until("the cursor is shown", || self.last(SHOWN) > self.last(HIDDEN));
        assert_eq!((self.file("after"), self.file("before").is_empty()), (self.file("before"), false));
    }
}

fn interrupted(folder: &Path) -> bool {
    Recording::load(&folder.join("run.json")).is_ok_and(|recording| recording.interrupted)
}

#[test]
fn every_signal_that_can_be_heard_leaves_the_terminal_as_it_was_and_saves_what_was_measured() {
    if no_terminal() {
        return;
    }
    for (signal, code) in [(Signal::TERM, "143"), (Signal::INT, "130"), (Signal::HUP, "129")] {
        let run = Run::start();
        assert_ne!(run.file("before"), "", "the terminal's state is known");
        run.signal(signal);
        run.until("the recording", || interrupted(run.dir.path()));
        run.ended_well(code);
    }
}

#[test]
fn a_key_in_raw_mode_ends_the_run_as_a_signal_does() {
    if no_terminal() {
        return;
    }
    let mut run = Run::start();
    run.script.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    run.ended_well("130");
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_and_loses_nothing() {
    if no_terminal() {
        return;
    }
    let mut run = Run::start();
    // The end of `script` closes the terminal's other side: reading and writing fail, and the group is hung up.
    run.script.kill().unwrap();
    run.script.wait().unwrap();
    run.until("the recording", || interrupted(run.dir.path()));
}

/// The verdict of a run with deliveries stays on the terminal when the view has gone.
#[test]
fn what_became_of_reports_is_told_where_it_stays() {
    if no_terminal() {
        return;
    }
    let mut run = Run::of(SYSTEM, "--out out --no-wait");
    run.script.wait().unwrap();
    let (told, left) = (run.last(b"of 40 reports lost"), run.last(LEFT));
    assert!(told.is_some() && told > left, "{}", String::from_utf8_lossy(&run.shown.lock().unwrap()));
    let code = run.file("code");
    assert!(["0", "5"].contains(&code.as_str()), "a busy machine may be late: {code}");
    run.ended_well(&code);
}
