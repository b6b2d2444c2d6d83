//! That requests are what the templates say, and answers are judged as the steps say.

use super::super::answer::{NO_HEADER, NO_NODE, NO_NUMBER, NOT_JSON};
use super::super::{Extraction, Plan, Scenario, Source, StepFailure};
use super::*;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use std::path::Path;

mod answers;
mod requests;

const SCENARIO: &str = r#"
name: s
variables:
  product: {constant: 4}
  phrase: {constant: "a b/ü?\"${x}"}
  flag: {constant: true}
  nothing: {constant: null}
  quantity: {integer: {from: 1, to: 3}}
  colour: {weighted: [{value: red, weight: 1}, {value: blue, weight: 3}]}
  email: email
  uuid: uuid
set_up:
  - {name: login, post: /login, json: {who: "${phrase}"}, extract: {key: {json: $.key}}}
  - {name: reset, patch: "/products/${product}/", headers: {Authorization: "Bearer ${key}"}}
journeys:
  - name: buy
    steps:
      - name: token
        get: /token?of=${phrase}&raw=ä b
        extract: {token: {json: $.csrf.token}, etag: {header: ETag}}
        think: 100ms to 300ms
      - name: pay
        post: /pay/${uuid}
        headers: {X-Token: "${token}", X-Phrase: "<${phrase}>", Referer: "${base_url}/"}
        json: {id: "${product}", text: "no ${product} \"${phrase}\"", list: [1, "${flag}", "${nothing}", "${quantity}", [], {}], email: "${email}", token: "${token}"}
        expect: {status: [200, 400]}
        count: {sold: {add: "$.items[*].n", when_status: [200]}, tries: {add: 1}, seen: {add: 2, when_status: [200, 503]}}
        think: exponential 200ms
  - name: other
    steps:
      - {name: free, get: /, headers: {Content-Type: text/plain, Cookie: mine=1}, json: "${product}", think: 50ms}
load: closed
stages: [{name: n, hold: 1, duration: 1s}]
observe:
  - {name: stock, get: "/products/?p=${product}", sum: "$[*].count"}
"#;

fn plan() -> Plan {
    let scenario = Scenario::from_yaml(Path::new("s"), SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    Plan::new(std::sync::Arc::new(scenario), 1, 1.0)
}

/// The journey of this index, begun as the first arrival.
fn occasion(journey: usize) -> Occasion {
    let load_start = jiff::Timestamp::UNIX_EPOCH;
    Occasion { journey, index: 0, virtual_user: None, load_start, due: Duration::ZERO, request: None }
}

fn session(seed: u64) -> Session {
    Session::new(&plan(), &occasion(0), Draws::new(seed, 0), "http://127.0.0.1:8080/")
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

const TOKEN: &[u8] = br#"{"csrf": {"token": "t0k"}}"#;

fn with_etag() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("v1"))])
}

#[test]
fn values_take_the_form_of_their_surroundings() {
    let mut session = session(1);
    let token = session.request(0);
    assert_eq!((token.method.as_str(), token.body.len()), ("GET", 0));
    assert_eq!(token.path, "/token?of=a%20b%2F%C3%BC%3F%22%24%7Bx%7D&raw=%C3%A4%20b");
    session.accept(0, 200, &with_etag(), TOKEN).unwrap();
    let pay = session.request(1);
    assert_eq!(header(&pay, "x-token"), Some("t0k"));
    assert_eq!(header(&pay, "x-phrase"), Some("<a b/%C3%BC?\"${x}>"));
    assert_eq!(header(&pay, "referer"), Some("http://127.0.0.1:8080/"));
    assert_eq!(header(&pay, "content-type"), Some("application/json"));
    let body: serde_json::Value = serde_json::from_slice(&pay.body).unwrap();
    assert_eq!(body["id"], 4, "a whole template keeps the type");
    assert_eq!(body["text"], "no 4 \"a b/ü?\"${x}\"");
    assert_eq!(body["list"][1], true);
    assert!(body["list"][2].is_null() && body["list"][4].is_array() && body["list"][5].is_object());
    assert!((1..=3).contains(&body["list"][3].as_i64().unwrap()));
    let email = body["email"].as_str().unwrap();
    let digits = email.strip_prefix("user-").and_then(|rest| rest.strip_suffix("@example.com")).unwrap();
    assert!(digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{email}");
    let uuid = pay.path.strip_prefix("/pay/").unwrap();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
    assert!("89ab".contains(&uuid[19..20]), "{uuid}");
}

#[test]
fn a_step_may_name_its_own_content_type_and_cookies() {
    let mut session = Session::new(&plan(), &occasion(1), Draws::new(1, 0), "http://h");
    let mut headers = HeaderMap::new();
    headers.append("set-cookie", HeaderValue::from_static("jar=1; Path=/"));
    let request = session.request(0);
    session.accept(0, 200, &headers, b"").unwrap();
    assert_eq!(session.request(0), request, "the jar does not add to a cookie header of the step's own");
    assert_eq!(header(&request, "content-type"), Some("text/plain"));
    assert_eq!(header(&request, "cookie"), Some("mine=1"));
    assert_eq!(&request.body[..], b"4");
    assert_eq!(session.think_time(0), Duration::from_millis(50));
}

#[test]
fn cookies_go_with_the_journey_even_from_an_unexpected_answer() {
    let mut session = session(1);
    assert_eq!(header(&session.request(0), "cookie"), None);
    let mut headers = with_etag();
    headers.append("set-cookie", HeaderValue::from_static("csrftoken=abc; Path=/; Max-Age=31449600"));
    session.accept(0, 503, &headers, b"").unwrap_err();
    assert_eq!(header(&session.request(1), "cookie"), Some("csrftoken=abc"));
}

#[test]
fn answers_are_judged_by_status_then_by_what_they_must_hold() {
    let mut session = session(1);
    let _ = session.request(0);
    let failure = |variable: &str, cause: &str| {
        Err(StepFailure::Extraction { variable: variable.to_owned(), cause: cause.to_owned() })
    };
    assert_eq!(session.accept(0, 404, &with_etag(), TOKEN).unwrap_err().to_string(), "status 404, expected below 400");
    assert_eq!(session.accept(0, 302, &with_etag(), TOKEN), Ok(()));
    assert_eq!(session.accept(0, 200, &HeaderMap::new(), TOKEN), failure("etag", NO_HEADER));
    assert_eq!(session.accept(0, 200, &with_etag(), b"<html>"), failure("token", NOT_JSON));
    assert_eq!(session.accept(0, 200, &with_etag(), b"{}"), failure("token", NO_NODE));
    assert_eq!(
        session.accept(1, 201, &HeaderMap::new(), b"").unwrap_err().to_string(),
        "status 201, expected 200 or 400"
    );
}

#[test]
fn counters_add_up_what_was_answered() {
    let plan = plan();
    assert_eq!(plan.scenario().counter_names(), ["seen", "sold", "tries"]);
    let mut session = session(1);
    let none = HeaderMap::new();
    session.accept(1, 200, &none, br#"{"items": [{"n": 2}, {"n": 3}]}"#).unwrap();
    assert_eq!(session.take_counts(), [(0, 2), (1, 5), (2, 1)]);
    assert_eq!(session.take_counts(), [], "taken is taken");
    session.accept(1, 400, &none, b"").unwrap();
    assert_eq!(session.take_counts(), [(2, 1)], "without statuses, what the step expects counts");
    session.accept(1, 503, &none, b"").unwrap_err();
    assert_eq!(session.take_counts(), [(0, 2)], "with statuses, they count even unexpected");
    let failure = session.accept(1, 200, &none, br#"{"items": [{"n": "many"}]}"#).unwrap_err();
    assert_eq!(failure, StepFailure::Count { name: "sold".to_owned(), cause: NO_NUMBER.to_owned() });
    assert_eq!(session.take_counts(), [(0, 2), (2, 1)], "the other counters lose nothing by it");
}

#[test]
fn set_up_steps_share_what_they_extract_and_know_constants() {
    let mut session = Session::set_up(&plan(), "http://h");
    let login = session.request(0);
    assert_eq!(&login.body[..], r#"{"who":"a b/ü?\"${x}"}"#.as_bytes());
    session.accept(0, 200, &HeaderMap::new(), br#"{"key": 17}"#).unwrap();
    let reset = session.request(1);
    assert_eq!((reset.method.as_str(), reset.path.as_str()), ("PATCH", "/products/4/"));
    assert_eq!(header(&reset, "authorization"), Some("Bearer 17"));
}

#[test]
fn an_observation_is_the_sum_of_what_its_path_selects() {
    let plan = plan();
    assert_eq!(Session::observe(&plan, "http://h").request(0).path, "/products/?p=4");
    assert_eq!(plan.observed(0, br#"[{"count": 27}, {"count": -4}, {"other": 1}]"#), Ok(23));
    for (body, cause) in [("[]", NO_NODE), ("x", NOT_JSON), (r#"[{"count": 1.5}]"#, NO_NUMBER)] {
        let failure = StepFailure::Count { name: "stock".to_owned(), cause: cause.to_owned() };
        assert_eq!(plan.observed(0, body.as_bytes()), Err(failure));
    }
    let most = format!(r#"[{{"count": {}}}, {{"count": 1}}]"#, i64::MAX);
    assert!(plan.observed(0, most.as_bytes()).is_err(), "no overflow");
}

#[test]
fn think_times_have_the_distribution_they_name() {
    let mut session = session(3);
    let uniform: Vec<f64> = (0..4000).map(|_| session.think_time(0).as_secs_f64()).collect();
    assert!(uniform.iter().all(|pause| (0.1..=0.3).contains(pause)));
    let mean = |pauses: &[f64]| pauses.iter().sum::<f64>() / pauses.len() as f64;
    // Standard errors: 0.2/√12/√4000 and 0.2/√4000.
    assert!((mean(&uniform) - 0.2).abs() < 5.0 * 0.2 / 12_f64.sqrt() / 4000_f64.sqrt());
    let exponential: Vec<f64> = (0..4000).map(|_| session.think_time(1).as_secs_f64()).collect();
    assert!((mean(&exponential) - 0.2).abs() < 5.0 * 0.2 / 4000_f64.sqrt());
}

#[test]
fn choices_come_by_weight() {
    let field =
        Field::Choice { values: vec!["red".into(), "blue".into(), "never".into()], weights: vec![1.0, 3.0, 0.0] };
    let mut draws = Draws::new(9, 0);
    let values: Vec<Value> = (0..10_000).map(|_| draw::draw(&field, &occasion(0), &mut draws)).collect();
    let blue = values.iter().filter(|value| *value == "blue").count() as f64 / 10_000.0;
    assert!((blue - 0.75).abs() < 5.0 * (0.75 * 0.25 / 10_000_f64).sqrt(), "{blue}");
    assert!(!values.contains(&"never".into()));
}

#[test]
fn a_session_depends_on_its_draws_alone() {
    let requests = |seed| {
        let mut session = session(seed);
        (session.request(0), session.request(1), session.think_time(0))
    };
    assert_eq!(requests(5), requests(5));
    assert_ne!(requests(5).1, requests(6).1);
}

#[test]
fn a_scenario_that_was_not_checked_makes_no_panic() {
    let mut scenario = plan().scenario().as_ref().clone();
    let step = &mut scenario.journeys[0].steps[0];
    step.path = "/${nobody}/${".to_owned();
    step.extract.insert("x".to_owned(), Extraction { from: Source::Json("not a path".to_owned()), optional: false });
    let plan = Plan::new(std::sync::Arc::new(scenario), 1, 1.0);
    let mut session = Session::new(&plan, &occasion(0), plan.draws_of_arrival(0), "http://h");
    assert!(session.request(0).path.starts_with("/$%7Bnobody%7D"));
    session.accept(0, 200, &with_etag(), TOKEN).unwrap_err();
}

proptest! {
    /// Whatever a service puts into a token, the next request is legal HTTP and legal JSON, and the token comes back.
    #[test]
    fn no_value_breaks_out_of_its_surroundings(token in any::<String>()) {
        let mut session = session(1);
        let answer = serde_json::json!({"csrf": {"token": token.clone()}}).to_string();
        session.accept(0, 200, &with_etag(), answer.as_bytes()).unwrap();
        let pay = session.request(1);
        prop_assert!(pay.path.parse::<http::uri::PathAndQuery>().is_ok());
        for (name, value) in &pay.headers {
            prop_assert!(name.parse::<http::HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok(), "{name}: {value}");
        }
        let body: serde_json::Value = serde_json::from_slice(&pay.body).unwrap();
        prop_assert_eq!(body["token"].as_str(), Some(token.as_str()));
    }

    #[test]
    fn no_answer_makes_a_panic(status in 100..1000_u16, body in any::<Vec<u8>>(), cookie in "[ -~]{0,40}") {
        let mut session = session(1);
        let mut headers = with_etag();
        headers.append("set-cookie", cookie.parse().unwrap());
        let _ = session.accept(0, status, &headers, &body);
        let request = session.request(1);
        prop_assert!(request.headers.iter().all(|(_, value)| value.parse::<HeaderValue>().is_ok()));
        let _ = session.accept(1, status, &headers, &body);
    }
}
