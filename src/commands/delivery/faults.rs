//! Breaks services when the scenario says, through Admin, and mends them again.

use super::{CommandError, Progress};
use crate::cloud::Cloud;
use crate::driver;
use crate::scenario::Fault;
use crate::trial::FaultRecording;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

/// The variable that breaks a service.
pub(super) const FAULT: &str = "FAULT";

/// A fault as it happened, by the host's clock.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    fault: Fault,
    /// When the broken revision was asked for.
    asked: Timestamp,
    from: Timestamp,
    until: Timestamp,
    /// The revisions that were deployed for it.
    pub(super) revisions: [String; 2],
}

impl Happened {
    /// The service that was broken.
    pub(super) fn service(&self) -> &str {
        &self.fault.service
    }

    /// For the record of a load that started then.
    pub(super) fn since(self, started: Timestamp) -> FaultRecording {
        let seconds = |at: Timestamp| at.duration_since(started).as_secs_f64().max(0.0);
        FaultRecording {
            text: self.fault.text,
            service: self.fault.service,
            asked_s: Some(seconds(self.asked)),
            from_s: seconds(self.from),
            until_s: seconds(self.until),
            healed_s: None,
        }
    }
}

/// One fault from before its begin to its end. The broken revision and the good one are deployed when the fault begins and
/// ends, and the fault lasts from when the one serves to when the other does. `None` when the load ended before.
pub(super) async fn happen(
    fault: &Fault,
    cloud: &Cloud,
    (time_factor, progress): (f64, &Progress),
    load: watch::Receiver<driver::Progress>,
    mut stop: watch::Receiver<bool>,
) -> Result<Option<Happened>, CommandError> {
    let (from, until) = fault.window(time_factor);
    let Some(start) = start_of(load.clone()).await else { return Ok(None) };
    if !reached(start + from, load).await {
        return Ok(None);
    }
    let asked = Timestamp::now();
    let broken = cloud.set_variable(FAULT, Some(&fault.kind.to_string())).await?;
    let began = Timestamp::now();
    progress.say(&format!("{}: revision {} serves", fault.text, broken.revision));
    // Whatever becomes of the load, what was broken is mended; at once when the user wants to stop.
    tokio::select! {
        () = tokio::time::sleep_until(start + until) => {}
        Ok(_) = stop.wait_for(|stop| *stop) => {}
    }
    let good = cloud.set_variable(FAULT, None).await?;
    progress.say(&format!("{} is mended: revision {} serves", fault.service, good.revision));
    Ok(Some(Happened {
        fault: fault.clone(),
        asked,
        from: began,
        until: Timestamp::now(),
        revisions: [broken.revision, good.revision],
    }))
}

/// When the load started; `None` when it never does.
async fn start_of(mut load: watch::Receiver<driver::Progress>) -> Option<Instant> {
    let progress = load.wait_for(|progress| !progress.total.is_zero()).await.ok()?;
    let now = Instant::now();
    Some(now.checked_sub(progress.elapsed).unwrap_or(now))
}

/// Waits for `moment`; false when the load ended before it.
async fn reached(moment: Instant, mut load: watch::Receiver<driver::Progress>) -> bool {
    let ended = async { while load.changed().await.is_ok() {} };
    tokio::select! {
        () = tokio::time::sleep_until(moment) => true,
        () = ended => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::FaultKind;
    use std::time::Duration;

    #[test]
    fn a_fault_is_recorded_from_when_it_was_served_to_when_it_was_mended() {
        let at = |second: i64| Timestamp::from_second(1_795_348_800 + second).unwrap();
        let fault = Fault {
            text: "email down from 20s for 30s".to_owned(),
            service: "email".to_owned(),
            kind: FaultKind::Down,
            from: Duration::from_secs(20),
            length: Duration::from_secs(30),
        };
        let happened =
            Happened { fault, asked: at(20), from: at(21), until: at(52), revisions: ["a".to_owned(), "b".to_owned()] };
        let told = happened.since(at(0));
        assert_eq!((told.asked_s, told.from_s, told.until_s, told.service.as_str()), (Some(20.0), 21.0, 52.0, "email"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_ends_before_the_fault_has_none() {
        let (sender, receiver) = watch::channel(driver::Progress::default());
        let waiting = tokio::spawn(async move {
            let start = start_of(receiver.clone()).await.unwrap();
            reached(start + Duration::from_secs(20), receiver).await
        });
        sender.send_replace(driver::Progress { total: Duration::from_secs(5), ..driver::Progress::default() });
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(sender);
        assert!(!waiting.await.unwrap());
    }
}
