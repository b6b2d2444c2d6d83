//! Seeking: what was published before a time is acknowledged, what came later is not.

use super::{CLEARED, Done, Seeking, Writer};
use crate::broker::store::Seq;
use crate::broker::store::reader::whole;
use rusqlite::params;

impl Writer {
    /// Does a part of it, and tells who waits for it once all is done. False if it failed, which that one is told as well.
    pub(super) fn seek(&mut self, mut seeking: Seeking) -> bool {
        match self.seek_some(&mut seeking) {
            Ok(true) => self.seeking.push_front(seeking),
            Ok(false) => {
                let _ = seeking.reply.send(Ok(()));
            }
            Err(error) => {
                let error = self.roll_back(&error);
                let _ = seeking.reply.send(Err(error));
                return false;
            }
        }
        true
    }

    /// Whether there may be more.
    fn seek_some(&mut self, seeking: &mut Seeking) -> rusqlite::Result<bool> {
        let sql = "SELECT b.seq, b.due, m.published < ?4 FROM backlog b CROSS JOIN messages m ON m.seq = b.seq
            WHERE b.subscription = ?1 AND b.seq > ?2 AND b.seq < ?3 ORDER BY b.seq LIMIT ?5";
        let (id, limit) = (seeking.id, i64::try_from(CLEARED).unwrap_or(i64::MAX));
        self.begin(false)?;
        let rows: Vec<(i64, i64, bool)> = self
            .connection
            .prepare_cached(sql)?
            .query_map(params![id.0, seeking.done, seeking.until, whole(seeking.time), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let retains = self.subscriptions.get(&id).is_some_and(|route| route.retains);
        let mut done = Done::default();
        for (seq, due, is_before) in &rows {
            if *is_before {
                self.settle(id, Seq(*seq), &mut done)?;
            } else if *due < 0 && retains {
                self.connection
                    .prepare_cached("UPDATE backlog SET due = 0, failures = 0 WHERE subscription = ?1 AND seq = ?2")?
                    .execute([id.0, *seq])?;
                let delta = done.backlogs.entry(id).or_default();
                delta.added += 1;
                delta.last = *seq;
            }
        }
        self.commit()?;
        self.tell(done);
        seeking.done = rows.last().map_or(seeking.done, |(seq, ..)| *seq);
        Ok(rows.len() == CLEARED)
    }
}
