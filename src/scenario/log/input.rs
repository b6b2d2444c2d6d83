//! Cuts a log into lines, or a JSON array into its elements, with their places. What is longer than a line may be is
//! passed over, not held.

use super::{BadLine, Flaw};
use std::io::{BufRead, Result};

/// Longer lines and elements are not those of a log.
const LENGTH_MAX: usize = 1 << 20;

/// A line or an element.
#[derive(Debug, Default)]
pub(super) struct Item {
    /// Without the end of the line.
    pub(super) bytes: Vec<u8>,
    /// Where it begins, both from 1.
    line: u64,
    column: u64,
    /// Why it cannot even be looked at, if so.
    pub(super) flaw: Option<Flaw>,
}

impl Item {
    fn begin(&mut self, line: u64, column: u64) {
        self.bytes.clear();
        (self.line, self.column, self.flaw) = (line, column, None);
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = LENGTH_MAX.saturating_sub(self.bytes.len());
        if bytes.len() > room {
            let cause = format!("this is longer than {LENGTH_MAX} bytes, the most that a log's line may have");
            self.flaw = Some(Flaw { at: 0, cause });
        }
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Where in the log a flaw of this item is.
    pub(super) fn place(&self, flaw: &Flaw) -> BadLine {
        let before = &self.bytes[..flaw.at.min(self.bytes.len())];
        let breaks = before.split(|byte| *byte == b'\n').count() as u64 - 1;
        let column = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => 1 + characters(&before[last + 1..]),
            None => self.column + characters(before),
        };
        BadLine { line: self.line + breaks, column, cause: flaw.cause.clone() }
    }
}

/// How many characters begin in UTF-8 text.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| begins_character(**byte)).count() as u64
}

fn begins_character(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// The log, and how far it has been read.
pub(super) struct Input<R> {
    reader: R,
    line: u64,
    column: u64,
    /// Whether the JSON array has ended.
    ended: bool,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 1, column: 1, ended: false }
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    fn bump(&mut self, byte: u8) {
        self.reader.consume(1);
        if byte == b'\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += u64::from(begins_character(byte));
        }
    }

    /// The next byte that is neither white space nor a byte order mark, not taken yet.
    fn peek_word(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(&byte) {
                return Ok(Some(byte));
            }
            self.bump(byte);
        }
        Ok(None)
    }

    /// Whether the log is a JSON array; if so its bracket is taken.
    pub(super) fn begins_array(&mut self) -> Result<bool> {
        let begins = self.peek_word()? == Some(b'[');
        if begins {
            self.bump(b'[');
        }
        Ok(begins)
    }

    /// Reads the next line that is not blank; false at the end.
    pub(super) fn next_line(&mut self, item: &mut Item) -> Result<bool> {
        if self.peek_word()?.is_none() {
            return Ok(false);
        }
        item.begin(self.line, self.column);
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(buffer.len());
            item.push(&buffer[..length]);
            let taken = length + usize::from(end.is_some());
            self.reader.consume(taken);
            if taken == 0 || end.is_some() {
                break;
            }
        }
        (self.line, self.column) = (self.line + 1, 1);
        if item.bytes.last() == Some(&b'\r') {
            item.bytes.pop();
        }
        Ok(true)
    }

    /// Reads the next element of the array; false at its end.
    pub(super) fn next_element(&mut self, item: &mut Item) -> Result<bool> {
        loop {
            let next = self.peek_word()?;
            item.begin(self.line, self.column);
            let flaw = |cause: &str| Some(Flaw { at: 0, cause: cause.to_owned() });
            match next {
                None if self.ended => return Ok(false),
                None => {
                    self.ended = true;
                    item.flaw = flaw("the array has no end: the file was cut");
                    return Ok(true);
                }
                Some(_) if self.ended => {
                    self.take_element(item)?;
                    item.flaw = flaw("the array has ended before this");
                    return Ok(true);
                }
                Some(byte @ b']') => {
                    self.bump(byte);
                    self.ended = true;
                }
                Some(byte @ b',') => self.bump(byte),
                Some(_) => {
                    self.take_element(item)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Takes at least one byte, and all until a comma or the bracket that ends the array: brackets are counted, and what
    /// is between quotes is passed over.
    fn take_element(&mut self, item: &mut Item) -> Result<()> {
        let (mut depth, mut quoted, mut escaped) = (0_u64, false, false);
        let mut first = true;
        while let Some(byte) = self.peek()? {
            if !first && !quoted && depth == 0 && matches!(byte, b',' | b']') {
                break;
            }
            first = false;
            self.bump(byte);
            item.push(&[byte]);
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }
}
