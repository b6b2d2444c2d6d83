//! What the state machine of a revision says to the world around it.

use crate::autoscaler::Micros;

/// Number of an instance, unique in its revision; a smaller one is older.
pub(super) type InstanceId = u64;
/// Number of a pending request, unique in its revision.
pub(super) type Ticket = u64;

/// What the world around the state machine is made of.
pub(super) trait World {
    /// Wakes a pending request.
    type Waiter;
    /// Reaches a ready instance.
    type Handle: Clone;
    /// Tells an instance to stop; its default is the untold one.
    type Stop: Clone + Default;
}

/// What is to be done outside.
pub(super) enum Action<T: World> {
    /// Start this instance.
    Start(InstanceId, T::Stop),
    /// SIGTERM, and SIGKILL after the grace.
    Stop(T::Stop),
    /// A pending request has its slot.
    Admit(T::Waiter, InstanceId, T::Handle),
    /// A pending request gets none.
    Refuse(T::Waiter, Refusal),
}

/// Why a request does not reach an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many wait, or it waited too long: 429.
    NoRoom,
    /// No instance can be started, or the revision is gone: 503.
    NoInstance,
    /// Its own time was over while it waited: 504.
    TimedOut,
}

/// How a request ended that had reached an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// Status the client was sent, or that is recorded for it.
    pub(super) status: u16,
    /// From the forwarding to the end of the answer's body.
    pub(super) took: Micros,
    /// How long it was pending before, if it was.
    pub(super) waited: Option<Micros>,
}
