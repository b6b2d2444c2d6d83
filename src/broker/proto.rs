//! The messages of `google.pubsub.v1` that the broker takes and gives, with Google's field numbers (googleapis:
//! `google/pubsub/v1/pubsub.proto`), and their JSON form. Of what the broker does not offer only as much stands here as it
//! takes to notice and refuse it; other fields a reader skips. The members of a `oneof` stand as optional fields, which
//! are the same on the wire.

mod pulling;

pub(super) use pulling::{
    AcknowledgeRequest, ModifyAckDeadlineRequest, PullRequest, PullResponse, SeekRequest, StreamingPullRequest,
    StreamingPullResponse, SubscriptionProperties,
};

use super::json;
use bytes::Bytes;
use prost::Message;
use prost_types::{Duration, FieldMask, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels, attributes: the user's own words.
pub(super) type Words = BTreeMap<String, String>;

/// A message of which only its presence matters.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Present {}

impl Serialize for Present {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<((), ())>())
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// `google.pubsub.v1.Topic`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Topic {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: Words,
    #[prost(message, optional, tag = "3")]
    pub(super) message_storage_policy: Option<MessageStoragePolicy>,
    #[prost(string, tag = "5")]
    pub(super) kms_key_name: String,
    #[prost(message, optional, tag = "6")]
    pub(super) schema_settings: Option<Present>,
    #[prost(message, optional, tag = "8")]
    #[serde(with = "json::duration")]
    pub(super) message_retention_duration: Option<Duration>,
    #[prost(int32, tag = "9")]
    #[serde(with = "json::state")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "10")]
    pub(super) ingestion_data_source_settings: Option<Present>,
    #[prost(message, repeated, tag = "13")]
    pub(super) message_transforms: Vec<Present>,
    #[prost(btree_map = "string, string", tag = "14")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: Words,
}

/// `google.pubsub.v1.MessageStoragePolicy`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct MessageStoragePolicy {
    #[prost(string, repeated, tag = "1")]
    pub(super) allowed_persistence_regions: Vec<String>,
    #[prost(bool, tag = "2")]
    pub(super) enforce_in_transit: bool,
}

/// `google.pubsub.v1.PubsubMessage`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PubsubMessage {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(with = "json::base64")]
    pub(super) data: Bytes,
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: Words,
    #[prost(string, tag = "3")]
    pub(super) message_id: String,
    #[prost(message, optional, tag = "4")]
    #[serde(with = "json::timestamp")]
    pub(super) publish_time: Option<Timestamp>,
    #[prost(string, tag = "5")]
    pub(super) ordering_key: String,
}

/// `google.pubsub.v1.Subscription`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Subscription {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) topic: String,
    #[prost(message, optional, tag = "4")]
    pub(super) push_config: Option<PushConfig>,
    #[prost(int32, tag = "5")]
    pub(super) ack_deadline_seconds: i32,
    #[prost(bool, tag = "7")]
    pub(super) retain_acked_messages: bool,
    #[prost(message, optional, tag = "8")]
    #[serde(with = "json::duration")]
    pub(super) message_retention_duration: Option<Duration>,
    #[prost(btree_map = "string, string", tag = "9")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: Words,
    #[prost(bool, tag = "10")]
    pub(super) enable_message_ordering: bool,
    #[prost(message, optional, tag = "11")]
    pub(super) expiration_policy: Option<ExpirationPolicy>,
    #[prost(string, tag = "12")]
    pub(super) filter: String,
    #[prost(message, optional, tag = "13")]
    pub(super) dead_letter_policy: Option<DeadLetterPolicy>,
    #[prost(message, optional, tag = "14")]
    pub(super) retry_policy: Option<RetryPolicy>,
    #[prost(bool, tag = "15")]
    pub(super) detached: bool,
    #[prost(bool, tag = "16")]
    pub(super) enable_exactly_once_delivery: bool,
    #[prost(message, optional, tag = "17")]
    #[serde(with = "json::duration")]
    pub(super) topic_message_retention_duration: Option<Duration>,
    #[prost(message, optional, tag = "18")]
    pub(super) bigquery_config: Option<Present>,
    #[prost(int32, tag = "19")]
    #[serde(with = "json::state")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "22")]
    pub(super) cloud_storage_config: Option<Present>,
    #[prost(message, repeated, tag = "25")]
    pub(super) message_transforms: Vec<Present>,
    #[prost(btree_map = "string, string", tag = "26")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: Words,
    #[prost(message, optional, tag = "27")]
    pub(super) bigtable_config: Option<Present>,
}

/// `google.pubsub.v1.ExpirationPolicy`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ExpirationPolicy {
    #[prost(message, optional, tag = "1")]
    #[serde(with = "json::duration")]
    pub(super) ttl: Option<Duration>,
}

/// `google.pubsub.v1.DeadLetterPolicy`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct DeadLetterPolicy {
    #[prost(string, tag = "1")]
    pub(super) dead_letter_topic: String,
    #[prost(int32, tag = "2")]
    pub(super) max_delivery_attempts: i32,
}

/// `google.pubsub.v1.RetryPolicy`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct RetryPolicy {
    #[prost(message, optional, tag = "1")]
    #[serde(with = "json::duration")]
    pub(super) minimum_backoff: Option<Duration>,
    #[prost(message, optional, tag = "2")]
    #[serde(with = "json::duration")]
    pub(super) maximum_backoff: Option<Duration>,
}

/// `google.pubsub.v1.PushConfig`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PushConfig {
    #[prost(string, tag = "1")]
    pub(super) push_endpoint: String,
    #[prost(btree_map = "string, string", tag = "2")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: Words,
    #[prost(message, optional, tag = "3")]
    pub(super) oidc_token: Option<OidcToken>,
    #[prost(message, optional, tag = "4")]
    pub(super) pubsub_wrapper: Option<Present>,
    #[prost(message, optional, tag = "5")]
    pub(super) no_wrapper: Option<NoWrapper>,
}

/// `google.pubsub.v1.PushConfig.OidcToken`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct OidcToken {
    #[prost(string, tag = "1")]
    pub(super) service_account_email: String,
    #[prost(string, tag = "2")]
    pub(super) audience: String,
}

/// `google.pubsub.v1.PushConfig.NoWrapper`
#[derive(Clone, Copy, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct NoWrapper {
    #[prost(bool, tag = "1")]
    pub(super) write_metadata: bool,
}

/// `google.pubsub.v1.ReceivedMessage`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ReceivedMessage {
    #[prost(string, tag = "1")]
    pub(super) ack_id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) message: Option<PubsubMessage>,
    #[prost(int32, tag = "3")]
    pub(super) delivery_attempt: i32,
}

/// Requests that only name something: `GetTopicRequest`, `DeleteTopicRequest`, `DetachSubscriptionRequest`,
/// `GetSubscriptionRequest`, `DeleteSubscriptionRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NameRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// Requests for a page: `ListTopicsRequest`, `ListTopicSubscriptionsRequest`, `ListSubscriptionsRequest`,
/// `ListTopicSnapshotsRequest`, `ListSnapshotsRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ListRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
    #[prost(int32, tag = "2")]
    pub(super) page_size: i32,
    #[prost(string, tag = "3")]
    pub(super) page_token: String,
}

/// `google.pubsub.v1.UpdateTopicRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct UpdateTopicRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<Topic>,
    #[prost(message, optional, tag = "2")]
    #[serde(with = "json::mask")]
    pub(super) update_mask: Option<FieldMask>,
}

/// `google.pubsub.v1.UpdateSubscriptionRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct UpdateSubscriptionRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) subscription: Option<Subscription>,
    #[prost(message, optional, tag = "2")]
    #[serde(with = "json::mask")]
    pub(super) update_mask: Option<FieldMask>,
}

/// `google.pubsub.v1.PublishRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PublishRequest {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) messages: Vec<PubsubMessage>,
}

/// `google.pubsub.v1.PublishResponse`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) message_ids: Vec<String>,
}

/// `google.pubsub.v1.ListTopicsResponse`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ListTopicsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) topics: Vec<Topic>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// `google.pubsub.v1.ListTopicSubscriptionsResponse`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ListTopicSubscriptionsResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) subscriptions: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// `google.pubsub.v1.ListSubscriptionsResponse`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ListSubscriptionsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) subscriptions: Vec<Subscription>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// `google.pubsub.v1.ModifyPushConfigRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct ModifyPushConfigRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(message, optional, tag = "2")]
    pub(super) push_config: Option<PushConfig>,
}
