//! Ctrl-C and SIGTERM: the first asks the command to end cleanly, the second ends it at once.

use super::exit::{ExitStatus, Signal};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Tells when the user wants to stop, and by which signal.
#[derive(Clone, Debug)]
pub(super) struct Interrupt {
    stop: watch::Receiver<bool>,
    signal: Arc<Mutex<Option<Signal>>>,
}

impl Interrupt {
    /// Listens for both signals from now on. `told` is called once, when the first one comes.
    pub(super) fn listen(told: impl Fn(Signal) + Send + 'static) -> std::io::Result<Self> {
        Self::listen_to_the_last(told, || {})
    }

    /// The same, with what must be done even when the second signal ends the process at once.
    pub(super) fn listen_to_the_last(
        told: impl Fn(Signal) + Send + 'static,
        last: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, stop) = watch::channel(false);
        let signal = Arc::new(Mutex::new(None));
        let first = Arc::clone(&signal);
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            let received = signals.next().await;
            *first.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(received);
            told(received);
            // The receivers may all be gone when the command is just ending: then there is nothing to stop.
            let _ = sender.send(true);
            let again = signals.next().await;
            last();
            end_at_once(ExitStatus::Interrupted(again));
        });
        Ok(Self { stop, signal })
    }

    /// Turns true at the first signal.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Waits for the first signal; never ends without one.
    pub(super) async fn wait(&self) {
        let mut stop = self.stop.clone();
        while !*stop.borrow_and_update() {
            if stop.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The exit status of an interrupted command, if it was.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        let signal = *self.signal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        signal.map(ExitStatus::Interrupted)
    }
}

#[expect(clippy::exit, reason = "the user asked twice: the clean end is what hangs")]
fn end_at_once(status: ExitStatus) {
    std::process::exit(i32::from(status.code()));
}

/// The signals that end a command.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
