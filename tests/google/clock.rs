//! Time that only sleeping moves.

use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;
use tidegate::cloud::Clock;

/// Shows 2026-11-22T12:00:00Z at first.
#[derive(Debug)]
pub(crate) struct FakeClock(Mutex<Timestamp>);

impl Default for FakeClock {
    fn default() -> Self {
        Self(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap()))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            *self.0.lock().unwrap() += duration;
        })
    }
}
