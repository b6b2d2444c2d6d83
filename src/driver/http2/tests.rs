//! Loads over HTTP/2: what a server sees, and what servers that misbehave become.

use crate::driver::fixture::{
    answering, assert_balance, drive_with, five_arrivals_of_two_steps, plan, read_request, server,
};
use crate::driver::target_options::{Protocol, TargetOptions};
use crate::scenario::Plan;
use crate::trial::{Books, Recording};
use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// A server's end of a connection.
type Served = Connection<TcpStream, Bytes>;
type Asked = (Request<h2::RecvStream>, SendResponse<Bytes>);

/// Starts a server that speaks HTTP/2 from the first byte and treats each connection as `treat` says.
async fn h2_server<F, R>(builder: h2::server::Builder, treat: F) -> String
where
    F: Fn(Served) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), h2::Error>> + Send + 'static,
{
    server(move |stream| {
        let (builder, treat) = (builder.clone(), treat.clone());
        async move {
            if let Ok(served) = builder.handshake(stream).await {
                // What becomes of it is what the client tells.
                let _ = treat(served).await;
            }
            Ok(())
        }
    })
    .await
}

/// Treats each request as `treat` says.
async fn answering_each(treat: impl Fn(Asked) -> Result<(), h2::Error> + Clone + Send + 'static) -> String {
    h2_server(h2::server::Builder::new(), move |mut served| {
        let treat = treat.clone();
        async move {
            while let Some(asked) = served.accept().await {
                treat(asked?)?;
            }
            Ok(())
        }
    })
    .await
}

async fn outcome(plan: &Plan, base_url: &str) -> Recording {
    let options = TargetOptions { protocol: Protocol::Http2, ..TargetOptions::default() };
    let recording = drive_with(plan, base_url, &options).await.unwrap();
    assert_balance(&recording);
    recording
}

async fn outcome_of(base_url: &str) -> Recording {
    outcome(&five_arrivals_of_two_steps("20s"), base_url).await
}

fn assert_completed(recording: &Recording) {
    assert_eq!(recording.arrivals, Books { planned: 5, completed: 5, ..Books::default() }, "{:?}", recording.failures);
}

/// Every first step failed under `label` for a cause that begins like this.
fn assert_failed(recording: &Recording, label: &str, cause: &str) {
    assert_eq!(recording.arrivals, Books { planned: 5, failed: 5, ..Books::default() });
    assert_eq!(recording.answers.get(label), Some(&5), "{:?}", recording.answers);
    assert!(recording.failures.iter().all(|failure| failure.cause.starts_with(cause)), "{:?}", recording.failures);
}

fn ok() -> Response<()> {
    Response::new(())
}

#[tokio::test]
async fn a_request_is_aimed_by_pseudo_headers_and_connections_are_kept() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let base_url = answering_each(move |(request, mut respond)| {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        told.lock().unwrap().push((request.uri().to_string(), header("host"), header("traceparent")));
        respond.send_response(ok(), true).map(drop)
    })
    .await;
    let recording = outcome_of(&base_url).await;
    assert_completed(&recording);
    let opened = recording.target.connections["HTTP/2"];
    assert!(opened <= 5, "ten requests, {opened} connections");
    assert_eq!(recording.target.tls_time.count(), 0);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 10);
    for (index, (uri, host, traceparent)) in seen.iter().enumerate() {
        assert!(*uri == format!("{base_url}/first") || *uri == format!("{base_url}/second"), "{index}: {uri}");
        assert!(host.is_none() && traceparent.is_some(), "{host:?} {traceparent:?}");
    }
}

#[tokio::test]
async fn a_farewell_costs_a_connection_and_no_request() {
    // One answer per connection, then GOAWAY; what crosses it is still served, as a server should.
    let base_url = h2_server(h2::server::Builder::new(), |mut served| async move {
        if let Some(asked) = served.accept().await {
            asked?.1.send_response(ok(), true)?;
            served.graceful_shutdown();
        }
        while let Some(late) = served.accept().await {
            late?.1.send_response(ok(), true)?;
        }
        Ok(())
    })
    .await;
    let spaced = plan(
        "journeys:
  - name: both
    steps: [{name: first, get: /first, think: 20ms}, {name: second, get: /second}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 1}}
stages: [{name: steady, hold: 20, duration: 250ms}]",
    );
    let recording = outcome(&spaced, &base_url).await;
    assert_completed(&recording);
    let opened = recording.target.connections["HTTP/2"];
    assert!(opened >= 5, "ten requests that seldom share a connection, {opened} connections");
}

/// Reads frames until the client's n-th request has come, and answers the settings.
async fn until_request(stream: &mut TcpStream, requests: u32) -> std::io::Result<u32> {
    let mut seen = 0;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        if head[3] == HEADERS {
            seen += 1;
            if seen == requests {
                return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
            }
        }
    }
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The client's preface is read, and the server's empty settings are sent.
async fn greet(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await
}

#[tokio::test]
async fn what_a_farewell_says_was_not_served_is_sent_on_another_connection() {
    // The second request on a connection crosses the farewell, which names the first as the last that was served.
    let base_url = server(|mut stream| async move {
        greet(&mut stream).await?;
        let first = until_request(&mut stream, 1).await?;
        // An indexed field of HPACK's static table, 8: `:status: 200`.
        stream.write_all(&frame(HEADERS, 0x5, first, &[0x88])).await?;
        until_request(&mut stream, 1).await?;
        let no_error = [first.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        stream.write_all(&frame(GOAWAY, 0, 0, &no_error)).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
    let spaced = plan(
        "journeys: [{name: both, steps: [{name: first, get: /first}, {name: second, get: /second}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second, max_in_flight: 1}}
stages: [{name: steady, hold: 20, duration: 250ms}]",
    );
    let recording = outcome(&spaced, &base_url).await;
    assert_completed(&recording);
    // Every connection but the last one served one request and sent one away.
    assert_eq!(recording.target.connections["HTTP/2"], 10);
}

#[tokio::test]
async fn a_connection_that_is_ended_with_an_error_fails_what_is_on_it() {
    let base_url = server(|mut stream| async move {
        greet(&mut stream).await?;
        until_request(&mut stream, 1).await?;
        let calm_down = [0_u32.to_be_bytes(), u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes()].concat();
        stream.write_all(&frame(GOAWAY, 0, 0, &calm_down)).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
    let cause = format!("server closed the connection (GOAWAY: {})", Reason::ENHANCE_YOUR_CALM.description());
    assert_failed(&outcome_of(&base_url).await, "broken", &cause);
}

#[tokio::test]
async fn a_stream_that_is_reset_has_failed_before_the_answer_and_in_its_body() {
    let refusing = answering_each(|(_, mut respond)| {
        respond.send_reset(Reason::REFUSED_STREAM);
        Ok(())
    })
    .await;
    assert_failed(&outcome_of(&refusing).await, "broken", "server reset the stream (RST_STREAM: refused stream");
    let breaking = answering_each(|(_, mut respond)| {
        let mut body = respond.send_response(ok(), false)?;
        body.send_data(Bytes::from_static(b"half"), false)?;
        body.send_reset(Reason::INTERNAL_ERROR);
        Ok(())
    })
    .await;
    assert_failed(&outcome_of(&breaking).await, "broken", "server reset the stream (RST_STREAM: ");
}

#[tokio::test]
async fn a_server_that_allows_no_stream_times_out() {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(0);
    let base_url = h2_server(builder, |mut served| async move {
        while let Some(asked) = served.accept().await {
            asked?;
        }
        Ok(())
    })
    .await;
    let recording = outcome(&five_arrivals_of_two_steps("300ms"), &base_url).await;
    assert_eq!((recording.arrivals.failed, recording.arrivals.completed), (5, 0));
    // Whether the server's settings come before the request is a race; a stream beyond them is refused.
    assert!(recording.answers.keys().all(|label| label == "timed out" || label == "broken"), "{:?}", recording.answers);
}

/// Sends `bytes` of body as the client's window allows.
async fn send_all(mut body: h2::SendStream<Bytes>, bytes: usize) -> Result<(), h2::Error> {
    let mut left = bytes;
    while left > 0 {
        body.reserve_capacity(left.min(64 * 1024));
        let Some(room) = std::future::poll_fn(|context| body.poll_capacity(context)).await else { return Ok(()) };
        let piece = room?.min(left);
        left -= piece;
        body.send_data(Bytes::from(vec![b'x'; piece]), left == 0)?;
    }
    Ok(())
}

#[tokio::test]
async fn large_bodies_go_through_the_windows_in_both_directions_and_have_a_bound() {
    let length = 300 * 1024;
    let base_url = h2_server(h2::server::Builder::new(), move |mut served| async move {
        while let Some(asked) = served.accept().await {
            let (request, mut respond) = asked?;
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut came = 0;
                while let Some(piece) = body.data().await {
                    let piece = piece?;
                    came += piece.len();
                    body.flow_control().release_capacity(piece.len())?;
                }
                let status = if came > length { 200 } else { 400 };
                let answer = Response::builder().status(status).body(()).unwrap();
                send_all(respond.send_response(answer, false)?, 8 * MIB).await
            });
        }
        Ok(())
    })
    .await;
    let text = "x".repeat(length);
    let sending = plan(&format!(
        "journeys: [{{name: one, steps: [{{name: first, post: /, json: {{text: {text}}}, timeout: 20s}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second}}}}
stages: [{{name: steady, hold: 20, duration: 250ms}}]"
    ));
    assert_completed(&outcome(&sending, &base_url).await);

    let endless = h2_server(h2::server::Builder::new(), |mut served| async move {
        while let Some(asked) = served.accept().await {
            let body = asked?.1.send_response(ok(), false)?;
            tokio::spawn(send_all(body, usize::MAX));
        }
        Ok(())
    })
    .await;
    let one = plan(
        "journeys: [{name: one, steps: [{name: first, get: /, timeout: 20s}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 10, duration: 100ms}]",
    );
    let recording = outcome(&one, &endless).await;
    assert_eq!(recording.failures[0].cause, "body too large");
}

#[tokio::test]
async fn a_server_that_takes_no_more_of_a_body_times_out() {
    let base_url = answering_each(|(request, respond)| {
        // Nothing is read, so the window stays as full as it is.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop((request, respond));
        });
        Ok(())
    })
    .await;
    let text = "x".repeat(300 * 1024);
    let sending = plan(&format!(
        "journeys: [{{name: one, steps: [{{name: first, post: /, json: {{text: {text}}}, timeout: 300ms}}]}}]
load: {{open: {{arrivals: constant, unit: arrivals_per_second}}}}
stages: [{{name: steady, hold: 20, duration: 250ms}}]"
    ));
    assert_failed(&outcome(&sending, &base_url).await, "timed out", "no whole answer within the step's timeout");
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_not_http_2() {
    let http1 = answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", false).await;
    assert_failed(&outcome_of(&http1).await, "broken", "answer is not HTTP/2");
    let garbage = server(|mut stream| async move {
        stream.write_all(&[0xff; 4096]).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    })
    .await;
    assert_failed(&outcome_of(&garbage).await, "broken", "answer is not HTTP/2");
}

#[tokio::test]
async fn closing_without_a_word_is_broken() {
    let after_request = server(|mut stream| async move {
        greet(&mut stream).await?;
        until_request(&mut stream, 1).await.map(drop)
    })
    .await;
    assert_failed(&outcome_of(&after_request).await, "broken", "connection ");
    let at_once = server(|mut stream| async move { read_request(&mut stream).await }).await;
    assert_failed(&outcome_of(&at_once).await, "broken", "connection ");
}

#[tokio::test]
async fn headers_without_end_are_given_up() {
    let base_url = server(|mut stream| async move {
        greet(&mut stream).await?;
        let first = until_request(&mut stream, 1).await?;
        // Literal fields that are not indexed, with a name of one letter and a value of 100.
        let field = [[0x00, 0x01, b'x', 100].as_slice(), &[b'y'; 100]].concat();
        let fields = field.repeat(100);
        stream.write_all(&frame(HEADERS, 0, first, &[&[0x88], fields.as_slice()].concat())).await?;
        loop {
            stream.write_all(&frame(CONTINUATION, 0, first, &fields)).await?;
        }
    })
    .await;
    assert_failed(&outcome_of(&base_url).await, "broken", "answer");
}

#[tokio::test]
async fn an_answer_that_never_comes_times_out_and_the_connection_is_not_used_again() {
    let base_url = answering_each(|(request, respond)| {
        // Held for as long as the client is there.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop((request, respond));
        });
        Ok(())
    })
    .await;
    let recording = outcome(&five_arrivals_of_two_steps("200ms"), &base_url).await;
    assert_failed(&recording, "timed out", "no whole answer within the step's timeout");
}
