//! Who may call a service: its IAM policy.

use super::Cloud;
use super::error::CloudError;
use google_cloud_iam_v1::model::{Binding, Policy};

/// The role that lets call a service.
const INVOKER: &str = "roles/run.invoker";
/// Those who need no token.
const EVERYONE: &str = "allUsers";

impl Cloud {
    /// Lets these service accounts call the service, by their emails, and nobody else; `None` lets everybody call it, as
    /// `gcloud run deploy --allow-unauthenticated` does. What its policy said before is gone.
    ///
    /// # Errors
    /// When the service is not there, or whoever asks may not set its policy.
    pub async fn admit(&self, accounts: Option<&[String]>) -> Result<(), CloudError> {
        let members: Vec<String> = match accounts {
            None => vec![EVERYONE.to_owned()],
            Some(accounts) => accounts.iter().map(|email| format!("serviceAccount:{email}")).collect(),
        };
        let policy = Policy::new().set_bindings([Binding::new().set_role(INVOKER).set_members(members)]);
        self.admin_writes.pass().await;
        let set = self.services.set_iam_policy().set_resource(self.endpoint.service_name()).set_policy(policy);
        let set = Box::pin(set.send()).await;
        set.map(drop)
            .map_err(|error| self.admin_error(&error, format!("set the IAM policy of {}", self.endpoint.place())))
    }
}
