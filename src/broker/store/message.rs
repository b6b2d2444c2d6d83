//! Messages as they are published and as they are read.

use crate::autoscaler::Micros;
use crate::broker::proto;
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;

/// A message's place in the order of publishing, and its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::broker) struct Seq(pub(in crate::broker) i64);

/// A message as it is published.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct NewMessage {
    /// Data, attributes and ordering key, encoded; id and time stand beside it.
    pub(in crate::broker) body: Vec<u8>,
    /// The ordering key again, if it has one: it is looked for.
    pub(in crate::broker) key: Option<String>,
}

impl NewMessage {
    pub(in crate::broker) fn of(message: &proto::PubsubMessage) -> Self {
        let key = Some(&message.ordering_key).filter(|key| !key.is_empty()).cloned();
        Self { body: message.encode_to_vec(), key }
    }

    /// What filters look at.
    pub(in crate::broker) fn attributes(&self) -> proto::Words {
        proto::PubsubMessage::decode(&self.body[..]).unwrap_or_default().attributes
    }
}

/// A message as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::broker) struct Stored {
    pub(in crate::broker) seq: Seq,
    pub(in crate::broker) published: Micros,
    /// Deliveries that failed so far.
    pub(in crate::broker) failures: u32,
    /// Data, attributes and ordering key, encoded.
    pub(in crate::broker) body: Bytes,
}

impl Stored {
    /// With its id and time, as subscribers see it.
    pub(in crate::broker) fn message(&self) -> proto::PubsubMessage {
        let mut message = proto::PubsubMessage::decode(self.body.clone()).unwrap_or_default();
        message.message_id = self.seq.0.to_string();
        message.publish_time = Some(timestamp(self.published));
        message
    }
}

/// Messages with one ordering key.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::broker) struct StoredLine {
    pub(in crate::broker) key: Arc<str>,
    /// In the order of publishing.
    pub(in crate::broker) messages: Vec<Stored>,
    /// Whether the store has no more that were asked for.
    pub(in crate::broker) is_all: bool,
}

/// Which messages with ordering keys are asked for.
#[derive(Clone, Debug)]
pub(in crate::broker) struct LinesWanted {
    /// The keys, and after which message of each.
    pub(in crate::broker) keys: Vec<(Arc<str>, Seq)>,
    /// No later message than this one.
    pub(in crate::broker) until: Seq,
    /// So many of each key.
    pub(in crate::broker) each: usize,
    /// So many of all of them, and about so many bytes.
    pub(in crate::broker) most: (usize, usize),
}

/// As protocol buffers write an instant.
pub(in crate::broker) fn timestamp(time: Micros) -> prost_types::Timestamp {
    let seconds = i64::try_from(time.0 / 1_000_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(time.0 % 1_000_000).unwrap_or(0) * 1_000;
    prost_types::Timestamp { seconds, nanos }
}
