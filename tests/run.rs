//! `tidegate run` as scripts use it: what is on standard output and what is not, how it ends, and what it refuses to begin.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod tidegate;

use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tidegate::{repository, tidegate, told};

/// A service that answers each request after `wait` with this status; gives its address. Its threads end with the test.
fn service(status: &'static str, wait: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let converse = move |mut stream: TcpStream| {
        let mut byte = [0];
        let mut head = Vec::new();
        while stream.read_exact(&mut byte).is_ok() {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                head.clear();
                std::thread::sleep(wait);
                if write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").is_err() {
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

/// Twenty arrivals per second for a second, and whatever else is said.
fn scenario(dir: &Path, more: &str) {
    let text = format!(
        "name: small
journeys: [{{name: one, steps: [{{name: get, get: /}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 50}}}}
stages:
  - {{name: up, ramp: {{from: 20, to: 20}}, duration: 1s}}
{more}
"
    );
    fs::write(dir.join("small.yaml"), text).unwrap();
}

fn run(dir: &Path, target: &str, more: &[&str]) -> (Option<i32>, String, String) {
    told(&tidegate(dir).args(["run", "small.yaml", "--target", target]).args(more).output().unwrap())
}

/// A busy machine may be late, which is told and ends with 5; anything else is a fault.
fn done_or_late(code: Option<i32>, error: &str) -> bool {
    code == Some(0) || code == Some(5) && error.contains("INVALID: the driver was late")
}

#[test]
fn standard_output_is_the_json_alone() {
    let dir = tempfile::tempdir().unwrap();
    scenario(dir.path(), "");
    let target = service("200 OK", Duration::ZERO);
    let (code, output, error) = run(dir.path(), &target, &["--json", "-"]);
    assert!(done_or_late(code, &error), "{code:?} {error}");
    let recording: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(recording["arrivals"]["planned"], 20);
    assert!(error.contains("arrivals: 20 planned"), "people are told beside it: {error}");
    let own = &recording["drivers"][0];
    assert!(own["open_files_max"].as_u64().unwrap() > 3, "{own}");
    assert_eq!(own["timer"], "timerfd");

    let (code, output, error) = run(dir.path(), &target, &["--quiet", "--json", "-"]);
    assert!(serde_json::from_str::<Value>(&output).is_ok(), "{output}");
    assert!(error.is_empty() || code == Some(5) && error.starts_with("INVALID:"), "{error}");

    let (code, output, error) = run(dir.path(), &target, &["--quiet", "--json", "saved.json"]);
    assert!(output.contains("arrivals: 20 planned"), "the result is the table: {output}");
    assert!(error.is_empty() || code == Some(5), "{error}");
    let saved = fs::read_to_string(dir.path().join("saved.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap()["arrivals"]["planned"], 20);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let target = service("200 OK", Duration::ZERO);
    let mut child = tidegate(dir.path())
        .arg("run")
        .arg(repository("scenarios/minimal.yaml"))
        .args(["--target", &target, "--time-factor", "36", "--quiet", "--json", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (code, _, error) = told(&output);
    assert!(done_or_late(code, &error), "{code:?} {error}");
    assert!(!error.contains("error:") && !error.contains("panicked"), "{error}");
}

#[test]
fn a_broken_promise_ends_the_run_early_with_three() {
    let dir = tempfile::tempdir().unwrap();
    let target = service("500 No", Duration::ZERO);
    scenario(dir.path(), "  - {name: long, hold: 20, duration: 60s}\nabort: [{slo: error_rate < 50%, over: 1s}]");
    let (code, output, error) = run(dir.path(), &target, &["--json", "saved.json"]);
    assert!(output.contains("by the rule error_rate < 50%"), "{output} {error}");
    assert!(code == Some(3) || code == Some(5) && error.contains("late"), "{code:?} {error}");
    let saved: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("saved.json")).unwrap()).unwrap();
    assert_eq!(saved["aborted"]["rule"], "error_rate < 50%");
    assert_eq!(saved["interrupted"], false);
    assert!(saved["aborted"]["at_s"].as_f64().unwrap() < 30.0, "{}", saved["aborted"]);
    assert_eq!(saved["arrivals"]["planned"], 1220);
    let count = |what: &str| saved["arrivals"][what].as_u64().unwrap();
    assert_eq!(count("failed") + count("dropped"), 1220);
}

#[test]
fn a_load_that_finds_no_room_is_refused_with_the_numbers_and_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    scenario(dir.path(), "");
    let limited = |files: &str| {
        let program = env!("CARGO_BIN_EXE_tidegate");
        let line = format!("ulimit {files} && exec {program} run small.yaml --target http://127.0.0.1:9 --quiet");
        told(&Command::new("sh").args(["-c", &line]).current_dir(dir.path()).output().unwrap())
    };
    let (code, _, error) = limited("-n 60");
    assert_eq!(code, Some(1), "{error}");
    for word in ["20 connections", "84 open files", "may open 60", "`ulimit -n 84`", "`max_in_flight`"] {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    let (code, output, error) = limited("-S -n 60");
    assert_eq!(code, Some(5), "the soft limit is raised, and nobody answers there: {error}");
    assert!(output.contains("connection refused"), "{output} {error}");
}
