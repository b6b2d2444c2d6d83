//! The start of a load at a time of day, so that several drivers start as one.

use super::DriveError;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The load is prepared this long before its start: the rest is waited for on the measured path itself.
const AHEAD: Duration = Duration::from_millis(100);
/// The clock may be set while a start is waited for: it is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until shortly before `start_at`, or until `stopped`.
///
/// # Errors
/// When `start_at` has passed.
pub(super) async fn wait(start_at: Timestamp, stopped: impl Future<Output = ()>) -> Result<(), DriveError> {
    let waited = async {
        loop {
            let left = left_until(start_at)?.saturating_sub(AHEAD);
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(LOOK_EVERY)).await;
        }
    };
    tokio::select! {
        waited = waited => waited,
        () = stopped => Ok(()),
    }
}

/// The instant that `start_at` is; now, when it has just passed.
pub(super) fn instant(start_at: Timestamp) -> Instant {
    Instant::now() + left_until(start_at).unwrap_or_default()
}

fn left_until(start_at: Timestamp) -> Result<Duration, DriveError> {
    let left = start_at.duration_since(Timestamp::now());
    Duration::try_from(left).map_err(|_| DriveError::StartMissed { start_at, late_s: -left.as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{answering, plan};
    use super::super::{Options, Progress, drive};
    use super::*;
    use jiff::ToSpan as _;
    use tokio::sync::watch;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    async fn driven(start_at: Timestamp, stopped: bool) -> Result<crate::trial::Recording, DriveError> {
        let short = plan(
            "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 200ms}]",
        );
        let base_url = answering(OK, false).await;
        let options =
            Options { base_url, drain: Duration::from_secs(20), start_at: Some(start_at), ..Options::default() };
        let (stop, stopping) = watch::channel(stopped);
        let recording = drive(&short, &options, watch::Sender::new(Progress::default()), stopping).await;
        drop(stop);
        recording
    }

    #[tokio::test]
    async fn a_load_starts_at_its_time_and_not_before() {
        let start_at = Timestamp::now() + 300.milliseconds();
        let recording = driven(start_at, false).await.unwrap();
        let ended = Timestamp::now();
        assert_eq!(recording.started_at, start_at.to_string());
        assert_eq!(recording.arrivals.completed, 4);
        // The last of four arrivals is due 150 ms after the start.
        assert!(ended >= start_at + 150.milliseconds(), "{ended}");
    }

    #[tokio::test]
    async fn a_start_that_has_passed_is_told_and_nothing_is_sent() {
        let error = driven(Timestamp::now() - 2.seconds(), false).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("the set-up ended 2.") && told.contains("--start-at"), "{told}");
    }

    #[tokio::test]
    async fn a_start_that_is_waited_for_can_be_stopped() {
        let recording = driven(Timestamp::now() + 1.hours(), true).await.unwrap();
        assert!(recording.interrupted);
        assert_eq!(recording.arrivals.completed, 0);
    }
}
