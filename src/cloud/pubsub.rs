//! Pub/Sub's admin: topics and push subscriptions, made and deleted again, at Google's or at an emulator's address.

use super::endpoint::Pace;
use super::error::{Asked, CloudError};
use super::retry::paced;
use crate::scenario::Subscription;
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::error::Error as ApiError;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_pubsub::client::{SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::push_config::{NoWrapper, OidcToken};
use google_cloud_pubsub::model::{DeadLetterPolicy, PushConfig, RetryPolicy};
use google_cloud_wkt::Duration as ApiDuration;
use std::time::Duration;

/// Google's address.
const PUBSUB: &str = "https://pubsub.googleapis.com";
/// Role that allows every change made here.
const EDITOR_ROLE: &str = "roles/pubsub.editor";

/// Topics and subscriptions of one project. Remembers what it made, so that it can be deleted again.
#[derive(Debug)]
pub struct PubSub {
    topics: TopicAdmin,
    subscriptions: SubscriptionAdmin,
    project: String,
    endpoint: String,
    pace: Pace,
    made: Vec<Made>,
}

/// What was made, by its full name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    Topic(String),
    Subscription(String),
}

impl PubSub {
    /// A client of `project`: at `HOST:PORT` of an emulator, asked without credentials, or at Google's with Application
    /// Default Credentials. Asks nothing yet.
    pub async fn connect(project: &str, emulator: Option<&str>) -> Result<Self, CloudError> {
        let endpoint = emulator.map_or_else(|| PUBSUB.to_owned(), |host| format!("http://{host}"));
        let pace = if emulator.is_some() { Pace::LOCAL } else { Pace::GOOGLE };
        let failed = |error| CloudError::from_build(&error, &endpoint);
        let (mut topics, mut subscriptions) =
            (paced(TopicAdmin::builder(), &endpoint, pace), paced(SubscriptionAdmin::builder(), &endpoint, pace));
        if emulator.is_some() {
            topics = topics.with_credentials(anonymous::Builder::new().build());
            subscriptions = subscriptions.with_credentials(anonymous::Builder::new().build());
        }
        let topics = topics.build().await.map_err(failed)?;
        let subscriptions = subscriptions.build().await.map_err(failed)?;
        Ok(Self { topics, subscriptions, project: project.to_owned(), endpoint, pace, made: Vec::new() })
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// When there is one of that name, or Pub/Sub refuses.
    pub async fn create_topic(&mut self, topic: &str) -> Result<(), CloudError> {
        let name = self.topic_name(topic);
        let made = Box::pin(self.topics.create_topic().set_name(&name).with_idempotency(false).send()).await;
        made.map_err(|error| self.told(&error, format!("create topic {name:?}")))?;
        self.made.push(Made::Topic(name));
        Ok(())
    }

    /// Makes a subscription that pushes to `url`; with `account`, each push carries a token of that service account.
    ///
    /// # Errors
    /// When there is one of that name, or Pub/Sub refuses.
    pub async fn create_subscription(
        &mut self,
        subscription: &str,
        asked: &Subscription,
        url: &str,
        account: Option<&str>,
    ) -> Result<(), CloudError> {
        let name = format!("projects/{}/subscriptions/{subscription}", self.project);
        let mut push = PushConfig::new().set_push_endpoint(url);
        if let Some(account) = account {
            push = push.set_oidc_token(OidcToken::new().set_service_account_email(account));
        }
        if asked.unwrapped {
            push = push.set_no_wrapper(NoWrapper::new().set_write_metadata(true));
        }
        let deadline = i32::try_from(asked.ack_deadline.as_secs()).unwrap_or(i32::MAX);
        let request = self
            .subscriptions
            .create_subscription()
            .set_name(&name)
            .set_topic(self.topic_name(&asked.topic))
            .set_push_config(push)
            .set_ack_deadline_seconds(deadline)
            .set_enable_message_ordering(asked.ordered)
            .set_or_clear_retry_policy(asked.retry.map(|retry| {
                RetryPolicy::new()
                    .set_minimum_backoff(duration_to(retry.min_backoff))
                    .set_maximum_backoff(duration_to(retry.max_backoff))
            }))
            .set_or_clear_dead_letter_policy(asked.dead_letter.as_ref().map(|dead| {
                DeadLetterPolicy::new()
                    .set_dead_letter_topic(self.topic_name(&dead.topic))
                    .set_max_delivery_attempts(i32::try_from(dead.max_attempts).unwrap_or(i32::MAX))
            }))
            .with_idempotency(false);
        let made = Box::pin(request.send()).await;
        made.map_err(|error| self.told(&error, format!("create subscription {name:?}")))?;
        self.made.push(Made::Subscription(name));
        Ok(())
    }

    /// Deletes all that was made here, the last first. What is gone already is no error; everything is tried, whatever
    /// fails.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn put_back(&mut self) -> Result<(), CloudError> {
        let mut first = Ok(());
        while let Some(made) = self.made.pop() {
            let (deleted, what) = match &made {
                Made::Topic(name) => (
                    Box::pin(self.topics.delete_topic().set_topic(name).with_idempotency(true).send()).await,
                    format!("delete topic {name:?}"),
                ),
                Made::Subscription(name) => (
                    Box::pin(
                        self.subscriptions.delete_subscription().set_subscription(name).with_idempotency(true).send(),
                    )
                    .await,
                    format!("delete subscription {name:?}"),
                ),
            };
            match deleted.map_err(|error| self.told(&error, what)) {
                Ok(()) | Err(CloudError::NotFound { .. }) => {}
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    fn topic_name(&self, topic: &str) -> String {
        format!("projects/{}/topics/{topic}", self.project)
    }

    fn told(&self, error: &ApiError, what: String) -> CloudError {
        let asked = Asked { what, endpoint: &self.endpoint, role: EDITOR_ROLE, limit: self.pace.operation_limit };
        CloudError::from_api(error, asked)
    }
}

fn duration_to(duration: Duration) -> ApiDuration {
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or_default();
    ApiDuration::clamp(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos)
}
