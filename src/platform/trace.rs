//! The trace of a request, in the two forms in which headers say it.

use http::HeaderValue;

/// 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId([u8; 32]);

impl TraceId {
    /// Made of two numbers.
    pub(super) fn new(high: u64, low: u64) -> Self {
        let mut digits = [0; 32];
        digits[..16].copy_from_slice(&hexadecimal(high));
        digits[16..].copy_from_slice(&hexadecimal(low));
        Self(digits)
    }

    /// That of an `X-Cloud-Trace-Context`, `TRACE_ID/SPAN_ID;o=OPTIONS`.
    pub(super) fn of_cloud_context(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        Self::read(bytes, 0).filter(|_| matches!(bytes.get(32), None | Some(b'/')))
    }

    /// That of a `traceparent`, `VERSION-TRACE_ID-PARENT_ID-FLAGS`.
    pub(super) fn of_parent(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let start = bytes.iter().position(|byte| *byte == b'-')? + 1;
        Self::read(bytes, start).filter(|_| matches!(bytes.get(start + 32), None | Some(b'-')))
    }

    fn read(bytes: &[u8], start: usize) -> Option<Self> {
        let digits: [u8; 32] = bytes.get(start..start + 32)?.try_into().ok()?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(Self(digits))
    }

    /// `X-Cloud-Trace-Context` with this span, sampled.
    pub(super) fn cloud_context(self, span: u64) -> Option<HeaderValue> {
        let mut text = [0; 32 + 1 + 20 + 4];
        text[..32].copy_from_slice(&self.0);
        text[32] = b'/';
        let end = 33 + decimal(span, &mut text[33..]);
        text[end..end + 4].copy_from_slice(b";o=1");
        HeaderValue::from_bytes(&text[..end + 4]).ok()
    }

    /// `traceparent` with this parent, sampled.
    pub(super) fn parent(self, span: u64) -> Option<HeaderValue> {
        let mut text = *b"00-................................-................-01";
        text[3..35].copy_from_slice(&self.0);
        text[36..52].copy_from_slice(&hexadecimal(span));
        HeaderValue::from_bytes(&text).ok()
    }
}

fn hexadecimal(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 16];
    for (place, byte) in number.to_be_bytes().into_iter().enumerate() {
        digits[2 * place] = DIGITS[usize::from(byte >> 4)];
        digits[2 * place + 1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}

/// Writes a number at the beginning of `text`; gives its length.
fn decimal(number: u64, text: &mut [u8]) -> usize {
    let mut digits = [0; 20];
    let (mut rest, mut start) = (number, digits.len());
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let length = digits.len() - start;
    text[..length].copy_from_slice(&digits[start..]);
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_forms_are_written_as_formatted_and_read_back(high: u64, low: u64, span: u64) {
            let id = TraceId::new(high, low);
            let (cloud, parent) = (id.cloud_context(span).unwrap(), id.parent(span).unwrap());
            prop_assert_eq!(cloud.to_str().unwrap(), format!("{high:016x}{low:016x}/{span};o=1"));
            prop_assert_eq!(parent.to_str().unwrap(), format!("00-{high:016x}{low:016x}-{span:016x}-01"));
            prop_assert_eq!(TraceId::of_cloud_context(&cloud), Some(id));
            prop_assert_eq!(TraceId::of_parent(&parent), Some(id));
        }

        #[test]
        fn whatever_else_is_no_trace(text in "[0-9a-zA-F/-]{0,70}") {
            let value = HeaderValue::from_str(&text).unwrap();
            let whole = |id: Option<&str>| id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
            prop_assert_eq!(TraceId::of_cloud_context(&value).is_some(), whole(text.split('/').next()));
            prop_assert_eq!(TraceId::of_parent(&value).is_some(), whole(text.split('-').nth(1)));
        }
    }
}
