//! What a subscription reads from the store: what was published since the last look, held messages that are due, and what
//! waits there behind messages with the same ordering key.

use super::{READ_AGAIN, Subscription};
use crate::autoscaler::Micros;
use crate::broker::queue::LINE_MAX;
use crate::broker::store::{Change, LinesWanted, Stored};
use std::time::Duration;

/// Messages that one look into the store reads.
const READ_MESSAGES: usize = 1_000;
/// Bytes that one look reads, about.
const READ_BYTES: usize = 8 << 20;
/// Ordering keys whose messages one look reads.
const READ_LINES: usize = 64;
/// A message that has just left memory may not be in the store yet: it is looked for again this much later.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Subscription {
    /// When there is something to read, if nothing else happens until then.
    pub(super) fn reads_next(&self, now: Micros) -> Option<Micros> {
        let held = self.held_due.filter(|_| self.can_look());
        let fresh = (self.wants_fresh() || self.wants_lines()).then_some(now);
        let next = [held, fresh].into_iter().flatten().min()?;
        Some(self.read_again.map_or(next, |again| next.max(again)))
    }

    /// Whether a look for held messages would see those that were read before as read, and there is room for others.
    fn can_look(&self) -> bool {
        let (messages, bytes) = self.queue.room();
        self.signal.changed() >= self.taken && messages > 0 && bytes > 0
    }

    fn wants_fresh(&self) -> bool {
        let (messages, bytes) = self.queue.room();
        let more = self.unread || self.cursor < self.signal.published();
        more && self.queue.ready() < READ_MESSAGES / 2 && messages > 0 && bytes > 0
    }

    fn wants_lines(&self) -> bool {
        let (messages, bytes) = self.queue.room();
        self.queue.has_empty_lines() && messages > 0 && bytes > 0
    }

    /// Reads messages into memory as far as there is room.
    pub(super) async fn read(&mut self, now: Micros) {
        if self.read_again.is_some_and(|again| now < again) || !self.can_write() {
            return;
        }
        self.read_again = None;
        if self.held_due.is_some_and(|due| due <= now) && self.can_look() {
            self.read_held(now).await;
        }
        if self.wants_lines() {
            self.read_lines(now).await;
        }
        if !self.wants_fresh() {
            return;
        }
        let published = self.signal.published();
        let (messages, bytes) = self.queue.room();
        let most = (messages.min(READ_MESSAGES), bytes.min(READ_BYTES));
        let Ok(read) = self.context.store.fresh(self.id, self.cursor, most).await else {
            self.read_again = Some(now + Micros::of(READ_AGAIN));
            return;
        };
        self.unread = read.len() == most.0 || read.iter().map(|it| it.body.len()).sum::<usize>() >= most.1;
        let last = read.last().map_or(self.cursor, |last| last.seq);
        // What was published before it was read was read.
        self.cursor = if self.unread { last } else { last.max(published) };
        let known = |it: &Stored| self.settling.contains_key(&it.seq);
        read.into_iter().filter(|it| !known(it)).for_each(|it| self.queue.admit(it));
    }

    /// What waits in the store behind messages that have gone.
    async fn read_lines(&mut self, now: Micros) {
        let (messages, bytes) = self.queue.room();
        let most = (messages.min(READ_MESSAGES), bytes.min(READ_BYTES));
        let keys = self.queue.empty_lines(READ_LINES);
        let wanted = LinesWanted { keys, until: self.cursor, each: LINE_MAX, most };
        let Ok(lines) = self.context.store.lines(self.id, wanted).await else {
            self.read_again = Some(now + Micros::of(READ_AGAIN));
            return;
        };
        for line in lines {
            self.queue.admit_line(line, |seq| self.settling.contains_key(&seq));
        }
    }

    async fn read_held(&mut self, now: Micros) {
        let (messages, bytes) = self.queue.room();
        let most = (messages.min(READ_MESSAGES), bytes.min(READ_BYTES));
        let Ok(read) = self.context.store.held(self.id, now, most).await else {
            self.read_again = Some(now + Micros::of(READ_AGAIN));
            return;
        };
        let none = read.is_empty();
        let new = read.into_iter().filter(|it| !self.settling.contains_key(&it.seq) && !self.queue.holds(it.seq));
        let new: Vec<Stored> = new.collect();
        if !new.is_empty() {
            self.taken = self.numbered + 1;
            for stored in new {
                self.changes.push(Change::Taken(stored.seq));
                self.queue.admit_held(stored);
            }
        } else if !none || self.signal.changed() < self.held {
            // What was read, or what is to be read, is not written down yet.
            self.held_due = Some(now + Micros::of(LOOK_AGAIN));
        } else {
            match self.context.store.outlook(self.id).await {
                Ok(outlook) => self.held_due = outlook.next_due,
                // It may be any time: what was forgotten here would be delivered after a restart only.
                Err(_) => self.read_again = Some(now + Micros::of(READ_AGAIN)),
            }
        }
    }
}
