//! A subscription that is set to a time: the store tells which messages are acknowledged, and nothing that is in memory, or
//! out, counts any more.

use super::Subscription;
use crate::autoscaler::Micros;
use crate::broker::store::{Seq, StoreError};
use tokio::sync::oneshot;

/// The time, and who waits for it.
pub(super) type Seek = (Micros, oneshot::Sender<Result<(), StoreError>>);

impl Subscription {
    /// Does what it was told of seeking.
    pub(super) async fn seek(&mut self) {
        for (time, reply) in std::mem::take(&mut self.seeking) {
            // What became of deliveries before it comes first.
            self.write();
            let sought = self.context.store.seek(self.id, time).await;
            for lease in self.queue.clear() {
                self.pulls.returned(lease);
            }
            self.cursor = Seq(0);
            self.unread = true;
            self.held_due = Some(Micros::ZERO);
            // Whoever asked may have gone.
            let _ = reply.send(sought);
        }
    }
}
