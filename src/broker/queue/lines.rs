//! The messages of each ordering key, of which one at a time may be delivered. Few of a key are in memory: one that is
//! blocked would fill it with what waits behind, and starve the others.

use crate::broker::store::Seq;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Messages of one key in memory. The rest stays in the store until these have gone.
pub(in crate::broker) const LINE_MAX: usize = 64;

/// The lines, by key.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<Arc<str>, Line>,
    /// Keys with nothing in memory and more in the store.
    empty: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct Line {
    /// First the one that may be delivered, unless an older one came back behind it.
    seqs: BTreeSet<Seq>,
    /// What comes after this one is in the store only.
    stored_after: Option<Seq>,
}

impl Lines {
    /// Whether one that was published after those in memory may join them. If not, it is remembered that there is more in the
    /// store.
    pub(super) fn has_room(&mut self, key: &str) -> bool {
        let Some(line) = self.lines.get_mut(key) else { return true };
        if line.stored_after.is_none() && line.seqs.len() >= LINE_MAX {
            line.stored_after = line.seqs.last().copied();
        }
        line.stored_after.is_none()
    }

    /// Joins the line of its key. True if nothing is before it or behind it.
    pub(super) fn join(&mut self, key: &Arc<str>, seq: Seq) -> bool {
        self.empty.remove(key);
        let line = self.lines.entry(Arc::clone(key)).or_default();
        let is_first = line.seqs.is_empty();
        line.seqs.insert(seq);
        is_first
    }

    /// Leaves the line; the one that is first now.
    pub(super) fn leave(&mut self, key: &Arc<str>, seq: Seq) -> Option<Seq> {
        let line = self.lines.get_mut(key)?;
        line.seqs.remove(&seq);
        let first = line.seqs.first().copied();
        if first.is_none() {
            if line.stored_after.is_some() {
                self.empty.insert(Arc::clone(key));
            } else {
                self.lines.remove(key);
            }
        }
        first
    }

    /// Sends those behind one that failed back to the store, where they were all the time.
    pub(super) fn shorten(&mut self, key: &str, failed: Seq) -> BTreeSet<Seq> {
        let Some(line) = self.lines.get_mut(key) else { return BTreeSet::new() };
        let behind = line.seqs.split_off(&Seq(failed.0 + 1));
        if !behind.is_empty() {
            line.stored_after = Some(failed);
        }
        behind
    }

    /// Keys with nothing in memory and more in the store, and after which message that is.
    pub(super) fn empty(&self) -> impl Iterator<Item = (Arc<str>, Seq)> {
        self.empty.iter().map(|key| {
            let after = self.lines.get(key).and_then(|line| line.stored_after).unwrap_or_default();
            (Arc::clone(key), after)
        })
    }

    /// What was read of a key has joined; `last` is the last of that, and None if there is no more in the store.
    pub(super) fn refilled(&mut self, key: &str, last: Option<Seq>) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.stored_after = last;
        if last.is_none() && line.seqs.is_empty() {
            self.lines.remove(key);
            self.empty.remove(key);
        }
    }

    /// Whether no key is known.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.empty.is_empty()
    }
}
