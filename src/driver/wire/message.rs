//! An answer as it came, in one piece of memory: status line and header fields, and behind them the body.

use crate::scenario::Fields;
use std::ops::Range;

/// The head as it came, the empty line included, and the body without its framing.
#[derive(Debug)]
pub(in crate::driver) struct Message {
    bytes: Vec<u8>,
    /// Bytes of the head.
    head: usize,
    noted: Noted,
}

impl Message {
    /// A head of this many bytes and its body.
    pub(super) fn new(bytes: Vec<u8>, head: usize, noted: Noted) -> Self {
        Self { bytes, head, noted }
    }

    pub(in crate::driver) fn body(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// The memory that it is in, for another one.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// The values of the field `name`, which is in lower case.
    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let head = self.head();
        let is_it = move |at: &Range<usize>| head[at.clone()].eq_ignore_ascii_case(name.as_bytes());
        lines(head).filter(move |(at, _)| is_it(at)).map(move |(_, at)| &head[at])
    }

    /// What is known of the field `name`, which is in lower case, without a look at the head.
    fn known(&self, name: &str) -> Known<'_> {
        let Some(place) = place_of_length(name.len()).filter(|place| NOTED[*place] == name) else {
            return Known::Nothing;
        };
        let (start, length) = (self.noted.starts[place] as usize, self.noted.lengths[place] as usize);
        match (self.noted.counts[place], self.head().get(start..start + length)) {
            (0, _) => Known::Absent,
            (1, Some(value)) => Known::Once(value),
            _ => Known::Nothing,
        }
    }

    /// The header fields as a map.
    #[cfg(any(test, fuzzing))]
    pub(in crate::driver) fn to_map(&self) -> http::HeaderMap {
        let mut map = http::HeaderMap::new();
        for (name, value) in lines(self.head()) {
            let name = http::HeaderName::from_bytes(&self.bytes[name]);
            let value = http::HeaderValue::from_bytes(&self.bytes[value]);
            if let (Ok(name), Ok(value)) = (name, value) {
                map.append(name, value);
            }
        }
        map
    }
}

impl Fields for Message {
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

/// Fields that every answer is asked for, and few have.
const NOTED: [&str; 3] = ["location", "set-cookie", "content-encoding"];

/// The place in `NOTED` of the name that is so long. Lengths tell nearly every field apart by one comparison of numbers.
fn place_of_length(length: usize) -> Option<usize> {
    match length {
        8 => Some(0),
        10 => Some(1),
        16 => Some(2),
        _ => None,
    }
}

/// How often each of `NOTED` came, and where the value of the one is that came last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noted {
    counts: [u8; NOTED.len()],
    starts: [u32; NOTED.len()],
    lengths: [u32; NOTED.len()],
}

impl Noted {
    /// Notes a field whose value begins `at`, if it is one of `NOTED`.
    pub(super) fn note(&mut self, name: &str, at: usize, value: &[u8]) -> bool {
        let place = place_of_length(name.len()).filter(|place| NOTED[*place].eq_ignore_ascii_case(name));
        let Some(place) = place else { return false };
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
