//! Byte for byte what Express answers, as `record.mjs` recorded it: status, headers, body, what is published, what is logged.

use serde_json::Value;

use crate::pubsub::Pubsub;
use crate::service::{Answer, Service, envelope, posted};

fn recorded(service: &str) -> Vec<Value> {
    let recorded: Vec<Value> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let found: Vec<Value> = recorded.into_iter().filter(|case| case["service"] == service).collect();
    assert!(!found.is_empty());
    found
}

/// The bytes of a recorded request, each of which is a character of it.
fn request(case: &Value) -> Vec<u8> {
    case["request"].as_str().unwrap().chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

fn answer(case: &Value) -> Answer {
    let headers = case["headers"].as_object().unwrap().iter();
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    headers.sort();
    let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
    Answer { status, headers, body: case["body"].as_str().unwrap().to_owned() }
}

/// Only V8 knows what V8 says of malformed JSON: of its pages everything counts but those words.
fn without_words(mut answer: Answer) -> Answer {
    if let Some(begin) = answer.body.find("<pre>SyntaxError: ") {
        let end = answer.body.find("</pre>").unwrap();
        answer.body.replace_range(begin + "<pre>SyntaxError: ".len()..end, "…");
        answer.headers.retain(|(name, _)| name != "content-length");
    }
    answer
}

#[test]
fn the_lab_service_answers_as_recorded() {
    let pubsub = Pubsub::start();
    let service = Service::start("lab-report", &Pubsub::settings(&pubsub.address.to_string()));
    let mut published = Vec::new();
    for case in recorded("lab-report") {
        let name = &case["name"];
        let answered = service.ask(&request(&case));
        assert_eq!(without_words(answered), without_words(answer(&case)), "{name}");
        published.extend(case["published"].as_str().map(str::to_owned));
        let taken: Vec<String> = pubsub.published().into_iter().map(|(_, data)| data).collect();
        assert_eq!(taken, published, "{name}");
    }
    assert!(pubsub.published().iter().all(|(topic, _)| topic == "projects/pets/topics/new-lab-report"));
}

fn consumer_answers(service: &Service, case: &Value) {
    let name = &case["name"];
    let answered = service.ask(&request(case));
    assert_eq!(without_words(answered), without_words(answer(case)), "{name}");
    for line in case["log"].as_array().unwrap() {
        assert_eq!(service.line(), line.as_str().unwrap(), "{name}");
    }
}

#[test]
fn the_email_service_answers_and_logs_as_recorded() {
    let service = Service::start("email", &[("K_SERVICE", "email-service")]);
    for case in recorded("email") {
        consumer_answers(&service, &case);
    }
}

#[test]
fn an_outage_looks_as_recorded() {
    let service = Service::start("email", &[("K_SERVICE", "email-service"), ("FAULT", "down")]);
    for case in recorded("email down") {
        consumer_answers(&service, &case);
    }
    assert_eq!(service.push(r#"{"id":12}"#, "1").status, 500);
    assert_eq!(service.line(), "Email Service: Report 12 trying...");
    assert_eq!(service.line(), "Email Service: Report 12 failure: Email server is down");
}

#[test]
fn the_sms_service_and_a_third_one_have_their_own_words() {
    let service = Service::start("sms", &[]);
    assert_eq!(service.push(r#"{"id":12}"#, "1").status, 204);
    assert_eq!(service.line(), "SMS Service: Report 12 trying...");
    assert_eq!(service.line(), "Sending SMS");
    assert_eq!(service.line(), "SMS Service: Report 12 success :-)");
    let service = Service::start("email", &[("K_SERVICE", "archive-service")]);
    assert_eq!(service.push(r#"{"id":12}"#, "1").status, 204);
    assert_eq!(service.line(), "archive-service: Report 12 trying...");
    assert_eq!(service.line(), "Sending archive-service");
    assert_eq!(service.line(), "archive-service: Report 12 success :-)");
}

/// A JSON object of this many bytes.
fn object(length: usize) -> String {
    let frame = r#"{"id":""}"#;
    format!(r#"{{"id":"{}"}}"#, "x".repeat(length - frame.len()))
}

#[test]
fn a_body_may_have_100_kb_and_not_a_byte_more() {
    let too_large = "<pre>PayloadTooLargeError: request entity too large</pre>";
    let pubsub = Pubsub::start();
    let service = Service::start("lab-report", &Pubsub::settings(&pubsub.address.to_string()));
    assert_eq!(service.post(&object(102_400)).status, 204);
    assert_eq!(pubsub.published()[0].1.len(), 102_400);
    // Longer than what sockets buffer: it is read to its end, so the answer arrives.
    for length in [102_401, 8_000_000] {
        let answer = service.post(&object(length));
        assert_eq!(answer.status, 413);
        assert!(answer.body.contains(too_large), "{}", answer.body);
    }
    let chunk = object(102_401);
    let head = "POST / HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(service.ask(format!("{head}{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len()).as_bytes()).status, 413);
    // Of a body that is no JSON nothing is read, so it has no limit.
    let text = posted(&"x".repeat(110_000));
    let text = String::from_utf8(text).unwrap().replace("application/json", "text/plain");
    assert_eq!(service.ask(text.as_bytes()).status, 500);
    assert_eq!(pubsub.published().len(), 1);
    let service = Service::start("email", &[]);
    assert_eq!(service.post(&envelope(&object(90_000), "1")).status, 413);
    assert_eq!(service.post(&envelope(&object(70_000), "1")).status, 204);
}
