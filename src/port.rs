//! A port that answers HTTP/1.1 and HTTP/2 (prior knowledge, as gRPC without TLS speaks it), told apart by their first
//! bytes: what the endpoints of the platform and of the broker stand on. A client that sends nothing, or too slowly, or too
//! much, loses its connection and costs no more than that.

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIME_MOST: Duration = Duration::from_secs(30);

/// A head may be this large; one that is larger is answered with 431.
const HEAD_BYTES_MOST: usize = 64 << 10;

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Each connection is an open file, and so is each that a request is passed on by: the soft limit is raised, as far as the hard
/// one allows, to what serves 32,000 requests at once. No further: some programs close every descriptor they might have.
pub fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        const WANTED: u64 = 65_536;
        let limit = getrlimit(Resource::Nofile);
        let reachable = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
        if limit.current.is_some_and(|current| current < reachable) {
            // If it cannot be raised, connections beyond it fail one by one.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), ..limit });
        }
    }
}

/// Serves `router` on every connection until `shutdown` completes; answers under way are finished, for `grace` at most.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, router.clone(), graceful.watcher()))),
            Err(error) if is_of_one_connection(&error) => {}
            // No file descriptor is left: some may be free in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    drop(listener);
    // Whoever is not done by then is cut off.
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn serve_connection(stream: TcpStream, router: Router, watcher: Watcher) {
    let Ok(Ok(is_http2)) = tokio::time::timeout(HEAD_TIME_MOST, begins_with_preface(&stream)).await else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    // How a client's connection ends is the client's business.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // Publishes are up to ten million bytes: small windows would make a round trip of each 64 KiB.
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .keep_alive_interval(HEAD_TIME_MOST)
            .keep_alive_timeout(HEAD_TIME_MOST)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MOST).unwrap_or(u32::MAX));
        let _ = after_others(watcher.watch(builder.serve_connection(io, service))).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MOST).max_header_size(HEAD_BYTES_MOST);
        let _ = watcher.watch(builder.serve_connection(io, service)).await;
    }
}

/// Lets the tasks go first that are ready when this one is: of many calls on one connection that are answered at about the
/// same time, each would otherwise be written by itself, and a system call costs more than answering.
async fn after_others<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    let mut has_waited = true;
    poll_fn(|context| {
        has_waited = !has_waited;
        if has_waited {
            return work.as_mut().poll(context);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Looks at the first bytes without taking them.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 || seen == PREFACE.len() || first[..seen] != PREFACE[..seen] {
            return Ok(seen > 0 && first[..seen] == PREFACE[..seen]);
        }
        // A part of the preface is there, and peeking would give the same part at once.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    const GRACE: Duration = Duration::from_secs(5);

    /// Serves until the sender is used; answers at `/slow` after three seconds.
    async fn served() -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = async || {
            tokio::time::sleep(Duration::from_secs(3)).await;
            "slow"
        };
        let router = Router::new().route("/slow", get(slow));
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, router, async { drop(stopped.await) }, GRACE));
        (address, stop, serving)
    }

    /// What comes back until the port closes the connection, and when it does.
    async fn exchange(address: SocketAddr, sent: &[u8]) -> (String, Duration) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good an end.
        let _ = stream.read_to_end(&mut answer).await;
        (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_tasks_have_ready_at_a_time_is_taken_together() {
        let (ready, mut given) = tokio::sync::mpsc::unbounded_channel();
        let taking = tokio::spawn(after_others(async move {
            let mut taken = Vec::new();
            while let Some(first) = given.recv().await {
                let mut together = vec![first];
                while let Ok(more) = given.try_recv() {
                    together.push(more);
                }
                taken.push(together.len());
            }
            taken
        }));
        // By a worker's task: what that wakes would otherwise run before all others.
        let giving = tokio::spawn(async move {
            for number in 0..40 {
                let ready = ready.clone();
                tokio::spawn(async move { ready.send(number).unwrap() });
            }
        });
        giving.await.unwrap();
        let taken = taking.await.unwrap();
        assert!(taken.iter().sum::<usize>() == 40 && taken.len() <= 4, "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_go_on_is_closed_without_an_answer() {
        let (address, _stop, _) = served().await;
        for beginning in [&b""[..], b"P", b"PRI * HTTP/2", b"GET /slow HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let (answer, after) = exchange(address, beginning).await;
            assert_eq!(answer, "", "{beginning:?}");
            assert!((HEAD_TIME_MOST..HEAD_TIME_MOST * 3).contains(&after), "{beginning:?}: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_client_that_does_not_answer_pings_is_closed() {
        let (address, _stop, _) = served().await;
        // The preface and empty settings; the frames that come back are never acknowledged.
        let (_, after) = exchange(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        assert!(after <= HEAD_TIME_MOST * 3, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn at_shutdown_an_answer_under_way_is_finished_and_nobody_else_is_waited_for() {
        let (address, stop, serving) = served().await;
        let slow = tokio::spawn(exchange(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"));
        let silent = tokio::spawn(exchange(address, b"GET /"));
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.send(()).unwrap();
        assert!(slow.await.unwrap().0.ends_with("slow"));
        tokio::time::timeout(GRACE * 2, serving).await.unwrap().unwrap();
        silent.abort();
        assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    }
}
