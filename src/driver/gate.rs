//! A waker for two futures that one task polls by turns and that wake each other: a wake that comes while the task is at them
//! asks for another turn, and does not schedule the task once more.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Turns in a row at most, before others have theirs.
const TURNS_MAX: usize = 8;

/// The gate of one pair of futures.
#[derive(Default)]
pub(super) struct Gate {
    /// The task that polls them.
    task: Mutex<Option<Waker>>,
    /// Whether it is at them now.
    inside: AtomicBool,
    /// Whether one of them was woken meanwhile.
    woken: AtomicBool,
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.inside.load(SeqCst) {
            self.woken.store(true, SeqCst);
        } else if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

impl Gate {
    /// Lets `turn` poll the futures with the gate's waker, again as long as one of them was woken by it.
    pub(super) fn poll<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        mut turn: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *task {
                Some(task) => task.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        let waker = Waker::from(Arc::clone(self));
        self.inside.store(true, SeqCst);
        let mut polled = Poll::Pending;
        for _ in 0..TURNS_MAX {
            self.woken.store(false, SeqCst);
            polled = turn(&mut Context::from_waker(&waker));
            if polled.is_ready() || !self.woken.load(SeqCst) {
                break;
            }
        }
        self.inside.store(false, SeqCst);
        // There may be turns left to take, or another thread woke one of them after the last one.
        if polled.is_pending() && self.woken.swap(false, SeqCst) {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_wake_from_inside_is_another_turn_and_one_from_outside_wakes_the_task() {
        let (gate, task) = (Arc::new(Gate::default()), Arc::new(Counting::default()));
        let waker = Waker::from(Arc::clone(&task));
        let (mut turns, mut kept) = (0, None);
        let polled: Poll<()> = gate.poll(&mut Context::from_waker(&waker), |cx| {
            turns += 1;
            kept = Some(cx.waker().clone());
            if turns < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((turns, task.0.load(SeqCst)), (3, 0));
        kept.unwrap().wake();
        assert_eq!(task.0.load(SeqCst), 1);
        assert_eq!(gate.poll(&mut Context::from_waker(Waker::noop()), |_| Poll::Ready(7)), Poll::Ready(7));
    }

    #[test]
    fn whoever_polled_last_is_woken() {
        let (gate, first, second) =
            (Arc::new(Gate::default()), Arc::new(Counting::default()), Arc::new(Counting::default()));
        let mut kept = None;
        for task in [&first, &second] {
            let waker = Waker::from(Arc::clone(task));
            let _ = gate.poll(&mut Context::from_waker(&waker), |cx| {
                kept = Some(cx.waker().clone());
                Poll::<()>::Pending
            });
        }
        kept.unwrap().wake();
        assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
    }
}
