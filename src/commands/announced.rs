//! A tidegate that another one starts and ends. The child prints one line of JSON when it serves (`--announce`), and ends
//! when its standard input does: so it ends too when its parent is killed.

use super::error::CommandError;
use super::interrupt::Interrupt;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// How long a child may take to serve: the platform's self-test takes 0.3 s.
const START_MAX: Duration = Duration::from_secs(30);
/// How long it may take to stop: instances have 10 s after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A running child, as its parent holds it. Dropping it closes its standard input, which ends it.
#[derive(Debug)]
pub(super) struct Announced {
    child: Child,
    fault: fn(String) -> CommandError,
}

impl Announced {
    /// Starts it, waits until it serves, and gives what it announced. `fault` tells whose fault a message is about.
    pub(super) async fn start<R: DeserializeOwned>(
        command: &mut Command,
        fault: fn(String) -> CommandError,
    ) -> Result<(Self, R), CommandError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A group of its own: Ctrl-C reaches the parent alone, which then ends its children in order.
            .process_group(0)
            .spawn()
            .map_err(|error| fault(format!("could not be started: {error}")))?;
        match tokio::time::timeout(START_MAX, announcement(&mut child)).await {
            Ok(Some(ready)) => Ok((Self { child, fault }, ready)),
            // It has said why on standard error, which is ours too.
            Ok(None) => Err(fault("ended before it served; its own message is above".to_owned())),
            Err(_) => Err(fault(format!("did not serve within {} s", START_MAX.as_secs()))),
        }
    }

    /// Ends it in order. `advice` is added when it ends badly.
    pub(super) async fn stop(mut self, advice: &str) -> Result<(), CommandError> {
        drop(self.child.stdin.take());
        let told = match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => format!("ended with {status}{advice}"),
            Ok(Err(error)) => format!("could not be awaited: {error}"),
            Err(_) => format!("did not stop within {} s and was killed", STOP_MAX.as_secs()),
        };
        Err((self.fault)(told))
    }
}

async fn announcement<R: DeserializeOwned>(child: &mut Child) -> Option<R> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(ready) = serde_json::from_str(&line) {
            return Some(ready);
        }
    }
    None
}

/// Where a child, or whoever started it by hand, listens. The error is in words.
pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| {
        format!(
            "cannot listen on {address}: {error}\n\nhint: if another program has the port, choose another by --port, or --port 0 for any free one; --listen takes an address of this machine"
        )
    })
}

/// Comes back when the program is told to end: by a signal or, when it `announces` itself, by the end of its input.
pub(super) async fn told_to_end(interrupt: Interrupt, announces: bool) {
    tokio::select! {
        () = interrupt.wait() => {}
        () = end_of_input(), if announces => {}
    }
}

/// Comes back when whoever started this process is gone.
async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while matches!(input.read(&mut bytes).await, Ok(read) if read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    async fn started(script: &str) -> Result<(Announced, u16), String> {
        Announced::start(&mut shell(script), CommandError::BrokerProcess).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_child_serves_when_it_says_so_and_ends_with_its_input() {
        let (child, ready) = started("echo not yet; echo 7; cat; exit 0").await.unwrap();
        assert_eq!(ready, 7);
        child.stop("").await.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_never_serves_or_ends_badly_is_told() {
        let told = started("echo nothing of that kind").await.err().unwrap();
        assert!(told.contains("ended before it served"), "{told}");
        let (child, _) = started("echo 7; cat; exit 3").await.unwrap();
        let told = child.stop("; ask somebody").await.unwrap_err().to_string();
        assert!(told.contains("exit status: 3; ask somebody"), "{told}");
        let told = Announced::start::<u16>(&mut Command::new("/no/such/program"), CommandError::Platform).await;
        assert!(told.err().unwrap().to_string().contains("could not be started"));
    }
}
