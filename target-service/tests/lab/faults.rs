//! What is wrong with a consumer on purpose.

use std::io::Read as _;

use rustix::process::Signal;

use crate::service::{Service, envelope, posted};

fn statuses(seed: &str) -> Vec<u16> {
    let service = Service::start("email", &[("FAULT", "share:0.3"), ("FAULT_SEED", seed)]);
    (0..100).map(|id| service.push(&format!("{{\"id\":{id}}}"), "1").status).collect()
}

#[test]
fn a_share_of_deliveries_fails_as_its_seed_says() {
    let first = statuses("1");
    let failed = first.iter().filter(|status| **status == 500).count();
    assert!((10..=50).contains(&failed), "{failed} of 100");
    assert!(first.iter().all(|status| [204, 500].contains(status)));
    assert_eq!(statuses("1"), first);
    assert_ne!(statuses("2"), first);
}

#[test]
fn a_slow_consumer_succeeds_late() {
    let service = Service::start("sms", &[("FAULT", "slow:300ms")]);
    let begin = tokio::time::Instant::now();
    assert_eq!(service.push(r#"{"id":1}"#, "1").status, 204);
    assert!(begin.elapsed() >= std::time::Duration::from_millis(300));
    let lines = [service.line(), service.line(), service.line()];
    assert_eq!(lines, ["SMS Service: Report 1 trying...", "Sending SMS", "SMS Service: Report 1 success :-)"]);
}

#[test]
fn a_crash_is_in_the_middle_of_a_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.db");
    let file = file.to_str().unwrap();
    let service = Service::start("email", &[("FAULT", "crash"), ("DELIVERIES", file)]);
    let mut stream = service.send(&posted(&envelope(r#"{"id":1}"#, "1")));
    assert_eq!(service.line(), "Email Service: Report 1 trying...");
    // Closed or reset, and not a byte of an answer.
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(!service.wait().success());
    let service = Service::start("email", &[("DELIVERIES", file)]);
    assert_eq!(service.get("/deliveries").json()["deliveries"], serde_json::json!([]));
}

#[test]
fn a_consumer_that_hangs_answers_never_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deliveries.db");
    let service = Service::start("email", &[("FAULT", "hang"), ("DELIVERIES", file.to_str().unwrap())]);
    let mut stream = service.send(&posted(&envelope(r#"{"id":1}"#, "1")));
    assert_eq!(service.line(), "Email Service: Report 1 trying...");
    // Others are served meanwhile.
    assert_eq!(service.get("/deliveries").json()["next"], 0);
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0; 16]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    service.signal(Signal::KILL);
}
