//! How a subscription's task is reached, and what it is told.

use super::config::Settings;
use super::pull::Stream;
use super::queue::Delivery;
use super::store::{Seq, Signal, StoreError, SubscriptionId};
use super::tally::Tally;
use crate::autoscaler::Micros;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a subscription is told.
pub(super) enum Event {
    /// Its settings changed.
    Configured(Box<Settings>),
    /// Deliveries that a subscriber acknowledges, by message and lease.
    Acknowledge(Vec<(Seq, u64)>),
    /// Deliveries whose deadline a subscriber moves; zero hands them back.
    Modify(Vec<(Seq, u64)>, Duration),
    /// A pull that waits for messages.
    Pull { messages: usize, reply: oneshot::Sender<Vec<Delivery>> },
    /// A stream that takes messages as they come.
    Stream(Stream),
    /// It is set back, or forward, to a time.
    Seek { time: Micros, reply: oneshot::Sender<Result<(), StoreError>> },
    /// It ends. Its handle may live on in calls that are under way.
    Stop,
}

/// How a subscription is reached.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) id: SubscriptionId,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) signal: Arc<Signal>,
    pub(super) tally: Arc<Tally>,
    pub(super) settings: Arc<Settings>,
}
