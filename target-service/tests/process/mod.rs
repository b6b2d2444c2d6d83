//! A running `target-service`: the real binary with an environment of its own, and the lines that it prints.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing a test waits for takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// In a lock so that several threads can share the process.
    lines: Mutex<Receiver<String>>,
}

impl Process {
    /// Starts a command that becomes a `target-service`.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary is built with the tests");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines: Mutex::new(lines) }
    }

    /// The next line that it prints.
    pub(crate) fn line(&self) -> String {
        self.lines.lock().unwrap().recv_timeout(PATIENCE).expect("another line")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child of this id that was not waited for.
pub(crate) fn send(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a child has a process id");
    kill_process(pid, signal).expect("the child is not reaped yet");
}

/// The binary with an environment that holds nothing but what a test sets.
pub(crate) fn command(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_target-service"));
    command.arg(subcommand).env_clear().env("HOST", "127.0.0.1").env("PORT", "0");
    command
}
