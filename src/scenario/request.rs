//! A request of a step with its values in place: as it is needed to be sent at once, or kept.

use bytes::Bytes;
use std::borrow::Cow;
use std::ops::Deref;

/// A request ready to be sent, relative to the target's base address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Path and query, percent-encoded, starts with `/`.
    pub path: String,
    /// Headers as (lower-case name, value), cookies and content type included; never `host` or `content-length`.
    pub headers: Vec<(String, String)>,
    /// Body, empty for none.
    pub body: Bytes,
}

/// The same for whoever sends it before the session goes on: what is constant in the scenario is not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// Path and query, percent-encoded, starts with `/`.
    pub path: &'a str,
    /// Headers as (lower-case name, value), cookies and content type included; never `host` or `content-length`.
    pub headers: Vec<(&'a str, Cow<'a, str>)>,
    /// Body, empty for none.
    pub body: RenderedBody<'a>,
}

/// The body of a rendered request.
#[derive(Clone, Debug)]
pub enum RenderedBody<'a> {
    /// The same each time: it can be shared.
    Fixed(&'a Bytes),
    /// Filled in for this request.
    Filled(Vec<u8>),
}

impl Deref for RenderedBody<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Filled(bytes) => bytes,
        }
    }
}

/// Bodies are equal when the same bytes are sent.
impl PartialEq for RenderedBody<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RenderedBody<'_> {}

impl RenderedBody<'_> {
    /// The body, to be kept; it is not copied.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Fixed(bytes) => Bytes::clone(bytes),
            Self::Filled(bytes) => Bytes::from(bytes),
        }
    }
}

impl Request {
    /// This request, to be sent.
    #[must_use]
    pub fn rendered(&self) -> Rendered<'_> {
        Rendered {
            method: &self.method,
            path: &self.path,
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), Cow::Borrowed(value.as_str()))).collect(),
            body: RenderedBody::Fixed(&self.body),
        }
    }
}

impl Rendered<'_> {
    /// This request, to be kept.
    #[must_use]
    pub fn kept(self) -> Request {
        Request {
            method: self.method.to_owned(),
            path: self.path.to_owned(),
            headers: self.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
            body: self.body.into_bytes(),
        }
    }
}
