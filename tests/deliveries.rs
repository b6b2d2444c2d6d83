//! Reports through platform, broker and services, all of them real processes: none is lost, and loss has its own code.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod browser;
mod busy;
mod tidegate;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidegate::{repository, tidegate, told};

/// Three consumers, two of which take pushes of one account only, and one of which is down for a while. The time factor makes backoffs of a minute five seconds.
const SYSTEM: &str = r#"name: lab
variables: {report: {counter: {from: 12, step: 22}}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: "${report}"}, expect: {status: [204]}}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: all, hold: 20, duration: 60s}]
slos: [lost == 0]
deliver: {step: post, id: report, to: [email, sms, archive], within: 3600s}
front: lab-report
services:
  lab-report: {bundled: lab-report, publishes: reports, max_instances: 1}
  email: {bundled: email, observer: /deliveries, invokers: [pubsub-invoker], max_instances: 1}
  sms: {bundled: sms, observer: /deliveries, invokers: [pubsub-invoker], max_instances: 1}
  archive: {bundled: email, observer: /deliveries, max_instances: 1}
topics: [reports]
subscriptions:
  email-sub: {topic: reports, push_to: email, push_as: pubsub-invoker}
  sms-sub: {topic: reports, push_to: sms, push_as: pubsub-invoker}
  archive-sub: {topic: reports, push_to: archive}
faults: [email down from 6s for 24s]
local: {host_cores_per_vcpu: 0.25, time_factor: 12}
"#;

/// Runs measure: two at a time would disturb each other.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("out/recording.json")).unwrap()).unwrap()
}

/// Done, or untrusted for a busy host alone; any other reason, or none, is a fault.
fn done_or_busy(code: Option<i32>, error: &str) -> bool {
    let reasons = error.lines().filter_map(|line| line.strip_prefix("INVALID: "));
    code == Some(0) || code == Some(5) && busy::explains(reasons)
}

#[test]
fn every_report_reaches_all_consumers_through_an_outage() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lab.yaml"), SYSTEM).unwrap();
    let mut command = tidegate(dir.path());
    let (code, output, error) =
        told(&command.env_remove("PUBSUB_EMULATOR_HOST").args(["run", "lab.yaml", "--out", "out"]).output().unwrap());
    assert!(done_or_busy(code, &error), "{code:?} {output} {error}");
    let record = record(dir.path());
    let delivery = &record["delivery"];
    assert_eq!(delivery["posts"]["posted"], 100);
    let consumers = delivery["consumers"].as_array().unwrap();
    assert_eq!(consumers.len(), 3);
    for consumer in consumers {
        let books = &consumer["books"];
        assert_eq!(
            (&books["delivered"], &books["lost"]),
            (&delivery["posts"]["acknowledged"], &0.into()),
            "{consumer}"
        );
    }
    assert!(delivery["failed_by_class"].is_null(), "every post was acknowledged: {delivery}");
    // The outage happened: what was pushed meanwhile was refused, and came again.
    let of_email = subscription(delivery, "email-sub");
    let (pushes, refused) = (&of_email["pushes"], of_email["pushes"]["refused"]["500"].as_u64().unwrap());
    assert!(refused > 0 && output.contains(&format!("refused 5xx: {refused}")), "{of_email} {output}");
    assert_eq!((&pushes["acknowledged"], &of_email["undelivered"]), (&100.into(), &0.into()), "{of_email}");
    assert_eq!(subscription(delivery, "sms-sub")["pushes"]["acknowledged"], 100);
    assert_eq!(delivery["publishes_refused"]["unknown_topic"], 0);
    assert_eq!(delivery["faults"].as_array().unwrap().len(), 1, "{output} {error}");
    assert!(consumers[0]["redeliveries"].as_u64().unwrap() > 0, "{}", consumers[0]);
    assert!(consumers[0]["healed_s"].is_number());
    shows_what_went_on(delivery);
    assert!(
        output.contains("0 of 100 reports lost") && output.contains("law email: acknowledged = delivered + lost: kept"),
        "{output}"
    );
    assert!(!dir.path().join("out/state").exists(), "nothing is left of what was only needed meanwhile");
    let table = fs::read_to_string(dir.path().join("out/deliveries.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 100, "a line for each report: {table}");
    assert!(table.contains("\n2190,"), "the hundredth has its id: {table}");
    is_rendered_again(&dir.path().join("out"));
}

/// What the broker counted of one.
fn subscription<'a>(delivery: &'a Value, name: &str) -> &'a Value {
    let all = delivery["subscriptions"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{delivery}"))
}

/// The report is there before Monitoring has told everything; who does not wait for that is told how the run ended all the same.
#[test]
fn the_verdict_is_saved_before_the_wait_and_a_signal_ends_only_that() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let text =
        SYSTEM.replace("faults: [email down from 6s for 24s]\n", "").replace("time_factor: 12", "time_factor: 6");
    fs::write(dir.path().join("lab.yaml"), text.replace("duration: 60s", "duration: 18s")).unwrap();
    let mut command = tidegate(dir.path());
    command.env_remove("PUBSUB_EMULATOR_HOST").args(["run", "lab.yaml", "--out", "out", "--json", "run.json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).map(|line| line + "\n");
    let mut said = String::new();
    while !said.contains("the report is saved; instances over time are added") {
        said.push_str(&lines.next().unwrap_or_else(|| panic!("the wait was never told: {said}")));
    }
    assert!(said.contains("(Ctrl-C or --no-wait: without them)"), "{said}");
    for file in ["out/index.html", "out/report.md", "out/deliveries.csv"] {
        assert!(fs::metadata(dir.path().join(file)).unwrap().len() > 100, "{file}");
    }
    let saved: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("run.json")).unwrap()).unwrap();
    assert_eq!(saved["delivery"]["posts"]["posted"], 60);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    said.extend(lines);
    assert!(said.contains("not waiting any longer; what stands above is saved"), "{said}");
    let output = child.wait_with_output().unwrap();
    assert!(done_or_busy(output.status.code(), &said), "{:?} {said}", output.status);

    let mut command = tidegate(dir.path());
    command.env_remove("PUBSUB_EMULATOR_HOST").args(["run", "lab.yaml", "--out", "again", "--no-wait"]);
    let (code, output, error) = told(&command.output().unwrap());
    assert!(done_or_busy(code, &error), "{code:?} {output} {error}");
    assert!(!error.contains("Cloud Monitoring") && output.contains("0 of 60 reports lost"), "{output} {error}");
}

/// Over time: what was redelivered sums up to all that was, and every service's instances reach to the end of the load.
fn shows_what_went_on(delivery: &Value) {
    for consumer in delivery["consumers"].as_array().unwrap() {
        let series = consumer["series"].as_array().unwrap();
        let redelivered: u64 = series.iter().map(|interval| interval["redeliveries"].as_u64().unwrap()).sum();
        assert_eq!(Some(redelivered), consumer["redeliveries"].as_u64(), "{consumer}");
    }
    let of_others = delivery["other_instances"]["lab-report"].as_array().unwrap();
    let of_consumers = delivery["consumers"].as_array().unwrap().iter().map(|one| one["instances"].as_array().unwrap());
    for levels in of_consumers.chain([of_others]) {
        let instances = |level: &Value| level["active"].as_u64().unwrap() + level["idle"].as_u64().unwrap();
        assert!(levels.iter().any(|level| instances(level) > 0), "{levels:?}");
        assert!(levels.last().unwrap()["end_s"].as_f64().unwrap() >= 5.0, "the load took 5 s: {levels:?}");
    }
}

/// Every file of the report is rendered again from the record alone, and a browser shows the page.
fn is_rendered_again(dir: &Path) {
    let files = || {
        ["index.html", "report.md", "ledger.csv", "deliveries-over-time.svg", "deliveries-over-time.png"]
            .map(|name| (name, fs::read(dir.join(name)).unwrap()))
    };
    let before = files();
    for (name, _) in &before {
        fs::remove_file(dir.join(name)).unwrap();
    }
    let (code, _, error) = told(&tidegate(dir).args(["report", "."]).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    for ((name, before), (_, after)) in before.iter().zip(files()) {
        assert!(*before == after, "{name} depends on the record only");
    }
    if let Some(chromium) = browser::require_real("chromium") {
        let page = String::from_utf8_lossy(&before[0].1).into_owned();
        let headline = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
        assert!(headline.starts_with("0 of 100 reports lost"), "{headline}");
        browser::check_report(&chromium, &dir.join("index.html"), headline, 2);
    }
}

/// Who pushes without a token, or with another account's, is refused by a private service: what it should get is lost.
#[test]
fn a_private_service_gets_nothing_from_those_who_may_not_call_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = SYSTEM
        .replace("push_to: sms, push_as: pubsub-invoker", "push_to: sms, push_as: somebody-else")
        .replace(
            "bundled: email, observer: /deliveries, max",
            "bundled: email, observer: /deliveries, invokers: [nobody-at-all], max",
        )
        .replace("push_to: archive}", "push_to: archive, dead_letter: {topic: dead}}")
        .replace("topics: [reports]", "topics: [reports, dead]")
        .replace("faults: [email down from 6s for 24s]\n", "")
        .replace("time_factor: 12", "time_factor: 100");
    fs::write(dir.path().join("lab.yaml"), text).unwrap();
    let mut command = tidegate(dir.path());
    command.env_remove("PUBSUB_EMULATOR_HOST").args(["run", "lab.yaml", "--out", "out"]);
    let (code, output, error) = told(&command.output().unwrap());
    assert_eq!(code, Some(6), "{output} {error}");
    let record = record(dir.path());
    let books: Vec<(u64, u64)> = record["delivery"]["consumers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|consumer| (&consumer["books"]["delivered"], &consumer["books"]["lost"]))
        .map(|(delivered, lost)| (delivered.as_u64().unwrap(), lost.as_u64().unwrap()))
        .collect();
    let acknowledged = record["delivery"]["posts"]["acknowledged"].as_u64().unwrap();
    let expected = [("email", (acknowledged, 0)), ("sms", (0, acknowledged)), ("archive", (0, acknowledged))];
    assert_eq!(books, expected.map(|(_, books)| books), "{expected:?}");
    assert_eq!(acknowledged, 12, "{output} {error}");
    says_why_it_was_lost(&record["delivery"], &output);
    let table = fs::read_to_string(dir.path().join("out/ledger.csv")).unwrap();
    assert!(table.lines().any(|line| line.starts_with("subscription,archive-sub,")), "{table}");
    let page = fs::read_to_string(dir.path().join("out/index.html")).unwrap();
    let first_screen = page.split("</header>").next().unwrap();
    assert!(first_screen.contains("The push subscription sms-sub is answered 403 by sms"), "the first screen says why");
    assert!(page.contains("refused 403") && !page.contains("refused 401"), "only what there was has a column");
}

/// Each push was refused with 403, and what of it goes to a dead letter topic was given up in the end.
fn says_why_it_was_lost(delivery: &Value, output: &str) {
    for (name, service) in [("sms-sub", "sms"), ("archive-sub", "archive")] {
        let pushes = &subscription(delivery, name)["pushes"];
        let refused = pushes["refused"]["403"].as_u64().unwrap();
        assert!(refused >= 5 && pushes["acknowledged"] == 0, "{pushes}");
        let hint = format!("The push subscription {name} is answered 403 by {service} ({refused} pushes)");
        assert!(output.contains(&hint) && output.contains("mend: name one of the `invokers`"), "{output}");
    }
    let given_up = subscription(delivery, "archive-sub");
    let (dead, waiting) = (given_up["dead_lettered"].as_u64().unwrap(), given_up["undelivered"].as_u64().unwrap());
    assert!(dead >= 1 && dead + waiting == 12, "after five attempts each, as fast as the backoff lets: {given_up}");
    assert!(!output.contains("The push subscription email-sub"), "{output}");
}

/// Answers posts with 204 and says that `delivered` was delivered; gives its address. Its threads end with the test.
fn deaf_system(delivered: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let converse = move |stream: TcpStream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
            if !head.ends_with("\r\n\r\n") {
                continue;
            }
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            std::io::copy(&mut reader.by_ref().take(length.unwrap_or(0)), &mut std::io::sink()).unwrap();
            let answer = match (head.starts_with("GET"), head.contains("after=0 ")) {
                (true, true) => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{delivered}", delivered.len()),
                (true, false) => {
                    let empty = r#"{"next": 9, "deliveries": []}"#;
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{empty}", empty.len())
                }
                (false, _) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            head.clear();
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || converse(stream));
        }
    });
    address
}

/// A target whose consumer got one report of a hundred: the others are lost when twice the longest backoff, over the time
/// factor, and the ack deadline have passed.
#[test]
fn what_was_acknowledged_and_never_delivered_ends_with_six() {
    let dir = tempfile::tempdir().unwrap();
    let text = SYSTEM.replace("to: [email, sms, archive]", "to: [email]");
    fs::write(dir.path().join("lab.yaml"), text).unwrap();
    let one = r#"{"next": 9, "deliveries": [{"seq": 9, "id": "34", "message_id": "m", "key": null, "attempt": 1, "done_unix_us": 4000000000000000}]}"#;
    let target = deaf_system(one);
    let observer = format!("email={target}/deliveries");
    let arguments =
        ["run", "lab.yaml", "--out", "out", "--target", &target, "--observer", &observer, "--time-factor", "100"];
    let (code, output, error) = told(&tidegate(dir.path()).args(arguments).output().unwrap());
    assert_eq!(code, Some(6), "{output} {error}");
    assert!(error.contains("LOST: email: 11 acknowledged and not delivered within the drain limit of"), "{error}");
    assert!(output.contains("11 of 12 reports lost"), "{output}");
    assert!(error.contains("not done: what a target names is left as it is"), "{error}");
    assert_eq!(record(dir.path())["delivery"]["consumers"][0]["books"]["lost"], 11);
}

#[test]
fn an_observer_that_does_not_tell_leaves_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lab.yaml"), SYSTEM.replace("to: [email, sms, archive]", "to: [email]")).unwrap();
    let target = deaf_system("no deliveries at all");
    let observer = format!("email={target}/deliveries");
    let arguments =
        ["run", "lab.yaml", "--out", "out", "--target", &target, "--observer", &observer, "--time-factor", "100"];
    let (code, output, error) = told(&tidegate(dir.path()).args(arguments).output().unwrap());
    assert_eq!(code, Some(5), "{output} {error}");
    assert!(error.contains("INVALID: what was delivered to email could not be read from"), "{error}");
}

#[test]
fn every_consumer_of_a_target_is_observed_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lab.yaml"), SYSTEM).unwrap();
    for (observers, words) in [
        (&["email=http://127.0.0.1:9/d"][..], "nothing tells what is delivered to `sms`"),
        (&["email=http://h/", "sms=http://h/", "archive=http://h/", "fax=http://h/"], "delivers nothing to `fax`"),
    ] {
        let mut command = tidegate(dir.path());
        command.args(["run", "lab.yaml", "--target", "http://127.0.0.1:9"]);
        for observer in observers {
            command.args(["--observer", observer]);
        }
        let (code, _, error) = told(&command.output().unwrap());
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(words) && error.contains("hint:"), "{error}");
    }
}

/// What was made for a run that never began is taken away again, and nothing else.
#[test]
fn a_run_that_never_began_leaves_no_folder() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("lab.yaml"), SYSTEM).unwrap();
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>().join(" ")
    };
    let run = |more: &[&str]| {
        let mut command = tidegate(dir.path());
        command.env_remove("PUBSUB_EMULATOR_HOST").args(["run", "lab.yaml", "--json", "run.json"]).args(more);
        let (code, _, error) = told(&command.output().unwrap());
        assert_eq!(code, Some(1), "{error}");
    };
    // Nobody listens there.
    let observers = ["email", "sms", "archive"].map(|consumer| format!("{consumer}=http://127.0.0.1:9/d"));
    let mut unreachable = vec!["--target", "http://127.0.0.1:9"];
    for observer in &observers {
        unreachable.extend(["--observer", observer]);
    }
    run(&unreachable);
    run(&[&unreachable[..], &["--out", "a/b"]].concat());
    assert_eq!(names(dir.path()), "lab.yaml");
    let notes = dir.path().join("mine/state/notes");
    fs::create_dir_all(notes.parent().unwrap()).unwrap();
    fs::write(&notes, "mine").unwrap();
    run(&[&unreachable[..], &["--out", "mine"]].concat());
    assert_eq!(
        (names(dir.path()), fs::read_to_string(notes).unwrap()),
        ("lab.yaml mine".to_owned(), "mine".to_owned())
    );

    // Who stops while a silent target is tried has begun nothing either.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut command = tidegate(dir.path());
    command.args(["run", "lab.yaml", "--json", "mine/run.json", "--target", &url]).args(&unreachable[2..]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _connection = silent.accept().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let (code, output, error) = told(&child.wait_with_output().unwrap());
    assert!(code == Some(130) && output.contains("1,200 planned = 0 completed"), "{code:?} {output} {error}");
    assert_eq!((names(dir.path()), names(&dir.path().join("mine"))), ("lab.yaml mine".to_owned(), "state".to_owned()));

    // What services logged may say why there is no run; what the broker keeps does not.
    let text = SYSTEM.replace("archive: {bundled: email,", "archive: {command: [./none],");
    fs::write(dir.path().join("lab.yaml"), text).unwrap();
    run(&["--out", "of services"]);
    assert_eq!(names(&dir.path().join("of services")), "logs");
}

/// What a record holds may grow, and what a report says of it may change; what is committed stays true.
#[test]
fn the_committed_run_is_rendered_by_the_program_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let committed = repository("reports/example-lab");
    fs::copy(committed.join("recording.json"), dir.path().join("recording.json")).unwrap();
    let (code, _, error) = told(&tidegate(dir.path()).args(["report", "."]).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    for file in ["report.md", "ledger.csv", "deliveries-over-time.svg", "delivery-times.svg"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(file)).unwrap();
        assert!(
            read(dir.path()) == read(&committed),
            "{file} is an older one; mend: tidegate report reports/example-lab"
        );
    }
    let page = fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(page.contains("<h1>0 of 3,803 reports lost"), "the run that the documents speak of");
}

#[test]
fn the_committed_scenario_is_valid_and_says_what_it_promises() {
    let path = repository("scenarios/lab-report.yaml");
    let (code, output, error) = told(&tidegate(Path::new(".")).args(["scenario", "check"]).arg(path).output().unwrap());
    assert_eq!(code, Some(0), "{error}");
    assert!(output.contains("valid: lab-report"), "{output}");
}

#[test]
fn without_a_target_and_without_services_nothing_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let text = SYSTEM.split("deliver:").next().unwrap().replace("slos: [lost == 0]\n", "");
    fs::write(dir.path().join("lab.yaml"), text).unwrap();
    let (code, _, error) = told(&tidegate(dir.path()).args(["run", "lab.yaml"]).output().unwrap());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--target"), "{error}");
}
