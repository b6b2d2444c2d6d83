//! Where the time of one request went.

use std::time::Duration;

/// The phases of one exchange; those that did not happen are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Opening the connection, when there was none to use.
    pub connect: Option<Duration>,
    /// The TLS handshake, when a connection was opened that has TLS.
    pub tls: Option<Duration>,
    /// From the request's being written to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the first byte of the answer to its last.
    pub body: Option<Duration>,
}
