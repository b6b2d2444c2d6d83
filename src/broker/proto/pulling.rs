//! The messages of taking messages and of seeking.

use super::ReceivedMessage;
use crate::broker::json;
use prost::Message;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};

/// `google.pubsub.v1.PullRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::broker) struct PullRequest {
    #[prost(string, tag = "1")]
    pub(in crate::broker) subscription: String,
    #[prost(bool, tag = "2")]
    pub(in crate::broker) return_immediately: bool,
    #[prost(int32, tag = "3")]
    pub(in crate::broker) max_messages: i32,
}

/// `google.pubsub.v1.PullResponse`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::broker) struct PullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::broker) received_messages: Vec<ReceivedMessage>,
}

/// `google.pubsub.v1.ModifyAckDeadlineRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::broker) struct ModifyAckDeadlineRequest {
    #[prost(string, tag = "1")]
    pub(in crate::broker) subscription: String,
    #[prost(int32, tag = "3")]
    pub(in crate::broker) ack_deadline_seconds: i32,
    #[prost(string, repeated, tag = "4")]
    pub(in crate::broker) ack_ids: Vec<String>,
}

/// `google.pubsub.v1.AcknowledgeRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::broker) struct AcknowledgeRequest {
    #[prost(string, tag = "1")]
    pub(in crate::broker) subscription: String,
    #[prost(string, repeated, tag = "2")]
    pub(in crate::broker) ack_ids: Vec<String>,
}

/// `google.pubsub.v1.StreamingPullRequest`
#[derive(Clone, PartialEq, Message)]
pub(in crate::broker) struct StreamingPullRequest {
    #[prost(string, tag = "1")]
    pub(in crate::broker) subscription: String,
    #[prost(string, repeated, tag = "2")]
    pub(in crate::broker) ack_ids: Vec<String>,
    #[prost(int32, repeated, packed = "false", tag = "3")]
    pub(in crate::broker) modify_deadline_seconds: Vec<i32>,
    #[prost(string, repeated, tag = "4")]
    pub(in crate::broker) modify_deadline_ack_ids: Vec<String>,
    #[prost(int32, tag = "5")]
    pub(in crate::broker) stream_ack_deadline_seconds: i32,
    #[prost(int64, tag = "7")]
    pub(in crate::broker) max_outstanding_messages: i64,
    #[prost(int64, tag = "8")]
    pub(in crate::broker) max_outstanding_bytes: i64,
}

/// `google.pubsub.v1.StreamingPullResponse`
#[derive(Clone, PartialEq, Message)]
pub(in crate::broker) struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::broker) received_messages: Vec<ReceivedMessage>,
    #[prost(message, optional, tag = "4")]
    pub(in crate::broker) subscription_properties: Option<SubscriptionProperties>,
}

/// `google.pubsub.v1.StreamingPullResponse.SubscriptionProperties`
#[derive(Clone, Copy, PartialEq, Message)]
pub(in crate::broker) struct SubscriptionProperties {
    #[prost(bool, tag = "1")]
    pub(in crate::broker) exactly_once_delivery_enabled: bool,
    #[prost(bool, tag = "2")]
    pub(in crate::broker) message_ordering_enabled: bool,
}

/// `google.pubsub.v1.SeekRequest`
#[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::broker) struct SeekRequest {
    #[prost(string, tag = "1")]
    pub(in crate::broker) subscription: String,
    #[prost(message, optional, tag = "2")]
    #[serde(with = "json::timestamp")]
    pub(in crate::broker) time: Option<Timestamp>,
    #[prost(string, tag = "3")]
    pub(in crate::broker) snapshot: String,
}
