//! One push: the message as an HTTP request, and its answer as an acknowledgement or a failure.

use super::config::{Endpoint, Settings};
use super::context::Context;
use super::json::rfc3339;
use super::policy::acknowledges;
use super::proto::Words;
use super::queue::Delivery;
use super::store::Seq;
use crate::autoscaler::Micros;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use std::sync::Arc;

/// A message on its way to an endpoint.
pub(super) struct Push {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) settings: Arc<Settings>,
    pub(super) delivery: Delivery,
    pub(super) sent: Micros,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) seq: Seq,
    pub(super) lease: u64,
    pub(super) sent: Micros,
    pub(super) answer: Answer,
}

/// What an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Status(u16),
    /// There was no whole answer within the ack deadline.
    Late,
    /// There was no connection, or the answer on it was not whole.
    Unreachable,
}

impl Answer {
    /// Whether it acknowledges the message.
    pub(super) fn acknowledges(self) -> bool {
        matches!(self, Self::Status(status) if acknowledges(status))
    }
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Push {
    /// Sends it and waits for the answer, no longer than the ack deadline.
    pub(super) async fn send(self, context: &Context) -> Outcome {
        let Self { endpoint, settings, delivery, sent } = self;
        let (seq, lease) = (delivery.stored.seq, delivery.lease);
        let Request { mut headers, body } = request(&endpoint, &settings, &delivery);
        if let Some(token) = bearer(&endpoint, context) {
            headers.insert(AUTHORIZATION, token);
        }
        drop(delivery);
        let sending = context.client.post(&endpoint, headers, body);
        let answer = match tokio::time::timeout(settings.ack_deadline, sending).await {
            Ok(Some(status)) => Answer::Status(status),
            Ok(None) => Answer::Unreachable,
            Err(_) => Answer::Late,
        };
        Outcome { seq, lease, sent, answer }
    }
}

/// The token of an authenticated push. Its audience is the endpoint's address as it was configured, unless one is given.
fn bearer(endpoint: &Endpoint, context: &Context) -> Option<HeaderValue> {
    let oidc = endpoint.config.oidc_token.as_ref()?;
    let audience = if oidc.audience.is_empty() { &endpoint.config.push_endpoint } else { &oidc.audience };
    let token = context.signer.token(audience, &oidc.service_account_email, context.now()).ok()?;
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

fn request(endpoint: &Endpoint, settings: &Settings, delivery: &Delivery) -> Request {
    match endpoint.config.no_wrapper {
        Some(unwrapped) => bare(settings, delivery, unwrapped.write_metadata),
        None => wrapped(settings, delivery),
    }
}

/// The message in its envelope (`cloud.google.com/pubsub/docs/push#receive_push`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    message: Wrapped<'a>,
    subscription: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_attempt: Option<u32>,
}

/// Both ways of writing a name are Google's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wrapped<'a> {
    attributes: &'a Words,
    data: String,
    message_id: &'a str,
    #[serde(rename = "message_id")]
    message_id_again: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ordering_key: &'a str,
    publish_time: &'a str,
    #[serde(rename = "publish_time")]
    publish_time_again: &'a str,
}

fn wrapped(settings: &Settings, delivery: &Delivery) -> Request {
    let message = delivery.stored.message();
    let time = message.publish_time.as_ref().map(rfc3339).unwrap_or_default();
    let envelope = Envelope {
        message: Wrapped {
            attributes: &message.attributes,
            data: STANDARD.encode(&message.data),
            message_id: &message.message_id,
            message_id_again: &message.message_id,
            ordering_key: &message.ordering_key,
            publish_time: &time,
            publish_time_again: &time,
        },
        subscription: &settings.config.name,
        delivery_attempt: settings.config.dead_letter_policy.is_some().then_some(delivery.attempt),
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    // Strings and numbers are JSON.
    Request { headers, body: serde_json::to_vec(&envelope).unwrap_or_default() }
}

/// The data alone; what else there is stands in headers if it is asked for
/// (cloud.google.com/pubsub/docs/payload-unwrapping).
fn bare(settings: &Settings, delivery: &Delivery, with_metadata: bool) -> Request {
    let message = delivery.stored.message();
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        // What no header can hold is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    };
    if with_metadata {
        put("x-goog-pubsub-subscription-name", &settings.config.name);
        put("x-goog-pubsub-message-id", &message.message_id);
        put("x-goog-pubsub-publish-time", &message.publish_time.as_ref().map(rfc3339).unwrap_or_default());
        if !message.ordering_key.is_empty() {
            put("x-goog-pubsub-ordering-key", &message.ordering_key);
        }
        if settings.config.dead_letter_policy.is_some() {
            put("x-goog-pubsub-delivery-attempt", &delivery.attempt.to_string());
        }
        for (key, value) in &message.attributes {
            put(key, value);
        }
    }
    Request { headers, body: message.data.to_vec() }
}
