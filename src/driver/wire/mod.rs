//! The fast HTTP/1.1 path: one request and its answer over a connection, on httparse. No task per connection: whoever
//! waits for the answer writes, reads and parses. hyper is the reference that this path is held against, answer by
//! answer (`driver/differential.rs`): same verdict, same status, headers and bytes.

mod chunked;
mod connection;
mod head;
mod message;
mod parser;
mod request;
mod retyped;

pub(super) use connection::{Lost, Scratch, Stream, Wire};
pub(super) use message::Message;
pub(super) use request::Written;

/// Bytes that an answer's status line and headers may take: far beyond any real answer, and small enough that a server
/// that never stops sending headers cannot fill the driver's memory.
pub(super) const HEAD_BYTES_MAX: usize = 256 * 1024;

/// What a body may hold before the driver gives it up: bounded memory, whatever a server sends.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Header fields, and fields of a trailer, that an answer may have.
const FIELDS_MAX: usize = 100;
