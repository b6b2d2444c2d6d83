//! What the knobs do to a request: wait for a worker, crash, spend, hold.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as Lock, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Mutex, OnceCell, Semaphore, SemaphorePermit};

use crate::knobs::Knobs;
use crate::work;

/// The knobs of this process and what its requests share because of them.
#[derive(Debug)]
pub(crate) struct Load {
    knobs: Knobs,
    workers: Option<Semaphore>,
    mutex: Mutex<()>,
    first_request: OnceCell<()>,
    requests: AtomicU64,
    draws: Lock<StdRng>,
}

/// What a request holds until its answer is made.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    _worker: Option<SemaphorePermit<'a>>,
    _memory: Vec<u8>,
}

impl Load {
    pub(crate) fn new(knobs: Knobs) -> Self {
        let rng = knobs.crash.seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64);
        Self {
            knobs,
            workers: knobs.workers.map(Semaphore::new),
            mutex: Mutex::default(),
            first_request: OnceCell::new(),
            requests: AtomicU64::new(0),
            draws: Lock::new(rng),
        }
    }

    /// Does to one request what the knobs ask for. An error says that the temporary file could not be written.
    pub(crate) async fn bear(&self) -> io::Result<Held<'_>> {
        let knobs = &self.knobs;
        // The semaphore is never closed, and is first come, first served.
        let worker = match &self.workers {
            Some(workers) => workers.acquire().await.ok(),
            None => None,
        };
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.crashes_at(number) {
            crash(number);
        }
        self.first_request.get_or_init(|| async { work::burn(knobs.first_request_work) }).await;
        let memory = held_memory(knobs.memory);
        if knobs.temporary_file > 0 {
            leak_file(number, knobs.temporary_file)?;
        }
        if !knobs.mutex_hold.is_zero() {
            let _guard = self.mutex.lock().await;
            work::wait(knobs.mutex_hold).await;
        }
        work::burn(knobs.cpu_work);
        work::wait(knobs.wait).await;
        Ok(Held { _worker: worker, _memory: memory })
    }

    fn crashes_at(&self, number: u64) -> bool {
        let crash = &self.knobs.crash;
        let is_drawn = crash.probability > 0.0
            && self.draws.lock().unwrap_or_else(PoisonError::into_inner).random_bool(crash.probability);
        is_drawn || crash.at_request == Some(number)
    }
}

/// Ends the process as a fault in its own code would. A closed stderr leaves nobody to tell.
fn crash(number: u64) -> ! {
    let _ = writeln!(io::stderr(), "error: crashed at request {number}, as its settings ask");
    std::process::abort();
}

/// Memory that is really there: every page has been written to.
fn held_memory(bytes: usize) -> Vec<u8> {
    std::hint::black_box(vec![1; bytes])
}

/// Writes a file that nobody will ever read or remove, as a forgotten clean-up does.
fn leak_file(number: u64, bytes: usize) -> io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("target-service-{}-{number}", std::process::id()));
    std::fs::write(&path, vec![1; bytes])?;
    Ok(path)
}
