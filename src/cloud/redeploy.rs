//! Services that are not tuned but run: made with a max concurrency of their own, and deployed again with another
//! environment, as a person does who breaks a service and mends it.

use super::Cloud;
use super::admin::{failed_operation, template_of};
use super::error::{CloudError, message_of};
use super::traffic::{count, short};
use crate::scenario::Service;
use google_cloud_run_v2::model::{EnvVar, RevisionTemplate, Service as ApiService};
use std::collections::BTreeMap;

/// A service that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its address, which stays the same whatever its revisions are.
    pub url: String,
    /// Short name of the revision that serves.
    pub revision: String,
}

impl Served {
    fn of(service: &ApiService) -> Self {
        Self { url: service.uri.clone(), revision: short(&service.latest_ready_revision).to_owned() }
    }
}

impl Cloud {
    /// Creates the service with this max concurrency (Google's default without one), all traffic to its newest revision.
    /// `command` is the program and its arguments; `env` is laid over the service's own environment.
    pub async fn serve(
        &self,
        service: &Service,
        command: &[String],
        env: &BTreeMap<String, String>,
        max_concurrency: Option<u32>,
    ) -> Result<Served, CloudError> {
        let created = Box::pin(self.create_from(template(service, command, env, max_concurrency))).await?;
        Ok(Served::of(&created))
    }

    /// Gives a service that [`Cloud::serve`] created a further revision of the same kind, which takes all traffic, and comes
    /// back when it serves.
    pub async fn serve_anew(
        &self,
        service: &Service,
        command: &[String],
        env: &BTreeMap<String, String>,
        max_concurrency: Option<u32>,
    ) -> Result<Served, CloudError> {
        let template = template(service, command, env, max_concurrency);
        let now = self.read().await?;
        self.deploy_over(template, &now, || format!("deploy a revision of {}", self.endpoint.place())).await
    }

    /// Deploys a revision that differs from the newest in one variable of its environment, which is set or (`None`) taken
    /// out, and comes back when it serves.
    pub async fn set_variable(&self, name: &str, value: Option<&str>) -> Result<Served, CloudError> {
        let what = || format!("deploy {} with another {name}", self.endpoint.place());
        let now = self.read().await?;
        let mut template = now.template.clone().unwrap_or_default();
        template.revision.clear();
        if let Some(container) = template.containers.first_mut() {
            container.env.retain(|variable| variable.name != name);
            container.env.extend(value.map(|value| EnvVar::new().set_name(name).set_value(value)));
        }
        self.deploy_over(template, &now, what).await
    }

    /// Deploys a revision made from `template`.
    async fn deploy_over(
        &self,
        template: RevisionTemplate,
        now: &ApiService,
        what: impl Fn() -> String,
    ) -> Result<Served, CloudError> {
        let change = ApiService::new().set_template(template);
        // Naming the revision's field empties it even where a server merges a template instead of replacing it.
        match Box::pin(self.patch(change, now, &["template", "template.revision"])).await {
            Ok(service) => Ok(Served::of(&service)),
            Err(error) if failed_operation(&error) => {
                Err(CloudError::NoReadyRevision { service: self.endpoint.service.clone(), message: message_of(&error) })
            }
            Err(error) => Err(self.admin_error(&error, what())),
        }
    }
}

/// The template of a service that runs a command, with Google's default of requests at once unless one is given.
fn template(
    service: &Service,
    command: &[String],
    env: &BTreeMap<String, String>,
    max_concurrency: Option<u32>,
) -> RevisionTemplate {
    let mut template = template_of(service, command, env);
    if let Some(most) = max_concurrency {
        template.max_instance_request_concurrency = count(most);
    }
    template
}
