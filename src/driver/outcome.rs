//! What became of a request, in two depths: a label that answers are counted by, and a cause that failures are grouped
//! by. Causes hold nothing that differs from request to request.

use super::{http2, tls};
use std::borrow::Cow;
use std::fmt;

/// The label of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A whole answer came, with this status.
    Answered(u16),
    /// No whole answer in time.
    TimedOut,
    /// No connection.
    Refused,
    /// The connection or the answer on it was not whole or not HTTP.
    Broken,
}

impl Outcome {
    /// The status, when there was an answer.
    pub(super) fn status(self) -> Option<u16> {
        if let Self::Answered(status) = self { Some(status) } else { None }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "{status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Refused => f.write_str("refused"),
            Self::Broken => f.write_str("broken"),
        }
    }
}

/// No local port was free for a connection.
const NO_PORT: &str = "the driver's host has no local port left";
/// The process had as many files open as it may.
const NO_FILE: &str = "the driver may open no more files (raise ulimit -n)";

/// The causes of failures that are the driver's own and say nothing about a service.
pub const OWN_FAILURES: [&str; 2] = [NO_PORT, NO_FILE];

/// Why there was no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// Never `Answered`.
    pub(super) outcome: Outcome,
    /// In words.
    pub(super) cause: Cow<'static, str>,
}

impl Unanswered {
    /// No answer in time.
    pub(super) fn timed_out(cause: &'static str) -> Self {
        Self { outcome: Outcome::TimedOut, cause: Cow::Borrowed(cause) }
    }

    /// Not whole, or not HTTP.
    pub(super) fn broken(cause: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: Outcome::Broken, cause: cause.into() }
    }

    /// No connection, from the error of the attempt.
    pub(super) fn refused(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let cause = match error.kind() {
            Kind::ConnectionRefused => "connection refused",
            Kind::ConnectionReset | Kind::ConnectionAborted => "connection reset while it was opened",
            Kind::TimedOut => "connecting timed out",
            Kind::HostUnreachable | Kind::NetworkUnreachable => "no route to the target",
            Kind::AddrNotAvailable | Kind::AddrInUse => NO_PORT,
            _ if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => NO_FILE,
            _ => return Self { outcome: Outcome::Refused, cause: format!("cannot connect: {}", error.kind()).into() },
        };
        Self { outcome: Outcome::Refused, cause: Cow::Borrowed(cause) }
    }

    /// What hyper says of a broken exchange, in words that stay the same.
    pub(super) fn from_hyper(error: &hyper::Error) -> Self {
        use std::io::ErrorKind as Kind;
        if let Some(cause) = http2::failure(error).or_else(|| tls::ended(error)) {
            return Self::broken(cause);
        }
        if error.is_parse_too_large() {
            return Self::broken("answer's head is too large");
        }
        if error.is_parse() {
            return Self::broken("answer is not HTTP/1.1");
        }
        if error.is_incomplete_message() {
            return Self::broken("connection closed before the answer was whole");
        }
        match io_kind(error) {
            Some(Kind::InvalidData | Kind::InvalidInput) => Self::broken("answer's body is not HTTP/1.1"),
            Some(kind) => Self::from_kind(kind),
            None if error.is_canceled() || error.is_closed() => Self::broken("connection closed before the answer"),
            None => Self::broken("connection failed"),
        }
    }

    /// Why a connection gave up in the middle of an exchange.
    pub(super) fn from_io(error: &std::io::Error) -> Self {
        tls::ended(error).map_or_else(|| Self::from_kind(error.kind()), Self::broken)
    }

    fn from_kind(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind as Kind;
        match kind {
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => {
                Self::broken("connection reset before the answer was whole")
            }
            Kind::UnexpectedEof => Self::broken("connection closed before the answer was whole"),
            kind => Self::broken(format!("connection failed: {kind}")),
        }
    }
}

/// The kind of the I/O error at the root of `error`, if there is one.
fn io_kind(error: &dyn std::error::Error) -> Option<std::io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}
