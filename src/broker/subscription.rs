//! One subscription at work: a task that owns its messages in memory, reads more from the store, delivers them, and
//! writes down what became of them.

mod intake;
mod seek;

use super::config::Settings;
use super::context::Context;
use super::handle::{Event, Handle};
use super::policy::PushFlow;
use super::pull::Pulls;
use super::push::{Answer, Outcome, Push};
use super::queue::{Delivery, Failure, Queue, Taken};
use super::store::{Change, Seq, Signal, SubscriptionId};
use super::tally::Tally;
use crate::autoscaler::Micros;
use seek::Seek;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events that may wait for the task.
const EVENTS_MAX: usize = 1_024;
/// Changes that may wait to be written: beyond that nothing more is read or delivered. A store that takes nothing fills it.
const UNWRITTEN_MAX: usize = 20_000;
/// After the store failed to be read, it is asked again this much later.
const READ_AGAIN: Duration = Duration::from_millis(200);

/// The task's own.
struct Subscription {
    id: SubscriptionId,
    context: Arc<Context>,
    settings: Arc<Settings>,
    signal: Arc<Signal>,
    tally: Arc<Tally>,
    queue: Queue,
    flow: PushFlow,
    pulls: Pulls,
    pushes: JoinSet<Outcome>,
    /// Messages up to here have been read, but for the held ones.
    cursor: Seq,
    /// There may be more after the cursor, whatever was published since.
    unread: bool,
    /// Held messages that were read must be marked so before the next look: the number of that change.
    taken: u64,
    /// The number of the last change that held a message: before it is committed, a look does not see all of them.
    held: u64,
    /// When to look for held messages.
    held_due: Option<Micros>,
    read_again: Option<Micros>,
    changes: Vec<Change>,
    stopped: bool,
    numbered: u64,
    /// The last committed change that is accounted for.
    forgotten: u64,
    /// Messages that were settled by changes that are not committed yet.
    settling: BTreeMap<Seq, u64>,
    unwritten: BTreeMap<u64, usize>,
    seeking: Vec<Seek>,
}

/// Starts a subscription's task, which ends when its handle is dropped.
pub(super) fn start(
    context: Arc<Context>,
    (id, signal): (SubscriptionId, Arc<Signal>),
    settings: Arc<Settings>,
    tally: Arc<Tally>,
    tasks: &mut JoinSet<()>,
) -> Handle {
    let (events, told) = mpsc::channel(EVENTS_MAX);
    let handle =
        Handle { id, events, signal: Arc::clone(&signal), tally: Arc::clone(&tally), settings: Arc::clone(&settings) };
    let flow = PushFlow::new(context.time_factor);
    let queue = Queue::new(settings.rules, context.now().0);
    let subscription = Subscription {
        id,
        context,
        settings,
        signal,
        tally,
        queue,
        flow,
        pulls: Pulls::default(),
        pushes: JoinSet::new(),
        cursor: Seq(0),
        unread: true,
        taken: 0,
        held: 0,
        forgotten: 0,
        held_due: Some(Micros::ZERO),
        read_again: None,
        changes: Vec::new(),
        stopped: false,
        numbered: 0,
        settling: BTreeMap::new(),
        unwritten: BTreeMap::new(),
        seeking: Vec::new(),
    };
    tasks.spawn(subscription.run(told));
    handle
}

impl Subscription {
    async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        while !self.stopped {
            self.seek().await;
            self.settled();
            let now = self.context.now();
            let failures = self.queue.advance(now);
            for (lease, failure) in failures {
                self.tally.missed();
                self.pulls.returned(lease);
                self.failed(failure, now);
            }
            self.read(now).await;
            // One instant for what is done and for when to wake: a pause that ended between two looks at the clock would
            // be neither delivered after nor woken for.
            let now = self.context.now();
            self.deliver(now);
            self.write();
            let wake = self.wake(now);
            let signal = Arc::clone(&self.signal);
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { break };
                    self.take(event);
                    while let Ok(event) = events.try_recv() {
                        self.take(event);
                    }
                }
                Some(pushed) = self.pushes.join_next() => {
                    self.pushed(pushed.ok());
                    while let Some(pushed) = self.pushes.try_join_next() {
                        self.pushed(pushed.ok());
                    }
                }
                () = signal.bell.notified() => {}
                () = self.context.sleep_until(wake) => {}
            }
        }
        self.write();
    }

    /// When something happens by itself after `now`, the instant at which all that was due was done.
    fn wake(&self, now: Micros) -> Option<Micros> {
        if !self.can_write() {
            // Whatever the store commits next rings the bell.
            return self.queue.next();
        }
        let pause = if self.queue.ready() > 0 { self.flow.paused_until(now) } else { None };
        [self.queue.next(), pause, self.reads_next(now)].into_iter().flatten().min()
    }

    /// Whether the store keeps up with what it is told.
    fn can_write(&self) -> bool {
        self.unwritten.values().sum::<usize>() <= UNWRITTEN_MAX
    }

    fn take(&mut self, event: Event) {
        let now = self.context.now();
        self.tally.active(now);
        match event {
            Event::Configured(settings) => {
                self.queue.set_rules(settings.rules);
                self.settings = Arc::from(settings);
            }
            Event::Acknowledge(ids) => {
                for (seq, lease) in ids {
                    if self.queue.acknowledge(seq, lease) {
                        self.pulls.returned(lease);
                        self.tally.acknowledged();
                        self.settle(seq);
                    } else {
                        self.tally.late();
                    }
                }
            }
            Event::Modify(ids, deadline) => {
                for (seq, lease) in ids {
                    if deadline.is_zero() {
                        if let Some(failure) = self.queue.fail(seq, lease, now) {
                            self.tally.refused();
                            self.failed(failure, now);
                        }
                        self.pulls.returned(lease);
                    } else {
                        self.queue.extend(seq, lease, now + Micros::of(deadline));
                    }
                }
            }
            Event::Pull { messages, reply } => self.pulls.wait(messages, reply),
            Event::Stream(stream) => self.pulls.open(stream),
            Event::Seek { time, reply } => self.seeking.push((time, reply)),
            Event::Stop => self.stopped = true,
        }
    }

    /// What came of a push.
    fn pushed(&mut self, outcome: Option<Outcome>) {
        // A push that panicked is a delivery that misses its deadline.
        let Some(Outcome { seq, lease, sent, answer }) = outcome else { return };
        let now = self.context.now();
        self.tally.answered(answer);
        if answer.acknowledges() {
            self.tally.active(now);
            self.flow.acknowledged((now - sent).duration());
            if self.queue.acknowledge(seq, lease) {
                self.tally.acknowledged();
                self.settle(seq);
            } else {
                self.tally.late();
            }
        } else {
            self.flow.failed(sent, now);
            if let Some(failure) = self.queue.fail(seq, lease, now) {
                // Both look at the deadline, the push and the queue: whichever is first.
                if answer == Answer::Late {
                    self.tally.missed();
                }
                self.failed(failure, now);
            }
        }
    }

    fn failed(&mut self, failure: Failure, now: Micros) {
        match failure {
            Failure::Waits { seq, failures } => self.changes.push(Change::Failed { seq, failures }),
            Failure::Leaves { seq, failures, until } => {
                self.hold(seq, failures, until);
            }
            Failure::Dead { seq, attempts, published } => {
                let change = self.settings.dead_letter(attempts, published).and_then(|(topic, attributes)| {
                    let topic = self.context.topic(&topic)?;
                    Some(Change::DeadLettered { seq, topic, attributes, now })
                });
                if let Some(change) = change {
                    self.tally.dead_lettered();
                    self.settling.insert(seq, self.numbered + 1);
                    self.changes.push(change);
                } else {
                    // The dead letter topic is gone: the message is not, and is tried again.
                    let until = now + Micros::of(self.settings.rules.retry.backoff(attempts).max(READ_AGAIN));
                    self.hold(seq, attempts, until);
                }
            }
        }
    }

    fn hold(&mut self, seq: Seq, failures: u32, until: Micros) {
        self.changes.push(Change::Held { seq, failures, until });
        self.held = self.numbered + 1;
        self.held_due = Some(self.held_due.map_or(until, |due| due.min(until)));
    }

    fn settle(&mut self, seq: Seq) {
        self.settling.insert(seq, self.numbered + 1);
        self.changes.push(Change::Settled(seq));
    }

    /// Hands what became of messages to the store.
    fn write(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        self.numbered += 1;
        let changes = std::mem::take(&mut self.changes);
        self.unwritten.insert(self.numbered, changes.len());
        // A broker that is ending writes nothing more; what it does not write is delivered again.
        let _ = self.context.store.change(self.id, self.numbered, changes);
    }

    /// Forgets what the store has committed.
    fn settled(&mut self) {
        let changed = self.signal.changed();
        if changed == self.forgotten {
            return;
        }
        self.forgotten = changed;
        self.unwritten = self.unwritten.split_off(&(changed + 1));
        self.settling.retain(|_, number| *number > changed);
    }

    fn deliver(&mut self, now: Micros) {
        if !self.can_write() {
            // What became of more deliveries could not be written down, and would fill the memory.
            return;
        }
        if let Some(endpoint) = self.settings.push.clone() {
            let mut room = self.flow.room(now, self.pushes.len());
            while room > 0
                && let Some(delivery) = self.next(now, self.settings.ack_deadline)
            {
                room -= 1;
                self.tally.pushed();
                let (context, name) = (Arc::clone(&self.context), Arc::clone(&self.settings));
                let push = Push { endpoint: Arc::clone(&endpoint), settings: name, delivery, sent: now };
                self.pushes.spawn(async move { push.send(&context).await });
            }
            return;
        }
        while let Some((most, bytes_max)) = self.pulls.wanted() {
            let deadline = self.pulls.deadline().unwrap_or(self.settings.ack_deadline);
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < most
                && bytes < bytes_max
                && let Some(delivery) = self.next(now, deadline)
            {
                bytes += delivery.stored.body.len();
                batch.push(delivery);
            }
            if batch.is_empty() {
                break;
            }
            for undelivered in self.pulls.hand_out(batch) {
                // Whoever asked has gone: it counts as no delivery.
                self.queue.hand_back(undelivered.stored.seq, undelivered.lease);
            }
        }
    }

    /// The next message, out until its deadline; what is too old is dropped on the way.
    fn next(&mut self, now: Micros, deadline: Duration) -> Option<Delivery> {
        loop {
            match self.queue.take(now, now + Micros::of(deadline))? {
                Taken::Expired(seq) => {
                    self.tally.expired();
                    self.settle(seq);
                }
                Taken::Delivery(delivery) => {
                    self.tally.delivered(delivery.attempt);
                    return Some(delivery);
                }
            }
        }
    }
}
