//! The head of an answer: status, framing (RFC 9112, 6.3) and whether the connection stays open (9.3). The header
//! fields themselves stay the bytes that came.

use super::message::Noted;
use super::parser::Asked;
use super::{BODY_BYTES_MAX, FIELDS_MAX};
use crate::driver::outcome::Unanswered;
use std::mem::MaybeUninit;

/// The longest name of a header field that the `http` crate's types can hold.
const NAME_BYTES_MAX: usize = u16::MAX as usize;
/// The longest body that hyper can tell of. Beyond it, the head counts as too large.
const CONTENT_LENGTH_MAX: u64 = u64::MAX - 2;

/// A head, checked.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// In bytes, the empty line included.
    pub(super) length: usize,
    pub(super) noted: Noted,
    /// Whether the connection may carry another request after this answer.
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
}

/// What stands at the front of the bytes.
#[derive(Debug)]
pub(super) enum Front {
    /// Nothing whole yet.
    Partial,
    /// A word in between (1xx) of this length in bytes: the answer follows.
    Interim(usize),
    Final(Head),
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    /// By the end of the connection.
    Close,
}

fn not_http() -> Unanswered {
    Unanswered::broken("answer is not HTTP/1.1")
}

fn too_large() -> Unanswered {
    Unanswered::broken("answer's head is too large")
}

impl Head {
    /// Reads the head at the front of `input`, which may take this many bytes.
    pub(super) fn read(input: &[u8], asked: Asked, bytes_max: usize) -> Result<Front, Unanswered> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut fields);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length > bytes_max => return Err(too_large()),
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() >= bytes_max => return Err(too_large()),
            Ok(httparse::Status::Partial) => return Ok(Front::Partial),
            Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
            Err(_) => return Err(not_http()),
        };
        let status = response.code.filter(|code| *code >= 100).ok_or_else(not_http)?;
        let mut facts = Facts::new(response.version == Some(1));
        for field in response.headers.iter() {
            facts.read(field, input.as_ptr().addr())?;
        }
        if matches!(status, 100 | 102..200) {
            return Ok(Front::Interim(length));
        }
        let framing = facts.framing(status, asked)?;
        // After 101 the connection speaks something else.
        let keep_alive = facts.keep_alive && status != 101 && framing != Framing::Close;
        Ok(Front::Final(Self { status, length, noted: facts.noted, keep_alive, framing }))
    }
}

/// What the fields say of framing and connection.
struct Facts {
    version_1_1: bool,
    keep_alive: bool,
    close: bool,
    /// Whether the last `transfer-encoding` ends in chunked, if there is one.
    chunked: Option<bool>,
    content_length: ContentLength,
    noted: Noted,
}

enum ContentLength {
    Absent,
    Told(u64),
    Contradictory,
}

impl Facts {
    fn new(version_1_1: bool) -> Self {
        Self {
            version_1_1,
            keep_alive: version_1_1,
            close: false,
            chunked: None,
            content_length: ContentLength::Absent,
            noted: Noted::default(),
        }
    }

    /// Takes in a field of the head that begins at the address `base`.
    fn read(&mut self, field: &httparse::Header<'_>, base: usize) -> Result<(), Unanswered> {
        let name = field.name;
        // Lengths first: nearly every field is passed over by one comparison of numbers.
        match name.len() {
            8 | 10 | 16 if self.noted.note(name, field.value.as_ptr().addr() - base, field.value) => {}
            10 if name.eq_ignore_ascii_case("connection") => self.connection(field.value),
            14 if name.eq_ignore_ascii_case("content-length") => self.content_length(field.value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                let last = text(field.value).and_then(|text| text.rsplit(',').next());
                self.chunked = Some(last.is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked")));
            }
            length if length > NAME_BYTES_MAX => return Err(too_large()),
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        let has = |token: &str| {
            text(value).is_some_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)))
        };
        if self.close || has("close") {
            self.close = true;
            self.keep_alive = false;
        } else if !self.keep_alive {
            self.keep_alive = has("keep-alive");
        }
    }

    /// One field may hold a list, and fields may be repeated, as long as all say the same (RFC 9110, 8.6).
    fn content_length(&mut self, value: &[u8]) {
        if let (ContentLength::Absent, Some(length)) = (&self.content_length, short_number(value)) {
            self.content_length = ContentLength::Told(length);
            return;
        }
        let Some(text) = text(value) else {
            self.content_length = ContentLength::Contradictory;
            return;
        };
        for number in text.split(',') {
            let number = number.trim();
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            self.content_length = match (&self.content_length, number.parse::<u64>()) {
                (ContentLength::Absent, Ok(length)) if digits => ContentLength::Told(length),
                (ContentLength::Told(told), Ok(length)) if digits && *told == length => ContentLength::Told(length),
                _ => ContentLength::Contradictory,
            };
        }
    }

    fn framing(&self, status: u16, asked: Asked) -> Result<Framing, Unanswered> {
        match status {
            101 | 204 | 304 => return Ok(Framing::Length(0)),
            _ if asked == Asked::Head => return Ok(Framing::Length(0)),
            _ => {}
        }
        match (self.chunked, &self.content_length) {
            // HTTP/1.0 has no transfer codings: whoever names one cannot be trusted to frame (RFC 9112, 6.1).
            (Some(_), _) if !self.version_1_1 => Err(not_http()),
            (Some(true), _) => Ok(Framing::Chunked),
            (Some(false), _) | (None, ContentLength::Absent) => Ok(Framing::Close),
            (None, ContentLength::Contradictory) => Err(not_http()),
            (None, ContentLength::Told(length)) if *length > CONTENT_LENGTH_MAX => Err(too_large()),
            (None, ContentLength::Told(length)) => match usize::try_from(*length) {
                Ok(length) if length <= BODY_BYTES_MAX => Ok(Framing::Length(length)),
                _ => Err(Unanswered::broken("body too large")),
            },
        }
    }
}

/// A number of few digits and nothing else.
fn short_number(value: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 18;
    let digits = |number: u64, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'));
    if matches!(value.len(), 1..=DIGITS_MAX) { value.iter().try_fold(0, digits) } else { None }
}

/// A value as text, when it is plain.
fn text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..0x7f));
    if plain { std::str::from_utf8(value).ok() } else { None }
}
