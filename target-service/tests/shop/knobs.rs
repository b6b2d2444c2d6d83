//! The knobs, each by its effect on the process or on its answers.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::service::{Service, checkout, client, stock, token};
use tokio::time::Instant;

/// Sends so many requests at once and gives their statuses (none where the connection broke).
async fn at_once(service: &Service, requests: usize) -> Vec<Option<u16>> {
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let request = client().get(service.url("/api/csrf_token"));
        answers.spawn(async move { request.send().await.ok().map(|answer| answer.status().as_u16()) });
    }
    answers.join_all().await
}

/// How long so many requests at once take under these settings.
async fn duration(settings: &[(&str, &str)], requests: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), settings);
    let begin = Instant::now();
    assert!(at_once(&service, requests).await.iter().all(|status| *status == Some(200)));
    begin.elapsed()
}

#[tokio::test]
async fn workers_limit_what_is_worked_on_at_once() {
    // 6 requests of 300 ms each take three turns with two workers.
    let limited = duration(&[("WAIT_MS", "300"), ("WORKERS", "2")], 6).await;
    assert!(limited >= Duration::from_millis(900), "{limited:?}");
}

#[tokio::test]
async fn a_health_check_waits_for_no_worker() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("WORKERS", "1"), ("WAIT_MS", "60000")]);
    let request = client().get(service.url("/"));
    let held = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client().get(service.url("/ready")).send().await.unwrap().status(), 200);
    assert!(!held.is_finished());
    held.abort();
}

#[tokio::test]
async fn the_mutex_lets_one_request_at_a_time_through() {
    let held = duration(&[("MUTEX_HOLD_MS", "100")], 8).await;
    assert!(held >= Duration::from_millis(800), "{held:?}");
    // As many threads as may be do not help.
    let held = duration(&[("MUTEX_HOLD_MS", "100"), ("EXECUTOR_THREADS", "4")], 8).await;
    assert!(held >= Duration::from_millis(800), "{held:?}");
}

#[tokio::test]
async fn memory_is_held_by_each_request_and_given_back() {
    let peak = |requests| async move {
        let folder = tempfile::tempdir().unwrap();
        let settings = [("MEMORY_PER_REQUEST_KIB", "16384"), ("WAIT_MS", "400")];
        let service = Service::start(folder.path(), &settings);
        let before = service.status("VmRSS");
        assert!(at_once(&service, requests).await.iter().all(|status| *status == Some(200)));
        (service.status("VmHWM") - before, service.status("VmRSS") - before)
    };
    let ((one, _), (eight, after)) = (peak(1).await, peak(8).await);
    assert!((16_384..32_768).contains(&one), "one request held {one} KiB");
    assert!(eight >= 8 * 16_384, "eight requests held {eight} KiB");
    assert!(after < 2 * 16_384, "{after} KiB stayed");
}

#[tokio::test]
async fn temporary_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("tmp");
    std::fs::create_dir(&files).unwrap();
    let service = Service::start(folder.path(), &[("TEMP_FILE_KIB", "64"), ("TMPDIR", files.to_str().unwrap())]);
    assert_eq!(at_once(&service, 5).await.len(), 5);
    client().get(service.url("/healthy")).send().await.unwrap();
    let sizes = || std::fs::read_dir(&files).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert_eq!(sizes().collect::<Vec<_>>(), [65_536; 5]);
    std::fs::remove_dir_all(&files).unwrap();
    assert_eq!(at_once(&service, 1).await, [Some(500)]);
    service.log_line(|line| line["error"] == "TEMPORARY_FILE_ERROR");
}

#[tokio::test]
async fn the_first_request_works_once_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("FIRST_REQUEST_WORK_MS", "500")]);
    let before = service.cpu_ticks();
    assert_eq!(at_once(&service, 4).await, [Some(200); 4]);
    let first = service.cpu_ticks() - before;
    assert!((48..100).contains(&first), "{first} ticks of 10 ms for the first four requests");
    at_once(&service, 4).await;
    let later = service.cpu_ticks() - before - first;
    assert!(later < 25, "{later} ticks of 10 ms for the next four");
}

#[tokio::test]
async fn background_work_goes_on_after_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("BACKGROUND_WORK_MS", "300")]);
    let answer = client().get(service.url("/api/products/")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("content-length"), "the answer is as it was");
    answer.bytes().await.unwrap();
    let at_answer = service.cpu_ticks();
    let mut seen = Vec::new();
    let line = service.log_line(|line| {
        seen.push(line["message"].as_str().unwrap().to_owned());
        line["message"] == "background work done"
    });
    assert!(seen.iter().any(|message| message.ends_with("200")), "the request was logged before: {seen:?}");
    assert_eq!(line["process"]["cpu_ms"], 300.0);
    assert!(line["process"]["elapsed_ms"].as_f64().unwrap() >= 300.0);
    assert!(service.cpu_ticks() - at_answer >= 15, "most of 300 ms of CPU time came after the answer");
}

#[tokio::test]
async fn the_process_crashes_at_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("CRASH_AFTER_REQUESTS", "3")]);
    let client = client();
    for _ in 0..2 {
        assert_eq!(client.get(service.url("/")).send().await.unwrap().status(), 200);
        assert_eq!(client.get(service.url("/healthy")).send().await.unwrap().status(), 200);
    }
    assert!(client.get(service.url("/")).send().await.is_err(), "the third is never answered");
    assert_eq!(service.wait().signal(), Some(6), "it aborts");
}

/// The number of requests that a shop with these settings answers before it crashes.
async fn answered(seed: &str, probability: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("CRASH_SEED", seed), ("CRASH_PROBABILITY", probability)]);
    let client = client();
    let mut answered = 0;
    while answered < 200 && client.get(service.url("/")).send().await.is_ok() {
        answered += 1;
    }
    answered
}

#[tokio::test]
async fn crashes_are_drawn_from_the_seed() {
    let first = answered("7", "0.05").await;
    assert!((1..200).contains(&first), "{first}: neither at once nor never");
    assert_eq!(answered("7", "0.05").await, first);
    assert_eq!((answered("7", "1").await, answered("7", "0").await), (0, 200));
}

#[tokio::test]
async fn one_worker_hides_the_racy_sales() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("STOCK_UPDATES", "racy"), ("WORKERS", "1")]);
    let client = client();
    let token = token(&client, &service).await;
    let body =
        r#"{"customer":{"email":"a@b.cd"},"payment":{"method":"collect"},"items":[{"id":3,"countRequested":1}]}"#;
    let mut sales = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let sale = checkout(&client, &service, &token, body);
        sales.spawn(async move { sale.send().await.unwrap().status().as_u16() });
    }
    assert_eq!(sales.join_all().await, [200; 40]);
    assert_eq!(stock(&client, &service, 3).await, 71 - 40);
}
