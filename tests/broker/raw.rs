//! Calls over gRPC without Google's client, which would try again what is refused, and read what is not asked for.

use axum::http::uri::PathAndQuery;
use std::collections::BTreeMap;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// `google.pubsub.v1.PubsubMessage`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PubsubMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) data: Vec<u8>,
    #[prost(btree_map = "string, string", tag = "2")]
    pub(crate) attributes: BTreeMap<String, String>,
    #[prost(string, tag = "3")]
    pub(crate) message_id: String,
    #[prost(string, tag = "5")]
    pub(crate) ordering_key: String,
}

/// `google.pubsub.v1.PublishRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(message, repeated, tag = "2")]
    messages: Vec<PubsubMessage>,
}

/// `google.pubsub.v1.PublishResponse`
#[derive(Clone, PartialEq, prost::Message)]
struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    message_ids: Vec<String>,
}

/// `google.pubsub.v1.StreamingPullRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct StreamingPullRequest {
    #[prost(string, tag = "1")]
    subscription: String,
    #[prost(int32, tag = "5")]
    stream_ack_deadline_seconds: i32,
}

/// `google.pubsub.v1.ReceivedMessage`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ReceivedMessage {
    #[prost(message, optional, tag = "2")]
    pub(crate) message: Option<PubsubMessage>,
}

/// `google.pubsub.v1.StreamingPullResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) received_messages: Vec<ReceivedMessage>,
}

async fn client(endpoint: &str) -> tonic::client::Grpc<Channel> {
    let channel = Channel::from_shared(endpoint.to_owned()).unwrap().connect().await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    grpc
}

/// Publishes messages in one request.
pub(crate) async fn publish(endpoint: &str, topic: &str, data: &[&[u8]]) -> Result<Vec<String>, tonic::Status> {
    let message = |data: &&[u8]| PubsubMessage { data: data.to_vec(), ..PubsubMessage::default() };
    publish_all(endpoint, topic, data.iter().map(message).collect()).await
}

/// Publishes messages of any kind in one request.
pub(crate) async fn publish_all(
    endpoint: &str,
    topic: &str,
    messages: Vec<PubsubMessage>,
) -> Result<Vec<String>, tonic::Status> {
    let request = tonic::Request::new(PublishRequest { topic: crate::pubsub::topic(topic), messages });
    let codec = ProstCodec::<PublishRequest, PublishResponse>::default();
    let path = PathAndQuery::from_static("/google.pubsub.v1.Publisher/Publish");
    client(endpoint).await.unary(request, path, codec).await.map(|answer| answer.into_inner().message_ids)
}

/// A stream of messages that acknowledges none; an ack deadline of ten minutes.
pub(crate) async fn stream(endpoint: &str, subscription: &str) -> tonic::Streaming<StreamingPullResponse> {
    let subscription = crate::pubsub::subscription(subscription);
    let first = StreamingPullRequest { subscription, stream_ack_deadline_seconds: 600 };
    // The client's side stays open.
    let (requests, sent) = tokio::sync::mpsc::channel(1);
    requests.send(first).await.unwrap();
    tokio::spawn(async move { requests.closed().await });
    let request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(sent));
    let codec = ProstCodec::<StreamingPullRequest, StreamingPullResponse>::default();
    let path = PathAndQuery::from_static("/google.pubsub.v1.Subscriber/StreamingPull");
    client(endpoint).await.streaming(request, path, codec).await.unwrap().into_inner()
}
