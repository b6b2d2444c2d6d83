//! Skips over JSON in one go over its bytes, for texts in which nothing is unusual: no escapes, no exponents, no great
//! depth. It accepts no text that `serde_json` would not, and whatever it has a doubt about it leaves to that.

use memchr::memchr;
use std::ops::Range;

/// Values that lie deeper are left to the library, which has a bound of its own.
const DEPTH_MAX: u32 = 64;
/// Longer numbers are left to the library: they may be too great.
const NUMBER_BYTES_MAX: usize = 200;
/// How far the end of a string is looked for by words, before it is left to a search that takes longer to begin.
const WORDS_MAX: usize = 6;

/// Whether a member's name means something to the library itself.
pub(super) fn is_the_library_s(name: &[u8]) -> bool {
    name.first() == Some(&b'$') && name.starts_with(b"$serde_json")
}

/// A one in each byte of a word.
const ONES: u64 = u64::MAX / 0xff;

/// Whether all of these bytes are ASCII, none is a control character, and none begins an escape. Eight bytes at once, and
/// all of them whatever is found, so that the compiler can take even more (Warren, Hacker's Delight, 6-1: a byte below
/// another one, and one that is equal to it, borrow from their highest bit; where none does, nothing is borrowed beyond).
fn is_plain(bytes: &[u8]) -> bool {
    fn unusual(word: [u8; 8]) -> u64 {
        let word = u64::from_le_bytes(word);
        let apart = word ^ (ONES * u64::from(b'\\'));
        word | word.wrapping_sub(ONES * u64::from(b' ')) | (apart.wrapping_sub(ONES) & !apart)
    }
    let (words, rest) = bytes.as_chunks();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().fold(unusual(last), |found, word| found | unusual(*word)) & (ONES << 7) == 0
}

/// A place in a text.
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// How many objects and arrays are open around it.
    depth: u32,
    /// Whether there are control characters, which may stand between values and not in strings.
    has_control: bool,
}

impl<'a> Scan<'a> {
    /// The beginning of `text`; `None` when it is no text, or there are escapes in it.
    pub(super) fn new(text: &'a [u8]) -> Option<Self> {
        let mut has_control = false;
        if !is_plain(text) {
            if text.contains(&b'\\') || std::str::from_utf8(text).is_err() {
                return None;
            }
            has_control = text.iter().any(|byte| *byte < b' ');
        }
        Some(Self { text, at: 0, depth: 0, has_control })
    }

    /// The next byte that is no space between values, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let (at, byte) = self.seek(self.at)?;
        self.at = at;
        Some(byte)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.seek(self.at).is_none()
    }

    /// Skips an object: `member` is told the name of each, and skips its value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.enter(b'{')?;
        if self.peek()? != b'}' {
            loop {
                let (name, _) = self.seek(self.at)?;
                let end = self.string(name)?;
                self.at = self.colon(end)?;
                let text = self.text;
                member(self, &text[name + 1..end - 1])?;
                match self.peek()? {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.leave(b'}')
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
        self.leave(b']')
    }

    fn enter(&mut self, opening: u8) -> Option<()> {
        self.take(opening)?;
        self.depth += 1;
        (self.depth <= DEPTH_MAX).then_some(())
    }

    fn leave(&mut self, closing: u8) -> Option<()> {
        self.depth -= 1;
        self.take(closing)
    }

    /// Takes the next byte that is no space, if it is `wanted`.
    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// Skips any value and tells where it is.
    pub(super) fn value(&mut self) -> Option<Range<usize>> {
        let (start, mut first) = self.seek(self.at)?;
        // What is open within the value: a bit each, innermost lowest, set for objects.
        let (mut objects, mut open) = (0_u64, 0);
        let mut at = start;
        loop {
            at = match first {
                b'"' => self.string(at)?,
                b'{' | b'[' => {
                    open += 1;
                    if self.depth + open > DEPTH_MAX {
                        return None;
                    }
                    let is_object = first == b'{';
                    objects = objects << 1 | u64::from(is_object);
                    let (inside, byte) = self.seek(at + 1)?;
                    if byte != if is_object { b'}' } else { b']' } {
                        (at, first) = if is_object { self.member(inside)? } else { (inside, byte) };
                        continue;
                    }
                    // The end of what is empty is met below.
                    inside
                }
                b't' => self.literal(at, b"true")?,
                b'f' => self.literal(at, b"false")?,
                b'n' => self.literal(at, b"null")?,
                _ => self.number(at)?,
            };
            // Behind a value: what was open for it may end with it.
            (at, first) = loop {
                if open == 0 {
                    self.at = at;
                    return Some(start..at);
                }
                let (behind, byte) = self.seek(at)?;
                match (byte, objects & 1) {
                    (b',', 1) => break self.member(self.seek(behind + 1)?.0)?,
                    (b',', _) => break self.seek(behind + 1)?,
                    (b'}', 1) | (b']', 0) => (at, objects, open) = (behind + 1, objects >> 1, open - 1),
                    _ => return None,
                }
            };
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The first byte from `at` on that is no space between values, and its place.
    #[inline]
    fn seek(&self, at: usize) -> Option<(usize, u8)> {
        let mut at = at;
        loop {
            let byte = self.byte(at)?;
            // Most texts have no space between values: one comparison tells.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some((at, byte));
            }
            at += 1;
        }
    }

    /// The value of the member at `at`, which nothing is selected in: its place and its first byte.
    #[inline]
    fn member(&self, at: usize) -> Option<(usize, u8)> {
        let end = self.string(at)?;
        let value = self.seek(self.colon(end)?)?;
        (!is_the_library_s(&self.text[at + 1..end - 1])).then_some(value)
    }

    /// Behind the colon that follows at `at`.
    #[inline]
    fn colon(&self, at: usize) -> Option<usize> {
        let (at, byte) = self.seek(at)?;
        (byte == b':').then_some(at + 1)
    }

    /// Behind the string at `at`.
    #[inline]
    fn string(&self, at: usize) -> Option<usize> {
        if self.byte(at)? != b'"' {
            return None;
        }
        let start = at + 1;
        let inside = &self.text[start..];
        let length = to_quote(inside)?;
        if self.has_control && inside[..length].iter().any(|byte| *byte < b' ') {
            return None;
        }
        Some(start + length + 1)
    }

    fn literal(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.text[at..].starts_with(word).then_some(at + word.len())
    }

    /// Where the number at `at` ends.
    #[inline]
    fn number(&self, at: usize) -> Option<usize> {
        let whole = at + usize::from(self.byte(at)? == b'-');
        let mut end = self.digits(whole)?;
        if end - whole > 1 && self.byte(whole)? == b'0' {
            return None;
        }
        if self.byte(end) == Some(b'.') {
            end = self.digits(end + 1)?;
        }
        let has_exponent = matches!(self.byte(end), Some(b'e' | b'E'));
        (!has_exponent && end - at <= NUMBER_BYTES_MAX).then_some(end)
    }

    /// Where the digits at `at` end, of which there must be one.
    #[inline]
    fn digits(&self, at: usize) -> Option<usize> {
        let mut end = at;
        while self.byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
            end += 1;
        }
        (end > at).then_some(end)
    }
}

/// How many bytes are before the first quotation mark. Names and most values are short, so the first words are looked at
/// here, eight bytes at once: a byte of the difference to the mark that is zero borrows from its highest bit (Warren,
/// Hacker's Delight, 6-1), and the lowest such byte is exact.
#[inline]
fn to_quote(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.as_chunks::<8>();
    let words = &words[..words.len().min(WORDS_MAX)];
    let mut looked_at = 0;
    for word in words {
        let apart = u64::from_le_bytes(*word) ^ (ONES * u64::from(b'"'));
        let marks = apart.wrapping_sub(ONES) & !apart & (ONES << 7);
        if marks != 0 {
            return Some(looked_at + marks.trailing_zeros() as usize / 8);
        }
        looked_at += word.len();
    }
    Some(looked_at + memchr(b'"', &bytes[looked_at..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_found_wherever_it_is() {
        for length in 1..70 {
            let mut bytes = vec![b'x'; length];
            for at in 0..length {
                for (byte, plain) in [(b'\\', false), (b'\n', false), (0xc3, false), (b' ', true), (0x7f, true)] {
                    bytes[at] = byte;
                    assert_eq!(is_plain(&bytes), plain, "{byte} at {at} of {length}");
                }
                bytes[at] = b'x';
            }
        }
        assert!(is_plain(&[]));
    }

    #[test]
    fn the_end_of_a_string_is_found_whatever_its_length_and_its_bytes() {
        for length in 0..100 {
            for filling in ['!', '#', '\u{0}', '\u{7f}', 'é'] {
                for behind in ["", "\"", " and more \" of it, behind the first one"] {
                    let inside = filling.to_string().repeat(length);
                    let found = to_quote(format!("{inside}\"{behind}").as_bytes());
                    assert_eq!(found, Some(inside.len()), "{length} times {filling:?}");
                    assert_eq!(to_quote(inside.as_bytes()), None);
                }
            }
        }
    }
}
