//! One of an instance's places, as a request holds it.

use super::affinity;
use super::instance::Instance;
use super::journal::Severity;
use super::revision::Revision;
use super::world::{Ended, InstanceId};
use crate::autoscaler::Micros;
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Recorded for a request whose client went away before the answer's head: what nginx calls 499.
const CLIENT_CLOSED: u16 = 499;

/// One of an instance's places, held by one request. Dropping it frees the place and records the request.
pub(super) struct Slot {
    revision: Arc<Revision>,
    id: InstanceId,
    instance: Arc<Instance>,
    waited: Option<Micros>,
    forwarded: Option<Micros>,
    status: u16,
}

impl Slot {
    /// The state machine has given this instance's place away.
    pub(super) fn new(revision: &Arc<Revision>, id: InstanceId, instance: Arc<Instance>) -> Self {
        instance.enter();
        Self { revision: Arc::clone(revision), id, instance, waited: None, forwarded: None, status: CLIENT_CLOSED }
    }

    /// The same, after so long in the queue.
    pub(super) fn after(mut self, waited: Micros) -> Self {
        self.waited = Some(waited);
        self
    }

    /// The instance it belongs to.
    pub(super) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The cookie that leads the client back here, unless its `session` does already.
    pub(super) fn session_cookie(&self, session: Option<InstanceId>) -> Option<HeaderValue> {
        affinity::set_cookie(&self.revision.spec, self.id, session)
    }

    /// The request goes to the instance now: from here on it is counted.
    pub(super) fn forwarded(&mut self) {
        self.forwarded = Some(self.revision.now());
    }

    /// The request did not reach the instance after all.
    pub(super) fn unreached(&mut self) {
        self.forwarded = None;
    }

    /// Tells the journal what the instance did wrong.
    pub(super) fn complain(&self, message: &str) {
        self.revision.tell(self.id, Severity::Error, message);
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// The request has ended like this.
    pub(super) fn finish(mut self, status: StatusCode) {
        self.answered(status);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (status, waited, forwarded) = (self.status, self.waited, self.forwarded);
        self.revision
            .release(self.id, |now| forwarded.map(|forwarded| Ended { status, took: now - forwarded, waited }));
        self.instance.leave();
    }
}
