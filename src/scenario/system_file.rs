//! The asynchronous system of a scenario file as it is typed, nothing checked but its shape. The docstrings here are
//! what the JSON Schema tells an editor.

use super::file::BillingFile;
use super::located::Located;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One of several services. Exactly one of `bundled`, `command`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberFile {
    /// A service that tidegate carries: `lab-report`, `email`, `sms`.
    pub(super) bundled: Option<Located<String>>,
    /// A program with its arguments; it must listen on the port in `PORT`.
    pub(super) command: Option<Located<Vec<String>>>,
    /// Environment of each instance.
    #[serde(default)]
    #[schemars(schema_with = "super::file::environment")]
    pub(super) env: BTreeMap<String, Located<String>>,
    /// vCPUs of an instance; 1 if left out.
    pub(super) vcpu: Option<Located<f64>>,
    /// Memory of an instance, such as `512MiB` or `2GiB`; `512MiB` if left out.
    pub(super) memory: Option<Located<String>>,
    /// Instances kept warm; 0 if left out.
    pub(super) min_instances: Option<Located<u32>>,
    /// Instances at most; 100 if left out, as on Cloud Run.
    pub(super) max_instances: Option<Located<u32>>,
    /// Requests an instance may hold at once, 1 to 1000; Google's default of 80 if left out.
    pub(super) max_concurrency: Option<Located<u32>>,
    /// What is billed; `request` if left out.
    pub(super) billing: Option<BillingFile>,
    /// The service accounts that may call it, by name or email; a request without a token of theirs is refused. Everybody may
    /// call it if left out.
    pub(super) invokers: Option<Vec<Located<String>>>,
    /// The topic that it publishes to; instances find its name in `PUBSUB_TOPIC`.
    pub(super) publishes: Option<Located<String>>,
    /// Path at which it tells what was delivered to it, such as `/deliveries`.
    pub(super) observer: Option<Located<String>>,
}

/// A push subscription.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionFile {
    /// The topic whose messages it gets.
    pub(super) topic: Located<String>,
    /// The service that they are pushed to.
    pub(super) push_to: Located<String>,
    /// The service account whose token each push carries, by name or email; pushes carry none if left out.
    pub(super) push_as: Option<Located<String>>,
    /// How long an answer may take, `10s` to `600s`; `10s` if left out.
    pub(super) ack_deadline: Option<Located<String>>,
    /// Exponential backoff between deliveries of a message; if left out it is delivered again at once.
    pub(super) retry: Option<RetryFile>,
    /// Where messages go that cannot be delivered; nowhere if left out: they are tried until they are too old.
    pub(super) dead_letter: Option<DeadLetterFile>,
    /// Messages with the same ordering key come in order; `false` if left out.
    #[serde(default)]
    pub(super) ordered: bool,
    /// The body of a push is the message's data alone; `false` if left out.
    #[serde(default)]
    pub(super) unwrapped: bool,
}

/// A retry policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryFile {
    /// After the first failure, up to `600s`; `10s` if left out.
    pub(super) min_backoff: Option<Located<String>>,
    /// After many failures, up to `600s`; `600s` if left out.
    pub(super) max_backoff: Option<Located<String>>,
}

/// A dead letter policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterFile {
    /// The topic that takes them.
    pub(super) topic: Located<String>,
    /// After so many deliveries, 5 to 100; 5 if left out.
    pub(super) max_attempts: Option<Located<u32>>,
}

/// What must become of each report that a step posts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliverFile {
    /// The step that posts a report; its expected answer acknowledges it.
    pub(super) step: Located<String>,
    /// The variable that is the report's id: a `counter`, so that no two arrivals post the same.
    pub(super) id: Located<String>,
    /// The services that it must reach; each is pushed to by a subscription and has an `observer`.
    pub(super) to: Located<Vec<Located<String>>>,
    /// Delivered later than this after it was due to be posted, such as `180s`, a report is late. A time factor divides it.
    pub(super) within: Located<String>,
}
