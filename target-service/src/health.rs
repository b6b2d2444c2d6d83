//! The health checks, which answer before everything else and without any of its headers.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};

use crate::shop::{self, Call};

/// Whether the path is one that [`answer`] answers.
pub(crate) fn is_check(path: &str) -> bool {
    matches!(path, "/healthy" | "/ready")
}

/// `/healthy` says that the process runs, `/ready` that its database answers.
pub(crate) async fn answer(call: &Call) -> Response {
    if call.path() == "/healthy" {
        return text(StatusCode::OK, "ok");
    }
    match call.shop.store.ping(&call.waits).await {
        Ok(()) => text(StatusCode::OK, "ok"),
        Err(error) => {
            // Logged and counted as every failure of the store; only the answer is the check's own.
            drop(shop::failed(call, &error));
            text(StatusCode::INTERNAL_SERVER_ERROR, "db: failed health check")
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response {
    // A mapped body does not tell its length, so it goes out in chunks as the genuine checks do.
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_frame(|frame| frame);
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
