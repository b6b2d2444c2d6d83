//! Starts processes from one thread that lives as long as the platform: the parent-death signal is tied to the *thread*
//! that forked, and a worker thread of the runtime may end earlier.

use std::io;
use std::sync::mpsc;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

type Job = (Command, oneshot::Sender<io::Result<Child>>);

/// The way to that thread. When it is dropped the thread ends, and with it whatever it started.
pub(super) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

impl Spawner {
    /// Starts the thread; must be called within a tokio runtime.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (jobs, inbox) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("tidegate-spawner".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            for (mut command, reply) in inbox {
                // Nobody waits for the answer any more: the child is dropped, and with it killed.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { jobs })
    }

    /// Starts a process; it is killed when the child is dropped.
    pub(super) async fn spawn(&self, mut command: Command) -> io::Result<Child> {
        command.kill_on_drop(true);
        let gone = || io::Error::other("the platform is stopping");
        let (reply, child) = oneshot::channel();
        self.jobs.send((command, reply)).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}
