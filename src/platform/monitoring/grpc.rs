//! The Monitoring API over gRPC: what Google's Python, Go and Java clients read time series with. Each call is answered
//! from memory, so it has nothing to wait for but its own message.

use super::{Monitoring, descriptor, message as proto, protobuf};
use crate::platform::request::BODY_TIME_MOST;
use crate::platform::status::Status;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use prost::Message;
use std::future::{Ready, ready};
use std::sync::Arc;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

/// The service's methods, `/google.monitoring.v3.MetricService/METHOD`.
pub(super) fn router(monitoring: Arc<Monitoring>) -> Router {
    Router::new().route("/google.monitoring.v3.MetricService/{method}", post(call)).with_state(monitoring)
}

async fn call(State(monitoring): State<Arc<Monitoring>>, Path(method): Path<String>, request: Request) -> Response {
    let monitoring = &*monitoring;
    match method.as_str() {
        "ListTimeSeries" => answer(request, |request| list_time_series(monitoring, request)).await,
        "ListMetricDescriptors" => answer(request, |request| list_descriptors(monitoring, request)).await,
        "GetMetricDescriptor" => answer(request, |request| get_descriptor(monitoring, &request)).await,
        "ListMonitoredResourceDescriptors" => answer(request, list_resources).await,
        "GetMonitoredResourceDescriptor" => answer(request, |request| get_resource(&request)).await,
        other => unimplemented(&format!("the local platform has no method MetricService/{other}")),
    }
}

/// The answer to a call that is not offered.
pub(in crate::platform) fn unimplemented(message: &str) -> Response {
    tonic::Status::unimplemented(message).into_http()
}

async fn answer<Q, A, F>(request: Request, serve: F) -> Response
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: FnOnce(Q) -> Result<A, Status>,
{
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default());
    let answer = grpc.unary(Unary(Some(serve)), request);
    match tokio::time::timeout(BODY_TIME_MOST, answer).await {
        Ok(response) => response.map(axum::body::Body::new),
        Err(_) => tonic::Status::deadline_exceeded("the request's message did not arrive in time").into_http(),
    }
}

/// A call that is answered at once.
struct Unary<F>(Option<F>);

impl<Q, A, F: FnOnce(Q) -> Result<A, Status>> UnaryService<Q> for Unary<F> {
    type Response = A;
    type Future = Ready<Result<tonic::Response<A>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let Some(serve) = self.0.take() else {
            return ready(Err(tonic::Status::internal("a call is answered once")));
        };
        ready(serve(request.into_inner()).map(tonic::Response::new).map_err(|status| status.to_grpc()))
    }
}

fn list_time_series(
    monitoring: &Monitoring,
    request: proto::ListTimeSeriesRequest,
) -> Result<proto::ListTimeSeriesResponse, Status> {
    let project = protobuf::project(&request.name)?.to_owned();
    let queries = protobuf::time_series_query(request)?;
    monitoring.page(&queries, &project, protobuf::page)
}

fn list_descriptors(
    monitoring: &Monitoring,
    request: proto::ListDescriptorsRequest,
) -> Result<proto::ListMetricDescriptorsResponse, Status> {
    let project = protobuf::project(&request.name)?.to_owned();
    let (metrics, next_page_token) = descriptor::list(&protobuf::descriptors_query(request))?;
    let descriptor = |metric| protobuf::metric_descriptor(metric, &project, monitoring.timing());
    let metric_descriptors = metrics.into_iter().map(descriptor).collect();
    Ok(proto::ListMetricDescriptorsResponse { metric_descriptors, next_page_token })
}

fn get_descriptor(
    monitoring: &Monitoring,
    request: &proto::GetDescriptorRequest,
) -> Result<proto::MetricDescriptor, Status> {
    let (project, name) = protobuf::project_and_type(&request.name, "metricDescriptors")?;
    Ok(protobuf::metric_descriptor(descriptor::find(name)?, project, monitoring.timing()))
}

fn list_resources(
    request: proto::ListDescriptorsRequest,
) -> Result<proto::ListMonitoredResourceDescriptorsResponse, Status> {
    let project = protobuf::project(&request.name)?.to_owned();
    let (resources, next_page_token) = descriptor::list_resources(&protobuf::descriptors_query(request))?;
    let resource_descriptors = resources.into_iter().map(|_| protobuf::resource_descriptor(&project)).collect();
    Ok(proto::ListMonitoredResourceDescriptorsResponse { resource_descriptors, next_page_token })
}

fn get_resource(request: &proto::GetDescriptorRequest) -> Result<proto::MonitoredResourceDescriptor, Status> {
    let (project, name) = protobuf::project_and_type(&request.name, "monitoredResourceDescriptors")?;
    descriptor::find_resource(name)?;
    Ok(protobuf::resource_descriptor(project))
}

#[cfg(test)]
mod tests;
