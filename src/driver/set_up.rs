//! The steps around the load, one after another: set-up before it, tear-down after it.

use super::DriveError;
use super::off_path::{Asked, Client};
use crate::scenario::{Plan, Session, Step};
use std::time::Duration;

/// What the steps around the load cost the service.
#[derive(Clone, Debug, Default)]
pub(super) struct SetUp {
    /// Statuses in the order they came.
    pub(super) statuses: Vec<u16>,
    /// Sum of the service times.
    pub(super) service_time: Duration,
}

/// A step around the load that failed.
struct Failed<'a> {
    step: &'a Step,
    cause: String,
}

/// Sends the set-up steps of `plan` in `session`. What was sent is in `done` even when this is dropped half-way.
pub(super) async fn send(
    plan: &Plan,
    client: &mut Client,
    session: &mut Session,
    done: &mut SetUp,
) -> Result<(), DriveError> {
    let failed = |failed: Failed<'_>| DriveError::SetUp { step: failed.step.name.clone(), cause: failed.cause };
    send_all(&plan.scenario().set_up, client, session, done).await.map_err(failed)
}

/// Sends the tear-down steps of `plan` in the session of the set-up. A step that fails is no reason to lose what was
/// measured: it ends the tear-down, and is told in words.
pub(super) async fn tear_down(
    plan: &Plan,
    client: &mut Client,
    set_up: Session,
    done: &mut SetUp,
) -> Result<(), String> {
    let failed = |Failed { step, cause }: Failed<'_>| {
        format!(
            "tear-down step {:?} failed: {cause}; what it and the steps after it put in order is as the load left it",
            step.name
        )
    };
    send_all(&plan.scenario().tear_down, client, &mut set_up.into_tear_down(), done).await.map_err(failed)
}

async fn send_all<'a>(
    steps: &'a [Step],
    client: &mut Client,
    session: &mut Session,
    done: &mut SetUp,
) -> Result<(), Failed<'a>> {
    for (index, step) in steps.iter().enumerate() {
        let failed = |cause: String| Failed { step, cause };
        let mut request = session.request(index);
        loop {
            let Asked { status, content, service_time } = client.ask(request, step.timeout).await.map_err(failed)?;
            done.service_time += service_time;
            done.statuses.push(status);
            let further = session.redirected(index, status, &content);
            if let Some(further) = further.map_err(|failure| failed(failure.to_string()))? {
                request = further;
                continue;
            }
            session.accept(index, status, &content, content.body()).map_err(|failure| failed(failure.to_string()))?;
            break;
        }
        tokio::time::sleep(session.think_time(index)).await;
    }
    Ok(())
}
