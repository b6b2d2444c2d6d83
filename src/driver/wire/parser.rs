//! An answer out of bytes as they come, however they are cut; does no input or output itself.

use super::HEAD_BYTES_MAX;
use super::body::Body;
use super::chunked::Chunked;
use super::head::{Framing, Head, RawFields, Taken};
use crate::driver::outcome::Unanswered;
use bytes::{Bytes, BytesMut};

/// What of the request the framing of its answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::driver) enum Asked {
    /// By HEAD: no body follows, whatever the head says.
    Head,
    /// By any other method.
    Other,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) headers: RawFields,
    pub(super) body: Bytes,
    /// Whether the connection may carry another request.
    pub(super) keep_alive: bool,
}

/// An answer under way.
#[derive(Debug)]
pub(super) struct Parser {
    asked: Asked,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Bytes of the head that were looked at already, when it was not whole then.
    Head(Option<usize>),
    Body(Head, Body, Remaining),
}

#[derive(Debug)]
enum Remaining {
    Length(usize),
    Chunks(Box<Chunked>),
    Close,
}

impl Parser {
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, state: State::Head(None) }
    }

    /// Takes what belongs to the answer out of `input`, except for an unfinished head, which stays there until the rest
    /// of it has come. The answer, once it is whole; what follows it is left in `input`.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Whole>, Unanswered> {
        if let State::Head(seen) = &mut self.state {
            let Some(mut head) = take_head(input, seen, self.asked)? else { return Ok(None) };
            let remaining = match head.framing {
                Framing::Length(length) if length <= input.len() => {
                    return Ok(Some(whole(&mut head, input.split_to(length).freeze())));
                }
                Framing::Length(length) => Remaining::Length(length),
                Framing::Chunked => {
                    let (mut chunked, mut body) = (Chunked::default(), Body::default());
                    if chunked.decode(input, &mut body)? {
                        return Ok(Some(whole(&mut head, body.finish())));
                    }
                    head.own();
                    body.own();
                    self.state = State::Body(head, body, Remaining::Chunks(Box::new(chunked)));
                    return Ok(None);
                }
                Framing::Close => Remaining::Close,
            };
            head.own();
            self.state = State::Body(head, Body::default(), remaining);
        }
        let State::Body(head, body, remaining) = &mut self.state else { return Ok(None) };
        let ended = match remaining {
            Remaining::Length(length) => {
                body.push(input.split_to((*length - body.len()).min(input.len())).freeze())?;
                body.len() == *length
            }
            Remaining::Chunks(chunked) => chunked.decode(input, body)?,
            Remaining::Close => {
                body.push(input.split().freeze())?;
                false
            }
        };
        if ended {
            return Ok(Some(whole(head, std::mem::take(body).finish())));
        }
        body.own();
        Ok(None)
    }

    /// The connection ended in order.
    pub(super) fn end(&mut self) -> Result<Whole, Unanswered> {
        match &mut self.state {
            State::Body(head, body, Remaining::Close) => Ok(whole(head, std::mem::take(body).finish())),
            _ => Err(Unanswered::broken("connection closed before the answer was whole")),
        }
    }
}

fn whole(head: &mut Head, body: Bytes) -> Whole {
    Whole { status: head.status, headers: head.take_fields(), body, keep_alive: head.keep_alive }
}

/// Takes the next head that is not a word in between off `input`.
fn take_head(input: &mut BytesMut, seen: &mut Option<usize>, asked: Asked) -> Result<Option<Head>, Unanswered> {
    while !input.is_empty() {
        // Looking for the end first keeps the work linear in the bytes, however small the pieces are.
        if seen.is_none_or(|seen| may_be_whole(input, seen)) {
            match Head::take(input, asked)? {
                Taken::Interim => {
                    *seen = None;
                    continue;
                }
                Taken::Final(head) => return Ok(Some(head)),
                Taken::Partial => {}
            }
        } else if input.len() >= HEAD_BYTES_MAX {
            return Err(Unanswered::broken("answer's head is too large"));
        }
        *seen = Some(input.len());
        return Ok(None);
    }
    Ok(None)
}

/// Whether an empty line, which ends a head, is in what came after the first `seen` bytes.
fn may_be_whole(input: &[u8], seen: usize) -> bool {
    let fresh = &input[seen.saturating_sub(3)..];
    fresh.iter().enumerate().any(|(at, byte)| {
        let rest = &fresh[at + 1..];
        *byte == b'\n' && (rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
    })
}
