//! Requests off the measured path: the set-up steps, one after another, before the load.

use super::DriveError;
use crate::scenario::{Plan, Request, Session};
use std::time::Duration;
use tokio::time::Instant;

/// What the set-up steps cost the service.
#[derive(Clone, Debug, Default)]
pub(super) struct SetUp {
    /// Statuses in the order they came.
    pub(super) statuses: Vec<u16>,
    /// Sum of the service times.
    pub(super) service_time: Duration,
}

/// Sends the set-up steps of `plan` to `base_url`.
pub(super) async fn send(plan: &Plan, base_url: &str) -> Result<SetUp, DriveError> {
    let steps = &plan.scenario().set_up;
    let mut done = SetUp::default();
    if steps.is_empty() {
        return Ok(done);
    }
    let client = client().map_err(|cause| DriveError::Driver { cause })?;
    let mut session = Session::set_up(plan, base_url);
    for (index, step) in steps.iter().enumerate() {
        let failed = |cause: String| DriveError::SetUp { step: step.name.clone(), cause };
        let sent = Instant::now();
        let request = build(&client, base_url, session.request(index)).map_err(failed)?.timeout(step.timeout);
        let answer = request.send().await.map_err(|error| failed(because(&error)))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| failed(because(&error)))?;
        done.service_time += sent.elapsed();
        done.statuses.push(status);
        session.accept(index, status, &headers, &body).map_err(|failure| failed(failure.to_string()))?;
        tokio::time::sleep(session.think_time(index)).await;
    }
    Ok(done)
}

/// A client that behaves as the measured path does: HTTP/1.1, no redirects followed, no proxy.
fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .build()
        .map_err(|error| because(&error))
}

fn build(client: &reqwest::Client, base_url: &str, request: Request) -> Result<reqwest::RequestBuilder, String> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut builder = client.request(method, format!("{base_url}{}", request.path));
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    Ok(if request.body.is_empty() { builder } else { builder.body(request.body) })
}

/// An error with the errors behind it, which is where reqwest keeps the cause.
fn because(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
