//! The topic that reports are published to, through Google's own client: the same for Google's Pub/Sub, its emulator and
//! any other server of the API.

use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_pubsub::client::Publisher;
use google_cloud_pubsub::error::PublishError;
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::retry_policy::RetryableErrors;
use serde_json::json;
use tokio::time::timeout;

use super::settings::TopicSettings;

/// The pause before the second try of a publish; each one after it is twice as long, and all are drawn below that.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// The longest pause between two tries: what a Pub/Sub that is back is kept waiting.
const RETRY_MOST: Duration = Duration::from_secs(1);
/// What the client is given beyond its own limit before it is no longer believed in.
const GRACE: Duration = Duration::from_millis(500);

/// gRPC's codes for what has no status of its own.
const DEADLINE_EXCEEDED: i32 = 4;
const UNAVAILABLE: i32 = 14;

/// A topic. Clones share its connection.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    publisher: Publisher,
    timeout: Duration,
}

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// gRPC's code.
    pub(crate) code: i32,
    pub(crate) details: String,
}

impl Refusal {
    /// What the genuine program answers with: the fields of its client's error.
    pub(crate) fn json(&self) -> String {
        json!({"code": self.code, "details": self.details, "metadata": {}}).to_string()
    }
}

impl Topic {
    /// Makes the client. It connects when it is first needed, so a Pub/Sub that is not there yet is no reason to fail.
    pub(crate) async fn open(settings: &TopicSettings) -> Result<Self, google_cloud_gax::client_builder::Error> {
        let backoff =
            ExponentialBackoffBuilder::new().with_initial_delay(RETRY_FIRST).with_maximum_delay(RETRY_MOST).clamp();
        // Each message goes at once: with a larger number the client keeps the first for a while to see whether more come,
        // and each of its senders waits for that.
        let mut builder = Publisher::builder(&settings.name)
            .set_message_count_threshold(1)
            .with_retry_policy(RetryableErrors.with_time_limit(settings.timeout))
            .with_backoff_policy(backoff);
        if let Some(address) = &settings.emulator {
            builder =
                builder.with_endpoint(format!("http://{address}")).with_credentials(anonymous::Builder::new().build());
        }
        Ok(Self { publisher: builder.build().await?, timeout: settings.timeout })
    }

    /// Publishes one message. Pub/Sub has it when this returns without an error.
    pub(crate) async fn publish(&self, data: String) -> Result<(), Refusal> {
        let published = self.publisher.publish(Message::new().set_data(data));
        match timeout(self.timeout + GRACE, published).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(PublishError::Rpc(error))) => Err(refusal(&error)),
            Ok(Err(other)) => Err(Refusal { code: UNAVAILABLE, details: other.to_string() }),
            Err(_) => Err(Refusal { code: DEADLINE_EXCEEDED, details: "Pub/Sub did not answer in time".to_owned() }),
        }
    }
}

fn refusal(error: &Arc<google_cloud_gax::error::Error>) -> Refusal {
    if let Some(status) = error.status() {
        return Refusal { code: status.code as i32, details: status.message.clone() };
    }
    let code = if error.is_timeout() { DEADLINE_EXCEEDED } else { UNAVAILABLE };
    Refusal { code, details: with_causes(error.as_ref()) }
}

/// An error and what it came from, each told once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !told.contains(&words) {
            told = format!("{told}: {words}");
        }
        cause = error.source();
    }
    told
}
