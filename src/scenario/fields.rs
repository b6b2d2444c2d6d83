//! The header fields of an answer, as far as a journey asks for them.

use http::HeaderMap;

/// Header fields by name. Whoever sends requests implements it for what its answers come in, so that nothing is built that
/// no step asks for.
pub trait Fields {
    /// The first value of the field `name`, which is in lower case.
    fn first(&self, name: &str) -> Option<&[u8]>;

    /// Tells every value of the field `name`, which is in lower case, in the order they came.
    fn each(&self, name: &str, tell: &mut dyn FnMut(&[u8]));
}

impl Fields for HeaderMap {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(http::HeaderValue::as_bytes)
    }

    fn each(&self, name: &str, tell: &mut dyn FnMut(&[u8])) {
        self.get_all(name).iter().for_each(|value| tell(value.as_bytes()));
    }
}

/// A value as text, when it is plain: visible ASCII, spaces and tabs.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    if plain { std::str::from_utf8(value).ok() } else { None }
}
