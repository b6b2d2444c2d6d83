//! Publishing: awaited, tried again, refused, and never in the background of an answer.

use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;
use serde_json::json;

use crate::pubsub::{Mode, Pubsub};
use crate::service::{Service, command, posted, read};

/// An address where nobody listens now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_answer_waits_for_the_publish() {
    let pubsub = Pubsub::start();
    let address = pubsub.address.to_string();
    let service = Service::start("lab-report", &Pubsub::settings(&address));
    pubsub.set(Mode::Ignore);
    let mut unanswered = service.send(&posted(r#"{"id":1}"#));
    pubsub.wait_for_requests(1);
    unanswered.set_nonblocking(true).unwrap();
    let error = std::io::Read::read(&mut unanswered, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not answered before it is published");
    pubsub.set(Mode::Take);
    assert_eq!(service.post(r#"{"id":2}"#).status, 204);
    assert_eq!(pubsub.published(), [("projects/pets/topics/new-lab-report".to_owned(), r#"{"id":2}"#.to_owned())]);
}

#[test]
fn a_refused_publish_is_the_clients_error_as_json() {
    let pubsub = Pubsub::start();
    pubsub.set(Mode::Refuse(5, "Resource not found (resource=new-lab-report)."));
    let service = Service::start("lab-report", &Pubsub::settings(&pubsub.address.to_string()));
    let answer = service.post(r#"{"id":1}"#);
    assert_eq!(answer.status, 500);
    assert!(answer.headers.contains(&("content-type".to_owned(), "application/json; charset=utf-8".to_owned())));
    let details = "Resource not found (resource=new-lab-report).";
    assert_eq!(answer.json(), json!({"code": 5, "details": details, "metadata": {}}));
    pubsub.wait_for_requests(1);
}

#[test]
fn a_pubsub_that_cannot_be_reached_is_told_in_time() {
    let address = free().to_string();
    let settings = [&Pubsub::settings(&address)[..], &[("PUBLISH_TIMEOUT_MS", "300")]].concat();
    let service = Service::start("lab-report", &settings);
    let answer = service.post(r#"{"id":1}"#);
    assert_eq!(answer.status, 500);
    let error = answer.json();
    assert!(error["details"].as_str().is_some_and(|details| !details.is_empty()), "{error}");
    assert!([4, 14].contains(&error["code"].as_i64().unwrap()), "{error}");
    // One that takes the connection and says nothing is no better.
    let silent = Pubsub::start();
    silent.set(Mode::Ignore);
    let address = silent.address.to_string();
    let settings = [&Pubsub::settings(&address)[..], &[("PUBLISH_TIMEOUT_MS", "300")]].concat();
    let service = Service::start("lab-report", &settings);
    assert_eq!(service.post(r#"{"id":1}"#).status, 500);
}

#[test]
fn a_pubsub_that_comes_back_in_time_gets_the_report() {
    let address = free();
    let text = address.to_string();
    let settings = [&Pubsub::settings(&text)[..], &[("PUBLISH_TIMEOUT_MS", "60000")]].concat();
    let service = Service::start("lab-report", &settings);
    let mut waiting = service.send(&posted(r#"{"id":1}"#));
    let pubsub = Pubsub::at(address);
    assert_eq!(read(&mut waiting, false).status, 204);
    // One that fails for a while is asked again.
    pubsub.set(Mode::Refuse(14, "try again"));
    let mut waiting = service.send(&posted(r#"{"id":2}"#));
    pubsub.wait_for_requests(2);
    pubsub.set(Mode::Take);
    assert_eq!(read(&mut waiting, false).status, 204);
    // And one that was killed and started anew.
    drop(pubsub);
    let mut waiting = service.send(&posted(r#"{"id":3}"#));
    let pubsub = Pubsub::at(address);
    assert_eq!(read(&mut waiting, false).status, 204);
    assert_eq!(pubsub.published().last().unwrap().1, r#"{"id":3}"#);
}

#[test]
fn the_three_of_the_laboratory_go_in_parallel() {
    let pubsub = Pubsub::start();
    let service = Service::start("lab-report", &Pubsub::settings(&pubsub.address.to_string()));
    let mut streams: Vec<_> =
        [12, 34, 56].iter().map(|id| service.send(&posted(&format!("{{\"id\": {id}}}")))).collect();
    for stream in &mut streams {
        let answer = read(stream, false);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }
    let mut published: Vec<String> = pubsub.published().into_iter().map(|(_, data)| data).collect();
    published.sort();
    assert_eq!(published, [r#"{"id":12}"#, r#"{"id":34}"#, r#"{"id":56}"#]);
}

#[test]
fn the_signal_lets_a_publish_finish() {
    let address = free();
    let text = address.to_string();
    let service = Service::start("lab-report", &Pubsub::settings(&text));
    let mut waiting = service.send(&posted(r#"{"id":1}"#));
    // An answer on a connection made later proves that the report has been taken in.
    assert_eq!(service.get("/").status, 404);
    service.signal(Signal::TERM);
    let pubsub = Pubsub::at(address);
    assert_eq!(read(&mut waiting, false).status, 204);
    assert_eq!(pubsub.published().len(), 1);
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn wrong_settings_end_with_two() {
    let output = command("lab-report", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: GOOGLE_CLOUD_PROJECT is not set; set it to the project that the topic is in\n"
    );
    let output = command("email", &[("FAULT", "often")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr).unwrap().starts_with("error: FAULT is \"often\", which is not one of down")
    );
    let output = command("sms", &[("DELIVERIES", "/no/such/folder/x.db")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("give DELIVERIES a file in a folder"));
}
