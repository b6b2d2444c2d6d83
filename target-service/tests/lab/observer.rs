//! Deliveries as the observer sees them: what was answered 204 is there, whatever becomes of the process.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::service::{Service, envelope, posted, read};

fn ids(page: &Value) -> Vec<String> {
    let deliveries = page["deliveries"].as_array().unwrap();
    deliveries.iter().map(|delivery| delivery["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_deliveries_that_succeeded_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.db");
    let file = file.to_str().unwrap();
    let service = Service::start("email", &[("DELIVERIES", file)]);
    let before = jiff::Timestamp::now().as_microsecond();
    assert_eq!(service.push(r#"{"id":56}"#, "2").status, 204);
    let after = jiff::Timestamp::now().as_microsecond();
    assert_eq!(service.push("hello", "3").status, 500);
    let keyed = r#"{"deliveryAttempt":4,"message":{"data":"eyJpZCI6IngifQ==","messageId":"5","orderingKey":"k"}}"#;
    assert_eq!(service.post(keyed).status, 204);
    let answer = service.get("/deliveries?after=0");
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains(&("content-type".to_owned(), "application/json; charset=utf-8".to_owned())));
    let mut page = answer.json();
    let done = page["deliveries"][0]["done_unix_us"].take().as_i64().unwrap();
    assert!((before..=after).contains(&done), "{before} {done} {after}");
    assert!(page["deliveries"][1]["done_unix_us"].take().is_i64());
    assert_eq!(
        page,
        json!({"next": 2, "deliveries": [
            {"seq": 1, "id": "56", "message_id": "2", "key": null, "attempt": 1, "done_unix_us": null},
            {"seq": 2, "id": "x", "message_id": "5", "key": "k", "attempt": 4, "done_unix_us": null},
        ]})
    );
    assert_eq!(service.get("/deliveries?after=2").json(), json!({"next": 2, "deliveries": []}));
    assert_eq!(service.get("/deliveries?after=two").status, 400);
    // The broken revision that follows shares the file, and adds nothing to it.
    let broken = Service::start("email", &[("DELIVERIES", file), ("FAULT", "down")]);
    assert_eq!(broken.push(r#"{"id":57}"#, "6").status, 500);
    assert_eq!(broken.get("/deliveries").json()["next"], 2);
}

#[test]
fn unwrapped_pushes_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.db");
    let service = Service::start("sms", &[("DELIVERIES", file.to_str().unwrap())]);
    let push = |data: &str| {
        let headers = "x-goog-pubsub-message-id: 9\r\nx-goog-pubsub-ordering-key: k\r\nx-goog-pubsub-subscription-name: projects/p/subscriptions/s";
        format!("POST / HTTP/1.1\r\nHost: lab\r\n{headers}\r\nContent-Length: {}\r\n\r\n{data}", data.len())
    };
    assert_eq!(service.ask(push(r#"{"id":56}"#).as_bytes()).status, 204);
    assert_eq!(service.line(), "SMS Service: Report 56 trying...");
    assert_eq!(service.ask(push("hello").as_bytes()).status, 500);
    let page = service.get("/deliveries").json();
    let delivery = &page["deliveries"][0];
    assert_eq!((&delivery["id"], &delivery["message_id"], &delivery["key"]), (&json!("56"), &json!("9"), &json!("k")));
    assert_eq!(page["next"], 1);
}

#[test]
fn what_was_acknowledged_survives_sigkill_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.db");
    let file = file.to_str().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let service = Service::start("email", &[("DELIVERIES", file)]);
        // Pushes from several connections at once; the process is killed while some of them are under way.
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..8)
                .map(|sender| {
                    let port = service.port;
                    scope.spawn(move || {
                        let mut done = Vec::new();
                        for number in 0.. {
                            let id = format!("{round}-{sender}-{number}");
                            if !pushed(port, &id) {
                                return done;
                            }
                            done.push(id);
                        }
                        done
                    })
                })
                .collect();
            // The observer answers, so deliveries are being made; then it ends wherever it is.
            while service.get("/deliveries").json()["next"].as_i64().unwrap() < (round + 1) * 40 {}
            service.signal(Signal::KILL);
            for sender in senders {
                acknowledged.extend(sender.join().unwrap());
            }
        });
    }
    let service = Service::start("email", &[("DELIVERIES", file)]);
    let kept = ids(&service.get("/deliveries").json());
    assert!(acknowledged.len() >= 150, "{} were acknowledged", acknowledged.len());
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !kept.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Whether a push was acknowledged; not when the service has gone.
fn pushed(port: u16, id: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let request = posted(&envelope(&format!("{{\"id\":\"{id}\"}}"), id));
    let mut answer = [0; 12];
    let answered = stream.write_all(&request).and_then(|()| stream.read_exact(&mut answer));
    answered.is_ok() && answer == *b"HTTP/1.1 204"
}

#[test]
fn without_a_file_there_is_no_observer() {
    let service = Service::start("email", &[]);
    assert_eq!(service.push(r#"{"id":56}"#, "2").status, 204);
    assert_eq!(service.get("/deliveries").status, 404);
    let mut stream = service.send(b"GET /deliveries HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert!(read(&mut stream, false).body.contains("Cannot GET /deliveries"));
}
