//! After the load: what is still to be delivered is waited for.

use super::observer::{self, Observer};
use super::works::{Works, join_all};
use crate::driver::Posts;
use crate::scenario::System;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What is being read at the limit may take so much longer, and no page more: on a busy host a look takes its time, and a loss that is
/// cut off would be taken for something unknown.
const LAST_LOOK_MAX: Duration = Duration::from_secs(5);

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

/// Reads what was delivered until all that was acknowledged is, or the limit is reached; what a consumer had not told
/// [`LAST_LOOK_MAX`] later is not known. What is still read a moment after the last delivery are duplicates.
pub(super) async fn drain(mut observers: Vec<Observer>, waiting: &Waiting<'_>, interrupted: bool) -> Drained {
    let began = Instant::now();
    let mut complete_since = None;
    loop {
        // Asked before the consumers are: what they have by then is no longer held, so that nothing seems gone that is not.
        let queued = match waiting.works {
            Some((works, system)) => works.queued(system).await,
            None => BTreeMap::new(),
        };
        let trouble = look(&mut observers, waiting, began + waiting.limit + LAST_LOOK_MAX).await;
        let looked_until = Duration::try_from(Timestamp::now().duration_since(waiting.started)).unwrap_or_default();
        let (acknowledged, delivered) = waiting.posts.with(|ledger| ledger.standing());
        let missing: u64 = delivered.iter().map(|delivered| acknowledged - delivered).sum();
        let complete = missing == 0 && trouble.is_none();
        complete_since = complete.then(|| complete_since.unwrap_or_else(Instant::now));
        let settled = complete_since.is_some_and(|since: Instant| since.elapsed() >= observer::AFTERWARDS);
        if settled || interrupted || *waiting.stop.borrow() || began.elapsed() >= waiting.limit {
            return Drained { unobserved: trouble, looked_until, queued };
        }
        if missing > 0 {
            let left = waiting.limit.saturating_sub(began.elapsed()).as_secs_f64();
            (waiting.say)(&format!("{missing} deliveries are still to come; they are waited for, {left:.0} s at most"));
        }
        tokio::time::sleep(observer::EVERY).await;
    }
}

/// Reads what every consumer has to tell, side by side, so that none waits for another, until `end` at most. Gives why something is
/// not known, if it is not.
async fn look(observers: &mut [Observer], waiting: &Waiting<'_>, end: Instant) -> Option<String> {
    let reading = observers.iter_mut().map(|observer| {
        Box::pin(async move {
            let (name, limit) = (observer.name.clone(), waiting.limit.as_secs_f64());
            let read = tokio::time::timeout_at(end, observer.read(waiting.started, waiting.posts)).await;
            read.unwrap_or_else(|_| {
                Err(format!(
                    "what was delivered to {name} was still being read {} s after the drain limit of {limit:.0} s: the consumer answers \
                     too slowly; give its service more instances or a higher max concurrency",
                    LAST_LOOK_MAX.as_secs()
                ))
            })
        })
    });
    join_all(reading.collect()).await.into_iter().filter_map(Result::err).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Ids, Plan, Scenario};
    use std::path::Path;
    use std::sync::Arc;
    use tokio::net::TcpListener;

    const LAB: &str = "name: lab
variables: {report: {counter: {from: 12, step: 22}}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: \"${report}\"}}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, ramp: {from: 1, to: 1}, duration: 2s}]
deliver: {step: post, id: report, to: [silent], within: 10s}";

    /// Takes connections, and never answers.
    async fn silent_consumer() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/deliveries", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        });
        address
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_does_not_answer_stretches_no_limit() {
        let scenario = Scenario::from_yaml(Path::new("lab.yaml"), LAB).unwrap();
        let posts = Posts::of(&Plan::new(Arc::new(scenario), 1, 1.0)).unwrap();
        let started = Timestamp::now();
        posts.with(|ledger| {
            ledger.post(0, Duration::ZERO, true);
            ledger.settle(0, Duration::from_millis(1), Ok(()));
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let observer = Observer::new((0, "silent"), (silent_consumer().await, None), client, Ids::new(12, 22));
        let (_stop, stop) = watch::channel(false);
        let limit = Duration::from_secs(7);
        let waiting = Waiting { started, posts: &posts, limit, stop, works: None, say: &|_: &str| {} };
        let began = Instant::now();
        let Drained { unobserved, .. } = drain(vec![observer], &waiting, false).await;
        // Each page of an answer is waited for for twenty seconds otherwise.
        assert!(began.elapsed() <= limit + LAST_LOOK_MAX + Duration::from_millis(5), "{:?}", began.elapsed());
        assert!(unobserved.unwrap().contains("silent was still being read 5 s after the drain limit of 7 s"));
    }
}
