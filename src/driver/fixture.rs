//! What the driver's tests share: plans from a few lines, servers on loopback that misbehave, and loads in memory under
//! a paused clock.

use super::abort::Guards;
use super::connection::{Connector, Http1Client};
use super::headers::Headers;
use super::load::{Load, conduct};
use super::off_path::Client;
use super::progress::Progress;
use super::recorder::Recorder;
use super::shape::Shape;
use super::target::Target;
use super::target_options::TargetOptions;
use super::timer::Timer;
use super::{DriveError, Options, drive};
use crate::scenario::{Plan, Scenario};
use crate::trial::Recording;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// The plan of a scenario given by its `journeys`, `load` and `stages`.
pub(super) fn plan(parts: &str) -> Plan {
    let text = format!("name: fixture\n{parts}\n");
    let scenario =
        Scenario::from_yaml(Path::new("fixture.yaml"), &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Plan::new(Arc::new(scenario), 7, 1.0)
}

/// Twenty arrivals per second for 250 ms, each of two steps with this timeout.
pub(super) fn five_arrivals_of_two_steps(timeout: &str) -> Plan {
    plan(&format!(
        "journeys:
  - name: both
    steps:
      - {{name: first, get: /first, timeout: {timeout}}}
      - {{name: second, get: /second, timeout: {timeout}}}
load:
  open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 50}}
stages:
  - {{name: steady, hold: 20, duration: 250ms}}"
    ))
}

/// Drives `plan` against `base_url`, with a drain that is not reached even on a busy machine.
pub(super) async fn drive_to(plan: &Plan, base_url: &str) -> Result<Recording, DriveError> {
    drive_and_drain(plan, base_url, Duration::from_secs(30)).await
}

/// Drives `plan` against `base_url`, and waits for `drain` after its end.
pub(super) async fn drive_and_drain(plan: &Plan, base_url: &str, drain: Duration) -> Result<Recording, DriveError> {
    let options = Options { base_url: base_url.to_owned(), drain, ..Options::default() };
    let (_stop, stopped) = watch::channel(false);
    drive(plan, &options, watch::Sender::new(Progress::default()), stopped).await
}

/// Drives `plan` against `base_url`, reached as `target` says.
pub(super) async fn drive_with(plan: &Plan, base_url: &str, target: &TargetOptions) -> Result<Recording, DriveError> {
    let (base_url, target) = (base_url.to_owned(), target.clone());
    let options = Options { base_url, target, drain: Duration::from_secs(30), ..Options::default() };
    let (_stop, stopped) = watch::channel(false);
    drive(plan, &options, watch::Sender::new(Progress::default()), stopped).await
}

/// A client off the measured path.
pub(super) async fn client_of(base_url: &str) -> Client {
    let target = Target::resolve(base_url, &TargetOptions::default()).await.unwrap();
    let connector = Arc::new(Connector::to(target, Http1Client::default()));
    let headers = Headers::plain(connector.authority());
    Client::new(connector, headers, base_url)
}

/// Starts a server on loopback that treats each connection as `treat` says, and gives its address.
pub(super) async fn server<F, R>(treat: F) -> String
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    base_url
}

/// Reads one request without a body; an error when the client has gone.
pub(super) async fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// Answers every request with `answer`, then closes if `close`.
pub(super) async fn answering(answer: &'static [u8], close: bool) -> String {
    server(move |mut stream| async move {
        loop {
            read_request(&mut stream).await?;
            stream.write_all(answer).await?;
            if close {
                return stream.shutdown().await;
            }
        }
    })
    .await
}

/// Runs `plan` in memory, against a server that answers 200 after the time that `service` says, given the time since
/// the start of the load. Meant for a paused clock: hours take no time.
pub(super) async fn in_memory(
    plan: Plan,
    drain: Duration,
    service: impl Fn(Duration) -> Duration + Send + Sync + Clone + 'static,
) -> Recording {
    let start = Instant::now();
    let accept = move |stream: tokio::io::DuplexStream| {
        let service = service.clone();
        let answer = hyper::service::service_fn(move |_| {
            let wait = service(start.elapsed());
            async move {
                tokio::time::sleep(wait).await;
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    };
    load_over(plan, Connector::in_memory(accept, Http1Client::default()), drain, std::future::pending()).await
}

/// Runs `plan` on this runtime, over connections of `connector`, until its end or until it is `stopped`.
pub(super) async fn load_over(
    plan: Plan,
    connector: Connector,
    drain: Duration,
    stopped: impl Future<Output = ()>,
) -> Recording {
    let headers = Headers::plain(connector.authority());
    load_with(plan, connector, headers, drain, stopped).await
}

/// The same, with requests that carry `headers`.
pub(super) async fn load_with(
    plan: Plan,
    connector: Connector,
    headers: Headers,
    drain: Duration,
    stopped: impl Future<Output = ()>,
) -> Recording {
    // A timerfd knows nothing of the paused clock that loads in memory run under.
    let timer = if connector.is_in_memory() { Timer::Coarse } else { Timer::precise() };
    let mut recorder = Recorder::new(Shape::of(&plan));
    recorder.guard(Guards::of(&plan));
    let load = Arc::new(Load {
        recorder: Mutex::new(recorder),
        posts: None,
        plan,
        base_url: "http://memory".to_owned(),
        headers,
        connector: Arc::new(connector),
        timer,
        start: Instant::now(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        closing: watch::Sender::new(false),
    });
    let progress = watch::Sender::new(Progress::default());
    let interrupted = conduct(&load, drain, progress, stopped).await;
    load.record(|recorder| recorder.conclude(interrupted))
}

/// Fails unless the books of arrivals, journeys and steps all balance.
pub(super) fn assert_balance(recording: &Recording) {
    assert!(recording.arrivals.balance(), "{:?}", recording.arrivals);
    for journey in &recording.journeys {
        assert!(journey.books.balance(), "{}: {:?}", journey.name, journey.books);
    }
    for step in &recording.steps {
        assert!(step.books.balance(), "{}: {:?}", step.name, step.books);
    }
}
