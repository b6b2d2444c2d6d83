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
    /// Nothing but a part of the head came.
    Head(Begun),
    /// The head, what came so far, and how to tell the end.
    Body(Head, Vec<u8>, Remaining),
}

/// A head under way.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    /// Bytes of it that were looked at already, when it was not whole then.
    seen: Option<usize>,
    /// Bytes of empty lines before it, which were taken off.
    empty: usize,
}

#[derive(Debug)]
enum Remaining {
    Length(usize),
    Chunks(Box<Chunked>),
    Close,
}

impl Parser {
    pub(super) fn new(asked: Asked) -> Self {
        Self { asked, state: State::Head(Begun::default()) }
    }

    /// Takes what belongs to the answer out of `input`, except for an unfinished head, which stays there until the rest
    /// of it has come. The answer, once it is whole; what follows it is left in `input`. An answer that is all of `input`
    /// takes its memory with it.
    pub(super) fn advance(&mut self, input: &mut Vec<u8>) -> Result<Option<Whole>, Unanswered> {
        if let State::Head(begun) = &mut self.state {
            let Some(head) = read_head(input, begun, self.asked)? else { return Ok(None) };
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
        Ok(if ended { self.take_whole() } else { None })
    }

    /// The connection ended in order.
    pub(super) fn end(&mut self) -> Result<Whole, Unanswered> {
        let whole = if let State::Body(_, _, Remaining::Close) = self.state { self.take_whole() } else { None };
        whole.ok_or_else(|| Unanswered::broken("connection closed before the answer was whole"))
    }

    /// What came, as the whole answer; another one may follow.
    fn take_whole(&mut self) -> Option<Whole> {
        match std::mem::replace(&mut self.state, State::Head(Begun::default())) {
            State::Body(head, answer, _) => Some(whole(&head, answer)),
            State::Head(_) => None,
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

/// How many bytes before the new ones an empty line may begin in.
const LOOKED_BACK: usize = 3;

/// Reads the head at the front of `input`, once it is whole; takes off what comes before it: the words in between, and empty
/// lines but for the last few bytes.
fn read_head(input: &mut Vec<u8>, begun: &mut Begun, asked: Asked) -> Result<Option<Head>, Unanswered> {
    let mut at = 0;
    let mut head = None;
    while at < input.len() && head.is_none() {
        let empty = empty_lines(&input[at..]).saturating_sub(LOOKED_BACK);
        *begun = Begun { seen: begun.seen.map(|seen| seen.saturating_sub(empty)), empty: begun.empty + empty };
        at += empty;
        let rest = &input[at..];
        // They count as a part of the head.
        let bytes_max = HEAD_BYTES_MAX.saturating_sub(begun.empty);
        // Looking for the end first keeps the work linear in the bytes, however small the pieces are.
        if begun.seen.is_none_or(|seen| may_be_whole(rest, seen)) {
            match Head::read(rest, asked, bytes_max)? {
                Front::Interim(length) => {
                    *begun = Begun::default();
                    at += length;
                    continue;
                }
                Front::Final(whole) => head = Some(whole),
                Front::Partial => {}
            }
        } else if rest.len() >= bytes_max {
            return Err(Unanswered::broken("answer's head is too large"));
        }
        begun.seen = Some(rest.len());
        break;
    }
    if at > 0 {
        input.drain(..at);
    }
    Ok(head)
}

/// Bytes of the empty lines at the front, which may stand before a status line as they may before a request (RFC 9112, 2.2).
fn empty_lines(input: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match &input[at..] {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            _ => return at,
        }
    }
}

/// Whether an empty line, which ends a head, is in what came after the first `seen` bytes.
fn may_be_whole(input: &[u8], seen: usize) -> bool {
    let fresh = &input[seen.saturating_sub(LOOKED_BACK)..];
    fresh.iter().enumerate().any(|(at, byte)| {
        let rest = &fresh[at + 1..];
        *byte == b'\n' && (rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_before_an_answer_are_taken_off_as_they_come() {
        let stream = b"\r\n\n\r\nHTTP/1.1 100 Continue\r\n\r\n\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for length in 1..=stream.len() {
            let (mut parser, mut input) = (Parser::new(Asked::Other), Vec::new());
            let mut answers = Vec::new();
            for piece in stream.chunks(length) {
                input.extend_from_slice(piece);
                answers.extend(parser.advance(&mut input).unwrap());
            }
            assert_eq!(answers.len(), 1, "in pieces of {length}");
            assert_eq!((answers[0].status, answers[0].message.body()), (200, &b"ok"[..]));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn empty_lines_without_end_are_a_head_that_is_too_large_and_are_not_kept_until_then() {
        let (mut parser, mut input) = (Parser::new(Asked::Other), Vec::new());
        for _ in 1..HEAD_BYTES_MAX {
            input.push(b'\n');
            assert!(parser.advance(&mut input).unwrap().is_none());
            assert!(input.len() <= LOOKED_BACK);
        }
        input.push(b'\n');
        assert_eq!(parser.advance(&mut input).unwrap_err(), Unanswered::broken("answer's head is too large"));
    }

    #[test]
    fn one_answer_after_another_is_read() {
        let (mut parser, mut input) = (Parser::new(Asked::Other), Vec::new());
        for body in ["5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "2\r\nok\r\n0\r\n\r\n"] {
            for byte in format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_bytes() {
                input.push(byte);
                if let Some(whole) = parser.advance(&mut input).unwrap() {
                    let expected = body.split("\r\n").nth(1).filter(|data| !data.is_empty()).unwrap_or_default();
                    assert_eq!(whole.message.body(), expected.as_bytes());
                }
            }
            assert!(input.is_empty());
        }
    }
}
