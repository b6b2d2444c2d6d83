//! The folder of the store: made so that a power cut does not take it away, and held by one broker at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Held by the broker that is at work.
const LOCK: &str = "lock";
/// One that was killed a moment ago may still hold it: it is tried so often,
const TRIES: u32 = 20;
/// so long after each other.
const AGAIN: Duration = Duration::from_millis(50);

/// Makes the folder if need be, and holds it for as long as the lock is kept: two brokers would give the same ids to
/// different messages.
pub(super) fn occupy(folder: &Path) -> io::Result<File> {
    make(folder)?;
    let lock = File::create(folder.join(LOCK))?;
    for _ in 0..TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => std::thread::sleep(AGAIN),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other("another broker is at work there"))
}

/// Makes a folder and those above it, and syncs each one's entry in that above it: SQLite does so for its files, but a
/// folder that is gone takes them along.
fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(above)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(above)?.sync_all()
}
