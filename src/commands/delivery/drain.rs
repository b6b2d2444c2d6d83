//! After the load: what is still to be delivered is waited for.

use super::observer::{self, Observer};
use super::works::Works;
use crate::driver::Posts;
use crate::scenario::System;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What is waited for, and for how long.
pub(super) struct Waiting<'a> {
    /// When the load started.
    pub(super) started: Timestamp,
    pub(super) posts: &'a Posts,
    /// How long, at most.
    pub(super) limit: Duration,
    /// Turns true when the user wants to stop.
    pub(super) stop: watch::Receiver<bool>,
    /// Who tells what subscriptions hold, if somebody does.
    pub(super) works: Option<(&'a Works, &'a System)>,
    /// Who is told.
    pub(super) say: &'a (dyn Fn(&str) + Sync),
}

/// What came of the wait.
pub(super) struct Drained {
    /// Why what was delivered is not known, if it is not.
    pub(super) unobserved: Option<String>,
    /// When was looked for the last time, since the start of the load.
    pub(super) looked_until: Duration,
    /// What subscriptions held at the last look, by consumer; nothing when nobody told.
    pub(super) queued: BTreeMap<String, u64>,
}

/// Reads what was delivered until all that was acknowledged is, or the limit is reached; what is still read a moment after
/// the last delivery are duplicates.
pub(super) async fn drain(mut observers: Vec<Observer>, waiting: &Waiting<'_>, interrupted: bool) -> Drained {
    let began = Instant::now();
    let mut complete_since = None;
    let mut told = None;
    loop {
        // Asked before the consumers are: what they have by then is no longer held, so that nothing seems gone that is not.
        let queued = match waiting.works {
            Some((works, system)) => works.queued(system).await,
            None => BTreeMap::new(),
        };
        let mut trouble = None;
        for observer in &mut observers {
            if let Err(error) = observer.read(waiting.started, waiting.posts).await {
                trouble = Some(error);
            }
        }
        let looked_until = Duration::try_from(Timestamp::now().duration_since(waiting.started)).unwrap_or_default();
        let (acknowledged, delivered) = waiting.posts.with(|ledger| ledger.standing());
        let missing: u64 = delivered.iter().map(|delivered| acknowledged - delivered).sum();
        let complete = missing == 0 && trouble.is_none();
        complete_since = complete.then(|| complete_since.unwrap_or_else(Instant::now));
        let settled = complete_since.is_some_and(|since: Instant| since.elapsed() >= observer::AFTERWARDS);
        if settled || interrupted || *waiting.stop.borrow() || began.elapsed() >= waiting.limit {
            return Drained { unobserved: trouble, looked_until, queued };
        }
        if told != Some(missing) && missing > 0 {
            let left = waiting.limit.saturating_sub(began.elapsed()).as_secs_f64();
            (waiting.say)(&format!("{missing} deliveries are still to come; they are waited for, {left:.0} s at most"));
            told = Some(missing);
        }
        tokio::time::sleep(observer::EVERY).await;
    }
}
