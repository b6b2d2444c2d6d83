//! The head of an answer: status, framing (RFC 9112, 6.3) and whether the connection stays open (9.3). The header
//! fields themselves stay the bytes that came.

use super::parser::Asked;
use super::{BODY_BYTES_MAX, FIELDS_MAX, HEAD_BYTES_MAX};
use crate::driver::outcome::Unanswered;
use crate::scenario::Fields;
use bytes::{Bytes, BytesMut};
use std::mem::MaybeUninit;
use std::ops::Range;

/// The longest name of a header field that the `http` crate's types can hold.
const NAME_BYTES_MAX: usize = u16::MAX as usize;
/// The longest body that hyper can tell of. Beyond it, the head counts as too large.
const CONTENT_LENGTH_MAX: u64 = u64::MAX - 2;

/// A head, checked.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    fields: RawFields,
    /// Whether the connection may carry another request after this answer.
    pub(super) keep_alive: bool,
    pub(super) framing: Framing,
}

/// What stood at the front of the bytes.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing whole yet.
    Partial,
    /// A word in between (1xx): the answer follows.
    Interim,
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
    /// Takes a head off the front of `input`.
    pub(super) fn take(input: &mut BytesMut, asked: Asked) -> Result<Taken, Unanswered> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut fields);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length > HEAD_BYTES_MAX => return Err(too_large()),
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() >= HEAD_BYTES_MAX => return Err(too_large()),
            Ok(httparse::Status::Partial) => return Ok(Taken::Partial),
            Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
            Err(_) => return Err(not_http()),
        };
        let status = response.code.filter(|code| *code >= 100).ok_or_else(not_http)?;
        let mut facts = Facts::new(response.version == Some(1));
        for field in response.headers.iter() {
            facts.read(field, input.as_ptr().addr())?;
        }
        if matches!(status, 100 | 102..200) {
            let _ = input.split_to(length);
            return Ok(Taken::Interim);
        }
        let framing = facts.framing(status, asked)?;
        // After 101 the connection speaks something else.
        let keep_alive = facts.keep_alive && status != 101 && framing != Framing::Close;
        Ok(Taken::Final(Self {
            status,
            fields: RawFields { raw: input.split_to(length).freeze(), noted: facts.noted },
            keep_alive,
            framing,
        }))
    }

    /// Lets go of memory that is shared with others: called before a wait.
    pub(super) fn own(&mut self) {
        self.fields.raw = Bytes::copy_from_slice(&self.fields.raw);
    }

    /// Takes the header fields out, once the answer is whole.
    pub(super) fn take_fields(&mut self) -> RawFields {
        RawFields { raw: std::mem::take(&mut self.fields.raw), noted: self.fields.noted }
    }
}

/// Fields that every answer is asked for, and few have.
const NOTED: [&str; 3] = ["location", "set-cookie", "content-encoding"];

/// The header fields of an answer as they came: found when they are asked for.
#[derive(Clone, Debug)]
pub(in crate::driver) struct RawFields {
    /// Status line and fields, the empty line included.
    raw: Bytes,
    noted: Noted,
}

/// How often each of `NOTED` came, and where the value of the one is that came last.
#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    counts: [u8; NOTED.len()],
    starts: [u32; NOTED.len()],
    lengths: [u32; NOTED.len()],
}

impl Noted {
    fn place(name: &str) -> Option<usize> {
        // Lengths first: nearly every field is passed over by one comparison of numbers.
        let place = match name.len() {
            8 => 0,
            10 => 1,
            16 => 2,
            _ => return None,
        };
        NOTED[place].eq_ignore_ascii_case(name).then_some(place)
    }

    /// Notes a field whose value begins `at`, if it is one of `NOTED`.
    fn note(&mut self, name: &str, at: usize, value: &[u8]) -> bool {
        let Some(place) = Self::place(name) else { return false };
        let value_is = trimmed(value);
        self.counts[place] = self.counts[place].saturating_add(1);
        // A head is 256 KiB at most.
        self.starts[place] = u32::try_from(at + value_is.start).unwrap_or(u32::MAX);
        self.lengths[place] = u32::try_from(value_is.len()).unwrap_or(u32::MAX);
        true
    }
}

/// What is known of a field.
enum Known<'a> {
    Absent,
    /// It came once, with this value.
    Once(&'a [u8]),
    Nothing,
}

impl RawFields {
    /// The values of the field `name`, which is in lower case.
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let raw: &[u8] = &self.raw;
        let is_it = move |at: &Range<usize>| raw[at.clone()].eq_ignore_ascii_case(name.as_bytes());
        lines(raw).filter(move |(at, _)| is_it(at)).map(move |(_, at)| &raw[at])
    }

    /// What is known of the field `name` without a look at the head.
    fn known(&self, name: &str) -> Known<'_> {
        let Some(place) = Noted::place(name) else { return Known::Nothing };
        let (start, length) = (self.noted.starts[place] as usize, self.noted.lengths[place] as usize);
        match (self.noted.counts[place], self.raw.get(start..start + length)) {
            (0, _) => Known::Absent,
            (1, Some(value)) => Known::Once(value),
            _ => Known::Nothing,
        }
    }

    /// As a map.
    #[cfg(any(test, fuzzing))]
    pub(in crate::driver) fn to_map(&self) -> http::HeaderMap {
        let mut map = http::HeaderMap::new();
        for (name, value) in lines(&self.raw) {
            let name = http::HeaderName::from_bytes(&self.raw[name]);
            let value = http::HeaderValue::from_maybe_shared(self.raw.slice(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }
}

impl Fields for RawFields {
    fn first(&self, name: &str) -> Option<&[u8]> {
        match self.known(name) {
            Known::Absent => None,
            Known::Once(value) => Some(value),
            Known::Nothing => self.values(name).next(),
        }
    }

    fn each(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        match self.known(name) {
            Known::Absent => {}
            Known::Once(value) => tell(value),
            Known::Nothing => self.values(name).for_each(tell),
        }
    }
}

/// Where the names and values of the fields of a checked head stand.
fn lines(raw: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut at = 0;
    let mut line = move || {
        let start = at;
        let end = start + memchr::memchr(b'\n', raw.get(start..)?)?;
        at = end + 1;
        Some((start, end))
    };
    // What stands before the first field is the status line, and any empty lines before that.
    while let Some((start, end)) = line() {
        if raw[start..end].starts_with(b"HTTP/") {
            break;
        }
    }
    std::iter::from_fn(move || {
        let (start, end) = line()?;
        let colon = start + memchr::memchr(b':', &raw[start..end])?;
        let value = trimmed(&raw[colon + 1..end]);
        Some((start..colon, colon + 1 + value.start..colon + 1 + value.end))
    })
}

/// Where a value is without the space around it.
fn trimmed(value: &[u8]) -> Range<usize> {
    let before = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let after = value.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    // A value of nothing but space is counted from both sides.
    before..(value.len() - after).max(before)
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

/// A value as text, when it is plain.
fn text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..0x7f));
    if plain { std::str::from_utf8(value).ok() } else { None }
}
