//! The IAM policy of a service, as far as it says who may call it.

use super::field::{Message, array, text};
use super::service::Service;
use crate::platform::spec::{Access, Invokers};
use crate::platform::status::{Code, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The role that lets call a service, and nothing else.
const INVOKER: &str = "roles/run.invoker";
/// The roles that let call a service: those with the permission `run.routes.invoke`
/// (docs.cloud.google.com/run/docs/reference/iam/roles, read 2026-11-30).
const CALLERS: [&str; 3] = [INVOKER, "roles/run.servicesInvoker", "roles/run.admin"];
/// Who needs no token.
const EVERYONE: &str = "allUsers";
/// What may stand before the colon of a member (docs.cloud.google.com/iam/docs/reference/rest/v1/Policy, read 2026-11-30).
const KINDS: [&str; 8] =
    ["user", "serviceAccount", "group", "domain", "deleted", "principal", "principalSet", "projectOwner"];

/// A policy that somebody has set.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// As they were given.
    bindings: Vec<Value>,
    /// How often the service's policy has been set.
    changes: u64,
}

impl Policy {
    /// The policy in force where nobody has set one: on a platform that cannot tell who calls, everybody may.
    pub(super) fn unset(knows_callers: bool) -> Self {
        let everyone = json!({"role": INVOKER, "members": [EVERYONE]});
        Self { bindings: if knows_callers { Vec::new() } else { vec![everyone] }, changes: 0 }
    }

    /// The policy that a caller of `setIamPolicy` wants instead of this one.
    pub(super) fn replaced(&self, wanted: &Message) -> Result<Self, Status> {
        let etag = text(wanted, "policy", "etag")?;
        if !etag.is_empty() && etag != self.etag() {
            let message = "There were concurrent policy changes. Please retry the whole read-modify-write with \
                           exponential backoff.";
            return Err(Status::new(Code::Aborted, message));
        }
        let bindings = array(wanted, "policy", "bindings")?;
        for (place, binding) in bindings.iter().enumerate() {
            check(binding, &format!("policy.bindings[{place}]"))?;
        }
        Ok(Self { bindings: bindings.to_vec(), changes: self.changes + 1 })
    }

    /// Google's JSON.
    pub(super) fn to_json(&self) -> Value {
        let mut json = json!({"version": 1, "etag": self.etag()});
        if !self.bindings.is_empty() {
            json["bindings"] = self.bindings.clone().into();
        }
        json
    }

    fn etag(&self) -> String {
        let [_, rest @ ..] = self.changes.to_be_bytes();
        STANDARD.encode([&[7][..], &rest].concat())
    }

    fn callers(&self) -> impl Iterator<Item = &str> {
        let calling = |binding: &&Value| binding["role"].as_str().is_some_and(|role| CALLERS.contains(&role));
        let members = self.bindings.iter().filter(calling).filter_map(|binding| binding["members"].as_array());
        members.flatten().filter_map(Value::as_str)
    }
}

/// Refuses a binding that is none, or that this platform would not keep to.
fn check(binding: &Value, path: &str) -> Result<(), Status> {
    let Value::Object(binding) = binding else { return Err(Status::field(path, "an object is expected")) };
    if !text(binding, path, "role")?.starts_with("roles/") && !text(binding, path, "role")?.contains("/roles/") {
        return Err(Status::field(&format!("{path}.role"), "a role such as \"roles/run.invoker\" is expected"));
    }
    if binding.get("condition").is_some_and(|condition| !condition.is_null()) {
        let message = format!("{path}.condition: the local platform knows no conditions: leave it out");
        return Err(Status::new(Code::Unimplemented, message));
    }
    for member in super::field::texts(binding, path, "members")? {
        let known = matches!(member.as_str(), EVERYONE | "allAuthenticatedUsers")
            || member.split_once(':').is_some_and(|(kind, name)| KINDS.contains(&kind) && !name.is_empty());
        if !known {
            let why = format!(
                "{member:?} is no member: give {EVERYONE}, allAuthenticatedUsers, serviceAccount:EMAIL or user:EMAIL"
            );
            return Err(Status::field(&format!("{path}.members"), why));
        }
    }
    Ok(())
}

impl Service {
    /// The policy in force.
    pub(super) fn policy_in_force(&self, knows_callers: bool) -> Policy {
        self.policy.clone().unwrap_or_else(|| Policy::unset(knows_callers))
    }

    /// Who may call it: everybody if `invokerIamDisabled` says so, else whom the policy names.
    pub(super) fn access(&self, knows_callers: bool) -> Access {
        let policy = self.policy_in_force(knows_callers);
        let disabled = self.wanted.get("invokerIamDisabled").and_then(Value::as_bool).unwrap_or_default();
        if disabled || policy.callers().any(|member| member == EVERYONE) {
            return Access::Everyone;
        }
        let audiences = self.wanted.get("customAudiences").and_then(Value::as_array).into_iter().flatten();
        Access::Only(Invokers {
            members: policy.callers().map(str::to_owned).collect(),
            custom_audiences: audiences.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}
