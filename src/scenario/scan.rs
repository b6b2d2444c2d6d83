//! Skips over JSON in one go over its bytes, for texts in which nothing is unusual: no escapes, no exponents, no great
//! depth. It accepts no text that `serde_json` would not, and whatever it has a doubt about it leaves to that.

use std::ops::Range;
use wide::i8x16;

/// Values that lie deeper are left to the library, which has a bound of its own.
const DEPTH_MAX: u32 = 64;
/// Longer numbers are left to the library: they may be too great.
const NUMBER_BYTES_MAX: usize = 200;

/// Whether a member's name means something to the library itself.
pub(super) fn is_the_library_s(name: &[u8]) -> bool {
    name.first() == Some(&b'$') && name.starts_with(b"$serde_json")
}

/// Bytes of a block.
const BLOCK: usize = 64;

/// What is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    /// Where the quotation marks are: a bit each, the first byte lowest.
    quotes: u64,
    /// Whether there is a control character below the space, anything beyond ASCII, or the beginning of an escape.
    is_unusual: bool,
}

impl Marks {
    #[inline]
    fn of(block: &[u8; BLOCK]) -> Self {
        let (lanes, _) = block.as_chunks();
        let mut quotes = 0;
        let mut unusual = i8x16::ZERO;
        for (place, lane) in lanes.iter().enumerate() {
            let lane = i8x16::new(lane.map(u8::cast_signed));
            quotes |= u64::from(lane.simd_eq(QUOTE).to_bitmask()) << (16 * place);
            // What is beyond ASCII is below the space, as signed numbers are.
            unusual |= lane.simd_lt(SPACE) | lane.simd_eq(BACKSLASH);
        }
        Self { quotes, is_unusual: unusual.any() }
    }
}

const QUOTE: i8x16 = i8x16::new([b'"'.cast_signed(); 16]);
const SPACE: i8x16 = i8x16::new([b' '.cast_signed(); 16]);
const BACKSLASH: i8x16 = i8x16::new([b'\\'.cast_signed(); 16]);

/// A place in a text.
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    /// How many objects and arrays are open around it.
    depth: u32,
    /// The block that was looked at last, and what is in it.
    block: usize,
    marks: Marks,
    /// Whether there are control characters, which may stand between values and not in strings; once something unusual
    /// was met.
    has_control: Option<bool>,
}

impl<'a> Scan<'a> {
    /// The beginning of `text`.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let marks = Marks { quotes: 0, is_unusual: false };
        Self { text, at: 0, depth: 0, block: usize::MAX, marks, has_control: None }
    }

    /// The next byte that is no space between values, which stays.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let (at, byte) = self.seek(self.at);
        self.at = at;
        (at < self.text.len()).then_some(byte)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.seek(self.at).0 == self.text.len()
    }

    /// Skips an object: `member` is told the name of each, and skips its value, or refuses a name that is the library's.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.enter(b'{')?;
        if self.peek()? != b'}' {
            loop {
                let (name, first) = self.seek(self.at);
                let end = self.string(name, first)?;
                self.at = end;
                self.take(b':')?;
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
        let (start, mut first) = self.seek(self.at);
        let mut at = start;
        // What is open within the value: a bit each, innermost lowest, set for objects; and what ends the innermost.
        let (mut objects, mut open, mut closing) = (0_u64, 0, 0);
        loop {
            if closing == b'}' {
                // At a member: its name comes first.
                let end = self.string(at, first)?;
                let (colon, byte) = self.seek(end);
                if byte != b':' || is_the_library_s(&self.text[at + 1..end - 1]) {
                    return None;
                }
                (at, first) = self.seek(colon + 1);
            }
            at = match first {
                b'"' => self.string(at, first)?,
                b'-' | b'0'..=b'9' => self.number(at)?,
                b'{' | b'[' => {
                    open += 1;
                    if self.depth + open > DEPTH_MAX {
                        return None;
                    }
                    objects = objects << 1 | u64::from(first == b'{');
                    closing = closing_of(objects);
                    let inside;
                    (inside, first) = self.seek(at + 1);
                    if first != closing {
                        at = inside;
                        continue;
                    }
                    // The end of what is empty is met below.
                    inside
                }
                b't' => self.literal(at, b"true")?,
                b'f' => self.literal(at, b"false")?,
                b'n' => self.literal(at, b"null")?,
                _ => return None,
            };
            // Behind a value: what was open for it may end with it.
            loop {
                if open == 0 {
                    self.at = at;
                    return Some(start..at);
                }
                let (behind, byte) = self.seek(at);
                if byte == b',' {
                    (at, first) = self.seek(behind + 1);
                    break;
                }
                if byte != closing {
                    return None;
                }
                (at, objects, open) = (behind + 1, objects >> 1, open - 1);
                closing = if open == 0 { 0 } else { closing_of(objects) };
            }
        }
    }

    /// The byte at `at`; behind the end a zero, which stands nowhere in JSON.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The first byte from `at` on that is no space between values, and its place; a zero at the end.
    #[inline]
    fn seek(&self, at: usize) -> (usize, u8) {
        let byte = self.byte(at);
        // Most texts have no space between values: one comparison tells.
        if byte > b' ' { (at, byte) } else { self.seek_behind(at) }
    }

    /// The same where space may be.
    #[cold]
    #[inline(never)]
    fn seek_behind(&self, at: usize) -> (usize, u8) {
        let rest = self.text.get(at..).unwrap_or_default();
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        (at + spaces, self.byte(at + spaces))
    }

    /// Behind the string at `at`, where `first` is.
    #[inline]
    fn string(&mut self, at: usize, first: u8) -> Option<usize> {
        if first != b'"' {
            return None;
        }
        let end = self.quote(at + 1)?;
        if self.has_control == Some(true) && self.text[at + 1..end].iter().any(|byte| *byte < b' ') {
            return None;
        }
        Some(end + 1)
    }

    /// Where the next quotation mark is from `at` on.
    #[inline]
    fn quote(&mut self, at: usize) -> Option<usize> {
        let marks = if at / BLOCK == self.block { self.marks.quotes >> (at % BLOCK) } else { 0 };
        if marks == 0 { self.quote_behind(at) } else { Some(at + marks.trailing_zeros() as usize) }
    }

    /// The same, where it is not in the block that was looked at last. Every block of a string is looked at, and what is
    /// unusual stands nowhere else in JSON, but for space.
    #[inline(never)]
    fn quote_behind(&mut self, at: usize) -> Option<usize> {
        let (mut block, mut passed) = (at / BLOCK, at % BLOCK);
        while let Some(rest) = self.text.get(block * BLOCK..) {
            let marks = rest.first_chunk().map_or_else(|| Marks::of(&padded(rest)), Marks::of);
            if marks.is_unusual && self.has_control.is_none() {
                self.has_control = Some(has_control(self.text)?);
            }
            (self.block, self.marks) = (block, marks);
            let left = marks.quotes >> passed;
            if left != 0 {
                return Some(block * BLOCK + passed + left.trailing_zeros() as usize);
            }
            (block, passed) = (block + 1, 0);
        }
        None
    }

    fn literal(&self, at: usize, word: &[u8]) -> Option<usize> {
        self.text[at..].starts_with(word).then_some(at + word.len())
    }

    /// Where the number at `at` ends.
    #[inline]
    fn number(&self, at: usize) -> Option<usize> {
        let whole = at + usize::from(self.byte(at) == b'-');
        let mut end = self.digits(whole)?;
        if end - whole > 1 && self.byte(whole) == b'0' {
            return None;
        }
        if self.byte(end) == b'.' {
            end = self.digits(end + 1)?;
        }
        let has_exponent = matches!(self.byte(end), b'e' | b'E');
        (!has_exponent && end - at <= NUMBER_BYTES_MAX).then_some(end)
    }

    /// Where the digits at `at` end, of which there must be one.
    #[inline]
    fn digits(&self, at: usize) -> Option<usize> {
        let mut end = at;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        (end > at).then_some(end)
    }
}

/// What ends the innermost of what is open.
fn closing_of(objects: u64) -> u8 {
    if objects & 1 == 1 { b'}' } else { b']' }
}

/// The end of a text as a block.
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Whether there are control characters in a text that is not plain; `None` when it is no text, or there are escapes in it.
#[cold]
fn has_control(text: &[u8]) -> Option<bool> {
    if text.contains(&b'\\') || std::str::from_utf8(text).is_err() {
        return None;
    }
    Some(text.iter().any(|byte| *byte < b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_for_what_it_is_wherever_it_stands_in_a_block() {
        for at in 0..BLOCK {
            for byte in 0..=u8::MAX {
                let mut block = [b'x'; BLOCK];
                block[at] = byte;
                let quotes = u64::from(byte == b'"') << at;
                let is_unusual = !matches!(byte, b' '..=0x7f) || byte == b'\\';
                assert_eq!(Marks::of(&block), Marks { quotes, is_unusual }, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_is() {
        for length in 0..200 {
            for filling in ["!", "#", "\u{7f}", "\u{e9}", "\n"] {
                for behind in ["", "\"", " and more \" of it, behind the first one"] {
                    let text = format!("{}\"{behind}", filling.repeat(length));
                    let end = filling.len() * length;
                    for from in [0, end / 3, end] {
                        assert_eq!(Scan::new(text.as_bytes()).quote(from), Some(end), "from {from}: {text:?}");
                    }
                    assert_eq!(Scan::new(&text.as_bytes()[..end]).quote(0), None);
                }
            }
        }
    }

    #[test]
    fn a_string_with_an_escape_or_without_text_in_it_is_left_to_the_library() {
        for place in 0..150 {
            for unusual in [b"\\n".as_slice(), b"\xff"] {
                let text = [b"[\"", "x".repeat(place).as_bytes(), unusual, b"\"]"].concat();
                assert_eq!(Scan::new(&text).value(), None, "{text:?}");
            }
        }
    }
}
