//! `tidegate run` as scripts use it: what is on standard output and what is not, how it ends, and what it refuses to begin.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod busy;
#[expect(dead_code, reason = "not every test needs all of it")]
mod tidegate;

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate::{tidegate, told};

/// Runs measure: a shop beside one takes the CPU that it needs to be trusted.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// As expected, or untrusted for a busy host alone; any other reason, or none, is a fault.
fn ended_with(expected: i32, code: Option<i32>, error: &str) -> bool {
    let reasons = error.lines().filter_map(|line| line.strip_prefix("INVALID: "));
    code == Some(expected) || code == Some(5) && busy::explains(reasons)
}

/// Who is quiet tells no more than why nothing can be trusted.
fn only_reasons(error: &str) -> bool {
    error.lines().all(|line| line.starts_with("INVALID: "))
}

#[test]
fn standard_output_is_the_json_alone() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    scenario(dir.path(), "");
    let target = service("200 OK", Duration::ZERO);
    let (code, output, error) = run(dir.path(), &target, &["--json", "-"]);
    assert!(ended_with(0, code, &error), "{code:?} {error}");
    let recording: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(recording["arrivals"]["planned"], 20);
    assert!(error.contains("arrivals: 20 planned"), "people are told beside it: {error}");
    let own = &recording["drivers"][0];
    assert!(own["open_files_max"].as_u64().unwrap() > 3, "{own}");
    assert_eq!(own["timer"], "timerfd");

    let (code, output, error) = run(dir.path(), &target, &["--quiet", "--json", "-"]);
    assert!(serde_json::from_str::<Value>(&output).is_ok(), "{output}");
    assert!(ended_with(0, code, &error) && only_reasons(&error), "{code:?} {error}");

    let (code, output, error) = run(dir.path(), &target, &["--quiet", "--json", "saved.json"]);
    assert!(output.contains("arrivals: 20 planned"), "the result is the table: {output}");
    assert!(ended_with(0, code, &error) && only_reasons(&error), "{code:?} {error}");
    let saved = fs::read_to_string(dir.path().join("saved.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap()["arrivals"]["planned"], 20);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    // It promises nothing that a slow host could break.
    scenario(dir.path(), "");
    let target = service("200 OK", Duration::ZERO);
    let mut child = tidegate(dir.path())
        .args(["run", "small.yaml", "--target", &target, "--quiet", "--json", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (code, _, error) = told(&output);
    assert!(ended_with(0, code, &error), "{code:?} {error}");
    assert!(!error.contains("error:") && !error.contains("panicked"), "{error}");
}

#[test]
fn a_broken_promise_ends_the_run_early_with_three() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let target = service("500 No", Duration::ZERO);
    scenario(dir.path(), "  - {name: long, hold: 20, duration: 60s}\nabort: [{slo: error_rate < 50%, over: 1s}]");
    let (code, output, error) = run(dir.path(), &target, &["--json", "saved.json"]);
    assert!(output.contains("by the rule error_rate < 50%"), "{output} {error}");
    assert!(ended_with(3, code, &error), "{code:?} {error}");
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
    let _turn = alone();
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
    let (code, _, error) = limited("-S -n 60");
    assert!(code == Some(1) && !error.contains("open files"), "the soft limit is raised: {error}");
    assert!(error.contains("connection refused"), "and nobody is there: {error}");
}

/// The bundled shop, a process of its own. Dropping it ends it.
struct Shop {
    child: Child,
    address: String,
}

impl Shop {
    /// On `shop.db` in `dir`, with sales made so.
    fn start(dir: &Path, stock_updates: &str) -> Self {
        let mut child = tidegate(dir)
            .args(["target-service", "shop"])
            .env("DATABASE_URL", format!("sqlite://{}", dir.join("shop.db").display()))
            .envs([("PORT", "0"), ("HOST", "127.0.0.1"), ("LOG_REQUESTS", "false"), ("STOCK_UPDATES", stock_updates)])
            .envs([("DATABASE_POOL_SIZE", "8"), ("EXECUTOR_THREADS", "4")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let ready = lines.find(|line| line["message"] == "ready").unwrap();
        Self { child, address: format!("http://{}", ready["process"]["address"].as_str().unwrap()) }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sixteen customers who buy the same thing again and again for three seconds.
const RUSH: &str = "name: rush
set_up: [{name: restock, patch: /api/products/4/, json: {inventory_count: 1000000}, expect: {status: [200]}}]
journeys:
  - name: buy
    steps:
      - {name: csrf_token, get: /api/csrf_token, expect: {status: [200]}, extract: {token: {json: $.csrfToken}}}
      - name: checkout
        post: /api/checkout
        headers: {Referer: \"${base_url}/\", X-CSRFToken: \"${token}\"}
        json: {customer: {email: a@b.cd}, payment: {method: collect}, items: [{id: 4, countRequested: 2}]}
        expect: {status: [200]}
        count: {units_sold: {add: \"$.items[*].countFulfilled\", when_status: [200]}}
load: closed
stages: [{name: rush, hold: 16, duration: 3s}]
observe: [{name: stock, get: /api/products/, sum: \"$[*].inventory_count\"}]
conserve: [{counter: units_sold, falls: stock}]
";

/// What the shop's own books say of the product: units sold, and units left.
fn books(dir: &Path) -> (i64, i64) {
    let database = rusqlite::Connection::open(dir.join("shop.db")).unwrap();
    let sql = "SELECT units_sold, inventory_count FROM product WHERE id = 4";
    database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// The line about the law, and what the service's own books say: units sold and units gone.
fn rush(stock_updates: &str) -> (String, i64, i64) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rush.yaml"), RUSH).unwrap();
    let shop = Shop::start(dir.path(), stock_updates);
    let output =
        tidegate(dir.path()).args(["run", "rush.yaml", "--quiet", "--target", &shop.address]).output().unwrap();
    let (code, text, error) = told(&output);
    // Sixteen who never pause may take the whole machine: the times are no evidence then, the law is.
    assert!(matches!(code, Some(0 | 5)), "{code:?} {text} {error}");
    let (sold, left) = books(dir.path());
    let law = text.lines().find(|line| line.starts_with("law ")).unwrap_or_else(|| panic!("no law is told: {text}"));
    (law.to_owned(), sold, 1_000_000 - left)
}

#[test]
fn against_a_shop_that_loses_updates_the_run_tells_by_how_much_and_of_a_correct_one_that_none_was() {
    let _turn = alone();
    let (law, sold, gone) = rush("exact");
    assert!(sold > 100, "{sold} units were sold");
    assert_eq!(
        (law.as_str(), gone),
        (format!("law units_sold = fall of stock: kept, {sold} counted and {gone} gone").as_str(), sold)
    );

    let (law, sold, gone) = rush("racy");
    assert!(gone > 0 && gone < sold, "sixteen at once, and no update was lost: {sold} sold, {gone} gone");
    let told = format!(
        "law units_sold = fall of stock: NOT kept, {sold} counted and {gone} gone ({} counted and not gone, ",
        sold - gone
    );
    assert!(law.starts_with(&told), "{told:?} is not how it begins: {law}");
}
