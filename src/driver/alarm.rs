//! The alarm of a connection: goes off when an answer is not whole by its deadline.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, Sleep, sleep_until};

/// Stays set from request to request and is put off only when it goes off too early: deadlines come by the hundred
/// thousand and hardly any is ever reached.
#[derive(Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom it wakes.
    sleeper: Option<Waker>,
}

impl Alarm {
    /// Ready when `deadline` has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let alarm = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
            self.sleeper = None;
        }
        // It is set, and wakes the right task: there is nothing to tell it.
        if !alarm.is_elapsed() && self.sleeper.as_ref().is_some_and(|sleeper| sleeper.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.sleeper = None;
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        self.sleeper = Some(cx.waker().clone());
        Poll::Pending
    }
}
