//! An answer out of bytes as they come, however they are cut; does no input or output itself.

use super::chunked::Chunked;
use super::head::{Framing, Front, Head};
use super::message::Message;
use super::{BODY_BYTES_MAX, HEAD_BYTES_MAX};
use crate::driver::outcome::Unanswered;

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
    pub(super) message: Message,
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
    /// The head, what came so far, and how to tell the end.
    Body(Head, Vec<u8>, Remaining),
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
    /// of it has come. The answer, once it is whole; what follows it is left in `input`. An answer that is all of `input`
    /// takes its memory with it.
    pub(super) fn advance(&mut self, input: &mut Vec<u8>) -> Result<Option<Whole>, Unanswered> {
        if let State::Head(seen) = &mut self.state {
            let Some(head) = read_head(input, seen, self.asked)? else { return Ok(None) };
            if head.framing == Framing::Length(input.len() - head.length) {
                return Ok(Some(whole(&head, std::mem::take(input))));
            }
            let remaining = match head.framing {
                Framing::Length(length) => Remaining::Length(length),
                Framing::Chunked => Remaining::Chunks(Box::default()),
                Framing::Close => Remaining::Close,
            };
            let answer = input[..head.length].to_vec();
            input.drain(..head.length);
            self.state = State::Body(head, answer, remaining);
        }
        let State::Body(head, answer, remaining) = &mut self.state else { return Ok(None) };
        let so_far = answer.len() - head.length;
        let (taken, ended) = match remaining {
            Remaining::Length(length) => {
                let taken = (*length - so_far).min(input.len());
                answer.extend_from_slice(&input[..taken]);
                (taken, so_far + taken == *length)
            }
            Remaining::Chunks(chunked) => chunked.decode(input, answer, head.length + BODY_BYTES_MAX)?,
            Remaining::Close if so_far + input.len() > BODY_BYTES_MAX => return Err(body_too_large()),
            Remaining::Close => {
                answer.extend_from_slice(input);
                (input.len(), false)
            }
        };
        input.drain(..taken);
        Ok(ended.then(|| whole(head, std::mem::take(answer))))
    }

    /// The connection ended in order.
    pub(super) fn end(&mut self) -> Result<Whole, Unanswered> {
        match &mut self.state {
            State::Body(head, answer, Remaining::Close) => Ok(whole(head, std::mem::take(answer))),
            _ => Err(Unanswered::broken("connection closed before the answer was whole")),
        }
    }
}

pub(super) fn body_too_large() -> Unanswered {
    Unanswered::broken("body too large")
}

fn whole(head: &Head, answer: Vec<u8>) -> Whole {
    let message = Message::new(answer, head.length, head.noted);
    Whole { status: head.status, message, keep_alive: head.keep_alive }
}

/// Reads the head at the front of `input`, once it is whole; takes off what comes before it, the words in between.
fn read_head(input: &mut Vec<u8>, seen: &mut Option<usize>, asked: Asked) -> Result<Option<Head>, Unanswered> {
    let mut at = 0;
    let mut head = None;
    while at < input.len() && head.is_none() {
        let rest = &input[at..];
        // Looking for the end first keeps the work linear in the bytes, however small the pieces are.
        if seen.is_none_or(|seen| may_be_whole(rest, seen)) {
            match Head::read(rest, asked)? {
                Front::Interim(length) => {
                    *seen = None;
                    at += length;
                    continue;
                }
                Front::Final(whole) => head = Some(whole),
                Front::Partial => {}
            }
        } else if rest.len() >= HEAD_BYTES_MAX {
            return Err(Unanswered::broken("answer's head is too large"));
        }
        *seen = Some(rest.len());
        break;
    }
    if at > 0 {
        input.drain(..at);
    }
    Ok(head)
}

/// Whether an empty line, which ends a head, is in what came after the first `seen` bytes.
fn may_be_whole(input: &[u8], seen: usize) -> bool {
    let fresh = &input[seen.saturating_sub(3)..];
    fresh.iter().enumerate().any(|(at, byte)| {
        let rest = &fresh[at + 1..];
        *byte == b'\n' && (rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
    })
}
