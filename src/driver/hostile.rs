//! Servers that misbehave, on real sockets: each is a counted failure with its cause, never a panic, and the books
//! balance.

use super::fixture::{
    answering, assert_balance, client_of, drive_and_drain, drive_to, five_arrivals_of_two_steps, plan, read_request,
    server,
};
use super::observe::observe;
use super::{DriveError, Http1Client, Options, Progress, drive, drive_with};
use crate::scenario::Plan;
use crate::trial::{Books, Observed, Recording};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Every first step failed with `cause` under `label`, and every second one was dropped.
fn assert_all_failed(recording: &Recording, label: &str, cause: &str) {
    assert_balance(recording);
    assert_eq!(recording.arrivals, Books { planned: 5, failed: 5, ..Books::default() });
    assert_eq!(recording.steps[0].books, Books { planned: 5, failed: 5, ..Books::default() });
    assert_eq!(recording.steps[1].books, Books { planned: 5, dropped: 5, ..Books::default() });
    let causes: Vec<&str> = recording.failures.iter().map(|failure| failure.cause.as_str()).collect();
    assert_eq!(causes, [cause]);
    assert_eq!(recording.answers.get(label), Some(&5));
    assert_eq!(recording.overall.response_time.count(), 5, "failures stay in the tail");
    assert_eq!(recording.overall.error_rate(), 1.0);
}

fn assert_all_completed(recording: &Recording) {
    assert_balance(recording);
    assert_eq!(recording.arrivals, Books { planned: 5, completed: 5, ..Books::default() }, "{:?}", recording.failures);
    assert_eq!(recording.journeys[0].duration.count(), 5);
    assert!(recording.failures.is_empty());
}

async fn outcome_of(base_url: &str) -> Recording {
    over_both(&five_arrivals_of_two_steps("20s"), base_url).await
}

/// Drives `plan` over hyper and over the fast path, which must fare alike; gives what the fast one recorded.
async fn over_both(plan: &Plan, base_url: &str) -> Recording {
    let options = Options { base_url: base_url.to_owned(), drain: Duration::from_secs(30), ..Options::default() };
    let over = async |client| {
        let (_stop, stopped) = watch::channel(false);
        drive_with(client, plan, &options, watch::Sender::new(Progress::default()), stopped).await.unwrap()
    };
    let (hyper, wire) = (over(Http1Client::Hyper).await, over(Http1Client::Wire).await);
    assert_eq!(hyper.failures, wire.failures);
    assert_eq!((hyper.arrivals, &hyper.answers), (wire.arrivals, &wire.answers));
    wire
}

/// The same with pauses between the steps, in which an idle connection is found closed.
async fn outcome_of_spaced(base_url: &str) -> Recording {
    let spaced = plan(
        "journeys:
  - name: both
    steps: [{name: first, get: /first, think: 20ms}, {name: second, get: /second}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 1}}
stages: [{name: steady, hold: 20, duration: 250ms}]",
    );
    over_both(&spaced, base_url).await
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_all_failed(&outcome_of(&base_url).await, "refused", "connection refused");
}

#[tokio::test]
async fn a_server_that_hangs_times_out_and_the_timeout_is_in_the_tail() {
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    let recording = over_both(&five_arrivals_of_two_steps("150ms"), &base_url).await;
    assert_all_failed(&recording, "timed out", "no whole answer within the step's timeout");
    assert!(recording.overall.response_time.quantile(0.0) >= Duration::from_millis(149));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_body_is_broken() {
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await?;
        stream.set_zero_linger()?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    })
    .await;
    assert_all_failed(&outcome_of(&base_url).await, "broken", "connection reset before the answer was whole");
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_broken() {
    let base_url = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", true).await;
    assert_all_failed(&outcome_of(&base_url).await, "broken", "connection closed before the answer was whole");
}

#[tokio::test]
async fn a_chunked_body_that_ends_early_or_is_no_chunks_is_broken() {
    for (answer, cause) in [
        ("5\r\nhello\r\n", "connection closed before the answer was whole"),
        ("5\r\nhe", "connection closed before the answer was whole"),
        ("5\r\nhello world\r\n0\r\n\r\n", "answer's body is not HTTP/1.1"),
        ("five\r\nhello\r\n0\r\n\r\n", "answer's body is not HTTP/1.1"),
        ("ffffffffffffffffff\r\nhello", "answer's body is not HTTP/1.1"),
        ("0\r\nno trailer\r\n\r\n", "answer's body is not HTTP/1.1"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{answer}");
        let base_url = answering(Box::leak(answer.into_boxed_str()).as_bytes(), true).await;
        assert_all_failed(&outcome_of(&base_url).await, "broken", cause);
    }
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_not_http_1_1() {
    for lengths in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: +2",
        "content-length: two",
        "content-length: 99999999999999999999",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nok");
        let base_url = answering(Box::leak(answer.into_boxed_str()).as_bytes(), true).await;
        assert_all_failed(&outcome_of(&base_url).await, "broken", "answer is not HTTP/1.1");
    }
}

#[tokio::test]
async fn words_in_between_are_passed_over_and_a_body_may_end_with_its_connection() {
    let answer =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok";
    assert_all_completed(&outcome_of(&answering(answer, true).await).await);
}

#[tokio::test]
async fn an_answer_before_the_request_was_whole_counts_and_costs_a_connection() {
    // The server reads the head only: a body of 8 MiB fits into no socket's memory.
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    })
    .await;
    let large = plan(&format!(
        "journeys: [{{name: one, steps: [{{name: first, post: /, json: {:?}, expect: {{status: [413]}}}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second}}}}
stages: [{{name: steady, hold: 20, duration: 100ms}}]",
        "x".repeat(8 << 20)
    ));
    let recording = drive_to(&large, &base_url).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.answers, BTreeMap::from([("413".to_owned(), 2)]), "{:?}", recording.failures);
}

#[tokio::test]
async fn closing_without_a_word_is_broken() {
    let base_url = server(|mut stream| async move { read_request(&mut stream).await }).await;
    assert_all_failed(&outcome_of(&base_url).await, "broken", "connection closed before the answer was whole");
}

#[tokio::test]
async fn garbage_and_http_0_9_are_not_http_1_1() {
    for answer in [b"\x00\x01\x02 garbage \xff\r\n\r\n".as_slice(), b"<html>hello</html>\r\n\r\n"] {
        let base_url = answering(answer, true).await;
        assert_all_failed(&outcome_of(&base_url).await, "broken", "answer is not HTTP/1.1");
    }
}

#[tokio::test]
async fn headers_without_end_are_too_large() {
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            stream.write_all(&[b"x-more: ", [b'y'; 4096].as_slice(), b"\r\n"].concat()).await?;
        }
    })
    .await;
    assert_all_failed(&outcome_of(&base_url).await, "broken", "answer's head is too large");
}

#[tokio::test]
async fn a_body_without_end_is_too_large_before_it_fills_the_memory() {
    let recording =
        outcome_of(&answering(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\nx", false).await).await;
    assert_all_failed(&recording, "broken", "body too large");

    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        let chunk = [b"100000\r\n", vec![b'x'; 0x0010_0000].as_slice(), b"\r\n"].concat();
        loop {
            stream.write_all(&chunk).await?;
        }
    })
    .await;
    let one = plan(
        "journeys: [{name: one, steps: [{name: first, get: /, timeout: 20s}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 10, duration: 100ms}]",
    );
    let recording = over_both(&one, &base_url).await;
    assert_eq!(recording.failures[0].cause, "body too large");
    assert_balance(&recording);
}

#[tokio::test]
async fn closing_after_each_answer_costs_a_connection_and_no_request() {
    let unannounced = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true).await;
    assert_all_completed(&outcome_of_spaced(&unannounced).await);
    assert_all_completed(
        &outcome_of(&answering(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", true).await).await,
    );
}

#[tokio::test]
async fn bytes_after_an_answer_cost_a_connection_and_no_request() {
    let base_url = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", true).await;
    assert_all_completed(&outcome_of(&base_url).await);
}

#[tokio::test]
async fn an_unexpected_status_fails_with_it() {
    let recording = outcome_of(&answering(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", false).await).await;
    let cause = recording.failures[0].cause.clone();
    assert!(cause.contains("503"), "{cause}");
    assert_all_failed(&recording, "503", &cause);
    assert_eq!(recording.failures[0].status, Some(503));
}

#[tokio::test]
async fn the_end_of_the_drain_cuts_what_is_under_way_and_the_books_still_balance() {
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    let patient = plan(
        "journeys: [{name: both, steps: [{name: first, get: /}, {name: second, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 2}}
stages: [{name: steady, hold: 20, duration: 250ms}]",
    );
    let recording = drive_and_drain(&patient, &base_url, Duration::from_millis(400)).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.arrivals, Books { planned: 5, failed: 2, dropped: 3, ..Books::default() });
    assert_eq!(recording.steps[1].books, Books { planned: 5, dropped: 5, ..Books::default() });
    assert_eq!(recording.failures[0].cause, "no whole answer before the end of the run");
    assert_eq!(recording.overall.dropped, 8, "the three that found no room, and five second steps");
    assert!(!recording.interrupted);
}

#[tokio::test]
async fn stopping_drops_what_was_planned_and_keeps_what_was_measured() {
    let base_url = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await;
    for load in ["{open: {arrivals: poisson, unit: arrivals_per_second}}", "closed"] {
        let long = plan(&format!(
            "journeys: [{{name: one, steps: [{{name: first, get: /, think: 1ms}}]}}]
load: {load}
stages: [{{name: steady, hold: 50, duration: 1000s}}]"
        ));
        let (stop, stopped) = watch::channel(false);
        let progress = watch::Sender::new(Progress::default());
        let mut told = progress.subscribe();
        let options = Options { base_url: base_url.clone(), drain: Duration::from_secs(5), ..Options::default() };
        let stopping = async {
            told.wait_for(|progress| progress.achieved_rate > 0.0).await.unwrap();
            stop.send(true).unwrap();
        };
        let (recording, ()) = tokio::join!(drive(&long, &options, progress.clone(), stopped), stopping);
        let recording = recording.unwrap();
        assert_balance(&recording);
        assert!(recording.interrupted && recording.arrivals.completed > 0, "{:?}", recording.arrivals);
        if load == "closed" {
            assert_eq!(recording.arrivals.dropped, 0, "sessions begin one by one");
        } else {
            assert_eq!(recording.arrivals.planned, long.arrivals().count() as u64);
        }
    }
}

#[tokio::test]
async fn counters_and_observations_tell_what_the_answers_held() {
    let base_url = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n[{\"left\": 41}]", false).await;
    let counting = plan(
        "set_up: [{name: reset, patch: /}]
journeys:
  - name: one
    steps: [{name: first, get: /, count: {sold: {add: 2}, left: {add: '$[*].left'}}}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 250ms}]
observe: [{name: stock, get: /, sum: '$[*].left'}]",
    );
    let recording = drive_to(&counting, &base_url).await.unwrap();
    assert_eq!(recording.counters, BTreeMap::from([("left".to_owned(), 205), ("sold".to_owned(), 10)]));
    // One set-up step, and a round of observations before and after the load.
    assert_eq!((recording.set_up_requests, recording.requests_sent()), (3, 8));
    assert_eq!(recording.observed, BTreeMap::from([("stock".to_owned(), Observed { before: 41, after: 41 })]));
    let observations = observe(&counting, &mut client_of(&base_url).await).await.unwrap();
    assert_eq!(observations.numbers, BTreeMap::from([("stock".to_owned(), 41)]));
    assert_eq!(observations.sent.statuses, [200]);

    let no_json = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", false).await;
    let failure = observe(&counting, &mut client_of(&no_json).await).await.unwrap_err().to_string();
    assert!(failure.contains("stock") && failure.contains("JSON"), "{failure}");
}

#[tokio::test]
async fn stopping_ends_a_set_up_that_hangs_and_no_load_begins() {
    let base_url = server(|mut stream| async move {
        read_request(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    for load in ["{open: {arrivals: constant, unit: arrivals_per_second}}", "closed"] {
        let hanging = plan(&format!(
            "set_up: [{{name: reset, patch: /}}]
journeys: [{{name: one, steps: [{{name: first, get: /}}]}}]
load: {load}
stages: [{{name: steady, hold: 10, duration: 10s}}]"
        ));
        let (stop, stopped) = watch::channel(false);
        let options = Options { base_url: base_url.clone(), drain: Duration::from_secs(5), ..Options::default() };
        let stopping = async { stop.send(true).unwrap() };
        let progress = watch::Sender::new(Progress::default());
        let (recording, ()) = tokio::join!(drive(&hanging, &options, progress, stopped), stopping);
        let recording = recording.unwrap();
        assert_balance(&recording);
        assert!(recording.interrupted);
        assert_eq!((recording.requests_sent(), recording.arrivals.completed), (0, 0));
        assert_eq!(recording.arrivals.dropped, hanging.arrivals().count() as u64);
    }
}

#[tokio::test]
async fn a_set_up_step_that_fails_is_an_error_that_names_it() {
    let base_url = answering(b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n", false).await;
    let with_set_up = plan(
        "set_up: [{name: reset_stock, post: /reset}]
journeys: [{name: one, steps: [{name: first, get: /}]}]
load: closed
stages: [{name: steady, hold: 1, duration: 100ms}]",
    );
    let Err(DriveError::SetUp { step, cause }) = drive_to(&with_set_up, &base_url).await else { panic!("taken") };
    assert_eq!(step, "reset_stock");
    assert!(cause.contains("500"), "{cause}");
}
