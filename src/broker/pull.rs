//! Who takes messages of a subscription instead of having them pushed: pulls that wait, and streams.

use super::queue::Delivery;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Messages of one answer on a stream, at most.
const BATCH_MAX: usize = 100;
/// Bytes of one answer, about: many clients of gRPC take 4 MiB and no more.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// A stream that takes messages as they come.
#[derive(Debug)]
pub(super) struct Stream {
    /// Where they go.
    pub(super) to: mpsc::Sender<Vec<Delivery>>,
    /// How many may be out; none for any number.
    pub(super) messages_max: Option<usize>,
    /// How many bytes may be out.
    pub(super) bytes_max: Option<usize>,
    /// Its own ack deadline.
    pub(super) deadline: Duration,
}

/// The takers of one subscription.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    waiting: VecDeque<(usize, oneshot::Sender<Vec<Delivery>>)>,
    streams: VecDeque<Open>,
    /// The stream and the size of each delivery that is out on one.
    out: BTreeMap<u64, (u64, usize)>,
    opened: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    stream: Stream,
    messages: usize,
    bytes: usize,
}

impl Open {
    fn room(&self) -> usize {
        let Stream { to, messages_max, bytes_max, .. } = &self.stream;
        let full = to.capacity() == 0 || bytes_max.is_some_and(|most| self.bytes >= most);
        let messages = messages_max.map_or(BATCH_MAX, |most| most.saturating_sub(self.messages));
        if full { 0 } else { messages.min(BATCH_MAX) }
    }

    fn bytes_room(&self) -> usize {
        let most = self.stream.bytes_max.map_or(BATCH_BYTES_MAX, |most| most.saturating_sub(self.bytes));
        most.min(BATCH_BYTES_MAX)
    }
}

impl Pulls {
    /// A pull that waits.
    pub(super) fn wait(&mut self, messages: usize, reply: oneshot::Sender<Vec<Delivery>>) {
        self.waiting.push_back((messages, reply));
    }

    /// A stream that begins.
    pub(super) fn open(&mut self, stream: Stream) {
        self.opened += 1;
        self.streams.push_back(Open { number: self.opened, stream, messages: 0, bytes: 0 });
    }

    /// A delivery is not out any more.
    pub(super) fn returned(&mut self, lease: u64) {
        let Some((number, size)) = self.out.remove(&lease) else { return };
        if let Some(open) = self.streams.iter_mut().find(|open| open.number == number) {
            open.messages = open.messages.saturating_sub(1);
            open.bytes = open.bytes.saturating_sub(size);
        }
    }

    /// How many messages the next taker takes, and until about how many bytes, if there is one. Takers that have gone are
    /// forgotten.
    pub(super) fn wanted(&mut self) -> Option<(usize, usize)> {
        self.waiting.retain(|(_, reply)| !reply.is_closed());
        self.streams.retain(|open| !open.stream.to.is_closed());
        if let Some((messages, _)) = self.waiting.front() {
            return Some((*messages, BATCH_BYTES_MAX));
        }
        // The streams take turns: the first with room comes to the front, the others go behind.
        let at = self.streams.iter().position(|open| open.room() > 0)?;
        self.streams.rotate_left(at);
        self.streams.front().map(|open| (open.room(), open.bytes_room()))
    }

    /// The ack deadline of the next taker, if it has one of its own.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.waiting.is_empty() { self.streams.front().map(|open| open.stream.deadline) } else { None }
    }

    /// Gives messages to the next taker. What it did not take comes back.
    pub(super) fn hand_out(&mut self, batch: Vec<Delivery>) -> Vec<Delivery> {
        if let Some((_, reply)) = self.waiting.pop_front() {
            return reply.send(batch).err().unwrap_or_default();
        }
        let Some(mut open) = self.streams.pop_front() else { return batch };
        let sizes: Vec<_> = batch.iter().map(|it| (it.lease, it.stored.body.len())).collect();
        match open.stream.to.try_send(batch) {
            Ok(()) => {
                for (lease, size) in sizes {
                    open.messages += 1;
                    open.bytes += size;
                    self.out.insert(lease, (open.number, size));
                }
                self.streams.push_back(open);
                Vec::new()
            }
            Err(error) => error.into_inner(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaler::Micros;
    use crate::broker::store::{Seq, Stored};
    use std::sync::Arc;

    fn delivery(lease: u64, bytes: usize) -> Delivery {
        let (seq, body) = (Seq(1), vec![0; bytes].into());
        let stored = Stored { seq, published: Micros(0), failures: 0, body };
        Delivery { stored: Arc::new(stored), lease, attempt: 1 }
    }

    #[test]
    fn a_stream_gets_no_more_bytes_than_it_takes_and_one_answer_holds() {
        let (to, _batches) = mpsc::channel(16);
        let mut pulls = Pulls::default();
        let bytes_max = Some(3 << 20);
        pulls.open(Stream { to, messages_max: None, bytes_max, deadline: Duration::from_secs(10) });
        assert_eq!(pulls.wanted(), Some((BATCH_MAX, BATCH_BYTES_MAX)));
        assert!(pulls.hand_out(vec![delivery(1, 2 << 20)]).is_empty());
        assert_eq!(pulls.wanted(), Some((BATCH_MAX, 1 << 20)));
        assert!(pulls.hand_out(vec![delivery(2, 2 << 20)]).is_empty());
        assert_eq!(pulls.wanted(), None, "it has more than it takes");
        pulls.returned(1);
        assert_eq!(pulls.wanted(), Some((BATCH_MAX, 1 << 20)));
    }
}
