//! A body in the making: one piece is not copied, more are joined, and too much is refused.

use super::BODY_BYTES_MAX;
use crate::driver::outcome::Unanswered;
use bytes::{Bytes, BytesMut};

/// The pieces that came so far.
#[derive(Debug, Default)]
pub(in crate::driver) struct Body {
    /// The only piece, as long as there is one.
    only: Bytes,
    /// All pieces, when there are more, or when the only one had to let go of the memory that it came in.
    joined: BytesMut,
}

impl Body {
    /// Adds a piece.
    pub(in crate::driver) fn push(&mut self, piece: Bytes) -> Result<(), Unanswered> {
        if self.only.len() + self.joined.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Unanswered::broken("body too large"));
        }
        if self.only.is_empty() && self.joined.is_empty() {
            self.only = piece;
        } else {
            self.own();
            self.joined.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Lets go of memory that is shared with others: called before a wait.
    pub(in crate::driver) fn own(&mut self) {
        if !self.only.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.only));
        }
    }

    /// How many bytes there are.
    pub(in crate::driver) fn len(&self) -> usize {
        self.only.len() + self.joined.len()
    }

    /// The whole.
    pub(in crate::driver) fn finish(self) -> Bytes {
        if self.joined.is_empty() { self.only } else { self.joined.freeze() }
    }
}
