//! Cloud Run Admin v2: makes a service, gives candidates revisions of their own, and puts back what was changed.

use super::Cloud;
use super::error::{Asked, CloudError, message_of};
use super::traffic::{Original, count, same_traffic, short, unready};
use crate::scenario::{Billing, Candidate, Service};
use crate::units::{Gib, Vcpu};
use google_cloud_gax::error::Error as ApiError;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_lro::Poller as _;
use google_cloud_run_v2::model::{
    Container, ContainerPort, EnvVar, ResourceRequirements, RevisionScaling, RevisionTemplate, Service as ApiService,
};
use google_cloud_wkt::FieldMask;
use std::collections::BTreeMap;

/// Role that allows every change tidegate makes to a service.
const ADMIN_ROLE: &str = "roles/run.developer";
/// Image that stands for "the command given beside it": the local platform starts programs, not images.
const COMMAND_IMAGE: &str = "tidegate/command";
/// Cloud Run's default port of a container.
const CONTAINER_PORT: i32 = 8080;
/// Cloud Run's default request timeout, in seconds.
const REQUEST_TIMEOUT_S: i64 = 300;
/// How often the tag's address is asked for before its lack is an error.
const ADDRESS_LOOKS: u32 = 5;

/// A change that is refused because the service has changed since it was read is tried again this often.
const CONFLICTS_MAX: u32 = 5;

/// Why a change was not made.
enum Refused {
    /// For a reason that is told already.
    Told(CloudError),
    /// By the API.
    Api(Box<ApiError>),
}

impl Refused {
    /// Whether the service is no longer the version that was read.
    fn is_conflict(&self) -> bool {
        let Self::Api(error) = self else { return false };
        error.status().is_some_and(|status| status.code == Code::Aborted)
    }
}

/// What became of a service that was to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// It is as it was.
    Restored,
    /// Somebody else changed template or traffic meanwhile: that was left alone, but for candidates' tags. The rest is as
    /// it was.
    LeftToOthers {
        /// What they changed.
        change: String,
    },
}

/// A revision that serves one trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Short name.
    pub revision: String,
    /// Where only this revision answers.
    pub url: String,
}

impl Cloud {
    /// Creates the service, on the local platform, with max concurrency left to the platform. `command` is the program
    /// and its arguments; `env` is laid over the service's own environment.
    pub async fn create(
        &self,
        service: &Service,
        command: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<(), CloudError> {
        self.create_from(template_of(service, command, env)).await.map(drop)
    }

    /// Creates the service from its template; comes back when its first revision is ready.
    pub(super) async fn create_from(&self, template: RevisionTemplate) -> Result<ApiService, CloudError> {
        let what = || format!("create {}", self.endpoint.place());
        self.admin_writes.pass().await;
        let created = self
            .services
            .create_service()
            .set_parent(self.endpoint.location_name())
            .set_service_id(&self.endpoint.service)
            .set_service(ApiService::new().set_template(template))
            .poller()
            .until_done()
            .await;
        match created {
            Ok(created) => Ok(created),
            Err(error) if failed_operation(&error) => {
                Err(CloudError::NoReadyRevision { service: self.endpoint.service.clone(), message: message_of(&error) })
            }
            Err(error) => Err(self.admin_error(&error, what())),
        }
    }

    /// Reads what the service is, without changing it.
    ///
    /// # Errors
    /// Besides an API's refusals: when the service is being changed, has no ready revision, or its newest revision does
    /// not start.
    pub async fn original(&self) -> Result<Original, CloudError> {
        Original::of(self.read().await?, &self.endpoint)
    }

    /// The service's own address, which stays the same whatever its revisions are.
    pub async fn service_url(&self) -> Result<String, CloudError> {
        Ok(self.read().await?.uri)
    }

    /// Pins the traffic to the revisions that serve, by name: from here on no new revision takes a share of it.
    pub async fn pin(&self, original: &Original) -> Result<(), CloudError> {
        let pinned = original.pinned();
        if same_traffic(&pinned, &original.traffic) {
            return Ok(());
        }
        let what = format!("pin the traffic of {}", self.endpoint.place());
        let change = ApiService::new().set_traffic(pinned);
        self.patch_ours(original, change, &["traffic"]).await.map_err(|failure| self.told(failure, what)).map(drop)
    }

    /// Reads the service, remembers template and traffic, pins all traffic to the serving revisions by name. A study
    /// that must survive a crash in between saves what [`Cloud::original`] gives before it calls [`Cloud::pin`].
    pub async fn take_over(&self) -> Result<Original, CloudError> {
        let original = self.original().await?;
        self.pin(&original).await?;
        Ok(original)
    }

    /// One patch: the original's template with the candidate's max concurrency and the explicit revision name, and a
    /// tag without traffic share. Comes back when the revision is ready. Refused when somebody else has deployed since.
    pub async fn deploy(
        &self,
        original: &Original,
        candidate: Candidate,
        revision: &str,
        tag: &str,
    ) -> Result<Deployed, CloudError> {
        let template = original.candidate(candidate, revision);
        let traffic = original.with_tag(revision, tag);
        let change = ApiService::new().set_template(template).set_traffic(traffic);
        // Boxed: its future holds the service several times over.
        let patched = Box::pin(self.patch_ours(original, change, &["template", "traffic"])).await;
        let mut service = match patched {
            Ok(service) => service,
            Err(Refused::Api(error)) if failed_operation(&error) => {
                return Err(CloudError::NotReady { revision: revision.to_owned(), message: message_of(&error) });
            }
            Err(refused) => {
                return Err(self.told(refused, format!("deploy revision {revision:?} of {}", self.endpoint.place())));
            }
        };
        self.check_ready(revision, &service).await?;
        for _ in 0..ADDRESS_LOOKS {
            let status = service.traffic_statuses.iter().find(|status| status.tag == tag && !status.uri.is_empty());
            if let Some(status) = status {
                return Ok(Deployed { revision: revision.to_owned(), url: status.uri.clone() });
            }
            self.clock.sleep(self.pace.operation_delay).await;
            service = self.read().await?;
        }
        Err(CloudError::NoAddress { revision: revision.to_owned(), tag: tag.to_owned() })
    }

    /// Removes the tags of candidates: nothing reaches their revisions any more.
    pub async fn retire(&self, original: &Original) -> Result<(), CloudError> {
        let what = format!("remove the candidate's tag from {}", self.endpoint.place());
        let change = ApiService::new().set_traffic(original.pinned());
        self.patch_ours(original, change, &["traffic"]).await.map_err(|failure| self.told(failure, what)).map(drop)
    }

    /// Puts template and traffic back, if they are not as they were; may be repeated. Candidates' revisions stay:
    /// without traffic they cost nothing. What somebody else changed meanwhile is never overwritten.
    pub async fn undo(&self, original: &Original) -> Result<Undone, CloudError> {
        let mut conflicts = 0;
        loop {
            match self.undo_what_is(original).await {
                Err(refused) if refused.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
                undone => {
                    return undone.map_err(|refused| self.told(refused, format!("put back {}", self.endpoint.place())));
                }
            }
            self.clock.sleep(self.pace.operation_delay).await;
        }
    }

    /// Reads the service and puts back that very version of it.
    async fn undo_what_is(&self, original: &Original) -> Result<Undone, Refused> {
        if short(&original.service) != self.endpoint.service {
            let difference = format!("what was saved belongs to service {:?}", short(&original.service));
            return Err(Refused::Told(CloudError::NotRestored { service: self.endpoint.service.clone(), difference }));
        }
        let now = self.read().await.map_err(Refused::Told)?;
        let others = original.others(&now);
        let undone = others.told().map_or(Undone::Restored, |change| Undone::LeftToOthers { change });
        let traffic = others.traffic.unwrap_or_else(|| original.traffic.clone());
        let template_stays = others.revision.is_some() || original.has_template(&now);
        if template_stays && same_traffic(&now.traffic, &traffic) {
            return Ok(undone);
        }
        let service = ApiService::new().set_traffic(traffic.clone());
        let patched = if template_stays {
            self.patch(service, &now, &["traffic"]).await
        } else {
            // The stored template carries a candidate's revision name. Naming that field empties it even where a server
            // merges a template instead of replacing it; else the name would be taken: 409.
            let service = service.set_template(original.template_to_restore());
            self.patch(service, &now, &["template", "template.revision", "traffic"]).await
        };
        let restored = patched.map_err(|error| Refused::Api(Box::new(error)))?;
        let concurrency_differs =
            || original.max_concurrency().is_some_and(|value| max_concurrency(&restored) != Some(count(value)));
        let difference = if !same_traffic(&restored.traffic, &traffic) {
            "its traffic differs"
        } else if others.revision.is_none() && concurrency_differs() {
            "its max concurrency differs"
        } else {
            return Ok(undone);
        };
        let service = self.endpoint.service.clone();
        Err(Refused::Told(CloudError::NotRestored { service, difference: difference.to_owned() }))
    }

    /// Whether the new revision is ready, as it says itself.
    async fn check_ready(&self, revision: &str, service: &ApiService) -> Result<(), CloudError> {
        self.admin_reads.pass().await;
        let name = self.endpoint.revision_name(revision);
        let read = Box::pin(self.revisions.get_revision().set_name(name).send()).await.map_err(|error| {
            self.admin_error(&error, format!("read revision {revision:?} of {}", self.endpoint.place()))
        })?;
        let says_so = read.conditions.iter().any(|condition| condition.r#type == "Ready");
        let message = match unready(&read.conditions) {
            Some(message) => message,
            None if says_so || short(&service.latest_ready_revision) == revision => return Ok(()),
            None => "neither it nor the service says that it is ready".to_owned(),
        };
        Err(CloudError::NotReady { revision: revision.to_owned(), message })
    }

    pub(super) async fn read(&self) -> Result<ApiService, CloudError> {
        self.admin_reads.pass().await;
        // Boxed: its future is larger than all around it.
        let read = Box::pin(self.services.get_service().set_name(self.endpoint.service_name()).send()).await;
        read.map_err(|error| self.admin_error(&error, format!("read {}", self.endpoint.place())))
    }

    /// Patches the service as it is, unless somebody else has changed it. One that changes in between is read, and
    /// judged, anew.
    async fn patch_ours(&self, original: &Original, change: ApiService, mask: &[&str]) -> Result<ApiService, Refused> {
        let mut conflicts = 0;
        loop {
            let now = self.read().await.map_err(Refused::Told)?;
            if let Some(change) = original.others(&now).told() {
                let service = self.endpoint.service.clone();
                return Err(Refused::Told(CloudError::ChangedByOthers { service, change }));
            }
            match self.patch(change.clone(), &now, mask).await.map_err(|error| Refused::Api(Box::new(error))) {
                Err(refused) if refused.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
                patched => return patched,
            }
            self.clock.sleep(self.pace.operation_delay).await;
        }
    }

    /// Patches `now` and no other version of the service.
    pub(super) async fn patch(
        &self,
        change: ApiService,
        now: &ApiService,
        mask: &[&str],
    ) -> Result<ApiService, ApiError> {
        self.admin_writes.pass().await;
        let patched = self
            .services
            .update_service()
            .set_service(change.set_name(self.endpoint.service_name()).set_etag(&now.etag))
            .set_update_mask(FieldMask::default().set_paths(mask.iter().copied()))
            .with_idempotency(true)
            .poller()
            .until_done();
        // Boxed: its future is larger than all around it.
        Box::pin(patched).await
    }

    fn told(&self, refused: Refused, what: String) -> CloudError {
        match refused {
            Refused::Told(error) => error,
            Refused::Api(error) => self.admin_error(&error, what),
        }
    }

    pub(super) fn admin_error(&self, error: &ApiError, what: String) -> CloudError {
        let endpoint = self.endpoint.admin();
        CloudError::from_api(error, Asked { what, endpoint, role: ADMIN_ROLE, limit: self.pace.operation_limit })
    }
}

/// True for the error of an operation that was accepted and then failed: it has a status but no HTTP answer of its own.
pub(super) fn failed_operation(error: &ApiError) -> bool {
    error.status().is_some() && error.http_status_code().is_none()
}

fn max_concurrency(service: &ApiService) -> Option<i32> {
    service.template.as_ref().map(|template| template.max_instance_request_concurrency)
}

/// The template of a service that runs a command.
pub(super) fn template_of(service: &Service, command: &[String], env: &BTreeMap<String, String>) -> RevisionTemplate {
    let (program, args) = match command {
        [program, args @ ..] => (vec![program.clone()], args.to_vec()),
        [] => (Vec::new(), Vec::new()),
    };
    let mut env_all = service.env.clone();
    env_all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let container = Container::new()
        .set_image(COMMAND_IMAGE)
        .set_command(program)
        .set_args(args)
        .set_env(env_all.into_iter().map(|(name, value)| EnvVar::new().set_name(name).set_value(value)))
        .set_ports([ContainerPort::new().set_name("http1").set_container_port(CONTAINER_PORT)])
        .set_resources(
            ResourceRequirements::new()
                .set_limits([("cpu", cpu_limit(service.vcpu)), ("memory", memory_limit(service.memory))])
                .set_cpu_idle(service.billing == Billing::Request),
        );
    RevisionTemplate::new()
        .set_containers([container])
        .set_timeout(google_cloud_wkt::Duration::clamp(REQUEST_TIMEOUT_S, 0))
        .set_scaling(
            RevisionScaling::new()
                .set_min_instance_count(count(service.min_instances))
                .set_max_instance_count(count(service.max_instances)),
        )
}

/// `2` for whole vCPUs, `500m` for parts: Kubernetes quantities, as Cloud Run's pages write them.
fn cpu_limit(vcpu: Vcpu) -> String {
    if vcpu.0.fract() == 0.0 { format!("{:.0}", vcpu.0) } else { format!("{:.0}m", vcpu.0 * 1000.0) }
}

/// `2Gi` for whole GiB, `512Mi` for parts.
fn memory_limit(memory: Gib) -> String {
    if memory.0.fract() == 0.0 { format!("{:.0}Gi", memory.0) } else { format!("{:.0}Mi", memory.0 * 1024.0) }
}
