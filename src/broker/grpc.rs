//! `google.pubsub.v1` over gRPC: how Google's clients publish and pull.

use super::proto::{self, NameRequest};
use super::refusal::Refusal;
use super::registry::Registry;
use super::stream;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use prost::Message;
use std::pin::Pin;
use std::sync::Arc;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// Requests may be so large that what is too large for Pub/Sub is still refused in its own words.
const MESSAGE_BYTES_MAX: usize = 24 << 20;

/// The services' methods.
pub(super) fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/google.pubsub.v1.Publisher/{method}", post(publisher))
        .route("/google.pubsub.v1.Subscriber/{method}", post(subscriber))
        .with_state(registry)
}

/// The answer to a call that is not offered.
pub(super) fn unimplemented(message: &str) -> Response {
    tonic::Status::unimplemented(message).into_http()
}

async fn publisher(State(registry): State<Arc<Registry>>, Path(method): Path<String>, request: Request) -> Response {
    let it = registry;
    match method.as_str() {
        "Publish" => {
            let registry = Arc::clone(&it);
            let publish = move |asked| async move {
                it.publish(asked).await.map(|message_ids| proto::PublishResponse { message_ids })
            };
            let answer = unary(request, publish).await;
            // What cannot be read never becomes a call. No call of the broker ends so by itself.
            if Status::from_header_map(answer.headers()).is_some_and(|status| status.code() == Code::OutOfRange) {
                registry.context.publishes.not_read();
            }
            answer
        }
        "CreateTopic" => unary(request, move |asked| async move { it.create_topic(asked).await }).await,
        "UpdateTopic" => unary(request, move |asked| async move { it.update_topic(asked).await }).await,
        "GetTopic" => unary(request, move |asked: NameRequest| async move { it.topic(&asked.name).await }).await,
        "ListTopics" => {
            let list = move |asked| async move {
                let (topics, next_page_token) = it.topics(&asked).await?;
                Ok(proto::ListTopicsResponse { topics, next_page_token })
            };
            unary(request, list).await
        }
        "ListTopicSubscriptions" => {
            let list = move |asked| async move {
                let (subscriptions, next_page_token) = it.topic_subscriptions(&asked).await?;
                Ok(proto::ListTopicSubscriptionsResponse { subscriptions, next_page_token })
            };
            unary(request, list).await
        }
        "DeleteTopic" => {
            unary(request, move |asked: NameRequest| async move { it.delete_topic(&asked.name).await }).await
        }
        "DetachSubscription" => {
            unary(request, move |asked: NameRequest| async move { it.detach_subscription(&asked.name).await }).await
        }
        other => unoffered("Publisher", other),
    }
}

async fn subscriber(State(registry): State<Arc<Registry>>, Path(method): Path<String>, request: Request) -> Response {
    let it = registry;
    match method.as_str() {
        "CreateSubscription" => unary(request, move |asked| async move { it.create_subscription(asked).await }).await,
        "UpdateSubscription" => unary(request, move |asked| async move { it.update_subscription(asked).await }).await,
        "GetSubscription" => {
            unary(request, move |asked: NameRequest| async move { it.subscription(&asked.name).await }).await
        }
        "ListSubscriptions" => {
            let list = move |asked| async move {
                let (subscriptions, next_page_token) = it.subscriptions(&asked).await?;
                Ok(proto::ListSubscriptionsResponse { subscriptions, next_page_token })
            };
            unary(request, list).await
        }
        "DeleteSubscription" => {
            unary(request, move |asked: NameRequest| async move { it.delete_subscription(&asked.name).await }).await
        }
        "ModifyPushConfig" => unary(request, move |asked| async move { it.modify_push_config(asked).await }).await,
        "ModifyAckDeadline" => unary(request, move |asked| async move { it.modify_ack_deadline(&asked).await }).await,
        "Acknowledge" => unary(request, move |asked| async move { it.acknowledge(&asked).await }).await,
        "Seek" => unary(request, move |asked| async move { it.seek(&asked).await }).await,
        "Pull" => unary(request, move |asked| async move { it.pull(&asked).await }).await,
        "StreamingPull" => {
            let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE_BYTES_MAX);
            grpc.streaming(stream::StreamingPull(it), request).await.map(axum::body::Body::new)
        }
        other => unoffered("Subscriber", other),
    }
}

fn unoffered(service: &str, method: &str) -> Response {
    let what = format!("{service}/{method}: there are no snapshots and no schemas");
    unimplemented(&Refusal::not_offered(&what).message)
}

async fn unary<Q, A, F, R>(request: Request, serve: F) -> Response
where
    Q: Message + Default + 'static,
    A: Message + 'static,
    F: FnOnce(Q) -> R + Send + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.unary(Unary(Some(serve)), request).await.map(axum::body::Body::new)
}

struct Unary<F>(Option<F>);

impl<Q, A, F, R> UnaryService<Q> for Unary<F>
where
    Q: Send + 'static,
    F: FnOnce(Q) -> R + Send + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    type Response = A;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<A>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let serve = self.0.take();
        Box::pin(async move {
            let serve = serve.ok_or_else(|| tonic::Status::internal("a call is answered once"))?;
            Ok(tonic::Response::new(serve(request.into_inner()).await?))
        })
    }
}
