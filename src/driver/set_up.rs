//! The set-up steps, one after another, before the load.

use super::DriveError;
use super::off_path::{Asked, Client};
use crate::scenario::{Plan, Session};
use std::time::Duration;

/// What the set-up steps cost the service.
#[derive(Clone, Debug, Default)]
pub(super) struct SetUp {
    /// Statuses in the order they came.
    pub(super) statuses: Vec<u16>,
    /// Sum of the service times.
    pub(super) service_time: Duration,
}

/// Sends the set-up steps of `plan` over `client`. What was sent is in `done` even when this is dropped half-way.
pub(super) async fn send(plan: &Plan, client: &mut Client, done: &mut SetUp) -> Result<(), DriveError> {
    let steps = &plan.scenario().set_up;
    if steps.is_empty() {
        return Ok(());
    }
    let mut session = Session::set_up(plan, client.base_url());
    for (index, step) in steps.iter().enumerate() {
        let failed = |cause: String| DriveError::SetUp { step: step.name.clone(), cause };
        let Asked { status, headers, body, service_time } =
            client.ask(session.request(index), step.timeout).await.map_err(failed)?;
        done.service_time += service_time;
        done.statuses.push(status);
        session.accept(index, status, &headers, &body).map_err(|failure| failed(failure.to_string()))?;
        tokio::time::sleep(session.think_time(index)).await;
    }
    Ok(())
}
