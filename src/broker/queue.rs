//! The messages of one subscription that are in memory: which can be delivered, which are out, which wait. No clock
//! and no I/O: the caller says what time it is, and writes down what comes back.

mod lines;

pub(super) use lines::LINE_MAX;

use super::policy::Retry;
use super::store::{Seq, Stored, StoredLine};
use crate::autoscaler::Micros;
use lines::Lines;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Messages of one subscription in memory: the rest of its backlog stays in the store.
pub(super) const MESSAGES_MAX: usize = 8_000;
/// Bytes of them.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// A message that waits longer than this leaves memory.
const WAITS_IN_MEMORY: Duration = Duration::from_secs(2);
/// No more than this many wait in memory.
const WAITING_MAX: usize = 1_000;

/// How failures are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) retry: Retry,
    /// Messages with the same ordering key one after the other.
    pub(super) ordered: bool,
    /// Attempts after which a message is dead-lettered.
    pub(super) attempts_max: Option<u32>,
    /// Older messages are dropped.
    pub(super) retention: Duration,
}

/// A message on its way to a subscriber.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Delivery {
    pub(super) stored: Arc<Stored>,
    /// Tells this delivery from others of the same message.
    pub(super) lease: u64,
    /// 1 for the first.
    pub(super) attempt: u32,
}

/// What becomes of a message that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It waits in memory, or can be delivered again at once.
    Waits { seq: Seq, failures: u32 },
    /// It left memory until then.
    Leaves { seq: Seq, failures: u32, until: Micros },
    /// It has failed too often.
    Dead { seq: Seq, attempts: u32, published: Micros },
}

#[derive(Debug)]
struct Entry {
    stored: Arc<Stored>,
    failures: u32,
    key: Option<Arc<str>>,
    /// Among those that are ready the lowest goes first. One that fails goes behind those that are there: if it went first
    /// again, it would take every push that a subscription makes between two pauses.
    turn: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ready,
    /// Behind another message with its ordering key.
    Behind,
    Waiting(Micros),
    Out {
        lease: u64,
        deadline: Micros,
    },
}

/// The messages in memory.
#[derive(Debug)]
pub(super) struct Queue {
    rules: Rules,
    entries: BTreeMap<Seq, Entry>,
    /// By turn.
    ready: BTreeSet<(u64, Seq)>,
    waiting: BTreeSet<(Micros, Seq)>,
    out: BTreeSet<(Micros, Seq)>,
    lines: Lines,
    bytes: usize,
    leases: u64,
    turns: u64,
}

impl Queue {
    /// `leases`: a number that no earlier queue of the subscription has reached.
    pub(super) fn new(rules: Rules, leases: u64) -> Self {
        Self {
            rules,
            entries: BTreeMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            out: BTreeSet::new(),
            lines: Lines::default(),
            bytes: 0,
            leases,
            turns: 0,
        }
    }

    /// The rules change for what fails from now on.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Messages and bytes that still fit.
    pub(super) fn room(&self) -> (usize, usize) {
        (MESSAGES_MAX.saturating_sub(self.entries.len()), BYTES_MAX.saturating_sub(self.bytes))
    }

    /// Messages that can be delivered now.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Forgets everything; the leases of what is out, which mean nothing any more.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        let forgotten = std::mem::replace(self, Self::new(self.rules, self.leases));
        let lease = |entry: &Entry| if let Place::Out { lease, .. } = entry.place { Some(lease) } else { None };
        forgotten.entries.values().filter_map(lease).collect()
    }

    /// Whether it is in memory.
    pub(super) fn holds(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// Takes a message into memory that was read in the order of publishing. It is left in the store if its key has as many
    /// here as it may have, or more there.
    pub(super) fn admit(&mut self, stored: Stored) {
        let key = self.key_of(&stored);
        if key.as_ref().is_none_or(|key| self.lines.has_room(key)) {
            self.enter(stored, key);
        }
    }

    /// Takes a message into memory that was held.
    pub(super) fn admit_held(&mut self, stored: Stored) {
        let key = self.key_of(&stored);
        self.enter(stored, key);
    }

    /// Ordering keys with nothing in memory and more in the store, at most so many, and after which message that is.
    pub(super) fn empty_lines(&self, most: usize) -> Vec<(Arc<str>, Seq)> {
        self.lines.empty().take(most).collect()
    }

    /// Whether there are such keys.
    pub(super) fn has_empty_lines(&self) -> bool {
        self.lines.empty().next().is_some()
    }

    /// Takes what was read of such a key into memory, but for what is known to be settled.
    pub(super) fn admit_line(&mut self, line: StoredLine, is_known: impl Fn(Seq) -> bool) {
        let last = line.messages.last().map(|it| it.seq).filter(|_| !line.is_all);
        if last.is_none() && !line.is_all {
            return;
        }
        for stored in line.messages.into_iter().filter(|it| !is_known(it.seq)) {
            self.enter(stored, Some(Arc::clone(&line.key)));
        }
        self.lines.refilled(&line.key, last);
    }

    fn key_of(&self, stored: &Stored) -> Option<Arc<str>> {
        if self.rules.ordered { ordering_key(stored) } else { None }
    }

    fn enter(&mut self, stored: Stored, key: Option<Arc<str>>) {
        let seq = stored.seq;
        if self.entries.contains_key(&seq) {
            return;
        }
        self.bytes += stored.body.len();
        // One that was held comes back behind those that overtook it, unless none is out.
        let is_first = key.as_ref().is_none_or(|key| self.lines.join(key, seq));
        self.turns += 1;
        let (failures, turn) = (stored.failures, self.turns);
        self.entries.insert(seq, Entry { stored: Arc::new(stored), failures, key, turn, place: Place::Behind });
        if is_first {
            self.put(seq, Place::Ready);
        }
    }

    /// What happens by itself: waits that are over make messages ready, deadlines that are past make them fail. Gives back the
    /// failures, each with its lease.
    pub(super) fn advance(&mut self, now: Micros) -> Vec<(u64, Failure)> {
        while let Some(&(due, seq)) = self.waiting.first().filter(|(due, _)| *due <= now) {
            self.waiting.remove(&(due, seq));
            self.put(seq, Place::Ready);
        }
        let mut failures = Vec::new();
        while let Some(&(_, seq)) = self.out.first().filter(|(deadline, _)| *deadline <= now) {
            let lease = match self.entries.get(&seq) {
                Some(Entry { place: Place::Out { lease, .. }, .. }) => *lease,
                _ => 0,
            };
            failures.extend(self.fail_entry(seq, now).map(|failure| (lease, failure)));
        }
        failures
    }

    /// The next message to deliver, the oldest first unless it has failed; it is out until `deadline`. One that is older than the retention is
    /// dropped instead.
    pub(super) fn take(&mut self, now: Micros, deadline: Micros) -> Option<Taken> {
        let (_, seq) = self.ready.pop_first()?;
        let entry = self.entries.get(&seq)?;
        if entry.stored.published + Micros::of(self.rules.retention) <= now {
            self.remove(seq);
            return Some(Taken::Expired(seq));
        }
        self.leases += 1;
        let lease = self.leases;
        let (stored, attempt) = (Arc::clone(&entry.stored), entry.failures + 1);
        self.put(seq, Place::Out { lease, deadline });
        Some(Taken::Delivery(Delivery { stored, lease, attempt }))
    }

    /// A delivery was acknowledged. False if it is not out any more: it was too late, or is one of an earlier lease.
    pub(super) fn acknowledge(&mut self, seq: Seq, lease: u64) -> bool {
        let current = self.is_out(seq, lease);
        if current {
            self.remove(seq);
        }
        current
    }

    /// A delivery failed. None if it is not out any more.
    pub(super) fn fail(&mut self, seq: Seq, lease: u64, now: Micros) -> Option<Failure> {
        if self.is_out(seq, lease) { self.fail_entry(seq, now) } else { None }
    }

    /// A delivery never left: it counts as none.
    pub(super) fn hand_back(&mut self, seq: Seq, lease: u64) {
        if self.is_out(seq, lease) {
            self.put(seq, Place::Ready);
        }
    }

    /// Moves the deadline of a delivery that is out. False if it is not.
    pub(super) fn extend(&mut self, seq: Seq, lease: u64, deadline: Micros) -> bool {
        let current = self.is_out(seq, lease);
        if current {
            self.put(seq, Place::Out { lease, deadline });
        }
        current
    }

    /// When something happens by itself.
    pub(super) fn next(&self) -> Option<Micros> {
        let first = |set: &BTreeSet<(Micros, Seq)>| set.first().map(|(time, _)| *time);
        [first(&self.waiting), first(&self.out)].into_iter().flatten().min()
    }

    fn is_out(&self, seq: Seq, lease: u64) -> bool {
        self.entries.get(&seq).is_some_and(|entry| matches!(entry.place, Place::Out { lease: it, .. } if it == lease))
    }

    fn fail_entry(&mut self, seq: Seq, now: Micros) -> Option<Failure> {
        let entry = self.entries.get_mut(&seq)?;
        entry.failures += 1;
        self.turns += 1;
        entry.turn = self.turns;
        let (failures, key) = (entry.failures, entry.key.clone());
        if self.rules.attempts_max.is_some_and(|most| failures >= most) {
            let published = entry.stored.published;
            self.remove(seq);
            return Some(Failure::Dead { seq, attempts: failures, published });
        }
        let backoff = self.rules.retry.backoff(failures);
        let until = now + Micros::of(backoff);
        // An ordered message stays: it holds back those behind it.
        let leaves =
            key.is_none() && (backoff > WAITS_IN_MEMORY || (!backoff.is_zero() && self.waiting.len() >= WAITING_MAX));
        if leaves {
            self.remove(seq);
            return Some(Failure::Leaves { seq, failures, until });
        }
        if let Some(key) = key {
            // Those behind need no memory until it is done with.
            for behind in self.lines.shorten(&key, seq) {
                self.forget(behind);
            }
        }
        self.put(seq, if backoff.is_zero() { Place::Ready } else { Place::Waiting(until) });
        Some(Failure::Waits { seq, failures })
    }

    /// Moves an entry to another place.
    fn put(&mut self, seq: Seq, place: Place) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        let turn = entry.turn;
        match std::mem::replace(&mut entry.place, place) {
            Place::Ready => drop(self.ready.remove(&(turn, seq))),
            Place::Waiting(due) => drop(self.waiting.remove(&(due, seq))),
            Place::Out { deadline, .. } => drop(self.out.remove(&(deadline, seq))),
            Place::Behind => {}
        }
        match place {
            Place::Ready => drop(self.ready.insert((turn, seq))),
            Place::Waiting(due) => drop(self.waiting.insert((due, seq))),
            Place::Out { deadline, .. } => drop(self.out.insert((deadline, seq))),
            Place::Behind => {}
        }
    }

    /// Takes an entry out; the next one with its key moves up.
    fn remove(&mut self, seq: Seq) {
        let Some(key) = self.forget(seq).and_then(|entry| entry.key) else { return };
        let next = self.lines.leave(&key, seq);
        if let Some(next) = next
            && self.entries.get(&next).is_some_and(|entry| entry.place == Place::Behind)
        {
            self.put(next, Place::Ready);
        }
    }

    fn forget(&mut self, seq: Seq) -> Option<Entry> {
        self.put(seq, Place::Behind);
        let entry = self.entries.remove(&seq)?;
        self.bytes -= entry.stored.body.len();
        Some(entry)
    }
}

/// What `take` took.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    Delivery(Delivery),
    /// It was older than the retention.
    Expired(Seq),
}

fn ordering_key(stored: &Stored) -> Option<Arc<str>> {
    let key = stored.message().ordering_key;
    (!key.is_empty()).then(|| Arc::from(key))
}

#[cfg(test)]
mod tests;
