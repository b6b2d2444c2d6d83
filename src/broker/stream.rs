//! Streaming pull: messages as they come, acknowledgements the other way.

use super::handle::{Event, Handle};
use super::proto::{StreamingPullRequest, StreamingPullResponse, SubscriptionProperties};
use super::pull::Stream;
use super::refusal::Refusal;
use super::registry::Registry;
use super::subscriber::{deadline, ids_of, received, refuse_push};

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::StreamingService;
use tonic::{Request, Response, Status, Streaming};

/// Answers that may wait for a client to read them.
const ANSWERS_MAX: usize = 16;

type Answers = ReceiverStream<Result<StreamingPullResponse, Status>>;

/// The call.
pub(super) struct StreamingPull(pub(super) Arc<Registry>);

impl StreamingService<StreamingPullRequest> for StreamingPull {
    type Response = StreamingPullResponse;
    type ResponseStream = Answers;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<StreamingPullRequest>>) -> Self::Future {
        let registry = Arc::clone(&self.0);
        Box::pin(async move {
            let mut requests = request.into_inner();
            let first = requests.message().await?;
            let first = first.ok_or_else(|| Status::invalid_argument("The first request of the stream is missing."))?;
            let handle = registry.handle(&first.subscription).await?;
            refuse_push(&handle)?;
            let own = deadline(first.stream_ack_deadline_seconds)?;
            let own = if own.is_zero() { handle.settings.ack_deadline } else { own.max(Duration::from_secs(10)) };
            let limit = |most: i64| usize::try_from(most).ok().filter(|most| *most > 0);
            let (to, mut batches) = mpsc::channel(ANSWERS_MAX);
            let stream = Stream {
                to,
                messages_max: limit(first.max_outstanding_messages),
                bytes_max: limit(first.max_outstanding_bytes),
                deadline: own,
            };
            told(&handle, &first).await?;
            handle
                .events
                .send(Event::Stream(stream))
                .await
                .map_err(|_| Status::unavailable("the subscription is ending"))?;
            let (answers, answered) = mpsc::channel(1);
            tokio::spawn(async move {
                let properties = SubscriptionProperties {
                    exactly_once_delivery_enabled: false,
                    message_ordering_enabled: handle.settings.rules.ordered,
                };
                loop {
                    let answer = tokio::select! {
                        batch = batches.recv() => {
                            // The subscription is gone, or the broker ends: whoever opens another stream learns which.
                            let Some(batch) = batch else {
                                let _ = answers.send(Err(Status::unavailable("the subscription is ending"))).await;
                                return;
                            };
                            // There is room for another one now, which the subscription does not see by itself.
                            handle.signal.bell.notify_one();
                            let received_messages = batch.iter().map(|it| received(&handle, it)).collect();
                            Ok(StreamingPullResponse { received_messages, subscription_properties: Some(properties) })
                        }
                        request = requests.message() => match request {
                            Ok(Some(request)) => match told(&handle, &request).await {
                                Ok(()) => continue,
                                Err(refusal) => Err(refusal.into()),
                            },
                            Ok(None) | Err(_) => return,
                        },
                        () = answers.closed() => return,
                    };
                    let last = answer.is_err();
                    if answers.send(answer).await.is_err() || last {
                        return;
                    }
                }
            });
            Ok(Response::new(ReceiverStream::new(answered)))
        })
    }
}

/// Acknowledgements and deadlines that came on the stream.
async fn told(handle: &Handle, request: &StreamingPullRequest) -> Result<(), Refusal> {
    let ended = |_| Refusal::new(tonic::Code::Unavailable, "the subscription is ending");
    if !request.ack_ids.is_empty() {
        let ids = ids_of(handle.id, &request.ack_ids)?;
        handle.events.send(Event::Acknowledge(ids)).await.map_err(ended)?;
    }
    if request.modify_deadline_ack_ids.len() != request.modify_deadline_seconds.len() {
        return Err(Refusal::invalid("There are not as many modify_deadline_seconds as modify_deadline_ack_ids."));
    }
    let mut by_deadline = BTreeMap::<i32, Vec<String>>::new();
    for (id, seconds) in request.modify_deadline_ack_ids.iter().zip(&request.modify_deadline_seconds) {
        by_deadline.entry(*seconds).or_default().push(id.clone());
    }
    for (seconds, ids) in by_deadline {
        let event = Event::Modify(ids_of(handle.id, &ids)?, deadline(seconds)?);
        handle.events.send(event).await.map_err(ended)?;
    }
    Ok(())
}
