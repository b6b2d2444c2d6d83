//! After the load: what is still to be delivered is waited for.

use super::observer::{self, Observer};
use crate::driver::Posts;
use jiff::Timestamp;
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
    /// Who is told.
    pub(super) say: &'a (dyn Fn(&str) + Sync),
}

/// Reads what was delivered until all that was acknowledged is, or the limit is reached; what is still read a moment after
/// the last delivery are duplicates. Gives why what was delivered is not known, if it is not, and how long after the start
/// of the load was looked for the last time.
pub(super) async fn drain(
    mut observers: Vec<Observer>,
    waiting: &Waiting<'_>,
    interrupted: bool,
) -> (Option<String>, Duration) {
    let began = Instant::now();
    let mut complete_since = None;
    let mut told = None;
    loop {
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
            return (trouble, looked_until);
        }
        if told != Some(missing) && missing > 0 {
            let left = waiting.limit.saturating_sub(began.elapsed()).as_secs_f64();
            (waiting.say)(&format!("{missing} deliveries are still to come; they are waited for, {left:.0} s at most"));
            told = Some(missing);
        }
        tokio::time::sleep(observer::EVERY).await;
    }
}
