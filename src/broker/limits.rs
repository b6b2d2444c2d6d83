//! What a publish request may hold.

use super::policy::{
    ATTRIBUTE_KEY_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX, ORDERING_KEY_BYTES_MAX, PUBLISH_BYTES_MAX,
    PUBLISH_MESSAGES_MAX,
};
use super::proto;
use super::refusal::Refusal;
use prost::Message as _;

/// Google's limits (`cloud.google.com/pubsub/quotas#resource_limits`).
pub(super) fn check_messages(request: &proto::PublishRequest) -> Result<(), Refusal> {
    let (count, bytes) = (request.messages.len(), request.encoded_len());
    if count == 0 {
        return Err(Refusal::invalid(
            "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.",
        ));
    }
    if count > PUBLISH_MESSAGES_MAX {
        return Err(Refusal::too_large(format!(
            "The value for message_count is too large. You passed {count} in the request, but the maximum value is {PUBLISH_MESSAGES_MAX}."
        )));
    }
    if bytes > PUBLISH_BYTES_MAX {
        return Err(Refusal::too_large(format!(
            "Request payload size exceeds the limit: {PUBLISH_BYTES_MAX} bytes; it is {bytes}."
        )));
    }
    request.messages.iter().try_for_each(check_message)
}

fn check_message(message: &proto::PubsubMessage) -> Result<(), Refusal> {
    if message.data.is_empty() && message.attributes.is_empty() {
        return Err(Refusal::invalid(
            "Some messages in the request are empty: a message has data or at least one attribute.",
        ));
    }
    let key = message.ordering_key.len();
    if key > ORDERING_KEY_BYTES_MAX {
        return Err(Refusal::too_large(format!(
            "The ordering key has {key} bytes, but the maximum is {ORDERING_KEY_BYTES_MAX}."
        )));
    }
    let attributes = message.attributes.len();
    if attributes > ATTRIBUTES_MAX {
        return Err(Refusal::too_large(format!(
            "A message has {attributes} attributes, but the maximum is {ATTRIBUTES_MAX}."
        )));
    }
    for (key, value) in &message.attributes {
        if key.is_empty() || key.len() > ATTRIBUTE_KEY_BYTES_MAX || key.starts_with("goog") {
            return Err(Refusal::invalid(format!(
                "Invalid attribute key {key:?}: it has 1 to {ATTRIBUTE_KEY_BYTES_MAX} bytes and does not begin with \"goog\"."
            )));
        }
        if value.len() > ATTRIBUTE_VALUE_BYTES_MAX {
            return Err(Refusal::too_large(format!(
                "The attribute {key:?} has {} bytes, but the maximum is {ATTRIBUTE_VALUE_BYTES_MAX}.",
                value.len()
            )));
        }
    }
    Ok(())
}
