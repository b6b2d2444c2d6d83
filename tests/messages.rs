//! The mistakes that users make, and what the program says: what is wrong, where, how to mend it; the right exit code, no
//! panic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod tidegate;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use tidegate::{repository, told};

/// Runs the program; every failure of it is a message of its own, never a panic.
fn run(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tidegate::tidegate(dir).args(arguments).output().unwrap();
    let (code, _, error) = told(&output);
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    (code, error)
}

/// A copy of the shopping scenario with one thing changed.
fn scenario_with(dir: &Path, from: &str, to: &str) -> String {
    let text = fs::read_to_string(repository("scenarios/shopping.yaml")).unwrap();
    assert!(text.contains(from), "{from}");
    let path = dir.join("mine.yaml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path.display().to_string()
}

#[test]
fn a_scenario_that_is_not_valid_is_refused_with_its_line_and_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to, words) in [
        ("max_in_flight: 500", "max_inflight: 500", &["mine.yaml:", "max_inflight", "max_in_flight"][..]),
        ("weight: 6", "weight: six", &["mine.yaml:", "number"][..]),
        ("get: /api/products/${product}/", "get: /api/products/${produkt}/", &["mine.yaml:", "produkt", "product"][..]),
        ("p95 < 150ms", "p101 < 150ms", &["mine.yaml:", "p101"][..]),
        ("candidates: [1, 2, 4, 8, 16, 80]", "candidates: []", &["mine.yaml:", "candidate"][..]),
    ] {
        let path = scenario_with(dir.path(), from, to);
        for command in [&["scenario", "check", &path][..], &["tune", &path][..]] {
            let (code, error) = run(dir.path(), command);
            assert_eq!(code, Some(2), "{command:?}: {error}");
            for word in words {
                assert!(error.contains(word), "{to}: {word:?} is not in: {error}");
            }
        }
    }
    assert!(!dir.path().join("reports").exists(), "a refused study leaves nothing behind");
}

#[test]
fn what_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (code, error) = run(dir.path(), &["tune", "nowhere.yaml"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("nowhere.yaml"), "{error}");
    let (code, error) = run(dir.path(), &["report", "nowhere"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("failed to read nowhere") && error.contains("study.json"), "{error}");
}

#[test]
fn a_price_file_without_the_region_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = scenario_with(dir.path(), "region: us-central1", "region: us-central");
    let (code, error) = run(dir.path(), &["tune", &path]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("us-central1"), "the likely region is named: {error}");
}

#[test]
fn candidates_of_the_command_line_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    for wrong in ["0", "1001", "4,4"] {
        let (code, error) = run(dir.path(), &["tune", &path, "--candidates", wrong]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("hint:"), "{error}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, error) = run(dir.path(), &["platform", "--port", &port, "--limiter", "none"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

#[test]
fn a_platform_that_cannot_start_says_why_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = repository("Cargo.toml").display().to_string();
    let start = |temporary: &Path| {
        let arguments = ["platform", "--port", "0", "--limiter", "none", "--logs", &file];
        let output = tidegate::tidegate(dir.path()).args(arguments).env("TMPDIR", temporary).output().unwrap();
        let (code, _, error) = told(&output);
        assert_eq!(code, Some(1), "{error}");
        error
    };
    let error = start(dir.path());
    assert!(error.contains(&file) && error.contains("--logs"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "not even its own folder");
    let missing = dir.path().join("missing");
    let error = start(&missing);
    assert!(error.contains(&missing.display().to_string()) && error.contains("TMPDIR"), "{error}");
}

/// A target that does this with every connection, on a thread that ends with the test's process.
fn target(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    url
}

/// Open, and silent for ever.
fn hang(stream: TcpStream) {
    std::mem::forget(stream);
}

/// A connection that is closed with a request unread is reset.
fn reset(stream: TcpStream) {
    let _ = stream.peek(&mut [0]);
    drop(stream);
}

fn garbage(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"\x00\xff not a word of HTTP\r\n\r\n");
}

fn server_error(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

#[test]
fn a_target_that_cannot_be_set_up_is_told_with_the_cause_and_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    // As in the repository, but with less patience.
    let path = scenario_with(
        dir.path(),
        "patch: /api/products/1/, json: {inventory_count: 1000000},",
        "patch: /api/products/1/, json: {inventory_count: 1000000}, timeout: 500ms,",
    );
    for (url, cause) in [
        (target(hang), "timed out"),
        (target(reset), "reset"),
        (target(garbage), "HTTP"),
        (target(server_error), "500"),
    ] {
        let (code, error) = run(dir.path(), &["run", &path, "--target", &url]);
        assert_eq!(code, Some(1), "{error}");
        for word in ["restock_pineapple", cause, "check that the service runs"] {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/shopping.yaml").display().to_string();
    let (code, error) = run(dir.path(), &["run", &path, "--target", "shop"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("http://host:port"), "{error}");
}

#[test]
fn a_time_factor_out_of_range_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    for wrong in ["0.5", "0", "-1", "1001", "NaN", "fast"] {
        let factor = format!("--time-factor={wrong}");
        for command in [&["run", &path, "--target", "http://127.0.0.1:9", &factor][..], &["platform", &factor][..]] {
            let (code, error) = run(dir.path(), command);
            assert_eq!(code, Some(2), "{command:?}: {error}");
            for word in ["--time-factor", wrong, "from 1 to 1000"] {
                assert!(error.contains(word), "{word:?} is not in: {error}");
            }
        }
    }
}

#[test]
fn an_autoscaler_or_routing_that_cannot_be_is_refused_and_a_platform_with_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    let cloud = ["--project", "p", "--region", "us-central1", "--service", "s"];
    let platform = ["platform", "--announce", "--port", "0", "--limiter", "none"];
    let longer = ["--autoscaler", "knative", "--long-concurrency-window"];
    for (command, words) in [
        ([&["tune", &path, "--routing", "fill-first"][..], &cloud].concat(), &["--routing", "as Google has it"][..]),
        ([&["tune", &path, "--limiter", "none"][..], &cloud].concat(), &["--limiter none: ", "leave --project"][..]),
        ([&["tune", &path][..], &longer].concat(), &["--long-concurrency-window", "--autoscaler cloud-run"][..]),
        ([&platform[..], &longer].concat(), &["--long-concurrency-window"][..]),
        ([&platform[..], &["--routing", "random"]].concat(), &["random", "two-choices"][..]),
        ([&platform[..], &["--autoscaler", "kpa"]].concat(), &["kpa", "knative"][..]),
    ] {
        let (code, error) = run(dir.path(), &command);
        assert_eq!(code, Some(2), "{command:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{command:?}: {error}");
    }
    // A platform whose standard input has ended serves for a moment only.
    let served = run(dir.path(), &[&platform[..], &["--autoscaler", "knative", "--routing", "round-robin"]].concat());
    assert_eq!(served.0, Some(0), "{}", served.1);
}

#[test]
fn a_limiter_that_does_not_work_here_is_told_with_those_that_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    let mut refused = 0;
    for limiter in ["cgroup2", "cgroup1"] {
        // A platform whose standard input has ended serves for a moment only: it tells whether the limiter works.
        let (code, error) = run(dir.path(), &["platform", "--announce", "--port", "0", "--limiter", limiter]);
        if code == Some(0) {
            continue;
        }
        refused += 1;
        assert_limiter_is_refused(code, &error, limiter);
        let (code, error) = run(dir.path(), &["tune", &path, "--limiter", limiter, "--out", limiter]);
        assert_limiter_is_refused(code, &error, limiter);
    }
    if refused == 0 {
        let _ = writeln!(std::io::stderr(), "skipped: every limiter works here");
    }
}

fn assert_limiter_is_refused(code: Option<i32>, error: &str, limiter: &str) {
    assert_eq!(code, Some(1), "{error}");
    for word in [format!("the limiter {limiter} does not work here").as_str(), "--limiter auto", "--limiter none"] {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn a_folder_that_holds_a_study_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("old")).unwrap();
    fs::write(dir.path().join("old/study.json"), "precious").unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    let (code, error) = run(dir.path(), &["tune", &path, "--out", "old"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--resume"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("old/study.json")).unwrap(), "precious");
}

#[test]
fn a_disk_that_cannot_be_written_is_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/minimal.yaml").display().to_string();
    let (code, error) = run(dir.path(), &["tune", &path, "--out", "/proc/self/study"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("/proc/self/study"), "{error}");
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let output = tidegate::tidegate(dir.path()).arg("--help").output().unwrap();
    let (code, text, _) = told(&output);
    assert_eq!(code, Some(0));
    for word in ["tune", "run", "report", "scenario", "platform", "Exit codes"] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn what_cannot_be_exported_or_merged_is_refused_with_the_file_and_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = repository("scenarios/minimal.yaml").display().to_string();
    // Nobody listens there: had anything been sent, the set-up or the figures would tell of it.
    let run = |export: &str| run(dir.path(), &["run", &scenario, "--target", "http://127.0.0.1:9", "--export", export]);
    let (code, error) = run("xlsx=a.xlsx");
    assert!(code == Some(2) && error.contains("no format \"xlsx\"") && error.contains("ndjson"), "{error}");
    let (code, error) = run("csv=missing/a.csv");
    assert!(code == Some(1) && error.contains("failed to write missing/a.csv"), "{error}");
    let (code, error) =
        self::run(dir.path(), &["run", &scenario, "--target", "http://127.0.0.1:9", "--json", "missing/a.json"]);
    assert!(code == Some(1) && error.contains("failed to write missing/a.json"), "{error}");
    assert!(!error.contains("s of load"), "before the load: {error}");
    let (code, error) = run("hgrm:pay=a.hgrm");
    assert!(code == Some(2) && error.contains("no step \"pay\"") && error.contains("active_product"), "{error}");

    fs::write(dir.path().join("half.json"), "{\n  \"schema_version\": 9,").unwrap();
    let merge = |file: &str| self::run(dir.path(), &["merge", file]);
    let (code, error) = merge("half.json");
    assert!(code == Some(2) && error.contains("half.json:2:") && error.contains("schema version 9"), "{error}");
    let (code, error) = merge("none.json");
    assert!(code == Some(2) && error.contains("failed to read none.json"), "{error}");
    let (code, error) = self::run(dir.path(), &["merge"]);
    assert!(code == Some(2) && error.contains("<RECORDINGS>"), "{error}");
}

#[test]
fn a_shard_or_a_start_that_cannot_be_is_told_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = repository("scenarios/shopping.yaml").display().to_string();
    for (arguments, words) in [
        (&["--shard", "9/8"][..], &["--shard", "there is no shard 9 of 8"][..]),
        (&["--shard", "two"][..], &["--shard", "such as 2/8"][..]),
        (&["--start-at", "16:00"][..], &["--start-at", "2026-11-22T16:00:00Z"][..]),
        (&["--start-at", "2020-01-01T00:00:00Z"][..], &["--start-at", "s ago", "hint: give a time to come"][..]),
        (&["--shard", "2/8"][..], &["set-up steps", "hint: give every shard the same --start-at"][..]),
    ] {
        // Nothing listens there: whatever were sent would be told as refused.
        let (code, error) = run(dir.path(), &[&["run", &path, "--target", "http://127.0.0.1:9"], arguments].concat());
        assert_eq!(code, Some(2), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
}

#[test]
fn what_only_a_run_with_deliveries_has_is_refused_in_another() {
    let dir = tempfile::tempdir().unwrap();
    let [shop, lab] =
        ["shopping", "lab-report"].map(|name| repository(&format!("scenarios/{name}.yaml")).display().to_string());
    for (path, option, words) in [
        (
            &shop,
            &["--out", "folder"][..],
            &["--out folder: only a run with deliveries", "expects none", "--json FILE"][..],
        ),
        (&shop, &["--no-wait"], &["--no-wait: only a run with deliveries", "expects none", "hint: leave it out"]),
        (&lab, &["--out", "folder"], &["--out folder: ", "no --observer", "hint: name each consumer by --observer"]),
        (&lab, &["--no-wait"], &["--no-wait: ", "no --observer", "hint: name each consumer by --observer"]),
        (
            &shop,
            &["--limiter", "auto"],
            &["--limiter auto: it is for instances that are started here", "hint: leave it out"],
        ),
        (&lab, &["--cpu-idle", "full"], &["--cpu-idle full: it is for instances", "with `services` and no target"]),
    ] {
        // Nothing listens there: whatever were sent would be told as refused.
        let (code, error) = run(dir.path(), &[&["run", path, "--target", "http://127.0.0.1:9"], option].concat());
        assert_eq!(code, Some(2), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
        assert!(!dir.path().join("folder").exists());
    }
}

#[test]
fn a_log_with_bad_lines_is_refused_or_its_rest_is_used_as_the_scenario_says() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = |on_bad_line: &str| {
        let text = format!(
            "name: r\njourneys: [{{name: j, steps: [{{name: s, get: /}}]}}]\nload:\n  replay: {{file: a.csv, format: csv, on_bad_line: {on_bad_line}}}\n"
        );
        fs::write(dir.path().join("r.yaml"), text).unwrap();
    };
    fs::write(dir.path().join("a.csv"), "time\n1\nnoon\n2.5\n").unwrap();
    scenario("refuse");
    let (code, error) = run(dir.path(), &["scenario", "check", "r.yaml"]);
    assert_eq!(code, Some(2), "{error}");
    for word in ["r.yaml:4:18: a.csv:3:1: `noon` is not a time", "hint: ", "on_bad_line: skip"] {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    scenario("skip");
    let output = tidegate::tidegate(dir.path()).args(["scenario", "check", "r.yaml"]).output().unwrap();
    let (code, text, error) = told(&output);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("replays 2 arrivals of a.csv, 1 line left out"), "{text}");
}

#[test]
fn a_service_that_could_not_be_priced_or_started_is_told_with_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(repository("scenarios/minimal.yaml")).unwrap();
    let service = "service:\n  bundled: shop\n  region: us-centrl1\n  env:\n    WAIT_MS: ninety\n    ANOTHER: x\n    EXECUTOR_THREADS: \"0\"\n";
    let begin = text.find("\nservice:").unwrap() + 1;
    let end = text[begin + 1..].find("\n\n").map_or(text.len(), |at| begin + 2 + at);
    let wrong = format!("{}{service}{}", &text[..begin], &text[end..]);
    fs::write(dir.path().join("wrong.yaml"), &wrong).unwrap();
    let line = |what: &str| wrong.lines().position(|line| line.contains(what)).unwrap() + 1;
    let words = [
        format!("wrong.yaml:{}:11: the price file (built in) has no region \"us-centrl1\"", line("us-centrl1")),
        "hint: did you mean \"us-central1\"?".to_owned(),
        format!("wrong.yaml:{}:14: WAIT_MS is \"ninety\", which is not a whole number", line("WAIT_MS")),
        format!("wrong.yaml:{}:23: EXECUTOR_THREADS is \"0\"", line("EXECUTOR_THREADS")),
    ];
    for arguments in [&["scenario", "check", "wrong.yaml"][..], &["tune", "wrong.yaml", "--out", "study"][..]] {
        let (code, error) = run(dir.path(), arguments);
        assert_eq!(code, Some(2), "{error}");
        for word in &words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
        assert!(!error.contains("ANOTHER") && !dir.path().join("study").exists(), "{error}");
    }
}

#[test]
fn the_price_file_is_printed_and_a_copy_with_another_region_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, error) = told(&tidegate::tidegate(dir.path()).args(["prices"]).output().unwrap());
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let book: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(book["dated"].is_string() && book["sources"].as_array().is_some_and(|sources| !sources.is_empty()));
    fs::write(dir.path().join("mine.json"), text.replacen("\"us-central1\"", "\"moon1\"", 1)).unwrap();
    // A region that only the copy has: what is refused next is the candidate.
    let scenario = fs::read_to_string(repository("scenarios/minimal.yaml")).unwrap();
    let scenario = scenario.replacen("bundled: shop", "bundled: shop\n  region: moon1", 1);
    fs::write(dir.path().join("moon.yaml"), scenario).unwrap();
    let tune = |more: &[&str]| run(dir.path(), &[&["tune", "moon.yaml", "--candidates", "0"][..], more].concat());
    let (_, error) = tune(&[]);
    assert!(error.contains("no region \"moon1\"") && error.contains("`tidegate prices` prints"), "{error}");
    let (_, error) = tune(&["--prices", "mine.json"]);
    assert!(error.contains("--candidates: 0"), "{error}");
}
