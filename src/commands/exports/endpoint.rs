//! The endpoint where Prometheus finds the state of the run.

use super::State;
use crate::commands::error::CommandError;
use crate::report;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::net::SocketAddr;

/// The format's own name for itself.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `state` at `address` until the command ends, and gives back where it really listens.
///
/// # Errors
/// When nothing can listen there.
pub(super) async fn serve(address: SocketAddr, state: State) -> Result<SocketAddr, CommandError> {
    let cannot = |cause: std::io::Error| {
        CommandError::Usage(format!(
            "--prometheus {address}: cannot listen there: {cause}; give a free port of this machine"
        ))
    };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(cannot)?;
    let bound = listener.local_addr().map_err(cannot)?;
    let metrics = move || async move { ([(CONTENT_TYPE, TEXT)], state.read(report::prometheus)) };
    let router = Router::new().route("/metrics", get(metrics));
    // It ends with the runtime: the last state can be read until the very end.
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(bound)
}
