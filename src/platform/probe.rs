//! Startup and liveness probes: how the platform finds out that an instance has started, and that it still lives
//! (docs.cloud.google.com/run/docs/configuring/healthchecks, 2026-11-22).

use super::grpc_probe;
use super::probe_book::{ProbeAction, ProbeBook, ProbeOutcome, ProbeType};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

/// A probe. Its times are never divided by the time factor: they belong to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is tried.
    pub check: Check,
    /// From the start of the process, or its start-up's end, to the first attempt.
    pub initial_delay: Duration,
    /// An attempt that takes longer has failed. Until then it is repeated as long as nobody listens.
    pub timeout: Duration,
    /// From the beginning of an attempt to that of the next.
    pub period: Duration,
    /// After so many failures in a row the probe has failed; at least 1.
    pub failure_threshold: u32,
}

/// What an attempt tries, always at the instance's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// To connect.
    Tcp,
    /// To get an answer with a status from 200 to 399.
    Http {
        /// Path and query.
        path: String,
        /// Names and values.
        headers: Vec<(String, String)>,
    },
    /// To be told over gRPC (HTTP/2 without TLS, `grpc.health.v1.Health/Check`) that a service serves.
    Grpc {
        /// Which one; empty for the program as a whole.
        service: String,
    },
}

/// Between two looks at whether an instance listens. Each costs some ten microseconds of CPU.
const LOOK_EVERY: Duration = Duration::from_millis(4);

impl Probe {
    /// The one that a service has which asks for none: one attempt to connect that lasts 240 s.
    #[must_use]
    pub fn default_startup() -> Self {
        let long = Duration::from_mins(4);
        Self { check: Check::Tcp, initial_delay: Duration::ZERO, timeout: long, period: long, failure_threshold: 1 }
    }

    /// Returns as soon as an attempt succeeds, with the connection if nothing was sent on it; why the last failed when
    /// too many in a row have.
    pub(super) async fn until_success(&self, port: u16, book: &ProbeBook) -> Result<Option<TcpStream>, String> {
        tokio::time::sleep(self.initial_delay).await;
        let mut round = Round::new(self, ProbeType::Startup, book);
        loop {
            let next = Instant::now() + self.period;
            round.begin();
            let outcome = self.attempt(port).await;
            let verdict = round.end(told(&outcome));
            match (outcome, verdict) {
                (Ok(stream), _) => return Ok(stream),
                (Err(_), Some(verdict)) => return Err(verdict),
                (Err(_), None) => tokio::time::sleep_until(next).await,
            }
        }
    }

    /// Returns when too many attempts in a row have failed, with the last one's cause. `attend` is called with true
    /// before each attempt and with false after it.
    pub(super) async fn until_failure(&self, port: u16, book: &ProbeBook, attend: impl Fn(bool)) -> String {
        tokio::time::sleep(self.initial_delay).await;
        let mut round = Round::new(self, ProbeType::Liveness, book);
        loop {
            let next = Instant::now() + self.period;
            attend(true);
            round.begin();
            let outcome = self.attempt(port).await;
            let verdict = round.end(told(&outcome));
            attend(false);
            if let Some(verdict) = verdict {
                return verdict;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    fn action(&self) -> ProbeAction {
        match self.check {
            Check::Tcp => ProbeAction::Tcp,
            Check::Http { .. } => ProbeAction::Http,
            Check::Grpc { .. } => ProbeAction::Grpc,
        }
    }

    fn verdict(&self, failures: u32, cause: &str) -> String {
        let what = match &self.check {
            Check::Tcp => "to connect".to_owned(),
            Check::Http { path, .. } => format!("to get {path}"),
            Check::Grpc { service } if service.is_empty() => "to be told over gRPC that it serves".to_owned(),
            Check::Grpc { service } => format!("to be told over gRPC that {service:?} serves"),
        };
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
        format!("an attempt {what} failed {times}: {cause}")
    }

    async fn attempt(&self, port: u16) -> Result<Option<TcpStream>, String> {
        let attempt = async {
            let stream = listening(port).await;
            match &self.check {
                Check::Tcp => Ok(Some(stream)),
                Check::Http { path, headers } => get(stream, path, headers).await.map(|()| None),
                Check::Grpc { service } => grpc_probe::check(stream, service).await.map(|()| None),
            }
        };
        let timed_out = |_| format!("nothing came within {} s", self.timeout.as_secs_f64());
        tokio::time::timeout(self.timeout, attempt).await.map_err(timed_out)?
    }
}

fn told(outcome: &Result<Option<TcpStream>, String>) -> Result<(), &str> {
    outcome.as_ref().map(|_| ()).map_err(String::as_str)
}

/// The attempts of a probe that is not over yet.
struct Round<'a> {
    probe: &'a Probe,
    probe_type: ProbeType,
    book: &'a ProbeBook,
    /// When its first attempt began, none before it.
    began: Option<Instant>,
    /// When the attempt began that is under way.
    attempt: Instant,
    failures: u32,
}

impl<'a> Round<'a> {
    fn new(probe: &'a Probe, probe_type: ProbeType, book: &'a ProbeBook) -> Self {
        Self { probe, probe_type, book, began: None, attempt: Instant::now(), failures: 0 }
    }

    /// An attempt begins.
    fn begin(&mut self) {
        self.attempt = Instant::now();
        self.began.get_or_insert(self.attempt);
    }

    /// It is over; the verdict, if with it the probe has failed.
    fn end(&mut self, outcome: Result<(), &str>) -> Option<String> {
        let end = ProbeOutcome {
            probe_type: self.probe_type,
            action: self.probe.action(),
            is_default: *self.probe == Probe::default_startup(),
            is_healthy: outcome.is_ok(),
        };
        self.book.attempted(end, self.attempt.elapsed());
        self.failures = outcome.map_or(self.failures + 1, |()| 0);
        let has_failed = self.failures >= self.probe.failure_threshold.max(1);
        if end.is_healthy || has_failed {
            self.book.completed(end, self.began.take().unwrap_or(self.attempt).elapsed());
        }
        let cause = outcome.err().filter(|_| has_failed)?;
        Some(self.probe.verdict(self.failures, cause))
    }
}

/// Sends a GET and looks at the status of the answer.
async fn get(stream: TcpStream, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let mut request = Request::get(path).header(header::USER_AGENT, "GoogleHC/1.0");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(header::HOST, "127.0.0.1");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut response = std::pin::pin!(sender.send_request(request));
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        // It may have closed its connection behind a whole answer.
        _ = connection => response.await,
    };
    let response = response.map_err(|error| error.to_string())?;
    let status = response.status();
    let is_well = (StatusCode::OK..StatusCode::BAD_REQUEST).contains(&status);
    if is_well { Ok(()) } else { Err(format!("the answer was {status}")) }
}

/// Returns as soon as something listens on the port.
async fn listening(port: u16) -> TcpStream {
    loop {
        if let Ok(stream) = connect(port).await {
            return stream;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A connection from 127.0.0.1 to a port of the ephemeral range on which nobody listens may be given that very port as
/// its own, and then connects to itself. It cannot from another address.
async fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if cfg!(target_os = "linux") {
        socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into())?;
    }
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::Error::other("connected to itself"));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn probe(check: Check) -> Probe {
        let second = Duration::from_secs(1);
        Probe { check, initial_delay: Duration::ZERO, timeout: second, period: second, failure_threshold: 3 }
    }

    fn http(path: &str) -> Check {
        Check::Http { path: path.to_owned(), headers: vec![("x-probe".to_owned(), "1".to_owned())] }
    }

    /// Answers the requests that come, one for each status; then the rest with 200. Counts them.
    async fn server(statuses: &'static [u16]) -> (u16, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                assert!(head.starts_with("GET /ready?full=1 HTTP/1.1\r\n") && head.contains("x-probe: 1"), "{head}");
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let status = statuses.get(number as usize).copied().unwrap_or(200);
                let answer = format!("HTTP/1.1 {status} Word\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (port, count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_startup_probe_asks_until_it_is_answered_well() {
        let (port, count) = server(&[503, 500]).await;
        assert!(probe(http("/ready?full=1")).until_success(port, &ProbeBook::default()).await.unwrap().is_none());
        assert_eq!(count.load(Ordering::SeqCst), 3);
        let (port, _) = server(&[301]).await;
        assert!(
            probe(http("/ready?full=1")).until_success(port, &ProbeBook::default()).await.is_ok(),
            "a redirect is well"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_fails_after_as_many_failures_in_a_row_as_it_says() {
        let (port, count) = server(&[404; 9]).await;
        let cause = probe(http("/ready?full=1")).until_success(port, &ProbeBook::default()).await.unwrap_err();
        assert_eq!(cause, "an attempt to get /ready?full=1 failed 3 times in a row: the answer was 404 Not Found");
        assert_eq!(count.load(Ordering::SeqCst), 3);
        // Two failures and a success begin the count anew.
        let (port, count) = server(&[200, 500, 500, 200, 500, 500, 500]).await;
        let attended = AtomicU32::new(0);
        let attend = |begins| {
            attended.fetch_add(u32::from(begins), Ordering::SeqCst);
        };
        let book = ProbeBook::default();
        let cause = probe(http("/ready?full=1")).until_failure(port, &book, attend).await;
        assert!(cause.ends_with("the answer was 500 Internal Server Error"), "{cause}");
        let book = book.take();
        let of = |is_healthy| {
            let outcome = ProbeOutcome {
                probe_type: ProbeType::Liveness,
                action: ProbeAction::Http,
                is_default: false,
                is_healthy,
            };
            let times = &book[&outcome];
            let longest = times.probes_ms.sum / times.probes_ms.count as f64;
            (times.attempts_ms.count, times.probes_ms.count, longest.round())
        };
        // A probe that failed twice before it succeeded is over when it succeeds, two periods after it began; one that
        // failed three times, two periods after its first failure.
        assert_eq!((of(true), of(false)), ((2, 2, 1000.0), (5, 1, 2000.0)));
        assert_eq!((count.load(Ordering::SeqCst), attended.load(Ordering::SeqCst)), (7, 7));
    }

    #[tokio::test]
    async fn nobody_listens_or_answers_in_time() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let soon = Duration::from_millis(30);
        let quick = Probe { timeout: soon, period: soon, failure_threshold: 2, ..probe(Check::Tcp) };
        let cause = quick.until_success(free, &ProbeBook::default()).await.unwrap_err();
        assert_eq!(cause, "an attempt to connect failed 2 times in a row: nothing came within 0.03 s");
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        assert!(quick.until_success(port, &ProbeBook::default()).await.unwrap().is_some());
        let asking = Probe { check: http("/"), failure_threshold: 1, ..quick };
        assert!(asking.until_success(port, &ProbeBook::default()).await.unwrap_err().contains("failed once"));
    }
}
