//! The phases of one request, from the connection to the end of the body.

use std::time::Duration;

/// How long each phase took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Opening the connection, when one was opened for this request.
    pub connect: Option<Duration>,
    /// Agreeing on TLS, when a connection was opened for this request and speaks it.
    pub tls: Option<Duration>,
    /// From the write that took the last of the request to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the first byte of the answer to its end.
    pub body: Option<Duration>,
}
