//! Taking messages: pull, acknowledge, move deadlines.

use super::handle::{Event, Handle};
use super::policy::{ACK_DEADLINE_MAX, PULL_MESSAGES_MAX};
use super::proto;
use super::queue::Delivery;
use super::refusal::Refusal;
use super::registry::Registry;
use super::store::{Seq, SubscriptionId};
use crate::autoscaler::Micros;

use std::time::Duration;
use tokio::sync::oneshot;
use tonic::Code;

/// A pull that finds nothing is answered after this long, empty: Google's answers "may" come earlier than the client's
/// own deadline too (pubsub.proto, `PullRequest`).
const PULL_PATIENCE: Duration = Duration::from_secs(20);

impl Registry {
    pub(super) async fn pull(&self, request: &proto::PullRequest) -> Result<proto::PullResponse, Refusal> {
        let handle = self.handle(&request.subscription).await?;
        refuse_push(&handle)?;
        let messages =
            usize::try_from(request.max_messages).ok().filter(|messages| *messages > 0).ok_or_else(|| {
                Refusal::invalid(format!(
                    "Invalid max_messages given: {}; it is at least 1 (maxMessages).",
                    request.max_messages
                ))
            })?;
        let (reply, mut replied) = oneshot::channel();
        let event = Event::Pull { messages: messages.min(PULL_MESSAGES_MAX), reply };
        handle.events.send(event).await.map_err(|_| ended(&request.subscription))?;
        let patience = if request.return_immediately { Duration::from_millis(100) } else { PULL_PATIENCE };
        let batch = match tokio::time::timeout(patience, &mut replied).await {
            Ok(Ok(batch)) => batch,
            Ok(Err(_)) => return Err(ended(&request.subscription)),
            Err(_) => {
                // Messages that come at the last moment are taken: handed out to nobody, they would be out until their deadline.
                replied.close();
                replied.try_recv().unwrap_or_default()
            }
        };
        Ok(proto::PullResponse { received_messages: batch.iter().map(|it| received(&handle, it)).collect() })
    }

    pub(super) async fn acknowledge(&self, request: &proto::AcknowledgeRequest) -> Result<(), Refusal> {
        let handle = self.handle(&request.subscription).await?;
        let ids = ids_of(handle.id, &request.ack_ids)?;
        handle.events.send(Event::Acknowledge(ids)).await.map_err(|_| ended(&request.subscription))
    }

    pub(super) async fn modify_ack_deadline(&self, request: &proto::ModifyAckDeadlineRequest) -> Result<(), Refusal> {
        let handle = self.handle(&request.subscription).await?;
        let ids = ids_of(handle.id, &request.ack_ids)?;
        let deadline = deadline(request.ack_deadline_seconds)?;
        handle.events.send(Event::Modify(ids, deadline)).await.map_err(|_| ended(&request.subscription))
    }

    /// Answered when it is done.
    pub(super) async fn seek(&self, request: &proto::SeekRequest) -> Result<proto::Present, Refusal> {
        let handle = self.handle(&request.subscription).await?;
        if !request.snapshot.is_empty() {
            return Err(Refusal::not_offered("snapshots"));
        }
        let time = request.time.as_ref().ok_or_else(|| Refusal::invalid("The time to seek to is not given (time)."))?;
        let (reply, replied) = oneshot::channel();
        let event = Event::Seek { time: micros(time), reply };
        handle.events.send(event).await.map_err(|_| ended(&request.subscription))?;
        replied.await.map_err(|_| ended(&request.subscription))??;
        Ok(proto::Present {})
    }
}

/// Microseconds since 1970; what was before that is then.
fn micros(time: &prost_types::Timestamp) -> Micros {
    let whole = u64::try_from(time.seconds).unwrap_or(0).saturating_mul(1_000_000);
    let part = if time.seconds < 0 { 0 } else { u64::try_from(time.nanos / 1_000).unwrap_or(0) };
    Micros(whole.saturating_add(part))
}

/// Messages of a subscription that pushes cannot be pulled.
pub(super) fn refuse_push(handle: &Handle) -> Result<(), Refusal> {
    if handle.settings.push.is_some() {
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "This method is not supported for this subscription type: it pushes.",
        ));
    }
    Ok(())
}

/// The ids of an acknowledgement; at least one.
pub(super) fn ids_of(subscription: SubscriptionId, ids: &[String]) -> Result<Vec<(Seq, u64)>, Refusal> {
    if ids.is_empty() {
        return Err(Refusal::invalid("No acknowledgement ids are given (ackIds)."));
    }
    ids.iter().map(|id| read_id(subscription, id)).collect()
}

/// A deadline as it is moved: 0 to 600 s; zero hands the message back.
pub(super) fn deadline(seconds: i32) -> Result<Duration, Refusal> {
    match u64::try_from(seconds) {
        Ok(whole) if seconds <= ACK_DEADLINE_MAX => Ok(Duration::from_secs(whole)),
        _ => Err(Refusal::invalid(format!(
            "Invalid ack deadline given: {seconds}; it is 0 to {ACK_DEADLINE_MAX} seconds (ackDeadlineSeconds)."
        ))),
    }
}

fn ended(name: &str) -> Refusal {
    Refusal::new(Code::Unavailable, format!("The subscription {name:?} is ending."))
}

/// A message as a subscriber gets it.
pub(super) fn received(handle: &Handle, delivery: &Delivery) -> proto::ReceivedMessage {
    let counts = handle.settings.config.dead_letter_policy.is_some();
    let attempt = if counts { i32::try_from(delivery.attempt).unwrap_or(i32::MAX) } else { 0 };
    proto::ReceivedMessage {
        ack_id: format!("{}-{}-{}", handle.id.0, delivery.stored.seq.0, delivery.lease),
        message: Some(delivery.stored.message()),
        delivery_attempt: attempt,
    }
}

fn read_id(subscription: SubscriptionId, id: &str) -> Result<(Seq, u64), Refusal> {
    let mut parts = id.split('-');
    let mut part = || parts.next()?.parse::<u64>().ok();
    let read = part().zip(part()).zip(part()).filter(|_| parts.next().is_none());
    let read = read.filter(|((of, _), _)| i64::try_from(*of) == Ok(subscription.0));
    let read = read.and_then(|((_, seq), lease)| Some((Seq(i64::try_from(seq).ok()?), lease)));
    read.ok_or_else(|| {
        Refusal::invalid(format!(
            "You have passed an invalid ack ID to the service (ack_id={id}): it is none of this subscription's."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_the_subscription_did_not_give_is_refused() {
        let read = |id: &str| read_id(SubscriptionId(7), id);
        assert_eq!(read("7-12-99"), Ok((Seq(12), 99)));
        for id in ["", "x", "7", "7-12", "7-12-99-1", "8-12-99", "7--1-2", "7-12-x", "7-99999999999999999999-1"] {
            assert_eq!(read(id).unwrap_err().code, Code::InvalidArgument, "{id}");
        }
        assert!(deadline(601).is_err() && deadline(-1).is_err());
        assert_eq!(deadline(0), Ok(Duration::ZERO));
    }
}
