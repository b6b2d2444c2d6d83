//! The main job with real processes: platform, instances, load, Monitoring, decision, report.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod tidegate;

use ::tidegate::trial::{Books, STUDY_FILE, Study, TrialResult};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use tidegate::{repository, told};

/// Runs a study to its end and loads it. A busy machine may make its trials invalid (exit 5): that changes no figure.
fn study(dir: &Path, arguments: &[&str]) -> (i32, Study) {
    let output = tidegate::tidegate(dir).arg("tune").args(arguments).args(["--out", "study"]).output().unwrap();
    let (code, _, error) = told(&output);
    let code = code.unwrap();
    assert!([0, 3, 5].contains(&code), "exit {code}: {error}");
    (code, Study::load(&dir.join("study")).unwrap())
}

fn scenario(name: &str) -> String {
    repository("scenarios").join(name).display().to_string()
}

fn balanced(books: &Books) -> bool {
    books.planned > 0 && books.balance()
}

#[test]
fn a_study_measures_bills_decides_and_reports() {
    let dir = tempfile::tempdir().unwrap();
    let (code, study) = study(dir.path(), &[&scenario("minimal.yaml"), "--limiter", "none"]);
    assert!(study.decision.is_some());
    assert!(study.trials.len() >= 3, "three candidates, one block");
    for trial in &study.trials {
        books_balance(trial);
        sums_agree(trial);
    }
    let folder = dir.path().join("study");
    for file in ["index.html", "report.md", "trials.csv", STUDY_FILE] {
        assert!(fs::metadata(folder.join(file)).unwrap().len() > 500, "{file}");
    }
    assert!(fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|e| e == "png")));
    assert!(!folder.join("original-service.json").exists(), "what was changed is put back");

    // Rendered again from the record alone, the report is the same.
    let page = fs::read(folder.join("index.html")).unwrap();
    let again = tidegate::tidegate(dir.path()).args(["report", "study"]).output().unwrap();
    assert!(again.status.success());
    assert!(fs::read(folder.join("index.html")).unwrap() == page, "a report depends on the record only");
    assert!(code != 0 || study.trials.iter().any(TrialResult::is_valid));
}

fn books_balance(trial: &TrialResult) {
    let recording = &trial.recording;
    assert!(balanced(&recording.arrivals), "{:?}", recording.arrivals);
    assert!(recording.steps.iter().all(|step| balanced(&step.books)), "{:?}", recording.steps);
    let usage = trial.usage.as_ref().unwrap_or_else(|| panic!("{}", trial.invalid_reasons()));
    let outside: u64 = recording.answers.iter().filter(|(answer, _)| *answer == "429").map(|(_, count)| count).sum();
    assert_eq!(recording.requests_sent(), usage.request_count() + outside, "client = platform + never reached");
}

/// What the platform timed (in an instance, and waiting for one) is what the driver timed, but for the way between them.
fn sums_agree(trial: &TrialResult) {
    let usage = trial.usage.as_ref().unwrap();
    let platform = usage.request_latencies_sum_s + usage.pending_sum_s;
    let driver = trial.recording.service_time_sum_s;
    assert!(
        platform <= driver * 1.001,
        "the platform cannot have been slower than the driver saw: {platform} > {driver}"
    );
    assert!(platform > driver * 0.9, "{platform} is far from {driver}");
    assert!(usage.billable_instance_time_s > 0.0);
}

#[test]
fn billable_time_is_what_the_instances_own_request_logs_say() {
    let dir = tempfile::tempdir().unwrap();
    // One max concurrency, unlimited instances: what a request takes is then the same on both sides of the ingress.
    let (_, study) = study(dir.path(), &[&scenario("minimal.yaml"), "--candidates", "4", "--limiter", "none"]);
    for trial in &study.trials {
        let usage = trial.usage.as_ref().unwrap();
        let busy = busy_time(&dir.path().join("study/logs"), &trial.revision);
        let starts = usage.startup_mean_s.unwrap_or(0.0) * usage.instance_starts.unwrap_or(0) as f64;
        // The meter bills starting and stopping too, in whole slices: one slice of room for each instance.
        let least = busy;
        let most = busy + starts + 0.4 * usage.instance_starts.unwrap_or(1) as f64;
        let billed = usage.billable_instance_time_s;
        assert!(billed >= least * 0.99 && billed <= most * 1.01, "billed {billed}, logs say {least} to {most}");
    }
}

/// Seconds in slices of 100 ms during which instances of a revision served, from what they logged themselves.
fn busy_time(logs: &Path, revision: &str) -> f64 {
    let mut total = 0.0;
    for entry in fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with(&format!("{revision}-")) {
            continue;
        }
        let requests = requests_in(&fs::read_to_string(&entry).unwrap());
        total += slices(&requests) as f64 / 10.0;
    }
    total
}

/// (start, end) in seconds of every request in a log.
fn requests_in(log: &str) -> Vec<(f64, f64)> {
    let mut requests = Vec::new();
    for line in log.lines() {
        let Ok(entry) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(line) else { continue };
        let Some(request) = entry.get("httpRequest") else { continue };
        let latency: f64 = request["latency"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
        let start: jiff::Timestamp = entry["startTime"].as_str().unwrap().parse().unwrap();
        let start = start.as_microsecond() as f64 / 1e6;
        requests.push((start, start + latency));
    }
    requests.sort_by(|a, b| a.0.total_cmp(&b.0));
    requests
}

/// Slices of 100 ms that a meter opens: one when a request begins outside a billed slice, more while any goes on.
fn slices(requests: &[(f64, f64)]) -> u64 {
    let mut billed_until = f64::MIN;
    let mut opened = 0_u64;
    for (start, end) in requests {
        if *start >= billed_until {
            billed_until = *start;
        }
        while billed_until < *end {
            billed_until += 0.1;
            opened += 1;
        }
    }
    opened
}

/// A study that goes on in the background.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come within a minute");
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn ctrl_c_saves_what_was_measured_and_the_study_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let start = |more: &[&str]| {
        let mut command = tidegate::tidegate(dir.path());
        command.args(["tune", &scenario("minimal.yaml"), "--limiter", "none", "--candidates", "2,8", "--out", "study"]);
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running = Running(start(&[]));
    let trials = || Study::load(&dir.path().join("study")).map_or(0, |study| study.trials.len());
    wait_until("the first trial", || trials() >= 1);
    interrupt(&running.0);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    let saved = Study::load(&dir.path().join("study")).unwrap();
    assert!(saved.decision.is_none() && !saved.trials.is_empty());

    let resumed = start(&["--resume"]).wait_with_output().unwrap();
    let (code, _, error) = told(&resumed);
    assert!([Some(0), Some(3), Some(5)].contains(&code), "{code:?}: {error}");
    assert!(Study::load(&dir.path().join("study")).unwrap().decision.is_some());
}
