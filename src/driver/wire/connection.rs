//! A connection that carries one request at a time, driven by whoever waits for the answer.

use super::message::Message;
use super::parser::{Parser, Whole};
use super::request::Written;
use crate::driver::alarm::Alarm;
use crate::driver::answer::{Answer, Content};
use crate::driver::exchange::{Span, too_late};
use crate::driver::outcome::{Outcome, Unanswered};
use crate::driver::phases::Phases;
use crate::driver::tls;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Bytes of the memory that all connections read into.
const SCRATCH_BYTES: usize = 32 * 1024;

/// What carries the bytes.
pub(in crate::driver) enum Stream {
    /// The common case, without a detour.
    Tcp(TcpStream),
    /// TLS, and whatever else carries bytes.
    Other(Box<dyn Duplex>),
}

/// Bytes both ways.
pub(in crate::driver) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Stream {
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Other(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // What a socket has taken needs no flush.
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// The memory that the connections of a connector read into, so that an idle one holds none. An answer whose length is told
/// and that comes in one piece takes it along; a journey gives it back once it has judged the answer. So most answers are
/// never copied, and come into memory that is still in the nearest cache.
#[derive(Debug, Default)]
pub(in crate::driver) struct Scratch(Mutex<Vec<u8>>);

impl Scratch {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the memory of an answer back: the larger of two is kept, unless that is more than any read needs.
    pub(in crate::driver) fn take_back(&self, message: Message) {
        let mut memory = message.into_memory();
        memory.clear();
        let mut scratch = self.lock();
        if scratch.capacity() < memory.capacity() && memory.capacity() <= 2 * SCRATCH_BYTES {
            *scratch = memory;
        }
    }
}

/// A connection. Dropping it closes it.
pub(in crate::driver) struct Wire {
    stream: Stream,
    /// Bytes that came and are not an answer yet; without memory while the connection is idle.
    unread: Vec<u8>,
    alarm: Alarm,
    /// Whether it can carry a request: not while it carries one, nor after one that was given up.
    is_free: bool,
}

/// Why there is no answer.
pub(in crate::driver) enum Lost {
    /// The connection was closed, or unusable, before a byte of the request was written; this is why, as far as it is known.
    Unsent(Unanswered),
    /// A part of the request was written, and no whole answer came.
    Failed(Unanswered),
}

impl Wire {
    pub(in crate::driver) fn new(stream: Stream) -> Self {
        Self { stream, unread: Vec::new(), alarm: Alarm::default(), is_free: true }
    }

    /// Whether it carries no further request: it was closed, or spoke unasked, since its last answer, or is out of step.
    /// Costs no system call while nothing has come.
    pub(in crate::driver) fn is_closed(&mut self) -> bool {
        !self.is_free || self.poll_closed(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    /// Whether it was left in a state in which it can carry a request, as far as it is known.
    pub(in crate::driver) fn is_free(&self) -> bool {
        self.is_free
    }

    /// Ready with the reason when the connection was closed, or spoke unasked.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Unanswered> {
        // One byte is one too many.
        let mut byte = [0];
        let came = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        // Since TLS 1.3 a server may refuse a client after the handshake, and that is what must be told.
        let told = came.err().and_then(|error| tls::ended(&error));
        Poll::Ready(Unanswered::broken(told.unwrap_or(CLOSED.into())))
    }

    /// Sends `request` and reads its answer, which must be whole by the end of `span`. Afterwards the connection is free
    /// again, unless it cannot carry another request.
    pub(in crate::driver) async fn carry(
        &mut self,
        request: &Written,
        span: Span,
        scratch: &Scratch,
    ) -> Result<Answer, Lost> {
        if !std::mem::take(&mut self.is_free) {
            return Err(Lost::Unsent(Unanswered::broken(CLOSED)));
        }
        let mut exchange = Exchange {
            wire: self,
            scratch,
            request,
            span,
            parser: Parser::new(request.asked),
            progress: Progress::Idle,
            first_byte: None,
            done: None,
        };
        let ended = poll_fn(|cx| exchange.poll(cx)).await;
        let (progress, first_byte, done) = (exchange.progress, exchange.first_byte, exchange.done);
        match ended {
            Ok(Whole { status, message, keep_alive }) => {
                let done = done.unwrap_or_else(Instant::now);
                // Whoever answers before the request was whole, or says more than was asked, is out of step.
                self.is_free = keep_alive && self.unread.is_empty() && matches!(progress, Progress::Sent(_));
                self.unread = Vec::new();
                Ok(Answer { status, content: Content::Raw(message), phases: phases(progress, first_byte, done), done })
            }
            Err(failure) if failure.outcome == Outcome::TimedOut => Err(Lost::Failed(failure)),
            Err(cause) if matches!(progress, Progress::Idle | Progress::Writing(0)) => Err(Lost::Unsent(cause)),
            Err(failure) => Err(Lost::Failed(failure)),
        }
    }
}

/// Why a connection does not carry a request, where nothing else is known.
const CLOSED: &str = "connection closed before the request was sent";

/// How far the sending is.
#[derive(Clone, Copy, Debug)]
enum Progress {
    /// Nothing was done yet.
    Idle,
    /// So many bytes were written.
    Writing(usize),
    /// The connection takes no more, but what it has brought may still be an answer.
    Refused,
    /// All was written, the last of it from this time on.
    Sent(Instant),
}

/// The phases after the connection is there: clocks of one answer that came whole and was `done` then.
fn phases(progress: Progress, first_byte: Option<Instant>, done: Instant) -> Phases {
    let (Progress::Sent(sent), Some(first_byte)) = (progress, first_byte) else { return Phases::default() };
    Phases {
        first_byte: Some(first_byte.saturating_duration_since(sent)),
        body: Some(done.saturating_duration_since(first_byte)),
        ..Phases::default()
    }
}

/// A request on its way and its answer.
struct Exchange<'a> {
    wire: &'a mut Wire,
    scratch: &'a Scratch,
    request: &'a Written,
    span: Span,
    parser: Parser,
    progress: Progress,
    /// When the answer began.
    first_byte: Option<Instant>,
    /// When more of it, or its end, was read last.
    done: Option<Instant>,
}

impl Exchange<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Whole, Unanswered>> {
        let first = matches!(self.progress, Progress::Idle);
        if first {
            if let Poll::Ready(cause) = self.wire.poll_closed(cx) {
                return Poll::Ready(Err(cause));
            }
            self.progress = Progress::Writing(0);
        }
        if let Progress::Writing(written) = self.progress
            && let Poll::Ready(Err(error)) = self.poll_write(cx, written, first)
        {
            // A server may answer and close before it has read the whole request: what came is read first.
            if matches!(self.progress, Progress::Writing(0)) {
                return Poll::Ready(Err(Unanswered::from_io(&error)));
            }
            self.progress = Progress::Refused;
        }
        // Whoever asked in vain what has come is woken by what comes: there is no need to ask again.
        if first && matches!(self.progress, Progress::Sent(_)) {
            return self.wire.alarm.poll(cx, self.span.deadline).map(|()| Err(too_late()));
        }
        if let Poll::Ready(answer) = self.poll_answer(cx) {
            return Poll::Ready(answer);
        }
        self.wire.alarm.poll(cx, self.span.deadline).map(|()| Err(too_late()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, mut written: usize, first: bool) -> Poll<io::Result<()>> {
        let stream = &mut self.wire.stream;
        // Most requests are taken in one piece, at once: there the time at hand is the time of it.
        let mut began = if first { self.span.begun } else { Instant::now() };
        while written < self.request.bytes.len() {
            if written > 0 {
                began = Instant::now();
            }
            written += match ready!(stream.poll_write(cx, &self.request.bytes[written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => more,
            };
            self.progress = Progress::Writing(written);
        }
        ready!(stream.poll_flush(cx))?;
        self.progress = Progress::Sent(began);
        Poll::Ready(Ok(()))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Whole, Unanswered>> {
        loop {
            let mut scratch = self.scratch.lock();
            let came = ready!(poll_fill(&mut self.wire.stream, cx, &mut scratch));
            // Taken before the bytes are looked at: what that costs is not the server's.
            self.done = Some(Instant::now());
            match came {
                Ok(0) => return Poll::Ready(self.parser.end()),
                Ok(_) => self.first_byte = self.first_byte.or(self.done),
                Err(error) => return Poll::Ready(Err(Unanswered::from_io(&error))),
            }
            let unread = &mut self.wire.unread;
            let advanced = if unread.is_empty() {
                let advanced = self.parser.advance(&mut scratch);
                unread.extend_from_slice(&scratch);
                advanced
            } else {
                unread.extend_from_slice(&scratch);
                self.parser.advance(unread)
            };
            // The next connection that reads begins with nothing.
            scratch.clear();
            match advanced {
                Ok(None) => {}
                Ok(Some(whole)) => return Poll::Ready(Ok(whole)),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }
}

/// Reads what has come into `scratch`, which is empty; 0 at the end of the stream.
fn poll_fill(stream: &mut Stream, cx: &mut Context<'_>, scratch: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    // Nothing is done where the memory came back.
    scratch.reserve(SCRATCH_BYTES);
    pin!(stream.read_buf(scratch)).poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::wire::message::Noted;

    #[test]
    fn memory_is_taken_back_that_is_neither_too_little_nor_too_much() {
        let scratch = Scratch::default();
        let answer = |bytes| Message::new(Vec::with_capacity(bytes), 0, Noted::default());
        for (bytes, expected) in [(SCRATCH_BYTES, 1), (100, 1), (3 * SCRATCH_BYTES, 1), (2 * SCRATCH_BYTES, 2)] {
            scratch.take_back(answer(bytes));
            let kept = scratch.lock();
            assert_eq!((kept.capacity() / SCRATCH_BYTES, kept.len()), (expected, 0), "after {bytes} bytes");
        }
    }
}
