//! How the real program reaches a target, as a user starts it: options that cannot be used, and a service that takes one bearer
//! only.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "target/id_token.rs"]
mod id_token;
#[path = "tidegate/mod.rs"]
mod program;

use program::{repository, tidegate, told};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Starts an HTTP server whose answer to a head (in lower case) `answer` gives: a status and a body.
fn server(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&stream, &*answer));
        }
    });
    address
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&str) -> (u16, String)) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(reader.read_line(&mut head), Ok(1..)) {
                return;
            }
        }
        let (status, body) = answer(&head.to_ascii_lowercase());
        let head =
            format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nmetadata-flavor: Google\r\n\r\n", body.len());
        let mut writer = stream;
        if writer.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// A service that takes this bearer only.
fn private_service(token: &str) -> String {
    let line = format!("\r\nauthorization: bearer {}\r\n", token.to_ascii_lowercase());
    let address = server(move |head| if head.contains(&line) { (200, "{}".to_owned()) } else { (401, String::new()) });
    format!("http://{address}")
}

fn scenario(dir: &Path) -> String {
    let path = dir.join("mine.yaml");
    let text = "name: mine
set_up: [{name: reset, patch: /}]
journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 500ms}]
";
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// `tidegate run` of a scenario on `url`, where the only credentials are those of `metadata`.
fn run(dir: &Path, scenario: &str, url: &str, metadata: &str) -> Command {
    let mut command = tidegate(dir);
    let home = dir.display().to_string();
    command.args(["run", scenario, "--target", url, "--json", "recording.json"]);
    command.env("HOME", home).env_remove("GOOGLE_APPLICATION_CREDENTIALS").env("GCE_METADATA_HOST", metadata);
    command
}

/// The load was sent and taken, on a machine that may be too busy to trust the measurement.
fn assert_sent(dir: &Path, code: Option<i32>, error: &str) {
    assert!(matches!(code, Some(0 | 5)), "{code:?}: {error}");
    let recording = fs::read_to_string(dir.join("recording.json")).unwrap();
    let recording: serde_json::Value = serde_json::from_str(&recording).unwrap();
    // The set-up step and ten arrivals.
    assert_eq!(recording["answers"], serde_json::json!({"200": 11}), "{error}");
}

#[test]
fn secrets_come_from_files_and_the_environment_and_never_from_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let url = private_service("sesame");
    let file = dir.path().join("token");
    fs::write(&file, "sesame\n").unwrap();
    let nowhere = server(|_| (404, String::new()));
    let auth = |source: &str| {
        let output = run(dir.path(), &scenario(dir.path()), &url, &nowhere)
            .args(["--auth", source])
            .env("TOKEN", "sesame")
            .output()
            .unwrap();
        let (code, _, error) = told(&output);
        assert!(!error.contains("sesame") && !error.contains("panicked"), "{error}");
        (code, error)
    };
    for source in ["bearer:env:TOKEN".to_owned(), format!("bearer:file:{}", file.display())] {
        let (code, error) = auth(&source);
        assert_sent(dir.path(), code, &error);
    }
    for (source, words) in [
        ("bearer:sesame", "env:NAME"),
        ("basic:Aladdin:sesame", "env:NAME"),
        ("basic:Aladdin", "basic:USER:env:NAME"),
        ("digest:env:TOKEN", "bearer:file:PATH"),
        ("bearer:env:NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE"),
        ("bearer:file:nowhere", "nowhere"),
    ] {
        let (code, error) = auth(source);
        assert_eq!(code, Some(2), "{source}: {error}");
        assert!(error.contains("--auth: ") && error.contains(words), "{source}: {words:?} is not in: {error}");
    }
    // The service says 401 to the set-up step of a load that says it is nobody.
    let (code, _, error) = told(&run(dir.path(), &scenario(dir.path()), &url, &nowhere).output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("401"), "{error}");
}

#[test]
fn a_proxy_of_the_environment_is_told_and_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let url = private_service("sesame");
    let nowhere = server(|_| (404, String::new()));
    let mut command = run(dir.path(), &scenario(dir.path()), &url, &nowhere);
    command.args(["--auth", "bearer:env:TOKEN"]).env("TOKEN", "sesame");
    let (code, _, error) = told(&command.env("HTTPS_PROXY", "http://127.0.0.1:9").output().unwrap());
    assert_sent(dir.path(), code, &error);
    assert!(error.contains("HTTPS_PROXY is set and not used") && error.contains("--proxy"), "{error}");
}

#[test]
fn an_option_that_cannot_be_used_is_wrong_usage_and_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("garbage.pem"), [0x30, 0x82, 0xff]).unwrap();
    let scenario = scenario(dir.path());
    for (options, words) in [
        (&["--cacert", "missing.pem"][..], &["--cacert: failed to read missing.pem", "hint:"][..]),
        (&["--cacert", "garbage.pem"], &["--cacert: garbage.pem", "PEM", "hint:"]),
        (&["--cert", "garbage.pem", "--key", "garbage.pem"], &["--cert: garbage.pem", "hint:"]),
        (&["--cert", "garbage.pem"], &["--key"]),
        (&["--sni", "a b"], &["--sni: ", "hint:"]),
        (&["--resolve", "other:9:127.0.0.1"], &["--resolve: none is for 127.0.0.1:9", "hint:"]),
        (&["--resolve", "other"], &["--resolve", "HOST:PORT:ADDR"]),
        (&["--proxy", "https://proxy:3128"], &["--proxy", "http://HOST:PORT"]),
        (&["--proxy-auth", "user:env:WORD"], &["--proxy"]),
        (&["--proxy", "http://proxy.invalid:3128"], &["--proxy: proxy.invalid:3128", "hint:"]),
        (&["--proxy", "http://127.0.0.1:9", "--proxy-auth", "user:word"], &["--proxy-auth: ", "env:NAME"]),
        (&["--http", "3"], &["--http", "1.1, 2 or auto"]),
        (&["--auth", "bearer:env:WORD", "--google-id-token"], &["--auth", "--google-id-token"]),
    ] {
        let mut command = tidegate(dir.path());
        command.args(["run", &scenario, "--target", "http://127.0.0.1:9"]).args(options);
        let (code, _, error) = told(&command.output().unwrap());
        assert_eq!(code, Some(2), "{options:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
        for word in words {
            assert!(error.contains(word), "{options:?}: {word:?} is not in: {error}");
        }
    }
}

/// A server that answers whatever comes as an HTTP server answers what is no HTTP.
fn speaks_no_tls() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    address
}

/// Long before the load, whose start is a minute away, and without any of it.
#[test]
fn a_target_that_cannot_be_reached_is_told_when_the_run_is_prepared() {
    let dir = tempfile::tempdir().unwrap();
    let path = scenario(dir.path());
    let text = fs::read_to_string(&path).unwrap().replace("set_up: [{name: reset, patch: /}]\n", "");
    fs::write(&path, text).unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = speaks_no_tls();
    let start_at = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1)).to_string();
    for (url, words) in [
        (format!("http://{nobody}"), ["connection refused (tried ", "start the service"]),
        (format!("https://{nobody}"), ["connection refused (tried ", "start the service"]),
        (
            "http://shop.invalid".to_owned(),
            ["the name shop.invalid was not resolved: ", "--resolve shop.invalid:80:ADDR"],
        ),
        (format!("https://{plain}"), ["does not speak TLS on this port (tried ", "check scheme and port"]),
    ] {
        let mut command = run(dir.path(), &path, &url, "");
        let (code, output, error) = told(&command.args(["--start-at", &start_at, "--shard", "2/3"]).output().unwrap());
        assert!(code == Some(1) && output.is_empty(), "{code:?} {output} {error}");
        for word in words.iter().chain(&[&*url, "nothing was sent", "\n\nhint: "]) {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
        assert!(!dir.path().join("recording.json").exists(), "{url}: nothing was recorded");
    }
}

/// Whatever ends a run before anything is sent leaves nothing that was not there, and all that was.
#[test]
fn a_run_that_never_began_leaves_files_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = scenario(dir.path());
    let exports = ["json", "csv", "ndjson", "hlog"].map(|format| format!("{format}=run.{format}"));
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    for before in [None, Some("of an earlier run\n")] {
        let files =
            ["recording.json", "run.json", "run.csv", "run.ndjson", "run.hlog"].map(|name| dir.path().join(name));
        for file in &files {
            before.map_or(Ok(()), |text| fs::write(file, text)).unwrap();
        }
        for (wrong, expected) in
            [(&[][..], 1), (&["--export", "csv=none/run.csv"], 1), (&["--export", "hgrm:pay=h"], 2)]
        {
            let mut command = run(dir.path(), &path, &nobody, "");
            for export in &exports {
                command.args(["--export", export]);
            }
            let (code, _, error) = told(&command.args(wrong).output().unwrap());
            assert_eq!(code, Some(expected), "{error}");
            for file in &files {
                assert_eq!(fs::read_to_string(file).ok().as_deref(), before, "{}: {error}", file.display());
            }
        }
    }
}

/// Not after all trials of all candidates, each tried twice.
#[test]
fn candidates_that_cannot_be_reached_are_told_before_the_first_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = ["tune", &path, "--limiter", "none", "--out", "study", "--proxy", &format!("http://{nobody}")];
    let (code, output, error) = told(&tidegate(dir.path()).args(line).output().unwrap());
    assert!(code == Some(1) && output.is_empty(), "{code:?} {output} {error}");
    let tried = format!("(tried the proxy at {nobody}); nothing was sent");
    for word in
        ["error: no connection to ", "the proxy takes no connection: connection refused", &tried, "correct --proxy"]
    {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    let study = fs::read_to_string(dir.path().join("study/study.json")).unwrap();
    let study: serde_json::Value = serde_json::from_str(&study).unwrap();
    assert_eq!(study["trials"], serde_json::json!([]));
}

/// Whoever does not want to wait until a silent target is given up gets what every interrupted run tells.
#[cfg(unix)]
#[test]
fn a_signal_is_heard_while_the_target_is_tried() {
    use rustix::process::{Pid, Signal, kill_process};
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = run(dir.path(), &scenario(dir.path()), &url, "");
        fs::write(dir.path().join("recording.json"), "of an earlier run").unwrap();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It is connected, and waits for an answer to what it said of TLS.
        let _connection = silent.accept().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (ended, output, error) = told(&child.wait_with_output().unwrap());
        assert_eq!(ended, Some(code), "{error}");
        assert!(output.contains("10 planned = 0 completed + 0 failed + 10 dropped"), "{output}");
        assert!(output.contains("interrupted: this is what was measured until then"), "{output}");
        assert!(error.contains("stopping (again to end at once)") && !error.contains("error:"), "{error}");
        assert!(error.contains("nothing was sent: no file was written"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("recording.json")).unwrap(), "of an earlier run");
    }
}

/// Everything about the target is in the file, and paths go from its folder, wherever tidegate is started.
#[test]
fn a_scenario_that_says_where_it_goes_needs_no_options() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let address = server(move |head| {
        seen.lock().unwrap().push(head.to_owned());
        (if head.contains("\r\nauthorization: bearer sesame\r\n") { 200 } else { 401 }, "{}".to_owned())
    });
    let path = scenario(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(dir.path().join("token"), "sesame\n").unwrap();
    let target = "headers: {X-Run: nightly}, auth: 'bearer:file:token', traceparent: false";
    fs::write(&path, format!("{text}target: {{url: 'http://{address}', {target}}}\n")).unwrap();
    let run = |more: &[&str]| {
        let line = ["run", &path, "--json", "recording.json"];
        told(&tidegate(elsewhere.path()).args(line).args(more).output().unwrap())
    };
    let (code, _, error) = run(&[]);
    assert_sent(elsewhere.path(), code, &error);
    let heads = std::mem::take(&mut *heads.lock().unwrap());
    assert!(heads.iter().all(|head| head.contains("\r\nx-run: nightly\r\n")), "{heads:?}");
    assert!(!heads.iter().any(|head| head.contains("traceparent")), "{heads:?}");

    // The command line wins.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, error) = run(&["--target", &format!("http://{nobody}")]);
    assert!(code == Some(1) && error.contains("connection refused"), "{code:?} {error}");
    // And without any target there is no run.
    fs::write(&path, text).unwrap();
    let (code, _, error) = run(&[]);
    assert!(code == Some(2) && error.contains("--target") && error.contains("mine.yaml"), "{code:?} {error}");
}

/// The requests of the committed access log, at a hundred times their speed and twice their number: what comes to the server is
/// what is in the log, whatever it was for.
#[test]
fn recorded_requests_come_to_the_target_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let address = server(move |head| {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.lock().unwrap().push(head.to_owned());
        (if path.starts_with("/static/") { 404 } else { 200 }, String::new())
    });
    let log = fs::read_to_string(repository("scenarios/access.log")).unwrap();
    let odd = "\"GET http://other.example/odd?a=1 HTTP/1.1\" 200 1 \"-\" \"-\"";
    let lines = format!(
        "{log}h - - [20/Nov/2026:18:01:00 +0000] {odd}\nh - - [20/Nov/2026:18:01:00 +0000] \"DELETE /x HTTP/1.1\" 200 1 \"-\" \"-\"\n"
    );
    fs::write(dir.path().join("access.log"), &lines).unwrap();
    let text = format!(
        "name: again
load: {{replay: {{file: access.log, format: combined, send: requests, speed: 100, multiply: 2, groups: 2, expect: {{status: [200, 404]}}}}}}
target: {{url: 'http://{address}', traceparent: false}}
"
    );
    fs::write(dir.path().join("again.yaml"), text).unwrap();
    let output = tidegate(dir.path()).args(["run", "again.yaml", "--json", "recording.json"]).output().unwrap();
    let (code, _, error) = told(&output);
    assert!(matches!(code, Some(0 | 5)), "{code:?}: {error}");
    assert!(error.contains("are not sent: ") && error.contains("1 by DELETE"), "{error}");
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines.lines() {
        let parts: Vec<&str> = line.split('"').collect();
        let mut request = parts[1].split(' ');
        let (method, path) = (request.next().unwrap(), request.next().unwrap());
        if ["GET", "HEAD"].contains(&method) {
            let path = path.strip_prefix("http://other.example").unwrap_or(path);
            *expected
                .entry(format!("{method} {path} {}", parts[5].trim_matches('-')).to_ascii_lowercase())
                .or_default() += 2;
        }
    }
    let mut came: BTreeMap<String, u32> = BTreeMap::new();
    for head in heads.lock().unwrap().iter() {
        let line = head.lines().next().unwrap().trim_end_matches(" http/1.1");
        let field =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        assert_eq!(field("host"), Some(address.clone()), "{head}");
        *came.entry(format!("{line} {}", field("user-agent").unwrap_or_default())).or_default() += 1;
    }
    assert_eq!(came, expected);
    let recording = fs::read_to_string(dir.path().join("recording.json")).unwrap();
    let recording: serde_json::Value = serde_json::from_str(&recording).unwrap();
    let steps = recording["steps"].as_array().unwrap();
    assert!((3..=4).contains(&steps.len()), "two groups, and what belongs to neither by method: {steps:?}");
    assert_eq!(recording["arrivals"]["completed"], expected.values().sum::<u32>());

    let (code, text, error) = told(&tidegate(dir.path()).args(["scenario", "check", "again.yaml"]).output().unwrap());
    assert!(code == Some(0) && text.contains("requests (GET, HEAD) of access.log in "), "{text} {error}");
}
