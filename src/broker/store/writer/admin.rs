//! What the writer does to topics and subscriptions, each change in a transaction of its own.

use super::{CLEARED, DELETED, Done, LIVE, Route, Seeking, Writer};
use crate::autoscaler::Micros;
use crate::broker::proto;
use crate::broker::store::reader::whole;
use crate::broker::store::{Admin, Seq, StoreError, SubscriptionId, TopicId};
use prost::Message as _;
use rusqlite::{Connection, params};

impl Writer {
    pub(super) fn administer(&mut self, admin: Admin) {
        match admin {
            Admin::CreateTopic { config, reply } => {
                let created = self.transaction(|connection| {
                    let insert = "INSERT INTO topics (deleted, config) VALUES (0, ?1)";
                    connection.execute(insert, [config.encode_to_vec()])?;
                    Ok(TopicId(connection.last_insert_rowid()))
                });
                let _ = reply.send(created);
            }
            Admin::UpdateTopic { id, config, reply } => {
                let update = "UPDATE topics SET config = ?2 WHERE id = ?1";
                let _ = reply.send(self.execute(update, params![id.0, config.encode_to_vec()]));
            }
            Admin::DeleteTopic { id, subscriptions, reply } => {
                let deleted = self.transaction(|connection| {
                    connection.execute("UPDATE topics SET deleted = 1 WHERE id = ?1", [id.0])?;
                    subscriptions.iter().try_for_each(|(id, config)| configure(connection, *id, config))
                });
                let _ = reply.send(deleted);
            }
            Admin::CreateSubscription { topic, config, signal, reply } => {
                let created = self.transaction(|connection| {
                    let insert = "INSERT INTO subscriptions (topic, state, config) VALUES (?1, ?2, ?3)";
                    connection.execute(insert, params![topic.0, LIVE, config.encode_to_vec()])?;
                    Ok(SubscriptionId(connection.last_insert_rowid()))
                });
                if let Ok(id) = created {
                    self.routes.entry(topic).or_default().push(id);
                    self.subscriptions.insert(id, Route::of(topic, &config, signal));
                }
                let _ = reply.send(created);
            }
            Admin::UpdateSubscription { id, config, reply } => {
                let updated = self.transaction(|connection| configure(connection, id, &config));
                if let (Ok(()), Some(route)) = (&updated, self.subscriptions.get_mut(&id)) {
                    route.retains = config.retain_acked_messages;
                }
                let _ = reply.send(updated);
            }
            Admin::Seek { id, time, reply } => {
                self.seeking.push_back(Seeking { id, time, done: 0, until: self.next, reply });
            }
            Admin::DropBacklog { id, detached, reply } => {
                let dropped = match detached {
                    Some(config) => self.transaction(|connection| configure(connection, id, &config)),
                    None => self.execute("UPDATE subscriptions SET state = ?2 WHERE id = ?1", [id.0, DELETED]),
                };
                if let (Ok(()), Some(route)) = (&dropped, self.subscriptions.get_mut(&id)) {
                    route.live = false;
                    self.clearing.push(id);
                }
                let _ = reply.send(dropped);
            }
        }
    }

    fn execute(&mut self, sql: &str, parameters: impl rusqlite::Params) -> Result<(), StoreError> {
        self.transaction(|connection| connection.execute(sql, parameters).map(drop))
    }

    /// A transaction of its own, synced.
    fn transaction<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if let Some(error) = &self.unsynced {
            return Err(error.clone());
        }
        let begun = self.begin(true);
        let worked = begun.and_then(|()| work(&self.connection)).and_then(|it| self.commit().map(|()| it));
        worked.map_err(|error| self.roll_back(&error))
    }

    /// Whether something is to be cleared away.
    pub(super) fn has_to_clear(&self) -> bool {
        !self.clearing.is_empty() || !self.expiring.is_empty() || !self.seeking.is_empty()
    }

    /// Does a part of a seek, or clears away a part of what is too old, or of the backlog of a subscription that is no more. False if it failed and is to
    /// be tried again.
    pub(super) fn clear(&mut self) -> bool {
        if let Some(error) = &self.unsynced {
            for seeking in self.seeking.drain(..) {
                let _ = seeking.reply.send(Err(error.clone()));
            }
            return false;
        }
        if let Some(seeking) = self.seeking.pop_front() {
            return self.seek(seeking);
        }
        let expiring = self.expiring.first_key_value().map(|(id, before)| (*id, *before));
        let cleared = match (expiring, self.clearing.last().copied()) {
            (Some((id, before)), _) => self.expire_some(id, before).map(|more| {
                if !more {
                    self.expiring.remove(&id);
                }
            }),
            (None, Some(id)) => self.clear_some(id).map(|more| {
                if !more {
                    self.clearing.pop();
                }
            }),
            (None, None) => Ok(()),
        };
        // Whoever waits for room would wait for ever if this were not tried again.
        cleared.map_err(|error| self.roll_back(&error)).is_ok()
    }

    /// Drops the oldest messages of a backlog that are too old: the first one that is not ends it, or a long backlog would be
    /// looked through each time. Whether there may be more of them.
    fn expire_some(&mut self, id: SubscriptionId, before: Micros) -> rusqlite::Result<bool> {
        let sql = "SELECT b.seq, m.published FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
            WHERE b.subscription = ?1 ORDER BY b.seq LIMIT ?2";
        self.begin(false)?;
        let limit = i64::try_from(CLEARED).unwrap_or(i64::MAX);
        let mut old = Vec::new();
        {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([id.0, limit])?;
            while let Some(row) = rows.next()? {
                let (seq, published): (i64, i64) = (row.get(0)?, row.get(1)?);
                if published >= whole(before) {
                    break;
                }
                old.push(seq);
            }
        }
        let mut done = Done::default();
        for seq in &old {
            self.discard(id, Seq(*seq), &mut done)?;
        }
        self.commit()?;
        self.tell(done);
        Ok(old.len() == CLEARED)
    }

    /// Whether there may be more.
    fn clear_some(&mut self, id: SubscriptionId) -> rusqlite::Result<bool> {
        self.begin(false)?;
        let limit = i64::try_from(CLEARED).unwrap_or(i64::MAX);
        let rows: Vec<i64> = self
            .connection
            .prepare_cached("SELECT seq FROM backlog WHERE subscription = ?1 LIMIT ?2")?
            .query_map([id.0, limit], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut done = Done::default();
        for seq in &rows {
            self.discard(id, Seq(*seq), &mut done)?;
        }
        let more = rows.len() == CLEARED;
        if !more {
            self.connection.execute("DELETE FROM subscriptions WHERE id = ?1 AND state = ?2", [id.0, DELETED])?;
        }
        self.commit()?;
        self.tell(done);
        if !more && let Some(route) = self.subscriptions.remove(&id) {
            self.routes.entry(route.topic).or_default().retain(|other| *other != id);
        }
        Ok(more)
    }
}

fn configure(connection: &Connection, id: SubscriptionId, config: &proto::Subscription) -> rusqlite::Result<()> {
    let update = "UPDATE subscriptions SET config = ?2 WHERE id = ?1";
    connection.execute(update, params![id.0, config.encode_to_vec()]).map(drop)
}
