//! What time does to subscriptions: messages older than the retention are dropped even if nobody asks for them, and a
//! subscription that nothing goes on with is deleted.

use super::registry::Registry;
use super::store::Change;
use crate::autoscaler::Micros;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it looks.
const ROUND: Duration = Duration::from_secs(1);

/// Looks after the subscriptions for ever.
pub(super) async fn run(registry: &Registry) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        round(registry).await;
    }
}

async fn round(registry: &Registry) {
    let context = &registry.context;
    context.client.prune();
    for (name, handle) in registry.handles().await {
        let now = context.now();
        let unused = (now - handle.tally.last_active()).duration();
        if handle.settings.expires_after.is_some_and(|most| unused > most) {
            // One that was deleted meanwhile is gone as well.
            let _ = registry.delete_subscription(&name).await;
            continue;
        }
        if handle.signal.backlog() == 0 && !handle.settings.config.retain_acked_messages {
            continue;
        }
        let before = now - Micros::of(handle.settings.rules.retention);
        let outlook = context.store.outlook(handle.id).await.unwrap_or_default();
        if outlook.oldest.is_some_and(|(_, published)| published < before) {
            // Zero is no number of the subscription's own changes. A store that is ending drops nothing more.
            let _ = context.store.change(handle.id, 0, vec![Change::Expired { before }]);
        }
    }
}
