//! When a request is sent again, and how fast requests may follow each other.

use super::endpoint::{Clock, Pace};
use google_cloud_gax::client_builder::ClientBuilder;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::polling_error_policy::{LimitedElapsedTime, PollingErrorPolicy};
use google_cloud_gax::polling_state::PollingState;
use google_cloud_gax::retry_policy::{LimitedAttemptCount, RetryPolicy};
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;
use google_cloud_gax::retry_throttler::RetryThrottler;
use governor::clock::{Clock as GovernorClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Sends again what a passing trouble stopped. Google's crates by default send again only after 503, and never a PATCH;
/// ours are declarative (the whole template, the explicit revision name), so that the second has no further effect.
#[derive(Clone, Copy, Debug)]
struct PassingTrouble;

impl PassingTrouble {
    fn judge(error: Error, repeatable: bool) -> RetryResult {
        let by_code = error.status().is_some_and(|status| {
            matches!(status.code, Code::ResourceExhausted | Code::Unavailable | Code::Aborted | Code::Internal)
        });
        let by_status = error.http_status_code().is_some_and(|status| matches!(status, 429 | 500 | 502 | 503 | 504));
        let unanswered = error.is_transient_and_before_rpc() || (repeatable && (error.is_io() || error.is_timeout()));
        if by_code || by_status || unanswered { RetryResult::Continue(error) } else { RetryResult::Permanent(error) }
    }
}

impl RetryPolicy for PassingTrouble {
    fn on_error(&self, state: &RetryState, error: Error) -> RetryResult {
        Self::judge(error, state.idempotent)
    }
}

impl PollingErrorPolicy for PassingTrouble {
    fn on_error(&self, _state: &PollingState, error: Error) -> RetryResult {
        Self::judge(error, true)
    }
}

/// Leaves every retry to the policy. The crates' default drops retries at random, so that a bounded number of attempts
/// would not be that number.
#[derive(Clone, Copy, Debug)]
struct NeverThrottle;

impl RetryThrottler for NeverThrottle {
    fn throttle_retry_attempt(&self) -> bool {
        false
    }

    fn on_retry_failure(&mut self, _flow: &RetryResult) {}

    fn on_success(&mut self) {}
}

/// Gives a client's builder its address and its patience.
pub(super) fn paced<F, C>(builder: ClientBuilder<F, C>, endpoint: &str, pace: Pace) -> ClientBuilder<F, C> {
    builder
        .with_endpoint(endpoint)
        .with_retry_policy(LimitedAttemptCount::custom(PassingTrouble, pace.attempts.max(1)))
        .with_backoff_policy(backoff(pace.retry_delay, pace.retry_delay_max))
        .with_retry_throttler(NeverThrottle)
        .with_attempt_timeout(pace.attempt_timeout)
        .with_polling_error_policy(LimitedElapsedTime::custom(PassingTrouble, pace.operation_limit))
        .with_polling_backoff_policy(backoff(pace.operation_delay, pace.operation_delay_max))
}

/// Doubles from `first` to `last`, with the crates' jitter; zero becomes a millisecond.
fn backoff(first: Duration, last: Duration) -> ExponentialBackoff {
    let builder = ExponentialBackoffBuilder::new().with_scaling(2.0);
    let first = first.max(Duration::from_millis(1));
    let exact = builder.clone().with_initial_delay(first).with_maximum_delay(last.max(first)).build();
    // `build` refuses only what the lines above rule out.
    exact.unwrap_or_else(|_| builder.clamp())
}

/// How fast requests of one kind may follow each other.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    limiter: Arc<RateLimiter<NotKeyed, InMemoryState, GateClock, NoOpMiddleware<Duration>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
struct GateClock(Arc<dyn Clock>);

impl GovernorClock for GateClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::try_from(self.0.now().duration_since(jiff::Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }
}

impl Gate {
    /// At most 10 at once and one per 1.2 s: never more than 94 in any 100 s, where Google allows 100 writes of the
    /// Admin API per project.
    pub(super) fn admin_writes(clock: &Arc<dyn Clock>) -> Self {
        Self::new(10, Duration::from_millis(1200), clock)
    }

    /// At most 50 at once and 5 per second: never more than 550 in any 100 s, where Google allows 1000 reads.
    pub(super) fn admin_reads(clock: &Arc<dyn Clock>) -> Self {
        Self::new(50, Duration::from_millis(200), clock)
    }

    /// At most 100 at once and 50 per second: never more than 3100 in any minute, where Google allows 6000 queries of
    /// the Monitoring API per project.
    pub(super) fn monitoring(clock: &Arc<dyn Clock>) -> Self {
        Self::new(100, Duration::from_millis(20), clock)
    }

    fn new(burst: u32, interval: Duration, clock: &Arc<dyn Clock>) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(burst)).allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, GateClock(Arc::clone(clock)));
        Self { limiter: Arc::new(limiter), clock: Arc::clone(clock) }
    }

    /// Comes back when the next request may be sent.
    pub(super) async fn pass(&self) {
        while let Err(early) = self.limiter.check() {
            let wait = early.earliest_possible().duration_since(GateClock(Arc::clone(&self.clock)).now());
            self.clock.sleep(wait.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that only sleeping moves.
    #[derive(Debug, Default)]
    struct SleepClock(Mutex<Duration>);

    impl Clock for SleepClock {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH + *self.0.lock().unwrap()
        }

        fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            *self.0.lock().unwrap() += duration;
            Box::pin(async {})
        }
    }

    /// Largest number of passes in any window of this length, when asked as fast as possible.
    async fn passes_in(gate: impl Fn(&Arc<dyn Clock>) -> Gate, window: Duration) -> usize {
        let clock: Arc<dyn Clock> = Arc::new(SleepClock::default());
        let gate = gate(&clock);
        let mut passed = Vec::new();
        while clock.now() < jiff::Timestamp::UNIX_EPOCH + window * 3 {
            gate.pass().await;
            passed.push(clock.now());
        }
        let from_each =
            (0..passed.len()).map(|first| passed.partition_point(|at| *at < passed[first] + window) - first);
        from_each.max().unwrap_or(0)
    }

    #[tokio::test]
    async fn no_window_sees_more_requests_than_google_allows() {
        let writes = passes_in(Gate::admin_writes, Duration::from_secs(100)).await;
        assert!((80..100).contains(&writes), "{writes} writes in 100 s");
        let reads = passes_in(Gate::admin_reads, Duration::from_secs(100)).await;
        assert!((500..1000).contains(&reads), "{reads} reads in 100 s");
        let queries = passes_in(Gate::monitoring, Duration::from_mins(1)).await;
        assert!((3000..6000).contains(&queries), "{queries} queries in a minute");
    }
}
