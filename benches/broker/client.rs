//! A client of either broker, as lean as may be: administration over REST, publishing over gRPC.

use super::Outcome;
use super::site::own_cpu;
use bytes::Bytes;
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

/// Bytes of each message.
pub(super) const BYTES: usize = 100;

/// `google.pubsub.v1.PublishRequest`
#[derive(Clone, PartialEq, prost::Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(message, repeated, tag = "2")]
    messages: Vec<PubsubMessage>,
}

/// `google.pubsub.v1.PubsubMessage`
#[derive(Clone, PartialEq, prost::Message)]
struct PubsubMessage {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// `google.pubsub.v1.PublishResponse`
#[derive(Clone, PartialEq, prost::Message)]
struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    message_ids: Vec<String>,
}

/// How something is published.
pub(super) struct Load {
    /// So many messages, at most.
    pub(super) messages: u64,
    /// No longer than this.
    pub(super) time: Duration,
    /// Messages of one request.
    pub(super) batch: u64,
    /// Requests that wait for their answers.
    pub(super) outstanding: usize,
    /// Instead of as fast as it goes: one request this long after the other, whatever became of that.
    pub(super) every: Option<Duration>,
}

impl Load {
    /// Requests of 100 messages, as Google's clients send unless told otherwise.
    pub(super) fn batches() -> Self {
        Self { messages: u64::MAX, time: Duration::from_mins(5), batch: 100, outstanding: 16, every: None }
    }

    /// Requests of one message.
    pub(super) fn singles() -> Self {
        Self { batch: 1, outstanding: 64, ..Self::batches() }
    }
}

/// What came of it.
pub(super) struct Published {
    pub(super) acknowledged: u64,
    pub(super) seconds: f64,
    /// CPU seconds of this process.
    pub(super) own_cpu: f64,
}

/// A request over REST.
async fn rest(method: reqwest::Method, url: String, body: Value) -> Outcome<Value> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response = client.request(method, &url).json(&body).send().await?;
    let (status, text) = (response.status(), response.text().await?);
    if status.is_success() {
        Ok(serde_json::from_str(&text).unwrap_or_default())
    } else {
        Err(format!("{url}: {status}: {text}").into())
    }
}

fn topic(id: &str) -> String {
    format!("projects/bench/topics/{id}")
}

fn subscription(endpoint: &str, id: &str) -> String {
    format!("{endpoint}/v1/projects/bench/subscriptions/{id}")
}

/// Whether a broker answers.
pub(super) async fn ready(endpoint: &str) -> Outcome<()> {
    rest(reqwest::Method::GET, format!("{endpoint}/v1/projects/bench/topics"), json!({})).await.map(drop)
}

/// A topic and its subscription of the same id, which pushes there if it is given.
pub(super) async fn create(endpoint: &str, id: &str, push: Option<&str>) -> Outcome<()> {
    rest(reqwest::Method::PUT, format!("{endpoint}/v1/{}", topic(id)), json!({})).await?;
    let mut config = json!({"topic": topic(id), "ackDeadlineSeconds": 60});
    if let Some(url) = push {
        config["pushConfig"] = json!({"pushEndpoint": url});
    }
    rest(reqwest::Method::PUT, subscription(endpoint, id), config).await.map(drop)
}

/// Lets a subscription push.
pub(super) async fn push(endpoint: &str, id: &str, url: &str) -> Outcome<()> {
    let modify = format!("{}:modifyPushConfig", subscription(endpoint, id));
    rest(reqwest::Method::POST, modify, json!({"pushConfig": {"pushEndpoint": url}})).await.map(drop)
}

/// Ends a subscription and its topic.
pub(super) async fn delete(endpoint: &str, id: &str) -> Outcome<()> {
    rest(reqwest::Method::DELETE, subscription(endpoint, id), json!({})).await?;
    rest(reqwest::Method::DELETE, format!("{endpoint}/v1/{}", topic(id)), json!({})).await.map(drop)
}

/// Publishes, and waits for every acknowledgement.
pub(super) async fn publish(endpoint: &str, id: &str, load: &Load) -> Outcome<Published> {
    let channel = Channel::from_shared(endpoint.to_owned())?.connect().await?;
    let (sent, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (cpu, begun) = (own_cpu()?, Instant::now());
    let mut tasks = JoinSet::new();
    for place in 0..load.outstanding {
        let (channel, sent, acknowledged) = (channel.clone(), Arc::clone(&sent), Arc::clone(&acknowledged));
        let (topic, most, batch, until) = (topic(id), load.messages, load.batch, begun + load.time);
        let pace = load.every.map(|every| (every, u32::try_from(load.outstanding).unwrap_or(1)));
        tasks.spawn(async move {
            let mut due = pace.map(|(every, _)| begun + every * u32::try_from(place).unwrap_or(0));
            while due.unwrap_or_else(Instant::now) < until && sent.fetch_add(batch, Ordering::Relaxed) < most {
                if let (Some(at), Some((every, places))) = (due, pace) {
                    tokio::time::sleep_until(at.into()).await;
                    due = Some(at + every * places);
                }
                let answered = call(channel.clone(), &topic, batch).await.map_err(|status| status.to_string())?;
                acknowledged.fetch_add(answered.message_ids.len() as u64, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let (seconds, own_cpu) = (begun.elapsed().as_secs_f64(), own_cpu()?.saturating_sub(cpu).as_secs_f64());
    Ok(Published { acknowledged: acknowledged.load(Ordering::Relaxed), seconds, own_cpu })
}

async fn call(channel: Channel, topic: &str, batch: u64) -> Result<PublishResponse, tonic::Status> {
    let messages = (0..batch).map(|_| PubsubMessage { data: data() }).collect();
    let request = tonic::Request::new(PublishRequest { topic: topic.to_owned(), messages });
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/google.pubsub.v1.Publisher/Publish");
    let codec = ProstCodec::<PublishRequest, PublishResponse>::default();
    grpc.unary(request, path, codec).await.map(tonic::Response::into_inner)
}

/// A message begins with the time of day at which it was sent, in microseconds.
fn data() -> Bytes {
    let mut text = format!("{:020}", super::endpoint::now());
    text.extend(std::iter::repeat_n('x', BYTES - text.len()));
    text.into()
}
