//! Ctrl-C, SIGTERM, and SIGHUP when a terminal goes away: the first asks the command to end cleanly, the second ends it at once.

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
    /// Listens for these signals from now on. `told` is called once, when the first one comes.
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
    /// None where whoever started this wants it to outlive its terminal, as `nohup` does.
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = if hangup_is_ignored(&status) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
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
            Some(()) = async { self.hangup.as_mut()?.recv().await } => Signal::Hangup,
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

/// Whether SIGHUP is ignored, by the mask in a process's `/proc/self/status`; where there is none, it is not known to be.
#[cfg(unix)]
fn hangup_is_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is number 1 everywhere, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_that_nohup_ignores_stays_ignored() {
        assert!(hangup_is_ignored("Name:\ttidegate\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000000\n"));
        assert!(!hangup_is_ignored("SigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n"));
        assert!(!hangup_is_ignored(""));
    }
}
