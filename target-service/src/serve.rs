//! The life of a serving process: open, listen, say so, serve until told to stop, drain, end.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::load::Load;
use crate::log::{Log, ProcessLine, Severity};
use crate::settings::Settings;
use crate::shop::{self, Shop, Totals, millis, stamp};
use crate::store::{Store, StoreError};
use crate::traces::Traces;

/// How long requests in flight may take after the signal. The platform kills after ten seconds.
const DRAIN: Duration = Duration::from_millis(9_500);

/// When the process must have ended after the signal, with some time to spare.
const KILL: Duration = Duration::from_millis(9_800);
/// How long the last spans may take to send.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Why the service did not serve.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("failed to listen on {address}: {source}; choose another PORT or HOST")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to prepare the sending of traces: {0}; unset OTEL_EXPORTER_OTLP_ENDPOINT to do without")]
    Traces(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("failed to start: {0}")]
    Start(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT. `started` is when the process began.
pub(crate) async fn run(settings: Settings, started: Instant) -> Result<(), ServeError> {
    let mut ending = Ending::new()?;
    let (log, writer) = Log::start()?;
    tokio::select! {
        () = sleep(settings.startup_delay) => {}
        () = ending.wait() => return Ok(()),
    }
    let traces = settings.collector.as_ref().map(Traces::start).transpose()?;
    let store = Store::open(&settings.database, settings.sales, traces.clone()).await?;
    let address = SocketAddr::new(settings.host, settings.port);
    let listen = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let rng = Mutex::new(StdRng::from_os_rng());
    let revision = settings.revision.clone();
    let load = Load::new(settings.knobs);
    let shop = Arc::new(Shop {
        settings,
        store,
        load,
        traces: traces.clone(),
        log: log.clone(),
        rng,
        totals: Totals::default(),
    });
    log.write(&ProcessLine {
        severity: Severity::Info,
        message: "ready",
        time: stamp(Timestamp::now()),
        process: json!({
            "address": address.to_string(),
            "startup_ms": millis(started.elapsed()),
            "revision": revision,
        }),
    });
    let app = Router::new().fallback(shop::serve).with_state(Arc::clone(&shop));
    let (drained, draining) = until_told(listener, app, ending).await;
    let spans_lost = match traces {
        // The sending blocks. Its time is what the platform still gives, and not for ever.
        Some(traces) => {
            let time = KILL.saturating_sub(draining).min(FLUSH_MAX);
            tokio::task::spawn_blocking(move || traces.finish(time)).await.unwrap_or_default()
        }
        None => 0,
    };
    log.write(&ProcessLine {
        severity: if drained { Severity::Info } else { Severity::Warning },
        message: if drained { "stopped" } else { "stopped with requests in flight" },
        time: stamp(Timestamp::now()),
        process: json!({
            "requests": shop.totals.requests.load(Ordering::Relaxed),
            "lock_wait_ms": millis(shop.totals.lock_wait.total()),
            "connection_limit": shop.totals.connection_limit.load(Ordering::Relaxed),
            "spans_lost": spans_lost,
            "log_lines_dropped": log.dropped(),
            "uptime_ms": millis(started.elapsed()),
        }),
    });
    // Closing the last connection makes the engine write its log back under an exclusive lock. Other instances
    // would wait for that, and the time would be billed, so the connections end with the process.
    std::mem::forget(shop.store.clone());
    writer.finish(&log);
    Ok(())
}

/// Serves until the signal, then lets what is in flight finish. Whether all of it was answered in time, and how long that
/// took after the signal.
pub(crate) async fn until_told(listener: TcpListener, app: Router, mut ending: Ending) -> (bool, Duration) {
    // Small answers must not wait for an acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stopping = Arc::new(Notify::new());
    let stopped = Arc::clone(&stopping);
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stopped.notified().await });
    let mut server = tokio::spawn(async move { server.await });
    tokio::select! {
        // Serving ends only after the signal.
        _ = &mut server => return (true, Duration::ZERO),
        () = ending.wait() => {}
    }
    let signalled = Instant::now();
    stopping.notify_one();
    let drained = timeout(DRAIN, server).await.is_ok();
    (drained, signalled.elapsed())
}

/// The signals that end the process.
pub(crate) struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
