//! Replays that send the recorded requests: what each format gives, what is left out and told, and what cannot be.

use super::super::super::{
    Arrival, LoadModel, Occasion, Plan, Replay, Request, Scenario, Session, ThinkTime, left_out_told,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// A scenario that sends the requests of `log`, with more said of the replay and of the scenario.
fn scenario(log: &[u8], replay: &str, more: &str) -> Result<Scenario, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("requests.log"), log).unwrap();
    let text = format!("name: again\nload: {{replay: {{file: requests.log, send: requests, {replay}}}}}\n{more}");
    let loaded = Scenario::from_yaml(&dir.path().join("again.yaml"), &text);
    loaded.map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn plan(log: &[u8], replay: &str, seed: u64) -> Plan {
    let scenario = scenario(log, replay, "").unwrap_or_else(|error| panic!("{error}"));
    Plan::new(Arc::new(scenario), seed, 1.0)
}

fn replay(plan: &Plan) -> &Replay {
    let LoadModel::Replay(replay) = &plan.scenario().load else { panic!("a replay") };
    replay
}

fn request(plan: &Plan, arrival: &Arrival) -> Request {
    let occasion = Occasion::of_arrival(arrival, jiff::Timestamp::UNIX_EPOCH);
    Session::new(plan, &occasion, plan.draws_of_arrival(arrival.index), "http://127.0.0.1:1").request(0)
}

/// All that a plan sends, one line each: due time, step, request and user agent; then what is left out.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    for arrival in plan.arrivals() {
        let Request { method, path, headers, body } = request(plan, &arrival);
        assert!(body.is_empty() && headers.iter().all(|(name, _)| name == "user-agent"), "{headers:?}");
        let agent = headers.first().map_or("", |(_, agent)| agent);
        let step = &plan.scenario().journeys[arrival.journey].steps[0];
        assert_eq!(step.method, method);
        writeln!(text, "{} {} {method} {path} {agent}", arrival.due.as_millis(), step.name).unwrap();
    }
    let left_out = replay(plan).requests.as_ref().map(|requests| left_out_told(&requests.left_out));
    text + "left out: " + &left_out.unwrap_or_default()
}

const CLOUD: &str = r#"{"timestamp":"2026-11-22T16:00:00Z","httpRequest":{"requestMethod":"GET","requestUrl":"https://shop.example/api/products/17/?page=2","userAgent":"curl/8"}}
{"timestamp":"2026-11-22T16:00:01Z","httpRequest":{"requestMethod":"GET","requestUrl":"http://evil.example:99/api/products/4/#top","userAgent":5}}
{"timestamp":"2026-11-22T16:00:00.5Z","httpRequest":{"requestMethod":"HEAD","requestUrl":"https://shop.example"}}
{"timestamp":"2026-11-22T16:00:02Z","httpRequest":{"requestMethod":"POST","requestUrl":"https://shop.example/api/checkout"}}
{"timestamp":"2026-11-22T16:00:02Z","httpRequest":{"requestMethod":"GET","requestUrl":"https://shop.example/a\r\nx-evil: 1"}}
{"timestamp":"2026-11-22T16:00:02Z","httpRequest":{"status":200}}
{"timestamp":"2026-11-22T16:00:02Z","httpRequest":{"requestMethod":"GET"}}
{"timestamp":"2026-11-22T16:00:03Z","httpRequest":{"requestMethod":"GET","requestUrl":"https://shop.example?q=é \"<%zz"}}
{"timestamp":"2026-11-22T16:00:03Z","textPayload":"no request"}
"#;

const COMMON: &str = r#"h - - [10/Oct/2000:13:55:36 -0700] "GET /a.gif?x=[1] HTTP/1.0" 200 2326
h - - [10/Oct/2000:13:55:37 -0700] "GET http://other.example/users/12 HTTP/1.1" 200 1
h - - [10/Oct/2000:13:55:37 -0700] "GET /users/7" 200 1
h - - [10/Oct/2000:13:55:38 -0700] "GET //evil.example/x HTTP/1.1" 200 1
h - - [10/Oct/2000:13:55:38 -0700] "\x16\x03\x01" 400 0
h - - [10/Oct/2000:13:55:38 -0700] "-" 408 0
h - - [10/Oct/2000:13:55:38 -0700] "GET /a\r\nx-evil:\x201 HTTP/1.1" 400 0
h - - [10/Oct/2000:13:55:38 -0700] "GET /a\x0d\x0ab HTTP/1.1" 400 0
h - - [10/Oct/2000:13:55:38 -0700] "CONNECT shop.example:443 HTTP/1.1" 400 0
h - - [10/Oct/2000:13:55:38 -0700] "OPTIONS * HTTP/1.1" 200 0
h - - [10/Oct/2000:13:55:38 -0700] "GET relative HTTP/1.1" 400 0
h - - [10/Oct/2000:13:55:39 -0700] "GET /say?\"hi\"&\xc3\xa9&%G1 HTTP/1.1" 200 5
"#;

#[test]
fn cloud_logging_is_sent_to_the_target_whatever_host_it_names() {
    insta::assert_snapshot!(told(&plan(CLOUD.as_bytes(), "format: cloud_logging", 1)), @r"
    0 get_api_products_id GET /api/products/17/?page=2 curl/8
    500 head_root HEAD / 
    1000 get_api_products_id GET /api/products/4/ 
    3000 get_root GET /?q=%C3%A9%20%22%3C%zz 
    left out: 1 by POST, 1 whose path holds control characters, 1 without a path, 1 without a request line that can be read
    ");
}

#[test]
fn request_lines_are_sent_as_they_came_and_those_that_are_none_are_left_out() {
    insta::assert_snapshot!(told(&plan(COMMON.as_bytes(), "format: common, spread: 0s", 1)), @r"
    0 get_a_gif GET /a.gif?x=[1] 
    1000 get_users_id GET /users/12 
    1000 get_users_id GET /users/7 
    2000 get_evil_example_x GET //evil.example/x 
    3000 get_say GET /say?%22hi%22&%C3%A9&%G1 
    left out: 1 by CONNECT, 1 by OPTIONS, 1 whose path holds control characters, 1 without a path, 3 without a request line that can be read
    ");
    let listed = "format: common, spread: 0s, methods: [OPTIONS, GET]";
    insta::assert_snapshot!(told(&plan(COMMON.as_bytes(), listed, 1)).lines().last().unwrap(), @"left out: 1 by CONNECT, 1 whose path holds control characters, 2 without a path, 3 without a request line that can be read");
}

#[test]
fn user_agents_of_combined_logs_are_sent() {
    let agents = ["Mozilla/5.0 (\\\"quoted\\\")", "-", "a\\r\\nb"].into_iter().cycle();
    let mut combined = String::new();
    for (line, agent) in COMMON.lines().zip(agents) {
        writeln!(combined, "{line} \"-\" \"{agent}\"").unwrap();
    }
    insta::assert_snapshot!(told(&plan(combined.as_bytes(), "format: combined, spread: 0s", 1)), @r#"
    0 get_a_gif GET /a.gif?x=[1] Mozilla/5.0 ("quoted")
    1000 get_users_id GET /users/12 
    1000 get_users_id GET /users/7 
    2000 get_evil_example_x GET //evil.example/x Mozilla/5.0 ("quoted")
    3000 get_say GET /say?%22hi%22&%C3%A9&%G1 
    left out: 1 by CONNECT, 1 by OPTIONS, 1 whose path holds control characters, 1 without a path, 3 without a request line that can be read
    "#);
}

#[test]
fn csv_has_columns_of_paths_methods_and_user_agents() {
    let csv = "time,verb,url,agent\n1,GET,/a/1,x\n2,HEAD,\"/b,c\",\n1.5,PUT,/a/2,y\n";
    let columns = "format: csv, column: time, path_column: url, method_column: verb, agent_column: agent";
    insta::assert_snapshot!(told(&plan(csv.as_bytes(), columns, 1)), @r"
    0 get_a_id GET /a/1 x
    1000 head_b_c HEAD /b,c 
    left out: 1 by PUT
    ");
    insta::assert_snapshot!(told(&plan(b"1,/a\n2,https://x/b?c\n", "format: csv, path_column: 2", 1)), @r"
    0 get_a GET /a 
    1000 get_b GET /b?c 
    left out:
    ");
    let refused = |columns: &str| scenario(csv.as_bytes(), &format!("format: csv, {columns}"), "").unwrap_err();
    insta::assert_snapshot!(refused("column: time"), @r"
    again.yaml:2:43: it is not said which column holds the paths

    hint: add `path_column: path`, its name or its number
    ");
    insta::assert_snapshot!(refused("column: time, path_column: ulr"), @r"
    again.yaml:2:93: the log requests.log has no column `ulr`

    hint: did you mean `url`?
    ");
    insta::assert_snapshot!(refused("path_column: 9"), @r"
    again.yaml:2:23: requests.log:2:1: this line has 4 columns, and the paths are in number 9 (3 lines cannot be used)

    hint: mend the log (a compressed one wants unpacking), check `format`, or write `on_bad_line: skip` to leave such lines out
    ");
}

#[test]
fn a_path_of_a_hundred_kilobytes_is_left_out_and_a_long_one_is_sent() {
    let line = |path: &str| format!("h - - [10/Oct/2000:13:55:36 -0700] \"GET {path} HTTP/1.1\" 200 1\n");
    let log =
        [line(&format!("/{}", "a".repeat(100_000))), line(&format!("/{}", "b/".repeat(20_000))), line("/c")].concat();
    let plan = plan(log.as_bytes(), "format: common", 1);
    let lengths: Vec<usize> = plan.arrivals().map(|arrival| request(&plan, &arrival).path.len()).collect();
    assert_eq!(lengths, [40_001, 2]);
    assert!(told(&plan).ends_with("left out: 1 whose path is longer than any request's"));
    assert!(plan.scenario().step_names().iter().all(|name| name.len() < 80));
    // Each byte that must be encoded takes three.
    let log = line(&format!("/{}", "\u{e9}".repeat(20_000)));
    assert!(scenario(log.as_bytes(), "format: common", "").unwrap_err().contains("longer than any request's"));
}

#[test]
fn the_groups_are_bounded_whatever_a_log_holds() {
    let mut log = String::new();
    for index in 0..3000 {
        let path =
            format!("/{}/{}", if index % 3 == 0 { "often".to_owned() } else { format!("word{index}x") }, index % 7);
        writeln!(log, "h - - [10/Oct/2000:13:55:36 -0700] \"GET {path} HTTP/1.1\" 200 1").unwrap();
    }
    let plan = plan(log.as_bytes(), "format: common, groups: 3", 1);
    let steps: BTreeMap<&str, f64> =
        plan.scenario().journeys.iter().map(|journey| (journey.name.as_str(), journey.weight)).collect();
    assert_eq!(steps.len(), 4, "{steps:?}");
    assert_eq!((steps["get_often_id"], steps["get_other"]), (1000.0, 1998.0));
    let mut counts = BTreeMap::new();
    for arrival in plan.arrivals() {
        *counts.entry(plan.scenario().journeys[arrival.journey].name.as_str()).or_default() += 1.0;
        assert!(request(&plan, &arrival).path.ends_with(char::is_numeric));
    }
    assert_eq!(counts, steps);
}

#[test]
fn a_step_of_requests_has_what_the_file_says_of_all() {
    let log = "h - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.1\" 404 1 \"-\" \"own\"\n";
    let more = "target: {headers: {X-Run: a, User-Agent: mine}, timeout: 3s}\nslos: [get_a.p95 < 1s]\n";
    let read = scenario(log.as_bytes(), "format: combined, expect: {status: [200, 404]}", more).unwrap();
    let step = &read.journeys[0].steps[0];
    assert_eq!(
        (step.expect.statuses.as_slice(), step.timeout, step.think),
        ([200, 404].as_slice(), Duration::from_secs(3), ThinkTime::Constant(Duration::ZERO))
    );
    let plan = Plan::new(Arc::new(read), 1, 1.0);
    let sent = request(&plan, &plan.arrivals().next().unwrap());
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(sent.headers, [header("user-agent", "mine"), header("x-run", "a")], "what the file says wins");

    let told =
        scenario(log.as_bytes(), "format: combined", "journeys: [{name: a, steps: [{name: x, get: /}]}]").unwrap_err();
    insta::assert_snapshot!(told, @r"
    again.yaml:3:11: what is sent is what was recorded, and no journeys

    hint: take `journeys` out, or `send: requests`
    ");
    let told = scenario(
        log.as_bytes(),
        "format: combined, methods: [get, CONNECT, PUT, PUT], groups: 0, path_column: 2, expect: {status: []}",
        "slos: [get_b.p95 < 1s]",
    );
    insta::assert_snapshot!(told.unwrap_err(), @r"
    again.yaml:2:23: the log requests.log holds no request that is sent: 1 by GET

    hint: list their methods under `methods`, if they may be sent; GET and HEAD are if it is left out

    again.yaml:2:81: `get` is no method of HTTP

    hint: write it in capitals, such as POST

    again.yaml:2:86: CONNECT opens a tunnel, and no request goes through one

    hint: leave it out

    again.yaml:2:100: the method PUT stands here twice

    hint: keep one of the two

    again.yaml:2:114: `groups: 0` is out of range

    hint: give 1 to 500; the rest is reported as one

    again.yaml:2:130: `path_column` speaks of columns, and this log has none

    hint: take it out, or write `format: csv`

    again.yaml:2:150: no status is accepted

    hint: give at least one, such as [200]

    again.yaml:3:8: `get_b.p95 < 1s` speaks of a step `get_b`, which no journey has

    hint: there is only `requests`
    ");
    insta::assert_snapshot!(scenario(log.as_bytes(), "format: combined, methods: [POST]", "").unwrap_err(), @r"
    again.yaml:2:23: the log requests.log holds no request that is sent: 1 by GET

    hint: list their methods under `methods`, if they may be sent; GET and HEAD are if it is left out
    ");
    let without = super::refusal(
        "open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}",
        "replay: {file: nowhere.log, format: csv, methods: [GET], path_column: 1}",
    );
    assert!(
        without.contains("`methods` speaks of recorded requests") && without.contains("`path_column`"),
        "{without}"
    );
}

#[test]
fn a_recording_is_told_from_another_with_the_same_times_and_saved_without_its_requests() {
    let line = |path: &str| format!("h - - [10/Oct/2000:13:55:36 -0700] \"GET {path} HTTP/1.1\" 200 1\n");
    let read = |path: &str| scenario(line(path).as_bytes(), "format: common", "").unwrap();
    let (one, other) = (read("/a?token=sesame"), read("/a?token=other"));
    assert_ne!(one.load, other.load);
    let saved = serde_json::to_string(&one).unwrap();
    assert!(!saved.contains("sesame"), "{saved}");
    let back: Scenario = serde_json::from_str(&saved).unwrap();
    assert_eq!(back, one);
    assert_eq!(Plan::new(Arc::new(back), 1, 1.0).arrivals().count(), 0);
}

/// Requests of so many seconds each a second apart, `each` of them in a second.
fn log(seconds: u32, each: u32) -> String {
    let mut log = String::new();
    for index in 0..seconds * each {
        let second = index / each;
        writeln!(log, "{second},/{index}").unwrap();
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Sped up, multiplied, thinned or spread: who comes is drawn by the same draws as without requests, each recorded one
    /// as often as its share, and the same seed gives the same plan.
    #[test]
    fn requests_come_when_their_arrivals_do_and_as_often(
        each in 1..4_u32, speed in 0.5..8.0_f64, multiply in 0.1..4.0_f64, spread in any::<bool>(), seed in any::<u64>(),
    ) {
        let log = log(10, each);
        let spread = if spread { "1s" } else { "0s" };
        let more = format!("format: csv, path_column: 2, speed: {speed}, multiply: {multiply}, spread: {spread}");
        let plan = plan(log.as_bytes(), &more, seed);
        let arrivals: Vec<Arrival> = plan.arrivals().collect();
        let mut bare = (**plan.scenario()).clone();
        let LoadModel::Replay(replay) = &mut bare.load else { panic!("a replay") };
        replay.requests = None;
        let bare: Vec<Duration> = Plan::new(Arc::new(bare), seed, 1.0).arrivals().map(|arrival| arrival.due).collect();
        prop_assert_eq!(arrivals.iter().map(|arrival| arrival.due).collect::<Vec<_>>(), bare);
        let mut counts = vec![0_u32; (10 * each) as usize];
        for arrival in &arrivals {
            let path = request(&plan, arrival).path;
            let index: usize = path[1..].parse().unwrap();
            counts[index] += 1;
            // It comes in the second that it was recorded in, or in the gap behind it.
            let recorded = index as f64 / f64::from(each);
            let due = arrival.due.as_secs_f64() * speed;
            prop_assert!(due > recorded.floor() - 1e-6 && due < recorded.floor() + 1.0 + 1e-6, "{due} for {recorded}");
        }
        let (least, most) = (multiply.floor(), multiply.ceil());
        prop_assert!(counts.iter().all(|count| (least..=most).contains(&f64::from(*count))), "{counts:?} for {multiply}");
        prop_assert_eq!(plan.clone().arrivals().collect::<Vec<_>>(), arrivals.clone());
        let mut shards: Vec<Arrival> = (1..=3)
            .flat_map(|number| plan.clone().shard(number, 3).arrivals().collect::<Vec<_>>())
            .collect();
        shards.sort_by_key(|arrival| arrival.index);
        prop_assert_eq!(shards, arrivals);
    }

    /// Whatever stands in a request line: what is sent is a path that both clients of the driver take.
    #[test]
    fn whatever_a_log_holds_what_is_sent_is_a_path(target in "[ -~é]{0,30}", agent in "[ -~é]{0,20}", method in "(GET|HEAD)") {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let line = format!("h - - [10/Oct/2000:13:55:36 -0700] \"{method} {} HTTP/1.1\" 200 1 \"-\" \"{}\"\n", escaped(&target), escaped(&agent));
        if let Ok(scenario) = scenario(line.as_bytes(), "format: combined", "") {
            let plan = Plan::new(Arc::new(scenario), 1, 1.0);
            let sent = request(&plan, &plan.arrivals().next().unwrap());
            prop_assert!(sent.path.starts_with('/'));
            let uri: http::Uri = sent.path.parse().unwrap();
            prop_assert_eq!(uri.path_and_query().map(http::uri::PathAndQuery::as_str), Some(sent.path.as_str()));
            prop_assert_eq!((uri.host(), uri.scheme()), (None, None));
        }
    }
}
