//! The limiter that needs no privilege: a thread of its own reads the CPU clocks of its charges and stops and continues
//! them (SIGSTOP, SIGCONT), as [`Duty`] decides. It also watches their memory, and ends who holds more than its limit.
//!
//! What is not seen: the CPU of children that begin and end between two looks at the list of processes, and processes
//! that leave the instance's process group. A charge is never left behind stopped: dropping it continues it.

use super::duty::Duty;
use super::group::Quota;
use crate::platform::family::{self, Family, Word};
use crate::platform::launch::monotonic;
use crate::platform::revision::lock;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// The way to the thread. When it is dropped the thread ends.
#[derive(Debug)]
pub(super) struct Stopper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    round: Mutex<Round>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Round {
    charges: Vec<Weak<Charge>>,
    ended: bool,
}

/// A process group that is held to its share.
#[derive(Debug)]
pub(super) struct Charge {
    memory: u64,
    memory_kills: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    duty: Duty,
    /// None until its leader runs.
    family: Option<Family>,
    /// Stopped by the duty.
    stopped: bool,
    /// Stopped because it has nothing to do, until it is thawed.
    frozen: bool,
    clocks: BTreeMap<u32, Duration>,
    /// What ended processes had used.
    gone: Duration,
    census_next: Duration,
    look_next: Duration,
}

/// How often the processes of a group are listed and their memory is read.
const CENSUS_EVERY: Duration = Duration::from_millis(100);
/// Without anybody to look at the thread looks whether there is somebody this often; it is woken before.
const NOBODY: Duration = Duration::from_secs(10);

impl Stopper {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared { round: Mutex::default(), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("tidegate-stopper".to_owned()).spawn(move || of_thread.run())?;
        Ok(Self { shared })
    }

    /// A charge whose processes do not run yet.
    pub(super) fn charge(&self, quota: Quota) -> Arc<Charge> {
        let width = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let state = State {
            duty: Duty::new(quota.cores, width),
            family: None,
            stopped: false,
            frozen: false,
            clocks: BTreeMap::new(),
            gone: Duration::ZERO,
            census_next: Duration::ZERO,
            look_next: Duration::ZERO,
        };
        let charge =
            Arc::new(Charge { memory: quota.memory, memory_kills: AtomicU64::new(0), state: Mutex::new(state) });
        lock(&self.shared.round).charges.push(Arc::downgrade(&charge));
        charge
    }

    /// Its leader runs: from now on it is looked at.
    pub(super) fn begin(&self, charge: &Charge, family: Family) {
        lock(&charge.state).family = Some(family);
        self.shared.changed.notify_one();
    }

    /// It may run again: from now on it is looked at again.
    pub(super) fn thaw(&self, charge: &Charge) {
        charge.thaw();
        self.shared.changed.notify_one();
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        lock(&self.shared.round).ended = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut round = lock(&self.round);
        while !round.ended {
            let charges: Vec<_> = round.charges.iter().filter_map(Weak::upgrade).collect();
            round.charges.retain(|charge| charge.strong_count() > 0);
            drop(round);
            let now = monotonic();
            let next = charges.iter().filter_map(|charge| charge.look(now)).min();
            // The last one to hold a charge continues it: not under the lock.
            drop(charges);
            round = lock(&self.round);
            let pause = next.map_or(NOBODY, |next| next.saturating_sub(monotonic()));
            if !round.ended && !pause.is_zero() {
                round = self.changed.wait_timeout(round, pause).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl Charge {
    /// Looks if it is time; says when the next look is due, if one is.
    fn look(&self, now: Duration) -> Option<Duration> {
        let mut state = lock(&self.state);
        let family = state.family?;
        if state.frozen {
            return None;
        }
        if now >= state.census_next {
            state.census_next = now + CENSUS_EVERY;
            let members = family.members();
            state.admit(&members);
            if family::memory_of(&members) > self.memory {
                self.memory_kills.fetch_add(1, Ordering::Relaxed);
                family.tell(Word::Kill);
                return None;
            }
        }
        if now >= state.look_next {
            state.turn(now);
        }
        Some(state.look_next.min(state.census_next))
    }

    /// Another share from now on.
    pub(super) fn set_cores(&self, cores: f64) {
        lock(&self.state).duty.set_share(cores);
    }

    /// Stops it until it is thawed.
    pub(super) fn freeze(&self) {
        let mut state = lock(&self.state);
        state.frozen = true;
        if let Some(family) = state.family.filter(|_| !state.stopped) {
            family.tell(Word::Stop);
        }
    }

    /// Its processes have ended: their numbers may soon be others'.
    pub(super) fn end(&self) {
        lock(&self.state).family = None;
    }

    fn thaw(&self) {
        let mut state = lock(&self.state);
        if std::mem::take(&mut state.frozen) {
            state.stopped = true;
            state.turn(monotonic());
        }
    }

    /// CPU time used so far.
    pub(super) fn cpu_used(&self) -> Duration {
        lock(&self.state).cpu()
    }

    /// How often it was ended because it held too much memory.
    pub(super) fn memory_kills(&self) -> u64 {
        self.memory_kills.load(Ordering::Relaxed)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let state = lock(&self.state);
        if let Some(family) = state.family.filter(|_| state.stopped || state.frozen) {
            family.tell(Word::Continue);
        }
    }
}

impl State {
    fn turn(&mut self, now: Duration) {
        let cpu = self.cpu();
        let turn = self.duty.turn(now, cpu);
        self.look_next = now + turn.look_after;
        if turn.run == self.stopped {
            self.stopped = !turn.run;
            if let Some(family) = self.family {
                family.tell(if turn.run { Word::Continue } else { Word::Stop });
            }
        }
    }

    /// Takes up processes that are new. They began after the leader: all they have used counts.
    fn admit(&mut self, members: &[u32]) {
        for pid in members {
            self.clocks.entry(*pid).or_default();
        }
    }

    /// All that its processes have used, those that ended as far as it was seen.
    fn cpu(&mut self) -> Duration {
        if self.clocks.is_empty() {
            self.clocks.extend(self.family.map(|family| (family.leader(), Duration::ZERO)));
        }
        let mut gone = Duration::ZERO;
        self.clocks.retain(|pid, used| match family::cpu_clock(*pid) {
            Some(now) => {
                *used = now;
                true
            }
            None => {
                gone += *used;
                false
            }
        });
        self.gone += gone;
        self.gone + self.clocks.values().sum::<Duration>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    fn state_of(pid: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    }

    /// A shell of its own group that runs this.
    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).process_group(0).spawn().unwrap()
    }

    fn until(is_so: impl Fn() -> bool) {
        let begun = monotonic();
        while !is_so() {
            assert!(monotonic() - begun < Duration::from_mins(1), "it never is so");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    const NO_LIMIT: u64 = u64::MAX;

    #[test]
    fn who_is_frozen_stands_still_and_who_is_dropped_goes_on() {
        let stopper = Stopper::start().unwrap();
        let mut child = shell("read word");
        let pid = child.id();
        let charge = stopper.charge(Quota { cores: 0.5, memory: NO_LIMIT });
        stopper.begin(&charge, Family::of(pid));
        charge.freeze();
        until(|| state_of(pid) == Some('T'));
        stopper.thaw(&charge);
        until(|| state_of(pid) == Some('S'));
        charge.freeze();
        until(|| state_of(pid) == Some('T'));
        drop(charge);
        until(|| state_of(pid) == Some('S'));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn who_spins_is_stopped_and_who_ends_does_not_disturb() {
        let stopper = Stopper::start().unwrap();
        let mut child = shell("while :; do :; done");
        let pid = child.id();
        let charge = stopper.charge(Quota { cores: 0.05, memory: NO_LIMIT });
        stopper.begin(&charge, Family::of(pid));
        until(|| state_of(pid) == Some('T'));
        until(|| state_of(pid) == Some('R'));
        child.kill().unwrap();
        child.wait().unwrap();
        let used = charge.cpu_used();
        assert!(used > Duration::ZERO);
        until(|| charge.cpu_used() == used);
    }

    #[test]
    fn who_holds_too_much_memory_is_ended_and_counted() {
        use std::os::unix::process::ExitStatusExt;
        let stopper = Stopper::start().unwrap();
        // A child of the leader's takes the memory: 64 MiB in one line.
        let mut child = shell("(head -c 67108864 /dev/zero | tr '\\0' 'x' | tail -n 1 | wc -c; read word) & wait");
        let charge = stopper.charge(Quota { cores: 2.0, memory: 32 << 20 });
        stopper.begin(&charge, Family::of(child.id()));
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        assert_eq!(charge.memory_kills(), 1);
    }
}
