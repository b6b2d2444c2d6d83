//! The main job with real processes: platform, instances, load, Monitoring, decision, report.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::print_stdout, reason = "the shares are worth quoting")]

mod browser;
mod busy;
mod logs;
mod tidegate;

use ::tidegate::trial::{Books, Outcome, Place, STUDY_FILE, Study, TrialResult, Usage, Validity};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidegate::{repository, told};

/// Billable time recomputed from the instances' logs and billable time read through Monitoring differ by at most this.
const BILLABLE_SHARE_MAX: f64 = 0.01;
/// What the platform timed and what the driver timed differ by at most this.
const SUMS_SHARE_MAX: f64 = 0.02;

/// An instance whose last line is written ends within this: a few milliseconds, more on a busy machine.
const EXIT_S_MAX: f64 = 0.02;

/// Studies measure: two at a time would disturb each other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A scenario of the repository with some of its sections replaced, as a file of its own.
fn scenario_with(dir: &Path, name: &str, sections: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(repository("scenarios").join(name)).unwrap();
    for (section, replacement) in sections {
        let start = text.find(&format!("\n{section}:")).unwrap_or_else(|| panic!("{name} has no {section}")) + 1;
        let inside = |line: &&str| line.starts_with([' ', '#', '\n']);
        let length: usize = text[start..].split_inclusive('\n').skip(1).take_while(inside).map(str::len).sum();
        let head = text[start..].split_inclusive('\n').next().unwrap().len();
        text.replace_range(start..start + head + length, replacement);
    }
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Runs a study to its end and loads it. A busy machine may make its trials invalid (exit 5): that changes no figure.
fn study(dir: &Path, arguments: &[&str]) -> Study {
    let output = tidegate::tidegate(dir).arg("tune").args(arguments).args(["--out", "study"]).output().unwrap();
    let (code, _, error) = told(&output);
    let study = Study::load(&dir.join("study")).unwrap_or_else(|missing| panic!("{missing}: {error}"));
    let expected = match study.decision.as_ref().map(|decision| &decision.outcome) {
        Some(Outcome::Chosen(_)) => 0,
        Some(Outcome::Infeasible { .. }) => 3,
        Some(Outcome::Untrusted { .. }) => 5,
        None => panic!("not decided: exit {code:?}: {error}"),
    };
    assert_eq!(code, Some(expected), "{error}");
    for trial in &study.trials {
        let Validity::Invalid(reasons) = &trial.validity else { continue };
        let busy = busy::explains(reasons.iter().map(ToString::to_string));
        assert!(busy, "invalid for more than a busy machine: {}", trial.invalid_reasons());
    }
    study
}

/// The shop's own shoppers for eight seconds: enough that one slice is a third of a percent of what is billed. Instances
/// run unlimited: one that is throttled dates its log lines late.
#[test]
fn a_study_that_sells_measures_bills_decides_and_reports() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let scenario = scenario_with(
        dir.path(),
        "shopping.yaml",
        &[
            ("stages", "stages:\n  - {name: normal, hold: 70, duration: 96s, warm_up: 12s}\n"),
            ("traffic", "traffic: {requests_per_month: 100000000, shares: {normal: 1}}\n"),
        ],
    );
    let study = study(dir.path(), &[&scenario, "--candidates", "4,16", "--blocks", "1", "--limiter", "none"]);
    assert!(study.trials.len() >= 2, "two candidates, one block");
    let folder = dir.path().join("study");
    let (mut sums, mut deviations) = (Vec::new(), Vec::new());
    for trial in &study.trials {
        let usage = trial.usage.as_ref().unwrap_or_else(|| panic!("{}", trial.invalid_reasons()));
        books_balance(trial, usage);
        stock_falls_by_what_is_sold(trial);
        sums.push(sums_deviation(trial, usage));
        deviations.push(billable_deviation(trial, usage, &folder.join("logs")));
    }
    within("billed and logged", &deviations, BILLABLE_SHARE_MAX);
    within("timed by the platform and by the driver", &sums, SUMS_SHARE_MAX);
    for file in ["index.html", "report.md", "trials.csv", STUDY_FILE] {
        assert!(fs::metadata(folder.join(file)).unwrap().len() > 500, "{file}");
    }
    assert!(fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().extension().is_some_and(|e| e == "png")));
    assert!(!folder.join("original-service.json").exists(), "what was changed is put back");

    // What the platform took for granted is in the record, and in the report.
    let Place::Local(scale) = &study.place else { panic!("{:?}", study.place) };
    let assumed = scale.assumed.as_ref().unwrap();
    let page = fs::read_to_string(folder.join("index.html")).unwrap();
    let constant = format!("{}: {}", assumed.constants[1].what, assumed.constants[1].value);
    assert!(page.contains(&constant), "{constant}");
    assert!(page.contains(&assumed.assumptions[3].what), "{:?}", assumed.assumptions);
    // And so is that nobody's memory was limited.
    assert!(scale.limiter.note.contains("none is ended for its memory"), "{:?}", scale.limiter);
    assert!(page.contains("any memory") && page.contains(&scale.limiter.note), "{:?}", scale.limiter);
    // Rendered again from the record alone, the report is the same.
    let page = fs::read(folder.join("index.html")).unwrap();
    let again = tidegate::tidegate(dir.path()).args(["report", "study"]).output().unwrap();
    assert!(again.status.success());
    assert!(fs::read(folder.join("index.html")).unwrap() == page, "a report depends on the record only");
    if let Some(chromium) = browser::require_real("chromium") {
        // One block: a verdict over it is a look.
        let look = if headline(&study).starts_with("No verdict") { "" } else { " (a look, not a measurement)" };
        // Without a valid trial there is nothing to compare candidates by.
        let plots = if study.trials.iter().any(TrialResult::is_valid) { 3 } else { 1 };
        browser::check_report(&chromium, &folder.join("index.html"), &(headline(&study) + look), plots);
    }
}

/// What a record holds may grow; what is committed must stay readable.
#[test]
fn the_committed_study_is_rendered_by_the_program_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(repository("reports/example").join(STUDY_FILE), dir.path().join(STUDY_FILE)).unwrap();
    let output = tidegate::tidegate(dir.path()).args(["report", "."]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(page.contains(&headline(&Study::load(dir.path()).unwrap())));
}

/// A busy machine delays some lines and some answers, in some trials; what is counted wrongly is wrong in all of them. So
/// one trial must keep the bound, and every one three times the bound.
fn within(what: &str, shares: &[f64], bound: f64) {
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    let most = shares.iter().copied().fold(0.0, f64::max);
    println!("{what} differ by these shares: {shares:?}");
    assert!(least <= bound && most <= 3.0 * bound, "{what} differ by these shares: {shares:?}, bound {bound}");
}

/// What the first screen must say.
fn headline(study: &Study) -> String {
    match &study.decision.as_ref().unwrap().outcome {
        Outcome::Chosen(choice) => format!("Set max concurrency to {}", choice.candidate.max_concurrency),
        Outcome::Infeasible { .. } => "No candidate keeps every promise".to_owned(),
        Outcome::Untrusted { .. } => "No verdict: the measurement cannot be trusted".to_owned(),
    }
}

fn balanced(books: &Books) -> bool {
    books.planned > 0 && books.balance()
}

/// Nothing is hidden, and the platform counted, status by status, every request that the driver sent but those that
/// never reached an instance.
fn books_balance(trial: &TrialResult, usage: &Usage) {
    let recording = &trial.recording;
    assert!(balanced(&recording.arrivals), "{:?}", recording.arrivals);
    assert!(recording.steps.iter().all(|step| balanced(&step.books)), "{:?}", recording.steps);
    let mut reached = recording.answers.clone();
    // The shop itself never answers so: these are the platform's, for want of an instance.
    let never_reached: u64 = ["429", "503"].iter().filter_map(|answer| reached.remove(*answer)).sum();
    assert_eq!(reached, usage.requests, "what reached an instance, by status");
    assert_eq!(recording.requests_sent(), usage.request_count() + never_reached, "client = platform + never reached");
}

fn stock_falls_by_what_is_sold(trial: &TrialResult) {
    let stock = trial.stock.as_ref().expect("the scenario observes the stock");
    assert!(stock.sold > 0, "nobody bought anything");
    assert_eq!(stock.sold, stock.fall);
    assert_eq!(trial.recording.counters["units_sold"], stock.sold);
    assert!(trial.recording.answers.get("400").is_some_and(|refused| *refused > 0), "nobody asked for too much");
}

/// What the platform timed (in an instance, and waiting for one) is what the driver timed, but for the way between them.
/// Gives the share by which the driver's sum is larger.
fn sums_deviation(trial: &TrialResult, usage: &Usage) -> f64 {
    let platform = usage.request_latencies_sum_s + usage.pending_sum_s;
    let driver = trial.recording.service_time_sum_s;
    assert!(platform <= driver, "the platform cannot have been slower than the driver saw: {platform} > {driver}");
    1.0 - platform / driver
}

/// What was read through Monitoring is what a meter makes of the instances' own logs, completed by what is in no log:
///
/// - the launcher and the loading of the program, before `main`: the platform tells how long start-ups took in all, and what
///   the instances did not time themselves (some 15 ms each) is spread evenly over them;
/// - the way between ingress and instance: what `request_latencies` holds beyond the instances' own times (a millisecond
///   each), spread evenly too;
/// - when SIGTERM came and when the process was gone after its last line: bounded from both sides.
///
/// Gives the share of the billed time by which it lies outside of what the logs say.
fn billable_deviation(trial: &TrialResult, usage: &Usage, logs: &Path) -> f64 {
    let instances = logs::instances(logs, &trial.revision);
    assert_eq!(usage.instance_starts, Some(instances.len() as u64), "every instance that started has a log");
    assert_eq!(instances.iter().map(logs::Instance::requests).sum::<u64>(), usage.request_count());
    let of_all = |seconds: fn(&logs::Instance) -> f64| instances.iter().map(seconds).sum::<f64>();
    let starts = instances.len() as f64;
    let before_main_s = usage.startup_mean_s.unwrap() - of_all(logs::Instance::startup_s) / starts;
    let beyond_s = usage.request_latencies_sum_s - of_all(logs::Instance::requests_s);
    let way_s = beyond_s / usage.request_count() as f64;
    assert!((0.0..0.25).contains(&before_main_s), "{before_main_s} s before main");
    assert!((0.0..0.01).contains(&way_s), "{way_s} s from the ingress to an instance and back");

    let (told_from, told_until) = logs::told_us(&instances);
    let billable_s = |told_us: i64, exit_s: f64| -> f64 {
        let unlogged = logs::Unlogged { before_main_s, way_s, told_us, exit_s };
        instances.iter().map(|instance| instance.billable_s(&unlogged)).sum()
    };
    let (least, most) = (billable_s(told_until, 0.0), billable_s(told_from, EXIT_S_MAX));
    let billed = usage.billable_instance_time_s;
    (least - billed).max(billed - most).max(0.0) / billed
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

/// Trials whose usage was read: what they measured is whole.
fn whole(study: &Study) -> Vec<&TrialResult> {
    study.trials.iter().filter(|trial| trial.usage.is_some()).collect()
}

/// A scenario on a platform so fast that the usage of a trial can be read while the next one but one runs.
fn soon_billed(dir: &Path) -> String {
    let service = "service:\n  bundled: shop\n  env: {CPU_WORK_US: 1000, WAIT_MS: 50}\n  max_instances: 10\n  \
                   local: {host_cores_per_vcpu: 0.05, time_factor: 60}\n";
    let stages = "stages:\n  - {name: steady, hold: 30, duration: 180s, warm_up: 60s}\n";
    scenario_with(dir, "minimal.yaml", &[("service", service), ("stages", stages)])
}

#[test]
fn ctrl_c_saves_what_was_measured_and_the_study_goes_on_from_there() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let scenario = soon_billed(dir.path());
    let folder = dir.path().join("study");
    let start = |more: &[&str]| {
        let mut command = tidegate::tidegate(dir.path());
        command.args(["tune", &scenario, "--limiter", "none", "--candidates", "1,2,4,8", "--out", "study"]);
        command.args(more).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running = Running(start(&[]));
    wait_until("a trial with its usage", || Study::load(&folder).is_ok_and(|study| !whole(&study).is_empty()));
    interrupt(&running.0);
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    let saved = Study::load(&folder).unwrap();
    assert!(saved.decision.is_none() && (1..4).contains(&whole(&saved).len()), "{} trials", saved.trials.len());
    assert!(folder.join("index.html").exists(), "what was measured is shown");

    let resumed = start(&["--resume"]).wait_with_output().unwrap();
    let (code, _, error) = told(&resumed);
    assert!([Some(0), Some(3), Some(5)].contains(&code), "{code:?}: {error}");
    let study = Study::load(&folder).unwrap();
    assert!(study.decision.is_some());
    assert_eq!(study.started_at, saved.started_at, "it is the same study");
    for before in whole(&saved) {
        let after = study.trials.iter().find(|trial| trial.revision == before.revision).expect("a trial is lost");
        assert_eq!(
            (after.number, after.candidate, &after.started_at),
            (before.number, before.candidate, &before.started_at)
        );
        assert!(after.recording == before.recording && after.usage == before.usage, "trial {} changed", before.number);
        // An invalid trial is tried once more, a valid one never again.
        let attempts = study.trials.iter().filter(|trial| trial.candidate == before.candidate).count();
        assert!(attempts == 1 || !before.is_valid(), "{:?} was measured again", before.candidate);
    }
    let tried = |candidate| whole(&study).iter().any(|trial| trial.candidate == candidate);
    assert!(study.candidates.iter().all(|candidate| tried(*candidate)), "what was missing was tried");
}

/// The process of `parent` whose command line holds `word`.
fn child_of(parent: u32, word: &str) -> rustix::process::Pid {
    // A child belongs to the thread that started it.
    let threads = fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let all: String =
        threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()).collect();
    let is_it = |pid: &&str| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(word));
    let pid = all.split_whitespace().find(is_it).unwrap_or_else(|| panic!("no child runs {word}: {all}"));
    rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap()
}

#[test]
fn what_ends_a_study_between_two_trials_says_how_to_go_on() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let scenario = soon_billed(dir.path());
    let mut command = tidegate::tidegate(dir.path());
    command.args(["tune", &scenario, "--limiter", "none", "--candidates", "1,2,4,8", "--out", "study"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let folder = dir.path().join("study");
    wait_until("a trial with its usage", || Study::load(&folder).is_ok_and(|study| !whole(&study).is_empty()));
    rustix::process::kill_process(child_of(child.id(), "platform"), rustix::process::Signal::KILL).unwrap();
    let (code, _, error) = told(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    let on = error.find("the trials until here are saved; go on with: ").unwrap_or_else(|| panic!("{error}"));
    assert!(error[on..].contains("--resume") && error[on..].contains("error: "), "{error}");
    assert!(folder.join("index.html").exists(), "what was measured is shown");
}
