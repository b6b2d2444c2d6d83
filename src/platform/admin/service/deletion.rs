//! Which revisions of a service may be deleted.

use super::Service;
use crate::platform::admin::field::array;
use crate::platform::admin::traffic::{self, Target};
use crate::platform::status::{Code, Status};

impl Service {
    /// Why this revision cannot be deleted, if so: as on Cloud Run, it can receive requests, by a share of the traffic or
    /// by a tag, or it is the latest one, which the only one always is. That tags and the latest one count is what others
    /// say of Google's page "Manage revisions", which could not be read here: an assumption. Traffic that was asked for and
    /// is not in force yet counts too.
    pub(in crate::platform::admin) fn check_deletable(&self, revision: &str) -> Result<(), Status> {
        self.check_changeable("")?;
        self.check_without_traffic(revision)?;
        let wanted = traffic::targets(&self.name, array(&self.wanted, "", "traffic")?)?;
        if self.leads_to(&wanted, revision) {
            return Err(has_traffic(revision));
        }
        let is_latest = self.latest_created == revision || self.latest_ready.as_deref() == Some(revision);
        let why = match self.revisions.get(revision) {
            Some(found) if found.deleted.is_some() => "is being deleted already",
            _ if is_latest => "is the latest one of its service: it can be deleted when a newer one is ready",
            _ => return Ok(()),
        };
        Err(Status::new(Code::FailedPrecondition, format!("revision {revision:?} {why}")))
    }

    /// Why this revision cannot be deleted by what is in force now, if so.
    pub(in crate::platform::admin) fn check_without_traffic(&self, revision: &str) -> Result<(), Status> {
        if self.leads_to(&self.routed, revision) { Err(has_traffic(revision)) } else { Ok(()) }
    }

    pub(super) fn leads_to(&self, targets: &[Target], revision: &str) -> bool {
        let mut routes = targets.iter().filter_map(|target| target.route(self.latest_ready.as_deref()));
        routes.any(|route| route.revision == revision)
    }
}

fn has_traffic(revision: &str) -> Status {
    let message =
        format!("revision {revision:?} can receive traffic: give its share and its tags to other revisions first");
    Status::new(Code::FailedPrecondition, message)
}
