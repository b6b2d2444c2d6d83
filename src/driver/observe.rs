//! Numbers that the service is asked for before and after a load, off the measured path.

use super::DriveError;
use super::off_path::{Asked, Client};
use super::set_up::SetUp;
use crate::scenario::{Plan, Session};
use std::collections::BTreeMap;

/// What a round of observations gave, and what it cost the service.
#[derive(Clone, Debug, Default)]
pub(super) struct Observations {
    /// The numbers, by the observation's name.
    pub(super) numbers: BTreeMap<String, i64>,
    /// Their requests reach the service, and are billed, beside those of the load.
    pub(super) sent: SetUp,
}

/// Asks the service, over `client`, for every observation of the plan's scenario, one after another.
///
/// # Errors
/// When one cannot be asked, or its answer holds no such number.
pub(super) async fn observe(plan: &Plan, client: &mut Client) -> Result<Observations, DriveError> {
    let asked_for = &plan.scenario().observations;
    let mut observations = Observations::default();
    if asked_for.is_empty() {
        return Ok(observations);
    }
    let mut session = Session::observe(plan, client.base_url());
    for (index, observation) in asked_for.iter().enumerate() {
        let failed = |cause: String| DriveError::Observation { observation: observation.name.clone(), cause };
        let Asked { status, content, service_time } =
            client.ask(session.request(index), observation.step.timeout).await.map_err(failed)?;
        observations.sent.statuses.push(status);
        observations.sent.service_time += service_time;
        session.accept(index, status, &content, content.body()).map_err(|failure| failed(failure.to_string()))?;
        let number = plan.observed(index, content.body()).map_err(|failure| failed(failure.to_string()))?;
        observations.numbers.insert(observation.name.clone(), number);
    }
    Ok(observations)
}
