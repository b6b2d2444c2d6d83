//! Common Log Format: `host ident user [time] "request" status bytes`, and Combined Log Format, which adds `"referer"
//! "user agent"`. What follows after that is passed over: servers are often told to write more.

use super::requests::Told;
use super::{Content, Flaw, time};

/// The arrival of a line, with its request where `requests` are asked for.
pub(super) fn arrival(line: &[u8], combined: bool, requests: bool) -> Result<Content, Flaw> {
    let flaw = |at: usize, cause: String| Flaw { at, cause };
    let Some(open) = line.windows(2).position(|pair| pair == b" [") else {
        return Err(flaw(0, "this line has no `[time]`".to_owned()));
    };
    let start = open + 2;
    let Some(length) = line[start..].iter().position(|byte| *byte == b']') else {
        return Err(flaw(start, "the time has no `]` at its end".to_owned()));
    };
    let text = String::from_utf8_lossy(&line[start..start + length]);
    let Some(arrival) = time::common(&text) else {
        let told = super::shortened(&text);
        return Err(flaw(start, format!("`{told}` is not a time such as 10/Oct/2000:13:55:36 -0700")));
    };
    let mut rest = Rest { line, at: start + length + 1 };
    let request = rest.quoted("request")?;
    rest.number("status")?;
    rest.number("size of the answer")?;
    let mut agent: &[u8] = b"";
    if combined {
        rest.quoted("referer")?;
        agent = rest.quoted("user agent")?;
    }
    let told = requests.then(|| Told::of_line(&unescaped(request), &unescaped(agent)));
    Ok(Content::Arrival(arrival, told))
}

/// What servers write with a backslash: `\"`, `\\`, `\n` and the like, and any byte as `\x0d`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let Some((escape, after)) = after.split_first().filter(|_| *byte == b'\\') else {
            plain.push(*byte);
            continue;
        };
        rest = after;
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (escape, hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'x', Some(value)) => {
                plain.push(value);
                rest = &after[2..];
            }
            (b'n', _) => plain.push(b'\n'),
            (b'r', _) => plain.push(b'\r'),
            (b't', _) => plain.push(b'\t'),
            (b'b', _) => plain.push(8),
            (b'v', _) => plain.push(11),
            (b'f', _) => plain.push(12),
            _ => plain.push(*escape),
        }
    }
    plain
}

/// What follows the time.
struct Rest<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    /// Takes one space and gives what `wanted` accepts, of which there must be something.
    fn take(&mut self, noun: &str, wanted: impl Fn(&[u8]) -> Option<usize>) -> Result<&'a [u8], Flaw> {
        let rest = self.line.get(self.at..).unwrap_or_default();
        let length = rest.strip_prefix(b" ").and_then(wanted);
        let Some(length) = length else {
            return Err(Flaw { at: self.at, cause: format!("here the {noun} should be") });
        };
        self.at += 1 + length;
        Ok(&rest[1..=length])
    }

    /// Gives a text in quotes; a backslash takes the next byte's meaning away.
    fn quoted(&mut self, noun: &str) -> Result<&'a [u8], Flaw> {
        let quoted = self.take(noun, |rest| {
            let inside = rest.strip_prefix(b"\"")?;
            let mut escaped = false;
            let end = inside.iter().position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            })?;
            Some(end + 2)
        })?;
        Ok(&quoted[1..quoted.len() - 1])
    }

    /// Digits, or `-` for none.
    fn number(&mut self, noun: &str) -> Result<(), Flaw> {
        self.take(noun, |rest| {
            if rest.first() == Some(&b'-') {
                return Some(1);
            }
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (digits > 0).then_some(digits)
        })
        .map(drop)
    }
}
