//! What the writer does inside a transaction: messages come, go to subscriptions, and leave them.

use super::{Done, RESERVED, Writer};
use crate::autoscaler::Micros;
use crate::broker::proto;
use crate::broker::store::reader::whole;
use crate::broker::store::{Change, NewMessage, Seq, SubscriptionId, TopicId};
use prost::Message as _;
use rusqlite::{OptionalExtension as _, params};

impl Writer {
    pub(super) fn publish(
        &mut self,
        topic: TopicId,
        published: Micros,
        messages: &[NewMessage],
        done: &mut Done,
    ) -> rusqlite::Result<Vec<Seq>> {
        messages.iter().map(|message| self.keep(topic, published, message, done)).collect()
    }

    /// Keeps one message for every live subscription of its topic that it is for; one that is for nobody is not kept.
    fn keep(
        &mut self,
        topic: TopicId,
        published: Micros,
        message: &NewMessage,
        done: &mut Done,
    ) -> rusqlite::Result<Seq> {
        if self.next >= self.reserved {
            let reserved = self.next + RESERVED;
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('reserved', ?1)")?
                .execute([reserved])?;
            self.reserved = reserved;
        }
        let seq = self.next;
        self.next += 1;
        let (mut kept, mut attributes) = (false, None);
        for id in self.routes.get(&topic).into_iter().flatten() {
            let Some(route) = self.subscriptions.get(id).filter(|route| route.live) else { continue };
            if let Some(filter) = &route.filter
                && !filter.matches(attributes.get_or_insert_with(|| message.attributes()))
            {
                continue;
            }
            self.connection
                .prepare_cached("INSERT INTO backlog (subscription, seq, due, failures) VALUES (?1, ?2, 0, 0)")?
                .execute(params![id.0, seq])?;
            let delta = done.backlogs.entry(*id).or_default();
            delta.added += 1;
            delta.last = seq;
            kept = true;
        }
        if kept {
            self.connection
                .prepare_cached("INSERT INTO messages (seq, topic, published, body, key) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![seq, topic.0, whole(published), message.body, message.key])?;
        }
        Ok(Seq(seq))
    }

    pub(super) fn change(
        &mut self,
        id: SubscriptionId,
        changes: &[Change],
        number: u64,
        done: &mut Done,
    ) -> rusqlite::Result<()> {
        for change in changes {
            match change {
                Change::Settled(seq) => self.settle(id, *seq, done)?,
                Change::Failed { seq, failures } => self.note(id, *seq, 0, *failures)?,
                Change::Held { seq, failures, until } => self.note(id, *seq, whole(*until).max(1), *failures)?,
                Change::Taken(seq) => {
                    self.connection
                        .prepare_cached("UPDATE backlog SET due = 0 WHERE subscription = ?1 AND seq = ?2")?
                        .execute(params![id.0, seq.0])?;
                }
                Change::Expired { before } => {
                    self.expiring.insert(id, *before);
                }
                Change::DeadLettered { seq, topic, attributes, now } => {
                    self.dead_letter((id, *seq), (*topic, *now), attributes, done)?;
                    self.settle(id, *seq, done)?;
                }
            }
        }
        let delta = done.backlogs.entry(id).or_default();
        delta.changed = delta.changed.max(number);
        Ok(())
    }

    fn note(&self, id: SubscriptionId, seq: Seq, due: i64, failures: u32) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE backlog SET due = ?3, failures = ?4 WHERE subscription = ?1 AND seq = ?2")?
            .execute(params![id.0, seq.0, due, failures])
            .map(drop)
    }

    /// A message need not be delivered any more. It is kept if the subscription retains what was acknowledged.
    pub(super) fn settle(&self, id: SubscriptionId, seq: Seq, done: &mut Done) -> rusqlite::Result<()> {
        if !self.subscriptions.get(&id).is_some_and(|route| route.retains) {
            return self.discard(id, seq, done);
        }
        let settled = self
            .connection
            .prepare_cached("UPDATE backlog SET due = -1 WHERE subscription = ?1 AND seq = ?2 AND due >= 0")?
            .execute(params![id.0, seq.0])?;
        done.backlogs.entry(id).or_default().removed += u64::try_from(settled).unwrap_or(0);
        Ok(())
    }

    /// Takes a message out of a backlog; with the last one it goes itself.
    pub(super) fn discard(&self, id: SubscriptionId, seq: Seq, done: &mut Done) -> rusqlite::Result<()> {
        let due: Option<i64> = self
            .connection
            .prepare_cached("DELETE FROM backlog WHERE subscription = ?1 AND seq = ?2 RETURNING due")?
            .query_row(params![id.0, seq.0], |row| row.get(0))
            .optional()?;
        let Some(due) = due else { return Ok(()) };
        done.backlogs.entry(id).or_default().removed += u64::from(due >= 0);
        let topic = self.subscriptions.get(&id).map(|route| route.topic);
        let siblings = topic.and_then(|topic| self.routes.get(&topic)).into_iter().flatten();
        for sibling in siblings.filter(|sibling| **sibling != id) {
            let mut waits =
                self.connection.prepare_cached("SELECT 1 FROM backlog WHERE subscription = ?1 AND seq = ?2")?;
            if waits.exists(params![sibling.0, seq.0])? {
                return Ok(());
            }
        }
        self.connection.prepare_cached("DELETE FROM messages WHERE seq = ?1")?.execute([seq.0]).map(drop)
    }

    /// Publishes a message that a subscription gives up to its dead letter topic. One that has left the backlog meanwhile, for
    /// its age, is nobody's to give up.
    fn dead_letter(
        &mut self,
        (id, seq): (SubscriptionId, Seq),
        (topic, now): (TopicId, Micros),
        attributes: &proto::Words,
        done: &mut Done,
    ) -> rusqlite::Result<()> {
        let body: Option<Vec<u8>> = self
            .connection
            .prepare_cached(
                "SELECT m.body FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
                 WHERE b.subscription = ?1 AND b.seq = ?2 AND b.due >= 0",
            )?
            .query_row([id.0, seq.0], |row| row.get(0))
            .optional()?;
        let Some(body) = body else { return Ok(()) };
        let mut message = proto::PubsubMessage::decode(&body[..]).unwrap_or_default();
        message.attributes.extend(attributes.clone());
        self.keep(topic, now, &NewMessage::of(&message), done).map(drop)
    }
}
