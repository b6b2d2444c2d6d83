//! The broker's connections: HTTP/1.1 and HTTP/2 (prior knowledge, as gRPC without TLS speaks it) on one port, told apart
//! by their first bytes.

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long a client may take for the head of a request, and be silent between two.
const HEAD_TIME_MOST: Duration = Duration::from_secs(30);

/// Answers under way get this long at the end: a streaming pull would hold it up for ever.
const SHUTDOWN_MOST: Duration = Duration::from_secs(1);

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves `router` until `shutdown` completes.
pub(super) async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send) {
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.as_mut() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(tokio::spawn(serve_connection(stream, router.clone(), graceful.watcher()))),
            // One connection went away, or no file descriptor is left: some may be free in a moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(listener);
    // Whoever is not done by then is cut off.
    let _ = tokio::time::timeout(SHUTDOWN_MOST, graceful.shutdown()).await;
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
            .keep_alive_timeout(HEAD_TIME_MOST);
        let _ = watcher.watch(builder.serve_connection(io, service)).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MOST);
        let _ = watcher.watch(builder.serve_connection(io, service)).await;
    }
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
