//! Bodies, generators, data, redirects and flow, as the requests that come of them.

use super::*;
use std::collections::BTreeSet;

fn plan_of(parts: &str) -> Plan {
    plan_in(Path::new("s"), parts)
}

fn plan_in(path: &Path, parts: &str) -> Plan {
    let text = format!("name: s\n{parts}\nstages: [{{name: n, hold: 3, duration: 1s}}]\n");
    let scenario = Scenario::from_yaml(path, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Plan::new(std::sync::Arc::new(scenario), 1, 1.0)
}

/// The first request of the `index`-th arrival.
fn arrival(plan: &Plan, index: u64) -> Request {
    let load_start: jiff::Timestamp = "2026-11-22T16:40:00Z".parse().unwrap();
    let occasion = Occasion { index, load_start, due: Duration::from_millis(1500 * index), ..occasion(0) };
    Session::new(plan, &occasion, plan.draws_of_arrival(index), "http://h").request(0)
}

/// The first request of a session of a virtual user.
fn iteration(plan: &Plan, virtual_user: u32, index: u64) -> Request {
    let iteration = plan.iteration(virtual_user, index, std::time::Duration::ZERO);
    let occasion = Occasion::of_iteration(plan, &iteration, jiff::Timestamp::UNIX_EPOCH, Duration::ZERO);
    Session::new(plan, &occasion, plan.draws_of_iteration(virtual_user, index), "http://h").request(0)
}

const OPEN: &str = "load: {open: {arrivals: constant, unit: arrivals_per_second}}";

#[test]
fn each_kind_of_body_has_its_form_and_its_content_type() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("photo.bin"), b"\x00${x}\xff").unwrap();
    let plan = plan_in(
        &folder.path().join("s.yaml"),
        "variables: {x: {constant: 'a b&c=ü'}, n: {constant: 4}}
journeys:
  - name: j
    steps:
      - {name: form, post: /, form: {q: '${x}', 'full name': '<${n}>', plain: yes}}
      - {name: text, post: /, text: '${x}\"${n}'}
      - {name: file, post: /, file: photo.bin, headers: {Content-Type: image/x}}
      - {name: fixed, post: /, json: {a: [1, 'b']}}
      - {name: small, get: /, compressed: true}
load: closed",
    );
    let mut session = Session::new(&plan, &occasion(0), plan.draws_of_arrival(0), "http://h");
    let mut sent = |step| {
        let request = session.request(step);
        (header(&request, "content-type").map(str::to_owned), request.body.to_vec())
    };
    let is = |kind: &str, body: &[u8]| (Some(kind.to_owned()), body.to_vec());
    assert_eq!(sent(0), is("application/x-www-form-urlencoded", b"full+name=%3C4%3E&plain=yes&q=a+b%26c%3D%C3%BC"));
    assert_eq!(sent(1), is("text/plain; charset=utf-8", "a b&c=ü\"4".as_bytes()));
    assert_eq!(sent(2), is("image/x", b"\x00${x}\xff"));
    assert_eq!(sent(3), is("application/json", br#"{"a":[1,"b"]}"#));
    assert_eq!(header(&session.request(4), "accept-encoding"), Some("gzip, deflate, br, zstd"));
    assert_eq!(header(&session.request(3), "accept-encoding"), None);
}

#[test]
fn generators_are_what_they_say() {
    let plan = plan_of(&format!(
        "variables:
  id: {{counter: {{from: 100, step: 10}}}}
  price: {{decimal: {{from: -1, to: 12.5, digits: 1}}}}
  key: {{alphanumeric: {{length: 12}}}}
  at: {{timestamp: rfc3339}}
  ms: {{timestamp: unix_ms}}
journeys: [{{name: j, steps: [{{name: a, post: /, json: ['${{id}}', '${{price}}', '${{key}}', '${{at}}', '${{ms}}']}}]}}]
{OPEN}"
    ));
    let values = |index| -> Vec<Value> { serde_json::from_slice(&arrival(&plan, index).body).unwrap() };
    let mut prices = BTreeSet::new();
    for index in 0..500 {
        let values = values(index);
        assert_eq!(values[0], 100 + 10 * index);
        let price = values[1].as_f64().unwrap();
        assert!((-1.0..=12.5).contains(&price) && ((price * 10.0).round() / 10.0 - price).abs() < 1e-12, "{price}");
        prices.insert(values[1].to_string());
        let key = values[2].as_str().unwrap();
        assert!(key.len() == 12 && key.chars().all(|c| c.is_ascii_alphanumeric()), "{key}");
    }
    assert!(prices.len() > 100 && prices.len() <= 136, "{}", prices.len());
    assert_eq!(values(1)[3], "2026-11-22T16:40:01.500Z");
    assert_eq!(values(1)[4], 1_795_365_601_500_u64);
    assert_eq!(values(3), values(3));
    assert_ne!(values(3)[2], values(4)[2]);
}

#[test]
fn no_two_sessions_of_a_closed_model_share_a_number_of_a_counter() {
    let plan = plan_of(
        "variables: {id: {counter: {}}}\njourneys: [{name: j, steps: [{name: a, get: '/${id}'}]}]\nload: closed",
    );
    let paths: BTreeSet<String> = (0..3)
        .flat_map(|user| (0..5).map(move |index| (user, index)))
        .map(|(user, index)| iteration(&plan, user, index).path)
        .collect();
    let expected: BTreeSet<String> = (1..=15).map(|number| format!("/{number}")).collect();
    assert_eq!(paths, expected);
}

const CSV: &str = "email,age,\"note\"\na@x,30,\"one, \"\"two\"\"\"\nb@x,40,ü\n\"c@x\",50,\n";

fn csv_plan(order: &str, load: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("users.csv"), CSV).unwrap();
    plan_in(
        &folder.path().join("s.yaml"),
        &format!(
            "data: {{users: {{file: users.csv, order: {order}, numbers: [age]}}}}
journeys: [{{name: j, steps: [{{name: a, post: '/${{users.email}}', json: ['${{users.age}}', '${{users.note}}', '${{users.email}}']}}]}}]
{load}"
        ),
    )
}

#[test]
fn rows_come_in_turn_or_by_the_seed_or_by_virtual_user() {
    let plan = csv_plan("sequential", OPEN);
    let bodies: Vec<String> =
        (0..4).map(|index| String::from_utf8(arrival(&plan, index).body.to_vec()).unwrap()).collect();
    let first = r#"[30,"one, \"two\"","a@x"]"#;
    assert_eq!(bodies, [first, r#"[40,"ü","b@x"]"#, r#"[50,"","c@x"]"#, first], "a row stays whole");
    assert_eq!(arrival(&plan, 1).path, "/b%40x");

    let plan = csv_plan("random", OPEN);
    let counts = (0..3000).fold([0; 3], |mut counts, index| {
        let row = ["/a%40x", "/b%40x", "/c%40x"].iter().position(|path| *path == arrival(&plan, index).path).unwrap();
        counts[row] += 1;
        counts
    });
    assert!(counts.iter().all(|count| (870..1130).contains(count)), "five standard errors of 1000: {counts:?}");
    assert_eq!(arrival(&plan, 77), arrival(&csv_plan("random", OPEN), 77), "the seed decides");

    let plan = csv_plan("unique_per_virtual_user", "load: closed");
    for index in 0..3 {
        assert_eq!([0, 1, 2].map(|user| iteration(&plan, user, index).path), ["/a%40x", "/b%40x", "/c%40x"]);
    }
}

const REDIRECTING: &str = "journeys:
  - name: j
    steps:
      - {name: a, post: /a/b, follow_redirects: 2, json: {x: 1}, headers: {X-Key: k}}
      - {name: b, get: /b}
load: closed";

fn location(location: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("location", HeaderValue::from_str(location).unwrap());
    headers.append("set-cookie", HeaderValue::from_static("seen=1; Path=/"));
    headers
}

#[test]
fn redirects_are_followed_with_cookies_and_within_the_bound() {
    let plan = plan_of(REDIRECTING);
    let mut session = Session::new(&plan, &occasion(0), plan.draws_of_arrival(0), "http://h:80");
    let first = session.request(0);
    let kept = session.redirected(0, 307, &location("c?d=1")).unwrap().unwrap();
    assert_eq!((kept.method.as_str(), kept.path.as_str(), &kept.body), ("POST", "/a/c?d=1", &first.body));
    assert_eq!((header(&kept, "cookie"), header(&kept, "x-key")), (Some("seen=1"), Some("k")));
    let turned = session.redirected(0, 302, &location("http://h/e")).unwrap().unwrap();
    assert_eq!((turned.method.as_str(), turned.path.as_str(), turned.body.len()), ("GET", "/e", 0));
    assert_eq!((header(&turned, "content-type"), header(&turned, "x-key")), (None, Some("k")));
    let cause = session.redirected(0, 302, &location("/f")).unwrap_err().to_string();
    assert_eq!(cause, "redirect not followed: more of them than the step follows");

    let again = session.request(0);
    assert_eq!((again.method.as_str(), again.path.as_str()), ("POST", "/a/b"), "the next round begins anew");
    let cause = session.redirected(0, 301, &location("https://elsewhere/")).unwrap_err().to_string();
    assert_eq!(cause, "redirect not followed: its location is at another origin");
    assert_eq!(session.redirected(0, 200, &location("/f")), Ok(None));
    assert_eq!(session.redirected(0, 302, &HeaderMap::new()), Ok(None), "nowhere to go");
    let _ = session.request(1);
    assert_eq!(session.redirected(1, 302, &location("/f")), Ok(None), "this step follows none");
}

#[test]
fn a_journey_takes_the_turns_that_its_answers_decide() {
    let plan = plan_of(
        "journeys:
  - name: j
    steps:
      - {name: look, get: /, extract: {stock: {json: $.stock, optional: true}}}
      - {if: '${stock} > 0', steps: [{name: buy, get: /}, {name: pay, get: /, repeat: 2}]}
      - {name: leave, get: '/${stock}'}
load: closed",
    );
    let turns = |body: &[u8]| {
        let mut session = Session::new(&plan, &occasion(0), plan.draws_of_arrival(0), "http://h");
        let mut turns = vec![session.turn()];
        session.accept(0, 200, &HeaderMap::new(), body).unwrap();
        turns.extend(std::iter::repeat_with(|| session.turn()).take_while(|turn| *turn != Turn::End));
        (turns, session.request(3).path)
    };
    let bought = vec![Turn::Send(0), Turn::Send(1), Turn::Send(2), Turn::Again(2..3), Turn::Send(2), Turn::Send(3)];
    assert_eq!(turns(br#"{"stock": 3}"#), (bought, "/3".to_owned()));
    let skipped = vec![Turn::Send(0), Turn::Skip(1..3), Turn::Send(3)];
    assert_eq!(turns(br#"{"stock": 0}"#), (skipped.clone(), "/0".to_owned()));
    assert_eq!(turns(b"no JSON"), (skipped, "/".to_owned()), "what is not there is not above 0");
}

#[test]
fn tear_down_goes_on_where_set_up_ended() {
    let plan = plan_of(
        "set_up: [{name: login, post: /login, extract: {key: {json: $.key}}}]
tear_down: [{name: logout, delete: '/sessions/${key}'}]
journeys: [{name: j, steps: [{name: a, get: /}]}]
load: closed",
    );
    let mut session = Session::set_up(&plan, "http://h");
    let _ = session.request(0);
    session.accept(0, 200, &location("/"), br#"{"key": "k1"}"#).unwrap();
    let request = session.into_tear_down().request(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("DELETE", "/sessions/k1"));
    assert_eq!(header(&request, "cookie"), Some("seen=1"));
}
