//! The fleet as the Admin API operates it.

use super::super::allotment;
use super::super::glance::RevisionGlance;
use super::super::ingress::Entry;
use super::super::revision::{Revision, lock};
use super::super::sample::RevisionSample;
use super::super::spec::{Access, Addresses, Operate, OperateError, RevisionSpec, Route, ServiceScaling};
use super::Fleet;
use std::io;
use std::sync::Arc;

impl Operate for Fleet {
    async fn create_revision(&self, spec: RevisionSpec) -> Result<(), OperateError> {
        if spec.command.is_empty() || spec.max_concurrency == 0 || spec.max_instances == 0 {
            let text = "a revision needs a command, a max concurrency of at least 1 and at least 1 max instance";
            return Err(OperateError::Host(text.to_owned()));
        }
        let others = self.quotas_beside(&spec.service);
        self.shared.host.check_fits(&spec, others).map_err(OperateError::Host)?;
        let name = spec.revision.clone();
        let revision = self.add(spec).ok_or_else(|| OperateError::Host(format!("revision {name:?} already exists")))?;
        if let Err(cause) = revision.deploy().await {
            revision.delete().await;
            lock(&self.shared.revisions).retain(|other| !Arc::ptr_eq(other, &revision));
            return Err(OperateError::NotReady { revision: name, cause });
        }
        Ok(())
    }

    async fn route(&self, service: &str, routes: &[Route]) -> Result<Addresses, OperateError> {
        let mut targets = Vec::new();
        for route in routes {
            let revision = self.revision(service, &route.revision);
            targets.push((route, revision.ok_or_else(|| OperateError::NoRevision(route.revision.clone()))?));
        }
        let mut services = self.shared.services.lock().await;
        let entries = services.entry(service.to_owned()).or_default();
        let allotments = allotment::divide(entries.scaling, routes);
        let part = |revision: &Revision| allotments.get(&revision.spec.revision).copied().unwrap_or_default();
        for (_, revision) in &targets {
            self.check_manual(revision, part(revision))?;
        }
        let listen = self.shared.listen;
        let no_port = |error: io::Error| OperateError::Host(format!("failed to open a port on {listen}: {error}"));
        let gate = self.shared.gates.of(service);
        if entries.main.is_none() {
            let main = Entry::open(listen, Arc::clone(&gate)).await.map_err(no_port)?;
            gate.stands_at(main.url());
            entries.main = Some(main);
        }
        for (route, _) in &targets {
            if let Some(tag) = &route.tag
                && !entries.tags.contains_key(tag)
            {
                entries.tags.insert(tag.clone(), Entry::open(listen, Arc::clone(&gate)).await.map_err(no_port)?);
            }
        }
        // A revision is told that it is routed before the first request can come, and that it no longer is after the
        // last.
        for (_, revision) in &targets {
            revision.set_allotment(part(revision));
            revision.set_routed(true);
        }
        let split = targets.iter().filter(|(route, _)| route.percent > 0);
        let Some(main) = &entries.main else { return Ok(Addresses::default()) };
        main.route(split.map(|(route, revision)| (route.percent, Arc::clone(revision))).collect());
        entries.tags.retain(|tag, entry| {
            let target = targets.iter().find(|(route, _)| route.tag.as_ref() == Some(tag));
            target.inspect(|(_, revision)| entry.route(vec![(100, Arc::clone(revision))])).is_some()
        });
        let revisions = lock(&self.shared.revisions).clone();
        for revision in revisions.iter().filter(|revision| revision.spec.service == service) {
            if !targets.iter().any(|(_, target)| Arc::ptr_eq(target, revision)) {
                revision.set_routed(false);
            }
        }
        let tags = entries.tags.iter().map(|(tag, entry)| (tag.clone(), entry.url())).collect();
        Ok(Addresses { service: main.url(), tags })
    }

    async fn scale(&self, service: &str, scaling: ServiceScaling) {
        self.shared.services.lock().await.entry(service.to_owned()).or_default().scaling = scaling;
    }

    fn knows_callers(&self) -> bool {
        self.shared.gates.have_keys()
    }

    fn admit(&self, service: &str, access: Access) {
        self.shared.gates.admit(service, access);
    }

    async fn delete_service(&self, service: &str) {
        self.shared.gates.remove(service);
        drop(self.shared.services.lock().await.remove(service));
        self.delete(|revision| revision.spec.service == service).await;
    }

    async fn delete_revision(&self, service: &str, revision: &str) {
        self.delete(|other| other.spec.service == service && other.spec.revision == revision).await;
    }

    async fn sample(&self) -> Vec<RevisionSample> {
        let gone = std::mem::take(&mut *lock(&self.shared.gone));
        let revisions = [lock(&self.shared.revisions).clone(), gone].concat();
        revisions.iter().filter_map(|revision| revision.sample()).collect()
    }

    fn glance(&self) -> Vec<RevisionGlance> {
        let revisions = lock(&self.shared.revisions).clone();
        revisions.iter().filter_map(|revision| revision.glance()).collect()
    }
}
