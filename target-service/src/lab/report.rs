//! The lab-report service: what is posted is published, and answered once Pub/Sub has it.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::express::{self, Thrown};
use super::javascript;
use super::topic::Topic;
use crate::knobs::Knobs;
use crate::load::Load;

/// What the genuine program answers when there is no report: its error's only field, and the sum Express makes of it.
const NO_REPORT: (&str, &str) = (r#"{"code":"ERR_INVALID_ARG_TYPE"}"#, r#"W/"1f-D2TZQxKjSt+ezshap8OIPCADj+c""#);

/// The service of one process.
#[derive(Debug)]
pub(crate) struct Service {
    topic: Topic,
    load: Load,
}

impl Service {
    pub(crate) fn new(topic: Topic, knobs: Knobs) -> Self {
        Self { topic, load: Load::new(knobs) }
    }

    async fn post(&self, report: Option<serde_json::Value>) -> Result<Response, Thrown> {
        let _held = self.load.bear().await.map_err(|error| spent(&error))?;
        let Some(report) = report else {
            let (body, etag) = NO_REPORT;
            return Ok(express::json(StatusCode::INTERNAL_SERVER_ERROR, body.to_owned(), Some(etag)));
        };
        Ok(match self.topic.publish(javascript::stringify(&report)).await {
            Ok(()) => express::empty(StatusCode::NO_CONTENT),
            Err(refusal) => express::json(StatusCode::INTERNAL_SERVER_ERROR, refusal.json(), None),
        })
    }
}

/// A knob that could not be obeyed.
pub(crate) fn spent(error: &io::Error) -> Thrown {
    Thrown::uncaught(format!("Error: {error}"))
}

pub(crate) fn router(service: Service) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(service))
}

async fn serve(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = match express::json_body(request).await {
        Ok(report) if method == Method::POST && express::is_home(&path) => service.post(report).await,
        Ok(_) => return express::no_route(method.as_str(), &path),
        Err(thrown) => Err(thrown),
    };
    answered.unwrap_or_else(|thrown| thrown.page())
}
