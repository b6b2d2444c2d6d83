//! Tells a ledger of the posts whose reports must be delivered, while the load goes on. A load whose scenario expects no
//! deliveries asks one question for each request, and nothing more.

use crate::scenario::Plan;
use crate::trial::{Ledger, StatusClass};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The ledger of a run, and the step that it is about. Clones share the ledger.
#[derive(Clone, Debug)]
pub struct Posts {
    step: usize,
    ledger: Arc<Mutex<Ledger>>,
}

impl Posts {
    /// An empty ledger for `plan`; `None` when its scenario expects no deliveries.
    #[must_use]
    pub fn of(plan: &Plan) -> Option<Self> {
        let delivery = plan.scenario().delivery.as_ref()?;
        let step = plan.scenario().step_names().iter().position(|name| *name == delivery.step)?;
        let planned = plan.arrivals().map(|arrival| arrival.index + 1).max().unwrap_or_default();
        Some(Self { step, ledger: Arc::new(Mutex::new(Ledger::new(&delivery.consumers, planned))) })
    }

    /// Asks or tells the ledger.
    pub fn with<T>(&self, tell: impl FnOnce(&mut Ledger) -> T) -> T {
        tell(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn sent(&self, step: usize, number: u64, due: Duration, measured: bool) {
        if step == self.step {
            self.with(|ledger| ledger.post(number, due, measured));
        }
    }

    pub(super) fn settled(&self, step: usize, number: u64, done: Duration, answer: Result<(), StatusClass>) {
        if step == self.step {
            self.with(|ledger| ledger.settle(number, done, answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::answering;
    use super::super::live::Extras;
    use super::super::{Options, Progress, drive};
    use super::*;
    use crate::scenario::Scenario;
    use crate::trial::Terms;
    use std::collections::BTreeMap;
    use std::path::Path;
    use tokio::sync::watch;

    const LAB: &str = "name: lab
variables: {report: {counter: {from: 12, step: 22}}}
journeys: [{name: report, steps: [{name: post, post: /, json: {id: \"${report}\"}, expect: {status: [204]}}, {name: look, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, ramp: {from: 40, to: 40}, duration: 500ms, warm_up: 250ms}]
deliver: {step: post, id: report, to: [email], within: 10s}";

    async fn driven(answer: &'static [u8]) -> crate::trial::DeliveryRecording {
        let scenario = Scenario::from_yaml(Path::new("lab.yaml"), LAB).unwrap();
        let plan = Plan::new(Arc::new(scenario), 1, 1.0);
        let posts = Posts::of(&plan).unwrap();
        let base_url = answering(answer, false).await;
        let extras = Extras { posts: Some(posts.clone()), ..Extras::default() };
        let options = Options { base_url, drain: Duration::from_secs(30), extras, ..Options::default() };
        let (_stop, stopped) = watch::channel(false);
        let recording = drive(&plan, &options, watch::Sender::new(Progress::default()), stopped).await.unwrap();
        let told = posts.with(|ledger| ledger.conclude(Terms::default()));
        let books = recording.steps[0].books;
        assert_eq!((told.posts.acknowledged, told.posts.failed), (books.completed, books.failed));
        told
    }

    #[tokio::test]
    async fn every_post_is_in_the_ledger_and_no_other_request() {
        let told = driven(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!((told.posts.posted, told.posts.acknowledged, told.lost()), (20, 20, 20));
        assert_eq!(told.post_time_outside.count(), 10, "the warm-up is not measured");
    }

    #[tokio::test]
    async fn an_answer_that_was_not_expected_acknowledges_nothing() {
        let told = driven(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!((told.posts.posted, told.posts.failed, told.lost()), (20, 20, 0));
        assert_eq!(told.failed_by_class, BTreeMap::from([(StatusClass::ServerError, 20)]));
        let other = driven(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(other.failed_by_class, BTreeMap::from([(StatusClass::Success, 20)]), "204 was expected");
    }
}
