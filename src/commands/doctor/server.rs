//! The server that the doctor measures against: a process and a thread of its own, answers of one packet, and one path
//! whose answers are kept back by a known law.

use super::law;
use crate::commands::error::CommandError;
use crate::commands::exit::ExitStatus;
use crate::driver::DriverTimer;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// The path that is answered at once.
pub(super) const AT_ONCE: &str = "/";
/// The path that is answered by the law.
pub(super) const BY_LAW: &str = "/law";

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"name\":\"tidegate doctor\"}\r\n";
/// A request head is far shorter.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long the server may take to serve.
const START_MAX: Duration = Duration::from_secs(10);

/// Serves on loopback until standard input ends; tells its address on standard output.
///
/// # Errors
/// When there is no port, no event loop, or nobody to tell.
pub fn doctor_server() -> Result<ExitStatus, CommandError> {
    let system = |action: &'static str| move |cause| CommandError::System { action, cause };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the doctor's server"))?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(system("listen on loopback"))?;
        let address = listener.local_addr().map_err(system("read the port"))?;
        crate::commands::print(&format!("http://{address}\n"))?;
        tokio::select! {
            () = serve(listener) => {}
            () = end_of_input() => {}
        }
        Ok(ExitStatus::Success)
    });
    // The thread that reads standard input may still wait for it.
    runtime.shutdown_background();
    served
}

async fn end_of_input() {
    let mut bytes = [0; 64];
    while matches!(tokio::io::stdin().read(&mut bytes).await, Ok(read) if read > 0) {}
}

/// Answers whoever connects, for as long as it is polled.
pub(super) async fn serve(listener: TcpListener) {
    let timer = DriverTimer::precise();
    let asked = Arc::new(AtomicU64::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, timer.clone(), Arc::clone(&asked)));
    }
}

/// Answers the requests of one connection, which come one at a time.
async fn converse(mut stream: TcpStream, timer: DriverTimer, asked: Arc<AtomicU64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let by_law = format!("GET {BY_LAW} ");
    let mut head = Vec::with_capacity(1024);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES_MAX {
                return Ok(());
            }
        }
        if head.starts_with(by_law.as_bytes()) {
            let came = Instant::now();
            timer.sleep_until(came + law::delay(asked.fetch_add(1, Ordering::Relaxed))).await;
        }
        stream.write_all(ANSWER).await?;
    }
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) base_url: String,
}

impl Server {
    /// Starts it and waits until it serves.
    pub(super) async fn start(tidegate: &Path) -> Result<Self, CommandError> {
        let failed = |cause: std::io::Error| CommandError::System { action: "start the doctor's server", cause };
        let mut child = Command::new(tidegate)
            .arg("doctor-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A group of its own: Ctrl-C reaches the doctor alone, which then ends it.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let announced = async {
            let mut lines = BufReader::new(child.stdout.take()?).lines();
            lines.next_line().await.ok().flatten()
        };
        match tokio::time::timeout(START_MAX, announced).await {
            Ok(Some(base_url)) => Ok(Self { child, base_url }),
            _ => Err(failed(std::io::ErrorKind::TimedOut.into())),
        }
    }

    /// Ends it in order.
    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        // It holds nothing that could be lost; one that does not end is killed when this is dropped.
        let _ = tokio::time::timeout(START_MAX, self.child.wait()).await;
    }
}
