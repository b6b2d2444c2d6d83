//! What is expected of answers and kept of them.

use super::*;
use std::io::Write as _;

const SCENARIO: &str = r#"
name: s
variables: {product: {constant: 4}, name: {constant: Sparkly}}
journeys:
  - name: j
    steps:
      - name: checked
        get: /
        expect:
          status: [200]
          max_size: 200B
          headers:
            Content-Type: {contains: json}
            X-Version: {equals: "v${product}"}
            X-Debug: {exists: false}
          body: {contains: "\"${name}"}
          json:
            $.id: {equals: "${product}"}
            $.name: {equals: "${name} Avocado"}
            $.tags: {equals: [a, {b: 1.0}]}
            $.error: {exists: false}
            $.price: {exists: true}
      - name: kept
        get: /
        extract:
          csrf: {regex: 'name="csrf" value="([^"]*)"'}
          whole: {regex: 'v\d+'}
          second: {regex: '(a+)(b+)', group: 2, optional: true}
          session: {cookie: sid}
          maybe: {header: X-Maybe, optional: true}
      - {name: used, get: "/${csrf}/${whole}/${second}/${session}/${maybe}"}
      - {name: compressed, get: /, compressed: true, extract: {token: {json: $.t}}}
      - {name: unread, get: /, compressed: true, expect: {max_size: 100B}}
load: closed
stages: [{name: n, hold: 1, duration: 1s}]
"#;

const BODY: &[u8] = br#"{"id": 4.0, "name": "Sparkly Avocado", "tags": ["a", {"b": 1}], "price": null}"#;

fn session() -> Session {
    let scenario = Scenario::from_yaml(Path::new("s"), SCENARIO).unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(std::sync::Arc::new(scenario), 1, 1.0);
    Session::new(&plan, &occasion(0), plan.draws_of_arrival(0), "http://h")
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

const GOOD: [(&str, &str); 2] = [("content-type", "application/json"), ("x-version", "v4")];

#[test]
fn an_answer_that_holds_what_is_expected_is_accepted() {
    assert_eq!(session().accept(0, 200, &headers(&GOOD), BODY), Ok(()));
}

#[test]
fn each_expectation_that_fails_is_told_in_the_words_of_the_scenario() {
    let with = |from: &str, to: &str| String::from_utf8(BODY.to_vec()).unwrap().replace(from, to);
    let good = headers(&GOOD);
    let debug = [GOOD.as_slice(), &[("x-debug", "1")]].concat();
    for (headers, body, told) in [
        (headers(&GOOD[1..]), with("", ""), "the header `content-type` does not contain `json`"),
        (headers(&[GOOD[0], ("x-version", "v5")]), with("", ""), "the header `x-version` is not `v${product}`"),
        (headers(&debug), with("", ""), "the header `x-debug` is there"),
        (good.clone(), with("Sparkly", "Plain"), "the body does not contain `\"${name}`"),
        (good.clone(), with("4.0", "5"), "`$.id` of the body is not \"${product}\""),
        (good.clone(), with("4.0", "\"4\""), "`$.id` of the body is not \"${product}\""),
        (good.clone(), with("Avocado", "Tiger"), "`$.name` of the body is not \"${name} Avocado\""),
        (good.clone(), with("\"b\": 1", "\"b\": 2"), "`$.tags` of the body is not [\"a\",{\"b\":1.0}]"),
        (good.clone(), with("\"price\"", "\"error\": 1, \"price\""), "`$.error` of the body is there"),
        (good.clone(), with("\"price\"", "\"cost\""), "`$.price` of the body is missing"),
        (good.clone(), "\"Sparkly".to_owned(), "the body is not JSON"),
        (good.clone(), with("null", &"9".repeat(200)), "the body is over 200 bytes"),
    ] {
        let failure = session().accept(0, 200, &headers, body.as_bytes()).unwrap_err();
        assert_eq!(failure.to_string(), told);
        assert_eq!(failure, StepFailure::Expectation { cause: told.to_owned() });
    }
    assert_eq!(session().accept(0, 500, &good, BODY).unwrap_err().to_string(), "status 500, expected 200");
}

#[test]
fn values_are_found_by_expression_cookie_and_header() {
    let mut session = session();
    let page = br#"<input name="csrf" value="t0k&"> v17 v18 aabbb"#;
    session.accept(1, 200, &headers(&[("set-cookie", "sid=s1; Path=/"), ("x-maybe", "m")]), page).unwrap();
    assert_eq!(session.request(2).path, "/t0k%26/v17/bbb/s1/m");
    let failure =
        |session: &mut Session, page: &[u8]| session.accept(1, 200, &headers(&[]), page).unwrap_err().to_string();
    assert_eq!(
        failure(&mut session, b"v1"),
        "nothing to extract \"csrf\" from: the regular expression matches nothing"
    );
    let mut another = self::session();
    assert_eq!(failure(&mut another, page), "nothing to extract \"session\" from: the journey holds no such cookie");
    let mut bare = self::session();
    bare.accept(1, 200, &headers(&[("set-cookie", "sid=s1; Path=/")]), br#"name="csrf" value="" v1"#).unwrap();
    assert_eq!(bare.request(2).path, "//v1//s1/", "what is optional and missing is put in as nothing");
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_answers_are_decompressed_only_to_be_looked_into() {
    let mut session = session();
    let zipped = headers(&[("content-encoding", "gzip")]);
    session.accept(3, 200, &zipped, &gzipped(br#"{"t": 1}"#)).unwrap();
    let failure = session.accept(3, 200, &zipped, b"nonsense").unwrap_err().to_string();
    assert_eq!(failure, "nothing to extract \"token\" from: the body is not what its content-encoding says");
    let bomb = gzipped(&vec![b' '; 20 * 1024 * 1024]);
    let failure = session.accept(3, 200, &zipped, &bomb).unwrap_err().to_string();
    assert_eq!(failure, "nothing to extract \"token\" from: the body is too large once decompressed");
    assert_eq!(session.accept(4, 200, &zipped, b"nonsense"), Ok(()), "nobody asks what is in it");
}
