//! A whole answer, in the form that its client gives it.

use super::phases::Phases;
use super::wire::Message;
use crate::scenario::Fields;
use bytes::Bytes;
use tokio::time::Instant;

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    /// How long each phase of the request took.
    pub(super) phases: Phases,
    /// When its end was read: its last byte, or the end of a connection that ends it.
    pub(super) done: Instant,
}

/// The header fields and the body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// Of the fast path.
    Raw(Message),
    /// Of hyper.
    Typed(Box<http::HeaderMap>, Bytes),
}

impl Content {
    pub(super) fn body(&self) -> &[u8] {
        match self {
            Self::Raw(message) => message.body(),
            Self::Typed(_, body) => body,
        }
    }

    /// The header fields as a map.
    #[cfg(any(test, fuzzing))]
    pub(super) fn to_map(&self) -> http::HeaderMap {
        match self {
            Self::Raw(message) => message.to_map(),
            Self::Typed(map, _) => (**map).clone(),
        }
    }
}

impl Fields for Content {
    fn first(&self, name: &str) -> Option<&[u8]> {
        match self {
            Self::Raw(message) => message.first(name),
            Self::Typed(map, _) => map.first(name),
        }
    }

    fn each(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Raw(message) => message.each(name, tell),
            Self::Typed(map, _) => map.each(name, tell),
        }
    }
}
