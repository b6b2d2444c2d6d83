//! Topics and subscriptions as they are asked for: checked, completed with Pub/Sub's defaults, and read for use.

use super::client::Address;
use super::filter::Filter;
use super::json::rfc3339;
use super::name::{Kind, check, id_of, project_of};
use super::policy::{
    ACK_DEADLINE_DEFAULT, ACK_DEADLINE_MAX, ACK_DEADLINE_MIN, BACKOFF_MAX, BACKOFF_MAXIMUM_DEFAULT,
    BACKOFF_MINIMUM_DEFAULT, DELIVERY_ATTEMPTS_DEFAULT, DELIVERY_ATTEMPTS_MAX, DELIVERY_ATTEMPTS_MIN,
    EXPIRATION_DEFAULT, EXPIRATION_MIN, RETENTION_DEFAULT, RETENTION_MAX, RETENTION_MIN, Retry, scaled,
};
use super::proto;
use super::queue::Rules;
use super::refusal::Refusal;
use super::store::timestamp;
use crate::autoscaler::Micros;
use std::sync::Arc;
use std::time::Duration;

/// Where and how a subscription pushes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Endpoint {
    pub(super) url: reqwest::Url,
    /// The same, if it is reached without TLS.
    pub(super) address: Option<Address>,
    pub(super) config: proto::PushConfig,
}

/// A subscription, read for use.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) config: proto::Subscription,
    pub(super) push: Option<Arc<Endpoint>>,
    pub(super) ack_deadline: Duration,
    pub(super) rules: Rules,
    /// Without activity for so long it is deleted.
    pub(super) expires_after: Option<Duration>,
}

impl Settings {
    /// Of a subscription that was checked.
    pub(super) fn of(config: proto::Subscription, time_factor: f64) -> Self {
        let time = |given: Option<prost_types::Duration>, default: Duration| {
            scaled(given.and_then(|given| Duration::try_from(given).ok()).unwrap_or(default), time_factor)
        };
        let push = config.push_config.as_ref().and_then(|push| {
            let url = reqwest::Url::parse(&push.push_endpoint).ok()?;
            Some(Arc::new(Endpoint { address: Address::of(&url), url, config: push.clone() }))
        });
        let attempts = config.dead_letter_policy.as_ref().map(|policy| policy.max_delivery_attempts);
        let rules = Rules {
            retry: Retry::of(config.retry_policy.as_ref(), time_factor),
            ordered: config.enable_message_ordering,
            attempts_max: attempts.and_then(|attempts| u32::try_from(attempts).ok()),
            retention: time(config.message_retention_duration, RETENTION_DEFAULT),
        };
        let expires_after = match &config.expiration_policy {
            Some(proto::ExpirationPolicy { ttl: None }) => None,
            Some(proto::ExpirationPolicy { ttl }) => Some(time(*ttl, EXPIRATION_DEFAULT)),
            None => Some(scaled(EXPIRATION_DEFAULT, time_factor)),
        };
        let seconds = u64::try_from(config.ack_deadline_seconds).unwrap_or(0);
        Self { push, ack_deadline: Duration::from_secs(seconds), rules, expires_after, config }
    }

    /// The dead letter topic, and what a message is told about its source on the way there. Its time is written as the service
    /// writes it there, with an offset where every other of its times has a `Z`.
    pub(super) fn dead_letter(&self, attempts: u32, published: Micros) -> Option<(String, proto::Words)> {
        let policy = self.config.dead_letter_policy.as_ref()?;
        let (project, id) = (project_of(&self.config.name), id_of(&self.config.name));
        let time = rfc3339(&timestamp(published)).replace('Z', "+00:00");
        let attributes = [
            ("CloudPubSubDeadLetterSourceDeliveryCount", attempts.to_string()),
            ("CloudPubSubDeadLetterSourceSubscription", id.to_owned()),
            ("CloudPubSubDeadLetterSourceSubscriptionProject", project.to_owned()),
            ("CloudPubSubDeadLetterSourceTopicPublishTime", time),
        ];
        let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Some((policy.dead_letter_topic.clone(), attributes))
    }
}

/// A topic as it is kept.
pub(super) fn topic(mut topic: proto::Topic) -> Result<proto::Topic, Refusal> {
    check(Kind::Topic, &topic.name)?;
    if !topic.kms_key_name.is_empty() {
        return Err(Refusal::not_offered("keys of one's own (kmsKeyName)"));
    }
    if topic.schema_settings.is_some() {
        return Err(Refusal::not_offered("schemas (schemaSettings)"));
    }
    if topic.ingestion_data_source_settings.is_some() {
        return Err(Refusal::not_offered("ingestion (ingestionDataSourceSettings)"));
    }
    if !topic.message_transforms.is_empty() {
        return Err(Refusal::not_offered("message transforms (messageTransforms)"));
    }
    retention("message_retention_duration", topic.message_retention_duration.as_ref())?;
    topic.state = 1;
    Ok(topic)
}

/// A subscription as it is kept, completed with the defaults.
pub(super) fn subscription(mut subscription: proto::Subscription) -> Result<proto::Subscription, Refusal> {
    check(Kind::Subscription, &subscription.name)?;
    unoffered(&subscription)?;
    if subscription.ack_deadline_seconds == 0 {
        subscription.ack_deadline_seconds = ACK_DEADLINE_DEFAULT;
    }
    if !(ACK_DEADLINE_MIN..=ACK_DEADLINE_MAX).contains(&subscription.ack_deadline_seconds) {
        return Err(Refusal::invalid(format!(
            "Invalid ack deadline given: {}; it is {ACK_DEADLINE_MIN} to {ACK_DEADLINE_MAX} seconds (ackDeadlineSeconds).",
            subscription.ack_deadline_seconds
        )));
    }
    retention("message_retention_duration", subscription.message_retention_duration.as_ref())?;
    Filter::parse(&subscription.filter)?;
    subscription.message_retention_duration.get_or_insert(proto_duration(RETENTION_DEFAULT));
    let expiration = subscription
        .expiration_policy
        .get_or_insert(proto::ExpirationPolicy { ttl: Some(proto_duration(EXPIRATION_DEFAULT)) });
    if let Some(ttl) = &expiration.ttl {
        within("expiration_policy.ttl", ttl, (EXPIRATION_MIN, Duration::MAX))?;
    }
    if let Some(policy) = &mut subscription.dead_letter_policy {
        dead_letters(policy)?;
    }
    if let Some(policy) = &mut subscription.retry_policy {
        retries(policy)?;
    }
    // One that pulls is shown with an empty one, as Google's emulator shows it.
    subscription.push_config = Some(push(subscription.push_config.take())?);
    subscription.state = 1;
    Ok(subscription)
}

fn unoffered(subscription: &proto::Subscription) -> Result<(), Refusal> {
    let unoffered = [
        (subscription.bigquery_config.is_some(), "subscriptions that write to BigQuery (bigqueryConfig)"),
        (subscription.cloud_storage_config.is_some(), "subscriptions that write to Cloud Storage (cloudStorageConfig)"),
        (subscription.bigtable_config.is_some(), "subscriptions that write to Bigtable (bigtableConfig)"),
        (!subscription.message_transforms.is_empty(), "message transforms (messageTransforms)"),
        (subscription.enable_exactly_once_delivery, "exactly-once delivery (enableExactlyOnceDelivery)"),
    ];
    match unoffered.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Refusal::not_offered(what)),
        None => Ok(()),
    }
}

fn dead_letters(policy: &mut proto::DeadLetterPolicy) -> Result<(), Refusal> {
    check(Kind::Topic, &policy.dead_letter_topic)?;
    if policy.max_delivery_attempts == 0 {
        policy.max_delivery_attempts = DELIVERY_ATTEMPTS_DEFAULT;
    }
    if !(DELIVERY_ATTEMPTS_MIN..=DELIVERY_ATTEMPTS_MAX).contains(&policy.max_delivery_attempts) {
        return Err(Refusal::invalid(format!(
            "Invalid max delivery attempts given: {}; it is {DELIVERY_ATTEMPTS_MIN} to {DELIVERY_ATTEMPTS_MAX} \
             (deadLetterPolicy.maxDeliveryAttempts).",
            policy.max_delivery_attempts
        )));
    }
    Ok(())
}

fn retries(policy: &mut proto::RetryPolicy) -> Result<(), Refusal> {
    let minimum = *policy.minimum_backoff.get_or_insert(proto_duration(BACKOFF_MINIMUM_DEFAULT));
    let maximum = *policy.maximum_backoff.get_or_insert(proto_duration(BACKOFF_MAXIMUM_DEFAULT));
    let minimum = within("retry_policy.minimum_backoff", &minimum, (Duration::ZERO, BACKOFF_MAX))?;
    let maximum = within("retry_policy.maximum_backoff", &maximum, (Duration::ZERO, BACKOFF_MAX))?;
    if minimum > maximum {
        return Err(Refusal::invalid(
            "Invalid retry policy given: the minimum backoff is longer than the maximum backoff (retryPolicy).",
        ));
    }
    Ok(())
}

/// A push configuration; an empty one, or none, means pull.
fn push(config: Option<proto::PushConfig>) -> Result<proto::PushConfig, Refusal> {
    let config = config.unwrap_or_default();
    if config == proto::PushConfig::default() {
        return Ok(config);
    }
    let url = reqwest::Url::parse(&config.push_endpoint);
    let good = url.as_ref().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !good {
        return Err(Refusal::invalid(format!(
            "Invalid push endpoint given (endpoint={}): it is written https://HOST/PATH, or http://HOST/PATH locally \
             (pushConfig.pushEndpoint).",
            config.push_endpoint
        )));
    }
    if let Some(token) = &config.oidc_token
        && !token.service_account_email.contains('@')
    {
        return Err(Refusal::invalid(format!(
            "Invalid service account given (email={}): it is written NAME@PROJECT.iam.gserviceaccount.com \
             (pushConfig.oidcToken.serviceAccountEmail).",
            token.service_account_email
        )));
    }
    Ok(config)
}

fn retention(field: &str, given: Option<&prost_types::Duration>) -> Result<(), Refusal> {
    given.map_or(Ok(()), |given| within(field, given, (RETENTION_MIN, RETENTION_MAX)).map(drop))
}

fn within(
    field: &str,
    given: &prost_types::Duration,
    (least, most): (Duration, Duration),
) -> Result<Duration, Refusal> {
    let duration = Duration::try_from(*given).ok().filter(|duration| (least..=most).contains(duration));
    duration.ok_or_else(|| {
        let most = if most == Duration::MAX { "any".to_owned() } else { format!("{} s", most.as_secs()) };
        let given = format!("{}.{:09} s", given.seconds, given.nanos.unsigned_abs());
        Refusal::invalid(format!("Invalid {field} given: {given}; it is {} s to {most}.", least.as_secs()))
    })
}

fn proto_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}
