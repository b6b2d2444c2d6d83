//! Skips over JSON in one go over its bytes, for texts in which nothing is unusual: no escapes, no exponents, no great
//! depth. It accepts no text that `serde_json` would not, and whatever it has a doubt about it leaves to that.

use memchr::memchr;
use std::ops::Range;

/// Values that lie deeper are left to the library, which has a bound of its own.
const DEPTH_MAX: u32 = 64;
/// Longer numbers are left to the library: they may be too great.
const NUMBER_BYTES_MAX: usize = 200;

/// A place in a text.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Whether there are control characters, which may stand between values and not in strings.
    has_control: bool,
}

impl<'a> Scan<'a> {
    /// The beginning of `text`; `None` when there are escapes in it.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let has_control = bytes.iter().any(|byte| *byte < b' ');
        memchr(b'\\', bytes).is_none().then_some(Self { text, at: 0, depth: 0, has_control })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space between values, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes the next byte that is no space, if it is `wanted`.
    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Skips an object: `member` is told the name of each, and skips its value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.enter(b'{')?;
        if self.peek()? != b'}' {
            loop {
                self.peek()?;
                let text = self.text;
                let name = self.string()?;
                self.take(b':')?;
                member(self, &text[name])?;
                match self.peek()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.depth -= 1;
        self.take(b'}')
    }

    /// Skips an array: `item` is told the place of each, and skips it.
    pub(super) fn array(&mut self, mut item: impl FnMut(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.enter(b'[')?;
        if self.peek()? != b']' {
            for place in 0.. {
                item(self, place)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.depth -= 1;
        self.take(b']')
    }

    fn enter(&mut self, opening: u8) -> Option<()> {
        self.take(opening)?;
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    /// Skips any value and tells where it is.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' => self.object(|scan, name| (!name.starts_with("$serde_json")).then_some(scan.value()?).map(drop))?,
            b'[' => self.array(|scan, _| scan.value().map(drop))?,
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => self.number()?,
        }
        Some(start..self.at)
    }

    /// Skips a string and tells where its inside is.
    fn string(&mut self) -> Option<Range<usize>> {
        if self.byte()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let inside = self.text.as_bytes().get(start..)?;
        let length = memchr(b'"', inside)?;
        if self.has_control && inside[..length].iter().any(|byte| *byte < b' ') {
            return None;
        }
        self.at = start + length + 1;
        Some(start..start + length)
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        let is_it = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        is_it.then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        if self.at - whole > 1 && self.text.as_bytes()[whole] == b'0' {
            return None;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.byte(), Some(b'e' | b'E'));
        (!has_exponent && self.at - start <= NUMBER_BYTES_MAX).then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
